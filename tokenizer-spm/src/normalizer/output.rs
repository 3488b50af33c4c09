//! The normalised text, where it may be cut into words, and where its bytes stem from.

use std::borrow::Cow;

use crate::unigram::{PADDING, Words};

/// Receives where each byte of the normalised text stems from: [`Runs`] record it, `()` does not care.
pub(crate) trait Alignment: Default {
    /// The bytes from `position` on all stem from `original`.
    fn constant(&mut self, position: usize, original: usize);
    /// The bytes from `position` on were copied from `original` on.
    fn copied(&mut self, position: usize, original: usize);
    /// Drops everything from byte `position` on; where that byte stems from.
    fn truncate(&mut self, position: usize) -> usize;
    /// Forgets everything.
    fn clear(&mut self);
    /// Gives memory back that only a long text needed.
    fn shrink(&mut self, capacity: usize);
}

impl Alignment for () {
    #[inline(always)]
    fn constant(&mut self, _: usize, _: usize) {}

    #[inline(always)]
    fn copied(&mut self, _: usize, _: usize) {}

    #[inline(always)]
    fn truncate(&mut self, _: usize) -> usize {
        0
    }

    #[inline(always)]
    fn clear(&mut self) {}

    fn shrink(&mut self, _: usize) {}
}

/// A stretch of normalised text that was copied, or that stems from one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    position: usize,
    original: usize,
    is_copied: bool,
}

impl Run {
    /// Where byte `position`, which is not before the run, stems from.
    #[inline(always)]
    fn original(self, position: usize) -> usize {
        if self.is_copied {
            self.original + (position - self.position)
        } else {
            self.original
        }
    }
}

/// An alignment as the stretches that it consists of, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
}

impl Alignment for Runs {
    #[inline(always)]
    fn constant(&mut self, position: usize, original: usize) {
        self.runs.push(Run {
            position,
            original,
            is_copied: false,
        });
    }

    #[inline(always)]
    fn copied(&mut self, position: usize, original: usize) {
        if let Some(last) = self.runs.last()
            && last.is_copied
            && position - last.position == original - last.original
        {
            return;
        }
        self.runs.push(Run {
            position,
            original,
            is_copied: true,
        });
    }

    fn truncate(&mut self, position: usize) -> usize {
        while self.runs.pop_if(|run| run.position > position).is_some() {}
        let Some(run) = self.runs.last().copied() else {
            return 0;
        };
        self.runs.pop_if(|run| run.position == position);
        run.original(position)
    }

    fn clear(&mut self) {
        self.runs.clear();
    }

    fn shrink(&mut self, capacity: usize) {
        self.runs.shrink_to(capacity);
    }
}

impl Runs {
    /// Finds where positions stem from that never go back.
    pub(crate) fn follow(&self) -> Follow<'_> {
        Follow { runs: &self.runs }
    }
}

/// A place in an alignment.
#[derive(Debug, Clone)]
pub(crate) struct Follow<'a> {
    /// The run that was found last and those after it.
    runs: &'a [Run],
}

impl Follow<'_> {
    /// Where byte `position` stems from; it must not lie before the last one asked for.
    #[inline(always)]
    pub(crate) fn original(&mut self, position: usize) -> usize {
        while let [_, rest @ ..] = self.runs
            && rest.first().is_some_and(|next| next.position <= position)
        {
            self.runs = rest;
        }
        self.runs.first().map_or(0, |run| run.original(position))
    }
}

/// A normalised text. Kept from text to text, it keeps its memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Normalized<A> {
    /// The text; when it is complete, [`PADDING`] zeros come after it.
    pub(super) bytes: Vec<u8>,
    /// The length of the complete text.
    pub(super) length: usize,
    /// Where a space stands for which none stands before it.
    pub(super) cuts: Vec<usize>,
    pub(super) alignment: A,
}

impl<A: Alignment> Normalized<A> {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.length = 0;
        self.cuts.clear();
        self.alignment.clear();
    }

    /// Appends a space, written as `space`, that stems from `original`.
    #[inline(always)]
    pub(super) fn push_space(&mut self, space: &[u8], original: usize) {
        let position = self.bytes.len();
        self.alignment.constant(position, original);
        if !self.bytes.ends_with(space) {
            self.cuts.push(position);
        }
        self.bytes.extend_from_slice(space);
    }

    /// Takes the spaces away that stand at the end; where the first of them stems from, or else
    /// `original`.
    pub(super) fn trim_end(&mut self, space: &[u8], mut original: usize) -> usize {
        while let Some(text) = self.bytes.strip_suffix(space) {
            let length = text.len();
            self.bytes.truncate(length);
            original = self.alignment.truncate(length);
        }
        while self.cuts.pop_if(|cut| *cut >= self.bytes.len()).is_some() {}
        original
    }

    /// Says that the text is complete.
    pub(super) fn finish(&mut self) {
        self.length = self.bytes.len();
        self.bytes.resize(self.length + PADDING, 0);
    }

    /// The text.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The text. It is put together from whole characters, so nothing is lost.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match std::str::from_utf8(self.bytes()) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(self.bytes()),
        }
    }

    pub(super) fn into_string(mut self) -> String {
        self.bytes.truncate(self.length);
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    pub(crate) fn alignment(&self) -> &A {
        &self.alignment
    }

    /// The text cut before spaces, or in one piece.
    pub(crate) fn words(&self, is_cut: bool) -> Words<'_> {
        Words {
            padded: &self.bytes,
            length: self.length,
            cuts: if is_cut { &self.cuts } else { &[] },
        }
    }

    /// How many bytes it has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives memory back that only a long text needed.
    pub(crate) fn shrink(&mut self, capacity: usize) {
        self.clear();
        self.bytes.shrink_to(capacity);
        self.cuts.shrink_to(capacity);
        self.alignment.shrink(capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_say_where_every_byte_stems_from() {
        let mut runs = Runs::default();
        runs.constant(0, 5);
        runs.copied(3, 6);
        // Goes on where the last one does.
        runs.copied(4, 7);
        runs.constant(6, 9);
        runs.copied(9, 9);
        assert_eq!(runs.runs.len(), 4);
        let mut follow = runs.follow();
        let found: Vec<_> = (0..11).map(|at| follow.original(at)).collect();
        assert_eq!(found, [5, 5, 5, 6, 7, 8, 9, 9, 9, 9, 10]);

        assert_eq!(runs.clone().truncate(6), 9);
        assert_eq!(runs.truncate(5), 8);
        runs.constant(5, 20);
        let mut follow = runs.follow();
        assert_eq!([4, 5, 6].map(|at| follow.original(at)), [7, 20, 20]);
        assert_eq!(Runs::default().follow().original(0), 0);
    }

    #[test]
    fn spaces_at_the_end_go_and_their_cuts_with_them() {
        let mut text = Normalized::<Runs>::default();
        text.push_space(b" ", 0);
        text.bytes.push(b'a');
        text.push_space(b" ", 3);
        text.push_space(b" ", 4);
        // The second of two spaces is no place to cut.
        assert_eq!(text.cuts, [0, 2]);
        assert_eq!(text.trim_end(b" ", 5), 3);
        assert_eq!(
            (text.bytes.as_slice(), text.cuts.as_slice()),
            (&b" a"[..], &[0][..])
        );
        assert_eq!(text.trim_end(b" ", 5), 5);
        text.finish();
        assert_eq!(text.bytes(), b" a");
        assert_eq!(text.words(true).padded.len(), 2 + PADDING);
    }
}
