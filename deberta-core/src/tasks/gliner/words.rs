//! Words as GLiNER cuts them: runs of letters, digits and underscores, joined by single hyphens and underscores, and every
//! other character that is no white space by itself.
//!
//! The reference uses Python's `\w+(?:[-_]\w+)*|\S`. There combining marks are no part of a word, and four separators of
//! ASCII are white space.

use std::ops::Range;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Where the words of a text lie, in bytes.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        if is_space(c) {
            continue;
        }
        let mut end = start + c.len_utf8();
        if is_word(c) {
            loop {
                while let Some((at, c)) = rest.next_if(|&(_, c)| is_word(c)) {
                    end = at + c.len_utf8();
                }
                // A hyphen joins only where a word goes on behind it. (An underscore is part of one.)
                let behind = text[end..].strip_prefix('-');
                if !behind.is_some_and(|behind| behind.starts_with(is_word)) {
                    break;
                }
                rest.next();
            }
        }
        words.push(start..end);
    }
    words
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn is_word(c: char) -> bool {
    use GeneralCategory as G;
    c == '_'
        || matches!(
            get_general_category(c),
            G::UppercaseLetter
                | G::LowercaseLetter
                | G::TitlecaseLetter
                | G::ModifierLetter
                | G::OtherLetter
                | G::DecimalNumber
                | G::LetterNumber
                | G::OtherNumber
        )
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
