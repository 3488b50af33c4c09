//! Parts of a text, in bytes and in characters.

use std::ops::Range;

/// The span without white space at its ends, widened to whole characters.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (span.start.min(text.len()), span.end.min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let part = &text[start..end];
    let left = part.trim_start();
    start = end - left.len();
    start..start + left.trim_end().len()
}

/// Counts characters along a text. Asking in rising order takes one pass over it.
pub(super) struct Characters<'a> {
    text: &'a str,
    byte: usize,
    char: usize,
}

/// A part of a text and where it lies.
pub(super) struct Span {
    pub(super) text: String,
    pub(super) bytes: Range<usize>,
    pub(super) chars: Range<usize>,
}

impl<'a> Characters<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let (byte, char) = (0, 0);
        Self { text, byte, char }
    }

    /// A span in bytes without the white space at its ends.
    pub(super) fn span(&mut self, bytes: Range<usize>) -> Span {
        let bytes = trimmed(self.text, bytes);
        let chars = self.at(bytes.start)..self.at(bytes.end);
        let text = self.text.get(bytes.clone()).unwrap_or_default();
        Span {
            text: text.to_owned(),
            bytes,
            chars,
        }
    }

    /// The number of characters before byte `byte`, a character boundary.
    fn at(&mut self, byte: usize) -> usize {
        if byte < self.byte {
            (self.byte, self.char) = (0, 0);
        }
        self.char += self
            .text
            .get(self.byte..byte)
            .map_or(0, |part| part.chars().count());
        self.byte = byte;
        self.char
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_trimmed_to_whole_characters() {
        let text = " é\u{3000}x ";
        assert_eq!(trimmed(text, 0..text.len()), 1..7);
        assert_eq!(trimmed(text, 2..3), 1..3); // the second byte of é
        assert_eq!(trimmed(text, 3..6), 6..6); // white space alone
        assert_eq!(trimmed(text, 0..1), 1..1);
        assert_eq!(trimmed(text, 90..99), 8..8);
        assert_eq!(trimmed("", 0..0), 0..0);
    }

    #[test]
    fn characters_are_counted_from_any_boundary() {
        let mut characters = Characters::new("aé漢🙂z");
        let counted: Vec<usize> = [0, 1, 3, 6, 10, 11].map(|byte| characters.at(byte)).into();
        assert_eq!(counted, [0, 1, 2, 3, 4, 5]);
        assert_eq!(characters.at(3), 2);
    }
}
