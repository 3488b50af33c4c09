//! The Unigram model as Hugging Face runs it: scores in double precision, runs of unknown characters
//! joined, and bytes in the place of unknown text where the file says so.

use std::collections::HashMap;

use super::{invalid, push_added};
use crate::TokenizerError;
use crate::hf::encoding::Encoding;
use crate::hf::splits::Splits;
use crate::unigram::{Candidate, Lattice, Span, UNKNOWN_PENALTY, Unigram};

/// Longer pieces than SentencePiece allows would let the search for them take more than linear time.
const LONGEST_PIECE: usize = 8000;

/// Stands for the unknown piece where a vocabulary has none.
const NO_UNKNOWN: u32 = u32::MAX;

/// A vocabulary and how text is cut by it.
#[derive(Debug, Clone)]
pub(crate) struct UnigramModel {
    unigram: Unigram<f64>,
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    unknown: Option<u32>,
    /// The pieces for single bytes, if unknown text is to be spelt with them.
    bytes: Option<Box<[Option<u32>; 256]>>,
}

impl UnigramModel {
    pub(crate) fn new(
        vocabulary: Vec<(String, f64)>,
        unknown: Option<usize>,
        byte_fallback: bool,
    ) -> Result<Self, TokenizerError> {
        if vocabulary.is_empty() {
            return Err(invalid(
                "model.vocab",
                "at least one piece",
                "none".to_owned(),
            ));
        }
        if vocabulary.len() >= NO_UNKNOWN as usize {
            return Err(invalid(
                "model.vocab",
                "less than 2^32 pieces",
                vocabulary.len().to_string(),
            ));
        }
        if let Some(id) = unknown
            && id >= vocabulary.len()
        {
            return Err(invalid("model.unk_id", "the id of a piece", id.to_string()));
        }
        let mut ids = HashMap::with_capacity(vocabulary.len());
        for (id, (piece, _)) in vocabulary.iter().enumerate() {
            if piece.len() >= LONGEST_PIECE {
                return Err(invalid(
                    &format!("model.vocab: length of piece {id}"),
                    "fewer than 8000 bytes",
                    piece.len().to_string(),
                ));
            }
            if let Some(earlier) = ids.insert(piece.clone(), id as u32) {
                return Err(invalid(
                    "model.vocab",
                    "pieces that differ from one another",
                    format!("{piece:?} with ids {earlier} and {id}"),
                ));
            }
        }
        let lowest = vocabulary
            .iter()
            .map(|(_, score)| *score)
            .fold(f64::INFINITY, f64::min);
        let candidates: Vec<Candidate<'_>> = vocabulary
            .iter()
            .zip(0..)
            .map(|((piece, score), id)| Candidate {
                piece,
                id,
                score: *score,
            })
            .collect();
        let unknown = unknown.map(|id| id as u32);
        let unigram = Unigram::new(
            &candidates,
            unknown.unwrap_or(NO_UNKNOWN),
            lowest - UNKNOWN_PENALTY,
        )?;
        let bytes = byte_fallback.then(|| {
            let mut bytes = Box::new([None; 256]);
            for (byte, id) in bytes.iter_mut().enumerate() {
                *id = ids.get(&format!("<0x{byte:02X}>")).copied();
            }
            bytes
        });
        let pieces = vocabulary.into_iter().map(|(piece, _)| piece).collect();
        Ok(Self {
            unigram,
            pieces,
            ids,
            unknown,
            bytes,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn id(&self, piece: &str) -> Option<u32> {
        self.ids.get(piece).copied()
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(String::as_str)
    }

    /// Cuts the parts of a text into tokens; words are counted by parts.
    pub(crate) fn tokenize(
        &self,
        splits: &Splits,
        sequence: u8,
        out: &mut Encoding,
    ) -> Result<(), TokenizerError> {
        let mut lattice = Lattice::default();
        let mut spans = Vec::new();
        for (part, word) in splits.parts().iter().zip(0..) {
            if push_added(splits, part, word, sequence, out) {
                continue;
            }
            let text = splits.text(part.range.clone());
            spans.clear();
            self.unigram.segment(text, &mut lattice, &mut spans);
            self.join_unknown(&mut spans);
            for span in &spans {
                let token = &text[span.start..span.end];
                let start = part.range.start;
                let offsets = splits.original(start + span.start..start + span.end);
                let is_unknown = span.id == NO_UNKNOWN || Some(span.id) == self.unknown;
                if !is_unknown {
                    out.push_token(span.id, token, offsets, word, sequence);
                } else if let Some(&id) = self.ids.get(token) {
                    out.push_token(id, token, offsets, word, sequence);
                } else if let Some(ids) = self.spell(token) {
                    for id in ids {
                        let piece = self.piece(id).unwrap_or_default();
                        out.push_token(id, piece, offsets, word, sequence);
                    }
                } else {
                    let Some(id) = self.unknown else {
                        return Err(TokenizerError::InvalidModel {
                            what: "model.unk_id".to_owned(),
                            expected: "the id of a piece for unknown text",
                            found: format!("null, and the text has {token:?}"),
                        });
                    };
                    out.push_token(id, token, offsets, word, sequence);
                }
            }
        }
        Ok(())
    }

    /// Joins unknown spans that follow one another.
    fn join_unknown(&self, spans: &mut Vec<Span>) {
        let unknown = self.unknown.unwrap_or(NO_UNKNOWN);
        spans.dedup_by(|later, earlier| {
            let both = later.id == unknown && earlier.id == unknown;
            if both {
                earlier.end = later.end;
            }
            both
        });
    }

    /// The byte pieces of a text, if the vocabulary has all of them and is to use them.
    fn spell(&self, text: &str) -> Option<Vec<u32>> {
        let bytes = self.bytes.as_ref()?;
        text.bytes().map(|byte| bytes[usize::from(byte)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::normalized::Normalized;

    fn encode(model: &UnigramModel, text: &str) -> Result<Vec<(u32, String)>, TokenizerError> {
        let mut splits = Splits::default();
        splits.push(&Normalized::new(text, 0), 0..text.len(), None);
        let mut out = Encoding::default();
        model.tokenize(&splits, 0, &mut out)?;
        Ok(out.ids.into_iter().zip(out.tokens).collect())
    }

    fn vocabulary(pieces: &[(&str, f64)]) -> Vec<(String, f64)> {
        pieces
            .iter()
            .map(|&(piece, score)| (piece.to_owned(), score))
            .collect()
    }

    #[test]
    fn unknown_characters_are_joined() {
        let model =
            UnigramModel::new(vocabulary(&[("?", 0.0), ("a", -1.0)]), Some(0), false).unwrap();
        assert_eq!(
            encode(&model, "éüaé").unwrap(),
            [
                (0, "éü".to_owned()),
                (1, "a".to_owned()),
                (0, "é".to_owned())
            ]
        );
    }

    #[test]
    fn unknown_text_is_spelt_where_all_bytes_are_there() {
        let pieces = [("?", 0.0), ("<0xC3>", 0.0), ("<0xA9>", 0.0)];
        let model = UnigramModel::new(vocabulary(&pieces), Some(0), true).unwrap();
        assert_eq!(
            encode(&model, "é").unwrap(),
            [(1, "<0xC3>".to_owned()), (2, "<0xA9>".to_owned())]
        );
        assert_eq!(encode(&model, "éü").unwrap(), [(0, "éü".to_owned())]);
        let without = UnigramModel::new(vocabulary(&pieces), Some(0), false).unwrap();
        assert_eq!(encode(&without, "é").unwrap(), [(0, "é".to_owned())]);
    }

    #[test]
    fn unknown_text_without_a_piece_for_it_is_an_error() {
        let model = UnigramModel::new(vocabulary(&[("a", -1.0)]), None, false).unwrap();
        assert_eq!(encode(&model, "aa").unwrap().len(), 2);
        assert!(
            encode(&model, "ab")
                .unwrap_err()
                .to_string()
                .contains("unk_id")
        );
    }

    #[test]
    fn hostile_vocabularies_are_refused() {
        let long = "x".repeat(8000);
        for (pieces, unknown) in [
            (vec![], None),
            (vec![("a", 0.0)], Some(1)),
            (vec![("a", 0.0), ("a", 1.0)], Some(0)),
            (vec![("a", f64::NAN)], Some(0)),
            (vec![("a", f64::INFINITY)], Some(0)),
            (vec![(long.as_str(), 0.0)], Some(0)),
        ] {
            assert!(
                UnigramModel::new(vocabulary(&pieces), unknown, false).is_err(),
                "{pieces:?}"
            );
        }
    }
}
