//! SentencePiece models: reading `spm.model` files, encoding and decoding.

mod bpe;
mod decode;
mod encode;
mod scratch;
mod split;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::path::Path;

use prost::Message;

use crate::TokenizerError;
use crate::double_array::DoubleArray;
use crate::normalizer::Normalizer;
use crate::proto::ModelProto;
use crate::unigram::{Candidate, UNKNOWN_PENALTY, Unigram};
pub use vocabulary::PieceType;
use vocabulary::Vocabulary;

/// A tokenizer from a SentencePiece model file (`spm.model`, `spiece.model`, `tokenizer.model`).
///
/// It gives what the C++ library (0.2.x) gives for the same file: the same ids, pieces, spans and
/// decoded texts.
///
/// ```no_run
/// # fn main() -> Result<(), tokenizer_spm::TokenizerError> {
/// let tokenizer = tokenizer_spm::SentencePiece::from_file("spm.model")?;
/// for piece in tokenizer.encode("Hello, world!") {
///     println!("{:6} {:12} {}..{}", piece.id, piece.piece, piece.start, piece.end);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SentencePiece {
    vocabulary: Vocabulary,
    normalizer: Normalizer,
    denormalizer: Option<Normalizer>,
    model: Model,
    /// Whether the normalised text may be cut before spaces: no piece reaches across.
    cuts_words: bool,
    unknown_surface: String,
    bos: Option<u32>,
    eos: Option<u32>,
    pad: Option<u32>,
}

#[derive(Debug, Clone)]
enum Model {
    Unigram(Unigram<f32>),
    Bpe(bpe::Bpe),
    Words(split::Words),
    Characters(split::Characters),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Its id.
    pub id: u32,
    /// Its text in normalised form; for an unknown piece what was found instead of a piece.
    pub piece: String,
    /// Where it starts in the original text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// A piece of a text, without the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// The id of the piece.
    pub id: u32,
    /// Where it starts in the original text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl SentencePiece {
    /// Reads a model file.
    ///
    /// # Errors
    /// Where the file cannot be read, is no model, or is one that no tokenizer can be made of.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| TokenizerError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes).map_err(|error| error.in_file(path))
    }

    /// Reads a model from the contents of a model file.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::from_proto(&ModelProto::decode(bytes)?)
    }

    fn from_proto(proto: &ModelProto) -> Result<Self, TokenizerError> {
        let trainer = proto.trainer_spec.clone().unwrap_or_default();
        let vocabulary = Vocabulary::new(&proto.pieces, trainer.byte_fallback())?;
        let user_defined = user_defined_symbols(&vocabulary)?;
        let normalizer = Normalizer::new(
            &proto.normalizer_spec.clone().unwrap_or_default(),
            trainer.treat_whitespace_as_suffix(),
            user_defined.clone(),
        )?;
        let denormalizer = match &proto.denormalizer_spec {
            Some(spec) if !spec.precompiled_charsmap().is_empty() => {
                Some(Normalizer::new(spec, false, None)?)
            }
            _ => None,
        };
        let model = match trainer.model_type() {
            1 => Model::Unigram(unigram(&vocabulary)?),
            2 => Model::Bpe(bpe::Bpe::new(&vocabulary, user_defined)?),
            3 => Model::Words(split::Words::new(&vocabulary)?),
            4 => Model::Characters(split::Characters::new(&vocabulary, user_defined)?),
            other => {
                return Err(TokenizerError::InvalidModel {
                    what: "trainer_spec.model_type".to_owned(),
                    expected: "1 (Unigram), 2 (BPE), 3 (word) or 4 (character)",
                    found: other.to_string(),
                });
            }
        };
        let control = |piece: &str, default: &str| {
            let id = vocabulary.id(if piece.is_empty() { default } else { piece })?;
            (vocabulary.kind(id) == Some(PieceType::Control)).then_some(id)
        };
        let unknown_surface = trainer
            .unk_surface
            .as_deref()
            .unwrap_or(decode::DEFAULT_UNKNOWN_SURFACE)
            .to_owned();
        Ok(Self {
            bos: control(trainer.bos_piece(), "<s>"),
            eos: control(trainer.eos_piece(), "</s>"),
            pad: control(trainer.pad_piece(), "<pad>"),
            cuts_words: no_piece_crosses(normalizer.space(), &vocabulary),
            vocabulary,
            normalizer,
            denormalizer,
            model,
            unknown_surface,
        })
    }

    /// The number of pieces: ids run from 0 to one less.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The piece with this id, or `None` for an id outside the vocabulary.
    pub fn id_to_piece(&self, id: u32) -> Option<&str> {
        self.vocabulary.piece(id)
    }

    /// The id of this piece, or `None` where the vocabulary does not have it.
    pub fn piece_to_id(&self, piece: &str) -> Option<u32> {
        self.vocabulary.id(piece)
    }

    /// The role of the piece with this id.
    pub fn piece_type(&self, id: u32) -> Option<PieceType> {
        self.vocabulary.kind(id)
    }

    /// The score of the piece with this id: a log probability in a Unigram model, minus the rank of
    /// the merge in a BPE model.
    pub fn score(&self, id: u32) -> Option<f32> {
        self.vocabulary.score(id)
    }

    /// The id of the piece for unknown text; every model has one.
    pub fn unk_id(&self) -> u32 {
        self.vocabulary.unknown()
    }

    /// The id of the piece for the beginning of a text, if the model has one.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos
    }

    /// The id of the piece for the end of a text, if the model has one.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos
    }

    /// The id of the padding piece, if the model has one.
    pub fn pad_id(&self) -> Option<u32> {
        self.pad
    }

    /// Whether unknown characters are spelled in bytes.
    pub fn has_byte_fallback(&self) -> bool {
        self.vocabulary.bytes().is_some()
    }
}

