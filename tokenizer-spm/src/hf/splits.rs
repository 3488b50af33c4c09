//! A text on its way into words: cut into parts, each aligned with the original.
//!
//! All parts lie one after the other in one buffer, so a pre-tokenizer that rewrites its input (as
//! Metaspace does) costs one pass over the buffer however many parts there are.

use std::ops::Range;

use serde::Deserialize;

use super::normalized::{Normalized, Origin, push_origins};

/// What becomes of the matches when a text is split at the matches of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum SplitBehavior {
    /// They are left out.
    Removed,
    /// Each is a part of its own.
    Isolated,
    /// Each ends the part before it.
    MergedWithPrevious,
    /// Each begins the part after it.
    MergedWithNext,
    /// A run of them is a part of its own.
    Contiguous,
}

impl SplitBehavior {
    /// The parts of a text, given its pieces in order and whether each is a match.
    fn parts(self, pieces: &[(Range<usize>, bool)], out: &mut Vec<Range<usize>>) {
        let first = out.len();
        match self {
            SplitBehavior::Isolated => out.extend(pieces.iter().map(|(range, _)| range.clone())),
            SplitBehavior::Removed => {
                out.extend(
                    pieces
                        .iter()
                        .filter(|(_, found)| !found)
                        .map(|(range, _)| range.clone()),
                );
            }
            SplitBehavior::Contiguous => {
                let mut was_match = false;
                for (range, found) in pieces {
                    match out[first..].last_mut() {
                        Some(last) if *found == was_match => last.end = range.end,
                        _ => out.push(range.clone()),
                    }
                    was_match = *found;
                }
            }
            SplitBehavior::MergedWithPrevious => {
                let mut was_match = false;
                for (range, found) in pieces {
                    match out[first..].last_mut() {
                        Some(last) if *found && !was_match => last.end = range.end,
                        _ => out.push(range.clone()),
                    }
                    was_match = *found;
                }
            }
            SplitBehavior::MergedWithNext => {
                let mut was_match = false;
                for (range, found) in pieces.iter().rev() {
                    match out[first..].last_mut() {
                        Some(last) if *found && !was_match => last.start = range.start,
                        _ => out.push(range.clone()),
                    }
                    was_match = *found;
                }
                out[first..].reverse();
            }
        }
    }
}

/// A part of the text.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Where it lies in the buffer.
    pub(crate) range: Range<usize>,
    /// Where it starts in the original. This is decided when the part is cut out, and what is put
    /// before its first character afterwards does not move it.
    pub(crate) base: u32,
    /// The id, if the part is an added token; it is then left alone.
    pub(crate) token: Option<u32>,
}

/// The parts of a text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Splits {
    text: String,
    /// By byte of `text`.
    origins: Vec<Origin>,
    parts: Vec<Part>,
}

/// The new text of a part that is being rewritten.
pub(crate) struct Rewritten<'a> {
    text: &'a mut String,
    origins: &'a mut Vec<Origin>,
    /// By byte of the old text.
    old: &'a [Origin],
}

impl Rewritten<'_> {
    /// Appends a character that comes from where the old text's character at `offset` comes from.
    #[inline]
    pub(crate) fn push(&mut self, character: char, offset: usize) {
        self.text.push(character);
        push_origins(self.origins, character, self.old[offset]);
    }
}

