//! The two models without any choice: a text is split into its characters, or into its words, and
//! each is looked up.

use super::PieceType;
use super::vocabulary::Vocabulary;
use crate::TokenizerError;
use crate::double_array::DoubleArray;
use crate::normalizer::SPACE_SYMBOL;
use crate::unigram::{Span, character_length};

/// The character model: user-defined symbols, and apart from these single characters.
#[derive(Debug, Clone)]
pub(crate) struct Characters {
    pieces: DoubleArray,
    user_defined: Option<DoubleArray>,
    unknown: u32,
}

/// The word model: words as white space delimits them.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pieces: DoubleArray,
    unknown: u32,
}

/// The pieces that may be found in text.
fn found_in_text(vocabulary: &Vocabulary) -> Result<DoubleArray, TokenizerError> {
    let keys: Vec<_> = vocabulary
        .iter_sorted()
        .filter(|(_, _, kind, _)| matches!(kind, PieceType::Normal | PieceType::UserDefined))
        .map(|(id, piece, _, _)| (piece.as_bytes(), id))
        .collect();
    DoubleArray::build(&keys)
}

impl Characters {
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        user_defined: Option<DoubleArray>,
    ) -> Result<Self, TokenizerError> {
        let pieces = found_in_text(vocabulary)?;
        Ok(Self {
            pieces,
            user_defined,
            unknown: vocabulary.unknown(),
        })
    }

    /// Appends the pieces of `text` to `out`, in order and without gaps.
    pub(crate) fn segment(&self, text: &str, out: &mut Vec<Span>) {
        let bytes = text.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            let symbol = self
                .user_defined
                .as_ref()
                .and_then(|trie| trie.longest_prefix(&bytes[start..]));
            let length = symbol
                .map_or(character_length(bytes[start]), |(length, _)| length)
                .min(bytes.len() - start);
            let end = start + length;
            let id = self.pieces.get(&bytes[start..end]).unwrap_or(self.unknown);
            out.push(Span { id, start, end });
            start = end;
        }
    }
}

impl Words {
    pub(crate) fn new(vocabulary: &Vocabulary) -> Result<Self, TokenizerError> {
        Ok(Self {
            pieces: found_in_text(vocabulary)?,
            unknown: vocabulary.unknown(),
        })
    }

    /// Appends the pieces of `text` to `out`, in order and without gaps: each begins at a `▁`.
    pub(crate) fn segment(&self, text: &str, out: &mut Vec<Span>) {
        let mut start = 0;
        while start < text.len() {
            let after_first =
                start + character_length(text.as_bytes()[start]).min(text.len() - start);
            let end = text[after_first..]
                .find(SPACE_SYMBOL)
                .map_or(text.len(), |length| after_first + length);
            let word = &text.as_bytes()[start..end];
            let id = self.pieces.get(word).unwrap_or(self.unknown);
            out.push(Span { id, start, end });
            start = end;
        }
    }
}
