//! SentencePiece and DeBERTa tokenization in pure Rust.
#![forbid(unsafe_code)]

mod charsmap;
pub mod deberta;
mod double_array;
mod error;
pub mod hf;
mod normalizer;
mod proto;
mod sentencepiece;
mod unigram;

pub use error::TokenizerError;
pub use sentencepiece::{Piece, PieceType, SentencePiece, Token};
