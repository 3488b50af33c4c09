//! Where a long text is cut into parts.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Cuts tokens, whose places in the text are `offsets`, into parts of at most `most`: as many whole sentences as fit, and
/// where a sentence does not fit alone, as many of its words.
pub(super) fn cut(text: &str, offsets: &[(usize, usize)], most: usize) -> Vec<Range<usize>> {
    let first_token = |byte: usize| offsets.partition_point(|&(start, _)| start < byte);
    let sentences: Vec<usize> = text
        .split_sentence_bound_indices()
        .map(|(start, _)| first_token(start))
        .collect();
    let mut parts = Vec::new();
    let mut start = 0;
    while offsets.len() - start > most {
        let limit = start + most;
        let last = |ends: &[usize]| {
            let inside = ends.partition_point(|&end| end <= limit);
            ends[..inside].last().copied().filter(|&end| end > start)
        };
        let end = last(&sentences).unwrap_or_else(|| word(text, offsets, start, limit));
        parts.push(start..end);
        start = end;
    }
    parts.push(start..offsets.len());
    parts
}

/// The last beginning of a word from `start` to `limit`, or `limit` where there is none.
fn word(text: &str, offsets: &[(usize, usize)], start: usize, limit: usize) -> usize {
    let begins = |token: usize| {
        let (from, to) = offsets[token];
        // The space before a word is its own in some vocabularies, and lies before it in others.
        let after = |at: usize| text[..at].ends_with(char::is_whitespace);
        text.get(from..to).is_some_and(|piece| {
            piece.starts_with(char::is_whitespace) || (text.is_char_boundary(from) && after(from))
        })
    };
    (start + 1..=limit)
        .rev()
        .find(|&token| begins(token))
        .unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::cut;

    /// Every character a token.
    fn parts(text: &str, most: usize) -> Vec<String> {
        let offsets: Vec<_> = text
            .char_indices()
            .map(|(at, c)| (at, at + c.len_utf8()))
            .collect();
        let ranges = cut(text, &offsets, most);
        assert!(
            ranges.iter().all(|part| (1..=most).contains(&part.len())),
            "{ranges:?}"
        );
        let chars: Vec<char> = text.chars().collect();
        ranges
            .into_iter()
            .map(|part| chars[part].iter().collect())
            .collect()
    }

    #[test]
    fn sentences_stay_whole_where_they_fit() {
        assert_eq!(parts("One. Two.", 20), ["One. Two."]);
        assert_eq!(parts("One. Two. Three.", 11), ["One. Two. ", "Three."]);
        assert_eq!(parts("One. Two. Three.", 8), ["One. ", "Two. ", "Three."]);
    }

    #[test]
    fn long_sentences_are_cut_between_words() {
        assert_eq!(parts("one two three", 8), ["one two ", "three"]);
        assert_eq!(parts("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(parts("äöüß. äöüß.", 4), ["äöüß", ". ", "äöüß", "."]);
    }
}
