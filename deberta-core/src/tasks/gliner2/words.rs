//! Words as GLiNER2 cuts them: addresses of the web and of mail, names behind an `@`, then as GLiNER does, but with
//! combining marks and joiners as parts of words.
//!
//! The reference uses a regular expression of Python that ignores case, by which `[a-z]` has four letters more than
//! ASCII's.

use std::ops::Range;

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::tasks::words::{is_space, is_word, joined};

/// Where the words of a text lie, in bytes.
pub(super) fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = link(rest)
            .or_else(|| mail(rest))
            .or_else(|| handle(rest))
            .or_else(|| joined(rest, is_part))
            .unwrap_or(c.len_utf8());
        if !is_space(c) {
            words.push(at..at + length);
        }
        at += length;
    }
    words
}

/// `https?://[^\s]+|www\.[^\s]+`
fn link(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://", "www."];
    let rest = scheme
        .into_iter()
        .find_map(|scheme| after(text, scheme).filter(|rest| !rest.starts_with(is_space)))?;
    let behind = run(rest, |c| !is_space(c));
    (behind > 0).then_some(text.len() - rest.len() + behind)
}

/// What follows a beginning, whatever its case.
fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    for wanted in beginning.chars() {
        let c = rest.next()?;
        if c.to_ascii_lowercase() != wanted && !(wanted == 's' && c == 'ſ') {
            return None;
        }
    }
    Some(rest.as_str())
}

/// `[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}`
fn mail(text: &str) -> Option<usize> {
    let name = run(text, |c| {
        is_latin(c) || c.is_ascii_digit() || "._%+-".contains(c)
    });
    let domain = text[name..].strip_prefix('@').filter(|_| name > 0)?;
    let domain = &domain[..run(domain, |c| {
        is_latin(c) || c.is_ascii_digit() || ".-".contains(c)
    })];
    // The last full stop that has something before it, and two letters behind it.
    let end = domain.rmatch_indices('.').find_map(|(dot, _)| {
        let top = &domain[dot + 1..];
        let top = &top[..run(top, is_latin)];
        (dot > 0 && top.chars().nth(1).is_some()).then_some(dot + 1 + top.len())
    })?;
    Some(name + 1 + end)
}

/// `@[a-z0-9_]+`
fn handle(text: &str) -> Option<usize> {
    let name = text.strip_prefix('@')?;
    let length = run(name, |c| is_latin(c) || c.is_ascii_digit() || c == '_');
    (length > 0).then_some(1 + length)
}

/// The length in bytes of the run of such characters at the start.
fn run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_in(c)).unwrap_or(text.len())
}

/// `[a-z]` where case is ignored: with dotted and dotless i, the Kelvin sign and the long s.
fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || ['\u{130}', '\u{131}', '\u{17f}', '\u{212a}'].contains(&c)
}

/// A word character, a combining mark, or a joiner or non-joiner of zero width.
fn is_part(c: char) -> bool {
    use GeneralCategory as G;
    is_word(c)
        || matches!(c, '\u{200c}' | '\u{200d}')
        || matches!(
            get_general_category(c),
            G::NonspacingMark | G::SpacingMark | G::EnclosingMark
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn addresses_are_words() {
        assert_eq!(
            cut("HTTPS://x.y/z), www.a b"),
            ["HTTPS://x.y/z),", "www.a", "b"]
        );
        assert_eq!(
            cut("www. http:// httpſ://a"),
            ["www", ".", "http", ":", "/", "/", "httpſ://a"]
        );
        assert_eq!(cut("a.b+c@d-e.co.uk;"), ["a.b+c@d-e.co.uk", ";"]);
        assert_eq!(
            cut("a@b.c a@.de a@b.de.1"),
            ["a", "@b", ".", "c", "a", "@", ".", "de", "a@b.de", ".", "1"]
        );
        assert_eq!(cut("@ab_1-c @"), ["@ab_1", "-", "c", "@"]);
    }

    #[test]
    fn marks_are_parts_of_words() {
        assert_eq!(
            cut("u\u{308}-\u{301}x -\u{301} न\u{200d}म"),
            ["u\u{308}-\u{301}x", "-", "\u{301}", "न\u{200d}म"]
        );
        assert_eq!(cut(" \n\u{1c} 👍🏽"), ["👍", "🏽"]);
        assert_eq!(cut("foo--bar_-x-"), ["foo", "-", "-", "bar_-x", "-"]);
    }
}
