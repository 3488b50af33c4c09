//! Words as GLiNER cuts them: runs of letters, digits and underscores, joined by single hyphens and underscores, and every
//! other character that is no white space by itself.
//!
//! The reference uses Python's `\w+(?:[-_]\w+)*|\S`. There combining marks are no part of a word.

use std::ops::Range;

use crate::tasks::words::{is_space, is_word, joined};

/// Where the words of a text lie, in bytes.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let length = joined(&text[at..], is_word).unwrap_or(c.len_utf8());
        if !is_space(c) {
            words.push(at..at + length);
        }
        at += length;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_pattern() {
        let cut = |text: &'static str| -> Vec<&str> {
            words(text).into_iter().map(|range| &text[range]).collect()
        };
        assert_eq!(cut(""), [] as [&str; 0]);
        assert_eq!(cut(" \n\u{1c}\u{a0}"), [] as [&str; 0]);
        assert_eq!(cut("well-known snake_case"), ["well-known", "snake_case"]);
        assert_eq!(
            cut("foo--bar -x y- _z_"),
            ["foo", "-", "-", "bar", "-", "x", "y", "-", "_z_"]
        );
        assert_eq!(cut("a-b-c, d"), ["a-b-c", ",", "d"]);
        assert_eq!(cut("u\u{308}東京½"), ["u", "\u{308}", "東京½"]);
        assert_eq!(cut("👍🏽!"), ["👍", "🏽", "!"]);
    }
}
