//! What encoding a text gives.

use std::ops::Range;

/// An encoded text or pair of texts: columns with one entry for each token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// How the tokens are written.
    pub tokens: Vec<String>,
    /// Token type ids: which segment a token belongs to as far as the model is concerned.
    pub type_ids: Vec<u32>,
    /// 1 for a token, 0 for padding.
    pub attention_mask: Vec<u32>,
    /// 1 for what the tokenizer added (`[CLS]`, `[SEP]`, padding), 0 for what was in the text.
    pub special_tokens_mask: Vec<u32>,
    /// The word of its text to which a token belongs, counted from 0; `None` for what was added.
    ///
    /// From a `tokenizer.json`, a word is a part that its pre-tokenizer cuts out, or an added token;
    /// from a SentencePiece model, it is what starts with a piece that starts with `▁`.
    pub word_ids: Vec<Option<u32>>,
    /// The text to which a token belongs: 0, or 1 for the second of a pair; `None` for what was added.
    pub sequence_ids: Vec<Option<u8>>,
    /// Where the token lies in its text, in bytes; `(0, 0)` for what was added.
    pub offsets: Vec<(usize, usize)>,
    /// Where the token lies in its text, in characters (Unicode scalar values, as Python counts).
    pub char_offsets: Vec<(usize, usize)>,
    /// How many tokens of the input truncation kept out of this encoding.
    pub dropped: usize,
    /// The windows that truncation cut off, in order. Each is complete in itself: special tokens and
    /// padding included.
    pub overflowing: Vec<Encoding>,
}

impl Encoding {
    /// How many tokens there are, padding included.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The tokens in `range`, without overflowing windows. The range is cut down to the tokens that
    /// there are.
    pub fn slice(&self, range: Range<usize>) -> Encoding {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        Encoding {
            ids: self.ids[range.clone()].to_vec(),
            tokens: self.tokens[range.clone()].to_vec(),
            type_ids: self.type_ids[range.clone()].to_vec(),
            attention_mask: self.attention_mask[range.clone()].to_vec(),
            special_tokens_mask: self.special_tokens_mask[range.clone()].to_vec(),
            word_ids: self.word_ids[range.clone()].to_vec(),
            sequence_ids: self.sequence_ids[range.clone()].to_vec(),
            offsets: self.offsets[range.clone()].to_vec(),
            char_offsets: self.char_offsets[range.clone()].to_vec(),
            dropped: self.len() - range.len(),
            overflowing: Vec::new(),
        }
    }