fn user_defined_symbols(vocabulary: &Vocabulary) -> Result<Option<DoubleArray>, TokenizerError> {
    let symbols: Vec<_> = vocabulary
        .iter_sorted()
        .filter(|(_, _, kind, _)| *kind == PieceType::UserDefined)
        .map(|(id, piece, _, _)| (piece.as_bytes(), id))
        .collect();
    if symbols.is_empty() {
        Ok(None)
    } else {
        DoubleArray::build(&symbols).map(Some)
    }
}

/// Whether all pieces lie on one side of a space that has no space before it, and begin with it or end before
/// it.
fn no_piece_crosses(space: &str, vocabulary: &Vocabulary) -> bool {
    vocabulary
        .iter_sorted()
        .filter(|(_, _, kind, _)| kind.is_textual())
        .all(|(_, piece, _, _)| {
            let without = piece.trim_start_matches(space);
            !without.contains(space)
        })
}

fn unigram(vocabulary: &Vocabulary) -> Result<Unigram<f32>, TokenizerError> {
    let lowest = vocabulary
        .iter_sorted()
        .filter(|(_, _, kind, _)| *kind == PieceType::Normal)
        .fold(f32::MAX, |lowest, (.., score)| lowest.min(score));
    let candidates: Vec<_> = vocabulary
        .iter_sorted()
        .filter_map(|(id, piece, kind, score)| {
            let score = match kind {
                PieceType::Normal => f64::from(score),
                // Better than any ordinary piece, whose score is a log probability; the longer the
                // better.
                PieceType::UserDefined => 0.1 * (piece.len() - 1) as f64,
                _ => return None,
            };
            Some(Candidate { piece, id, score })
        })
        .collect();
    if candidates.is_empty() {
        return Err(TokenizerError::InvalidModel {
            what: "vocabulary of a Unigram model".to_owned(),
            expected: "at least one piece of type NORMAL or USER_DEFINED",
            found: "none".to_owned(),
        });
    }
    let unknown_score = f64::from(lowest - UNKNOWN_PENALTY as f32);
    Unigram::new(&candidates, vocabulary.unknown(), unknown_score)
}
