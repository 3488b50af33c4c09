//! Text that is being normalised, every character of it aligned with the original.
//!
//! A normaliser rewrites the text, and the alignment must survive any number of rewrites. Each byte of
//! the text therefore carries the span of the original from which it came (all bytes of one character
//! carry the same). A rewrite is a list of [`Edit`]s, one for each character of the new text, that says
//! how many characters of the old text the new one takes the place of. One pass over both applies it,
//! so a rewrite costs time linear in the text whatever it does.
//!
//! The alignment is the one that Hugging Face's tokenizers keep, peculiarities included: a character
//! that replaces several is aligned with the first of them, an inserted one with whatever precedes it.

use std::ops::Range;

use crate::TokenizerError;

/// A span of the original text, in bytes.
///
/// 32 bits suffice: longer texts are refused before they come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One character of a rewritten text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) character: char,
    /// How many characters of the old text it stands for; 0 for an inserted one.
    pub(crate) takes: u32,
}

impl Edit {
    /// A character that replaces one other.
    pub(crate) fn replace(character: char) -> Self {
        Self {
            character,
            takes: 1,
        }
    }

    /// A character that comes in addition.
    pub(crate) fn insert(character: char) -> Self {
        Self {
            character,
            takes: 0,
        }
    }
}

/// A text and where each of its bytes came from.
#[derive(Debug, Clone)]
pub(crate) struct Normalized {
    text: String,
    /// By byte of `text`.
    origins: Vec<Origin>,
    /// Where this text starts in the original, before any normalisation.
    base: u32,
    /// Its length before any normalisation.
    length: usize,
}

/// No character becomes more than 18 bytes for each of its own by Unicode's rules. A file whose rules
/// go far beyond, doubling a text again and again, must not take all memory.
const MAX_GROWTH: usize = 64;
const MAX_SHORT: usize = 1 << 20;