    /// Room for that many tokens.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Encoding {
            ids: Vec::with_capacity(capacity),
            tokens: Vec::with_capacity(capacity),
            type_ids: Vec::with_capacity(capacity),
            attention_mask: Vec::with_capacity(capacity),
            special_tokens_mask: Vec::with_capacity(capacity),
            word_ids: Vec::with_capacity(capacity),
            sequence_ids: Vec::with_capacity(capacity),
            offsets: Vec::with_capacity(capacity),
            char_offsets: Vec::with_capacity(capacity),
            dropped: 0,
            overflowing: Vec::new(),
        }
    }

    /// Appends a token of a text. Character offsets are filled in by [`finish_text`](Self::finish_text).
    pub(crate) fn push_token(
        &mut self,
        id: u32,
        token: impl Into<String>,
        offsets: (usize, usize),
        word: u32,
        sequence: u8,
    ) {
        self.push_unplaced(id, token, word, sequence);
        self.offsets.push(offsets);
    }

    /// The same without the offsets, which the caller appends later.
    pub(crate) fn push_unplaced(
        &mut self,
        id: u32,
        token: impl Into<String>,
        word: u32,
        sequence: u8,
    ) {
        self.ids.push(id);
        self.tokens.push(token.into());
        self.type_ids.push(u32::from(sequence));
        self.attention_mask.push(1);
        self.special_tokens_mask.push(0);
        self.word_ids.push(Some(word));
        self.sequence_ids.push(Some(sequence));
    }

    /// Appends a token that is not in a text.
    pub(crate) fn push_special(&mut self, id: u32, token: &str, type_id: u32, attention: u32) {
        self.ids.push(id);
        self.tokens.push(token.to_owned());
        self.type_ids.push(type_id);
        self.attention_mask.push(attention);
        self.special_tokens_mask.push(1);
        self.word_ids.push(None);
        self.sequence_ids.push(None);
        self.offsets.push((0, 0));
        self.char_offsets.push((0, 0));
    }

    /// Puts a token that is not in a text before the token at `index`.
    pub(crate) fn insert_special(&mut self, index: usize, id: u32, token: &str, type_id: u32) {
        self.ids.insert(index, id);
        self.tokens.insert(index, token.to_owned());
        self.type_ids.insert(index, type_id);
        self.attention_mask.insert(index, 1);
        self.special_tokens_mask.insert(index, 1);
        self.word_ids.insert(index, None);
        self.sequence_ids.insert(index, None);
        self.offsets.insert(index, (0, 0));
        self.char_offsets.insert(index, (0, 0));
    }

    /// Appends the tokens in `range` of another encoding, with another type id if one is given.
    pub(crate) fn append(&mut self, other: &Encoding, range: Range<usize>, type_id: Option<u32>) {
        self.ids.extend_from_slice(&other.ids[range.clone()]);
        self.tokens.extend_from_slice(&other.tokens[range.clone()]);
        match type_id {
            Some(type_id) => self
                .type_ids
                .resize(self.type_ids.len() + range.len(), type_id),
            None => self
                .type_ids
                .extend_from_slice(&other.type_ids[range.clone()]),
        }
        self.attention_mask
            .extend_from_slice(&other.attention_mask[range.clone()]);
        self.special_tokens_mask
            .extend_from_slice(&other.special_tokens_mask[range.clone()]);
        self.word_ids
            .extend_from_slice(&other.word_ids[range.clone()]);
        self.sequence_ids
            .extend_from_slice(&other.sequence_ids[range.clone()]);
        self.offsets
            .extend_from_slice(&other.offsets[range.clone()]);
        self.char_offsets
            .extend_from_slice(&other.char_offsets[range]);
    }

    /// The same for an encoding that is not needed any more, without copying its tokens.
    pub(crate) fn append_owned(&mut self, mut other: Encoding, range: Range<usize>, type_id: u32) {
        fn part<T>(column: &mut Vec<T>, range: &Range<usize>, out: &mut Vec<T>) {
            column.truncate(range.end);
            column.drain(..range.start);
            out.append(column);
        }
        part(&mut other.ids, &range, &mut self.ids);
        part(&mut other.tokens, &range, &mut self.tokens);
        self.type_ids.resize(self.ids.len(), type_id);
        part(&mut other.attention_mask, &range, &mut self.attention_mask);
        part(
            &mut other.special_tokens_mask,
            &range,
            &mut self.special_tokens_mask,
        );
        part(&mut other.word_ids, &range, &mut self.word_ids);
        part(&mut other.sequence_ids, &range, &mut self.sequence_ids);
        part(&mut other.offsets, &range, &mut self.offsets);
        part(&mut other.char_offsets, &range, &mut self.char_offsets);
    }

    /// With all tokens of `text` there: trims their offsets if wanted and counts characters.
    pub(crate) fn finish_text(&mut self, text: &str, trim: bool) {
        if trim {
            for span in &mut self.offsets {
                *span = trimmed(text, *span);
            }
        }
        // How many characters start before each byte.
        if text.is_ascii() {
            self.char_offsets.clone_from(&self.offsets);
            return;
        }
        let mut characters = Vec::with_capacity(text.len() + 1);
        let mut count = 0_u32;
        for (index, &byte) in text.as_bytes().iter().enumerate() {
            if index > 0 && byte & 0xC0 != 0x80 {
                count += 1;
            }
            characters.push(count);
        }
        characters.push(count + 1);
        let at = |byte: usize| characters.get(byte).map_or(0, |&count| count as usize);
        self.char_offsets = self
            .offsets
            .iter()
            .map(|&(start, end)| (at(start), at(end)))
            .collect();
    }
}

/// A span without the white space at its ends. What covers white space alone ends up empty, at its end.
#[inline]
fn trimmed(text: &str, (start, end): (usize, usize)) -> (usize, usize) {
    let bytes = text.as_bytes();
    // As most are: one space, perhaps, and a word of letters.
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let after_space = start + usize::from(bytes.get(start) == Some(&b' '));
    if after_space < end && is_letter(bytes.get(after_space)) && is_letter(bytes.get(end - 1)) {
        return (after_space, end);
    }
    let Some(covered) = text.get(start..end) else {
        return (start, end);
    };
    let start = start + (covered.len() - covered.trim_start().len());
    let covered = &text[start..end];
    (start, end - (covered.len() - covered.trim_end().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(text: &str, offsets: &[(usize, usize)], trim: bool) -> Encoding {
        let mut encoding = Encoding::default();
        for (index, &offsets) in offsets.iter().enumerate() {
            encoding.push_token(index as u32, "x", offsets, 0, 0);
        }
        encoding.finish_text(text, trim);
        encoding
    }

    #[test]
    fn characters_are_counted() {
        let found = encoding("aé日😀", &[(0, 1), (1, 3), (3, 10), (10, 10)], false);
        assert_eq!(found.char_offsets, [(0, 1), (1, 2), (2, 4), (4, 4)]);
        assert_eq!(encoding("ab", &[(0, 2)], false).char_offsets, [(0, 2)]);
    }

    #[test]
    fn white_space_is_trimmed() {
        let found = encoding("a  é\u{3000} b", &[(0, 1), (1, 5), (5, 9), (1, 3)], true);
        assert_eq!(found.offsets, [(0, 1), (3, 5), (9, 9), (3, 3)]);
        assert_eq!(found.char_offsets, [(0, 1), (3, 4), (6, 6), (3, 3)]);
    }

    #[test]
    fn slices_stay_inside() {
        let found = encoding("abc", &[(0, 1), (1, 2), (2, 3)], true);
        assert_eq!(found.slice(1..9).ids, [1, 2]);
        assert_eq!(found.slice(1..9).dropped, 1);
        assert!(found.slice(7..9).is_empty());
    }
}
