//! From ids back to text.

use super::SentencePiece;
use super::vocabulary::{PieceType, parse_byte};
use crate::TokenizerError;
use crate::normalizer::SPACE_SYMBOL;
use crate::unigram::character_length;

/// What an unknown piece is decoded to, unless the model says otherwise.
pub(crate) const DEFAULT_UNKNOWN_SURFACE: &str = " \u{2047} ";

impl SentencePiece {
    /// The text of these ids.
    ///
    /// `▁` becomes a space, the one in front of the text goes, control symbols leave no trace, an
    /// unknown piece becomes ` ⁇ `, and byte pieces are put together to characters; a byte that is
    /// part of no character becomes U+FFFD.
    ///
    /// # Errors
    /// [`TokenizerError::IdOutOfRange`] for an id that the vocabulary does not have.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        let mut text = String::new();
        let mut bytes = Vec::new();
        // Whether a space is still to be dropped from the beginning.
        let mut at_start = true;
        let mut dropped_one = false;
        for &id in ids {
            let (Some(mut piece), Some(kind)) =
                (self.vocabulary.piece(id), self.vocabulary.kind(id))
            else {
                return Err(TokenizerError::IdOutOfRange {
                    id,
                    vocab_size: self.vocab_size(),
                });
            };
            if kind == PieceType::Byte {
                bytes.extend(parse_byte(piece));
                continue;
            }
            append_bytes(&mut text, &mut bytes);
            if dropped_one || !text.is_empty() {
                at_start = false;
            }
            dropped_one = false;
            match kind {
                PieceType::Control => continue,
                PieceType::Unknown => {
                    text.push_str(&self.unknown_surface);
                    continue;
                }
                _ => {}
            }
            let all = self.normalizer.removes_extra_whitespaces();
            if at_start
                && (all || self.normalizer.adds_dummy_prefix())
                && let Some(rest) = piece.strip_prefix(SPACE_SYMBOL)
            {
                piece = rest;
                dropped_one = !all;
            }
            for (index, part) in piece.split(SPACE_SYMBOL).enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                text.push_str(part);
            }
        }
        append_bytes(&mut text, &mut bytes);
        if let Some(denormalizer) = &self.denormalizer {
            return Ok(denormalizer.normalized(&text));
        }
        Ok(text)
    }
}

/// Moves `bytes` to the end of `text` as characters, each stray byte as a U+FFFD of its own.
fn append_bytes(text: &mut String, bytes: &mut Vec<u8>) {
    let mut rest = bytes.as_slice();
    while let Some(&first) = rest.first() {
        let length = character_length(first).min(rest.len());
        match std::str::from_utf8(&rest[..length]) {
            Ok(character) => {
                text.push_str(character);
                rest = &rest[length..];
            }
            Err(_) => {
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[1..];
            }
        }
    }
    bytes.clear();
}