impl Normalized {
    /// The text as it is; `base` is where it starts in the original.
    pub(crate) fn new(text: &str, base: u32) -> Self {
        let mut origins = Vec::with_capacity(text.len());
        let mut start = base;
        for character in text.chars() {
            let end = start + character.len_utf8() as u32;
            push_origins(&mut origins, character, Origin { start, end });
            start = end;
        }
        Self {
            text: text.to_owned(),
            origins,
            base,
            length: text.len(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// An error where this text may not become `length` bytes long.
    pub(crate) fn check_growth(&self, length: usize) -> Result<(), TokenizerError> {
        let limit = MAX_GROWTH
            .saturating_mul(self.length)
            .saturating_add(MAX_SHORT);
        if length > limit {
            return Err(TokenizerError::NormalizedTooLong {
                length: self.length,
                limit,
            });
        }
        Ok(())
    }

    /// The text with the characters lowercased at whose position `wants` says so.
    pub(crate) fn lowercase_where(text: &str, mut wants: impl FnMut(usize) -> bool) -> Self {
        let mut lowered = Self {
            text: String::new(),
            origins: Vec::new(),
            base: 0,
            length: text.len(),
        };
        for (at, character) in text.char_indices() {
            let origin = Origin {
                start: at as u32,
                end: (at + character.len_utf8()) as u32,
            };
            if wants(at) {
                for lower in character.to_lowercase() {
                    lowered.text.push(lower);
                    push_origins(&mut lowered.origins, lower, origin);
                }
            } else {
                lowered.text.push(character);
                push_origins(&mut lowered.origins, character, origin);
            }
        }
        lowered
    }

    /// The span of the original that a range came from, in bytes. An empty range lies before what
    /// follows it.
    pub(crate) fn original(&self, range: Range<usize>) -> (usize, usize) {
        let before = |end: usize| self.origin_before(end).end as usize;
        let start = match self.origins.get(range.start) {
            Some(first) => first.start as usize,
            None => before(range.start),
        };
        (
            start,
            if range.is_empty() {
                start
            } else {
                before(range.end)
            },
        )
    }

    /// Replaces the whole text.
    pub(crate) fn rewrite(&mut self, edits: impl IntoIterator<Item = Edit>) {
        let mut text = String::with_capacity(self.text.len());
        let mut origins = Vec::with_capacity(self.origins.len());
        let mut old = self.text.chars();
        let mut position = 0;
        for Edit { character, takes } in edits {
            let origin = if takes == 0 {
                self.origin_before(position)
            } else {
                match self.origins.get(position) {
                    Some(&origin) => origin,
                    None => self.origin_before(position),
                }
            };
            for _ in 0..takes {
                position += old.next().map_or(0, char::len_utf8);
            }
            text.push(character);
            push_origins(&mut origins, character, origin);
        }
        self.text = text;
        self.origins = origins;
    }

    /// The origin of what ends at `position`: nothing at all, placed at the start, if nothing does.
    fn origin_before(&self, position: usize) -> Origin {
        match position
            .checked_sub(1)
            .and_then(|last| self.origins.get(last))
        {
            Some(&origin) => origin,
            None => Origin {
                start: self.base,
                end: self.base,
            },
        }
    }

    /// Keeps the characters for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl Fn(char) -> bool) {
        if self.text.chars().all(&keep) {
            return;
        }
        let mut text = String::with_capacity(self.text.len());
        let mut origins = Vec::with_capacity(self.origins.len());
        for (start, character) in self.text.char_indices() {
            if keep(character) {
                text.push(character);
                push_origins(&mut origins, character, self.origins[start]);
            }
        }
        self.text = text;
        self.origins = origins;
    }

    /// Removes white space at the ends.
    pub(crate) fn strip(&mut self, left: bool, right: bool) {
        if right {
            let end = self.text.trim_end().len();
            self.text.truncate(end);
            self.origins.truncate(end);
        }
        if left {
            let start = self.text.len() - self.text.trim_start().len();
            self.text.drain(..start);
            self.origins.drain(..start);
        }
    }

    /// Puts `content` in the place of each match; it is aligned with the last character of the match.
    /// Matches are in order and do not overlap.
    pub(crate) fn replace(
        &mut self,
        matches: impl IntoIterator<Item = Range<usize>>,
        content: &str,
    ) {
        let mut text = String::with_capacity(self.text.len());
        let mut origins = Vec::with_capacity(self.origins.len());
        let mut done = 0;
        for found in matches {
            text.push_str(&self.text[done..found.start]);
            origins.extend_from_slice(&self.origins[done..found.start]);
            text.push_str(content);
            let origin = self.origin_before(found.end);
            origins.resize(origins.len() + content.len(), origin);
            done = found.end;
        }
        if done == 0 && text.is_empty() {
            return;
        }
        text.push_str(&self.text[done..]);
        origins.extend_from_slice(&self.origins[done..]);
        self.text = text;
        self.origins = origins;
    }

    /// Puts `content` before the text, aligned with the first character. An empty text stays empty.
    pub(crate) fn prepend(&mut self, content: &str) {
        if let Some(&first) = self.origins.first() {
            self.text.insert_str(0, content);
            self.origins
                .splice(..0, std::iter::repeat_n(first, content.len()));
        }
    }
}

/// Gives every byte of `character` the same origin.
#[inline]
pub(crate) fn push_origins(origins: &mut Vec<Origin>, character: char, origin: Origin) {
    origins.resize(origins.len() + character.len_utf8(), origin);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &Normalized) -> Vec<(char, u32, u32)> {
        text.text
            .char_indices()
            .map(|(at, c)| (c, text.origins[at].start, text.origins[at].end))
            .collect()
    }

    #[test]
    fn every_byte_has_an_origin() {
        let text = Normalized::new("aé日😀", 10);
        assert_eq!(
            spans(&text),
            [('a', 10, 11), ('é', 11, 13), ('日', 13, 16), ('😀', 16, 20)]
        );
        assert_eq!(text.origins.len(), text.text.len());
    }

    #[test]
    fn edits_move_through_the_old_text() {
        let mut text = Normalized::new("e\u{301}x½", 0);
        text.rewrite([
            Edit {
                character: 'é',
                takes: 2,
            },
            Edit::replace('x'),
            Edit::replace('1'),
            Edit::insert('/'),
        ]);
        assert_eq!(
            spans(&text),
            [('é', 0, 1), ('x', 3, 4), ('1', 4, 6), ('/', 4, 6)]
        );
    }

    #[test]
    fn an_insertion_before_everything_has_an_empty_origin() {
        let mut text = Normalized::new("ab", 5);
        text.rewrite([Edit::insert('x'), Edit::replace('a'), Edit::replace('b')]);
        assert_eq!(spans(&text), [('x', 5, 5), ('a', 5, 6), ('b', 6, 7)]);
    }

    #[test]
    fn more_edits_than_text_do_not_run_over() {
        let mut text = Normalized::new("a", 0);
        text.rewrite([
            Edit {
                character: 'b',
                takes: 9,
            },
            Edit::replace('c'),
        ]);
        assert_eq!(spans(&text), [('b', 0, 1), ('c', 0, 1)]);
    }

    #[test]
    fn replacement_is_aligned_with_the_end_of_the_match() {
        let mut text = Normalized::new("a  b", 0);
        text.replace(std::iter::once(1..3), "__");
        assert_eq!(
            spans(&text),
            [('a', 0, 1), ('_', 2, 3), ('_', 2, 3), ('b', 3, 4)]
        );
        text.replace(std::iter::once(0..4), "");
        assert_eq!(text.text(), "");
    }

    #[test]
    fn strip_and_prepend() {
        let mut text = Normalized::new(" \u{3000}a ", 0);
        text.strip(true, true);
        text.prepend("▁");
        assert_eq!(spans(&text), [('▁', 4, 5), ('a', 4, 5)]);
        let mut empty = Normalized::new(" ", 0);
        empty.strip(false, true);
        empty.prepend("▁");
        assert_eq!(empty.text(), "");
    }
}
