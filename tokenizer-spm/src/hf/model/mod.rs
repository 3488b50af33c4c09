//! The `model` of a `tokenizer.json`: cuts words into tokens of the vocabulary.

mod bpe;
mod tokens;
mod unigram;
mod wordpiece;

pub(crate) use bpe::{BpeModel, BpeOptions};
pub(crate) use unigram::UnigramModel;
pub(crate) use wordpiece::{WordPieceModel, WordPieceOptions};

use super::encoding::Encoding;
use super::splits::{Part, Splits};
use crate::TokenizerError;

/// A vocabulary and how text is cut by it.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    Unigram(UnigramModel),
    Bpe(BpeModel),
    WordPiece(WordPieceModel),
}

impl Model {
    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Model::Unigram(model) => model.len(),
            Model::Bpe(model) => model.len(),
            Model::WordPiece(model) => model.len(),
        }
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        match self {
            Model::Unigram(model) => model.id(token),
            Model::Bpe(model) => model.id(token),
            Model::WordPiece(model) => model.id(token),
        }
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        match self {
            Model::Unigram(model) => model.piece(id),
            Model::Bpe(model) => model.token(id),
            Model::WordPiece(model) => model.token(id),
        }
    }

    /// Cuts the parts of a text into tokens; words are counted by parts.
    pub(crate) fn tokenize(
        &self,
        splits: &Splits,
        sequence: u8,
        out: &mut Encoding,
    ) -> Result<(), TokenizerError> {
        match self {
            Model::Unigram(model) => model.tokenize(splits, sequence, out),
            Model::Bpe(model) => model.tokenize(splits, sequence, out),
            Model::WordPiece(model) => model.tokenize(splits, sequence, out),
        }
    }
}

/// Appends a part that is an added token; `false` if it is none.
fn push_added(splits: &Splits, part: &Part, word: u32, sequence: u8, out: &mut Encoding) -> bool {
    let Some(id) = part.token else { return false };
    let token = splits.text(part.range.clone());
    let offsets = splits.original(part.range.clone());
    out.push_token(id, token, offsets, word, sequence);
    true
}

fn invalid(what: &str, expected: &'static str, found: String) -> TokenizerError {
    TokenizerError::InvalidModel {
        what: what.to_owned(),
        expected,
        found,
    }
}