impl Splits {
    /// Appends the part of `normalized` in `range`. An empty part is dropped.
    pub(crate) fn push(
        &mut self,
        normalized: &Normalized,
        range: Range<usize>,
        token: Option<u32>,
    ) {
        let Some(first) = normalized.origins()[range.clone()].first() else {
            return;
        };
        let start = self.text.len();
        let base = first.start;
        self.text.push_str(&normalized.text()[range.clone()]);
        self.origins.extend_from_slice(&normalized.origins()[range]);
        self.parts.push(Part {
            range: start..self.text.len(),
            base,
            token,
        });
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text of a range of the buffer.
    pub(crate) fn text(&self, range: Range<usize>) -> &str {
        &self.text[range]
    }

    /// The span of the original that a range of the buffer came from, in bytes.
    pub(crate) fn original(&self, range: Range<usize>) -> (usize, usize) {
        match (
            self.origins.get(range.start),
            self.origins.get(range.end.wrapping_sub(1)),
        ) {
            (Some(first), Some(last)) => (first.start as usize, last.end as usize),
            _ => (0, 0),
        }
    }

    /// Splits every part that is no added token at the characters for which `is_match` holds.
    pub(crate) fn split(&mut self, behavior: SplitBehavior, is_match: impl Fn(char) -> bool) {
        let mut parts = Vec::with_capacity(self.parts.len());
        let mut pieces = Vec::new();
        let mut ranges = Vec::new();
        for part in self.parts.drain(..) {
            if part.token.is_some() {
                parts.push(part);
                continue;
            }
            pieces.clear();
            ranges.clear();
            let mut done = part.range.start;
            for (offset, character) in self.text[part.range.clone()].char_indices() {
                if is_match(character) {
                    let start = part.range.start + offset;
                    let end = start + character.len_utf8();
                    if done < start {
                        pieces.push((done..start, false));
                    }
                    pieces.push((start..end, true));
                    done = end;
                }
            }
            if done < part.range.end {
                pieces.push((done..part.range.end, false));
            }
            behavior.parts(&pieces, &mut ranges);
            parts.extend(
                ranges
                    .drain(..)
                    .filter(|range| !range.is_empty())
                    .map(|range| {
                        let base = self.origins[range.start].start;
                        Part {
                            range,
                            base,
                            token: None,
                        }
                    }),
            );
        }
        self.parts = parts;
    }

    /// Splits every part that is no added token into words, given the length in bytes of the word that
    /// a text begins with.
    pub(crate) fn split_words(&mut self, word_length: impl Fn(&str) -> usize) {
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in self.parts.drain(..) {
            if part.token.is_some() {
                parts.push(part);
                continue;
            }
            let Range { mut start, end } = part.range;
            while start < end {
                let length = word_length(&self.text[start..end]).max(1);
                parts.push(Part {
                    range: start..start + length,
                    base: self.origins[start].start,
                    token: None,
                });
                start += length;
            }
        }
        self.parts = parts;
    }

    /// Writes `replacement` for every space of the parts that are no added tokens, and puts it before a
    /// part that does not start with it wherever `wants_prefix` says so, given where the part starts in
    /// the original.
    pub(crate) fn replace_spaces(&mut self, replacement: char, wants_prefix: impl Fn(u32) -> bool) {
        self.rewrite(|text, base, out| {
            if !text.starts_with([' ', replacement]) && wants_prefix(base) {
                out.push(replacement, 0);
            }
            for (offset, character) in text.char_indices() {
                let is_space = character == ' ';
                out.push(if is_space { replacement } else { character }, offset);
            }
        });
    }

    /// Rewrites every part that is no added token. `write` is given its text, where it starts in the
    /// original, and where to put the new text.
    pub(crate) fn rewrite(&mut self, write: impl Fn(&str, u32, &mut Rewritten<'_>)) {
        let mut text = String::with_capacity(self.text.len() + self.text.len() / 4 + 16);
        let mut origins = Vec::with_capacity(text.capacity());
        for part in &mut self.parts {
            let old = part.range.clone();
            part.range.start = text.len();
            if part.token.is_some() {
                text.push_str(&self.text[old.clone()]);
                origins.extend_from_slice(&self.origins[old]);
            } else {
                let mut out = Rewritten {
                    text: &mut text,
                    origins: &mut origins,
                    old: &self.origins[old.clone()],
                };
                write(&self.text[old], part.base, &mut out);
            }
            part.range.end = text.len();
        }
        self.text = text;
        self.origins = origins;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(text: &str) -> Splits {
        let mut splits = Splits::default();
        splits.push(&Normalized::new(text, 0), 0..text.len(), None);
        splits
    }

    fn parts(splits: &Splits) -> Vec<(&str, (usize, usize))> {
        splits
            .parts()
            .iter()
            .map(|part| {
                (
                    splits.text(part.range.clone()),
                    splits.original(part.range.clone()),
                )
            })
            .collect()
    }

    fn split(text: &str, behavior: SplitBehavior) -> Vec<String> {
        let mut splits = splits(text);
        splits.split(behavior, |c| c == '-');
        parts(&splits)
            .into_iter()
            .map(|(part, _)| part.to_owned())
            .collect()
    }

    #[test]
    fn behaviors() {
        let text = "the-final--countdown";
        assert_eq!(
            split(text, SplitBehavior::Removed),
            ["the", "final", "countdown"]
        );
        assert_eq!(
            split(text, SplitBehavior::Isolated),
            ["the", "-", "final", "-", "-", "countdown"]
        );
        assert_eq!(
            split(text, SplitBehavior::MergedWithPrevious),
            ["the-", "final-", "-", "countdown"]
        );
        assert_eq!(
            split(text, SplitBehavior::MergedWithNext),
            ["the", "-final", "-", "-countdown"]
        );
        assert_eq!(
            split(text, SplitBehavior::Contiguous),
            ["the", "-", "final", "--", "countdown"]
        );
        assert_eq!(split("--a", SplitBehavior::Contiguous), ["--", "a"]);
    }

    #[test]
    fn spaces_become_part_of_words() {
        let mut splits = splits("a  é");
        splits.replace_spaces('▁', |_| true);
        splits.split(SplitBehavior::MergedWithNext, |c| c == '▁');
        assert_eq!(
            parts(&splits),
            [("▁a", (0, 1)), ("▁", (1, 2)), ("▁é", (2, 5))]
        );
    }

    #[test]
    fn added_tokens_are_left_alone() {
        let text = Normalized::new("a b", 7);
        let mut splits = Splits::default();
        splits.push(&text, 0..3, Some(9));
        splits.push(&text, 1..1, None);
        splits.replace_spaces('▁', |_| true);
        splits.split(SplitBehavior::Removed, |_| true);
        assert_eq!(parts(&splits), [("a b", (7, 10))]);
        assert_eq!(splits.parts()[0].token, Some(9));
    }
}
