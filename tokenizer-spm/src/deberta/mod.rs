//! DeBERTa's tokenizer: a SentencePiece vocabulary, special tokens around the text, and what is needed
//! to make batches of it.
//!
//! [`DebertaTokenizer::from_dir`] reads the directory of a checkpoint as it is published or as
//! fine-tuning left it. There are two sources of a vocabulary, and each is followed as it is:
//!
//! * `tokenizer.json` goes through [`hf`](crate::hf), that is, gives what Hugging Face's fast tokenizer
//!   gives;
//! * `spm.model` (or `spiece.model`) goes through [`SentencePiece`](crate::SentencePiece), that is, gives
//!   what C++ SentencePiece and Hugging Face's slow `DebertaV2Tokenizer` give. They differ on rare
//!   characters: the published `spm.model` spells them in bytes, most `tokenizer.json` files do not.
//!
//! ```no_run
//! use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions, Input};
//!
//! let tokenizer = DebertaTokenizer::from_dir("microsoft/deberta-v3-base")?;
//! let encoding = tokenizer.encode("DeBERTa is a model.", &EncodeOptions::default())?;
//! assert_eq!(encoding.tokens[0], "[CLS]");
//!
//! let batch = [Input::Single("One."), Input::Pair("Two?", "Three.")];
//! let encodings = tokenizer.encode_batch(&batch, &EncodeOptions::default())?;
//! assert_eq!(encodings.len(), 2);
//! # Ok::<(), tokenizer_spm::TokenizerError>(())
//! ```

mod byte_level;
mod files;
mod sentencepiece;
mod tokenizer;

pub use crate::hf::{
    AddedToken, EncodeOptions, Encoding, Input, PadTo, Padding, Side, Truncation,
    TruncationStrategy,
};
pub use tokenizer::DebertaTokenizer;
