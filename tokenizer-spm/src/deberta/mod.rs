//! DeBERTa's tokenizer: a vocabulary, special tokens around the text, and what is needed to make batches
//! of it.
//!
//! [`DebertaTokenizer::from_dir`] reads the directory of a checkpoint as it is published or as
//! fine-tuning left it. There are three sources of a vocabulary, and each is followed as it is; the first of
//! them that is there counts:
//!
//! * `tokenizer.json` (any version) goes through [`hf`](crate::hf), that is, gives what Hugging Face's fast
//!   tokenizer gives;
//! * `spm.model` or `spiece.model` (v2, v3, mDeBERTa) goes through [`SentencePiece`](crate::SentencePiece),
//!   that is, gives what C++ SentencePiece and Hugging Face's slow `DebertaV2Tokenizer` give. They differ on
//!   rare characters: the published `spm.model` spells them in bytes, most `tokenizer.json` files do not;
//! * `vocab.json` with `merges.txt` (v1), GPT-2's byte-level vocabulary, gives what `DebertaTokenizer` and
//!   `DebertaTokenizerFast` of `transformers` 4 give. Version 5 differs in two ways that Microsoft's models
//!   never saw in training: it puts `[SEP]` twice between the texts of a pair, all with type 0, and `[MASK]`
//!   leaves the space before it to a token of its own. A `tokenizer.json` that version 5 saved says so, and
//!   is followed.
//!
//! Decoded byte-level text is the text itself: spaces before punctuation stay, whatever
//! `clean_up_tokenization_spaces` says, as in `transformers` 5.
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
mod sentencepiece;
mod tokenizer;

pub use crate::hf::{
    AddedToken, EncodeOptions, Encoding, Input, PadTo, Padding, Side, Truncation,
    TruncationStrategy,
};
pub use tokenizer::DebertaTokenizer;
