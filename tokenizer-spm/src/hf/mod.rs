//! Tokenizers from Hugging Face `tokenizer.json` files, and from the `vocab.txt` of BERT models.
//!
//! A `tokenizer.json` lists the steps from text to ids, and [`HfTokenizer`] follows it:
//!
//! 1. `added_tokens` are cut out of the text,
//! 2. the `normalizer` rewrites what lies between them, each character staying aligned with the original,
//! 3. the `pre_tokenizer` cuts it into words,
//! 4. the `model` cuts each word into tokens: the pieces with the greatest total score (Unigram), what is
//!    left when neighbours are merged by a list (BPE, as byte-level tokenizers such as DeBERTa v1's do), or
//!    the longest token again and again (WordPiece, as BERT does),
//! 5. the text is cut to length if the caller wishes so,
//! 6. the `post_processor` puts special tokens around it,
//! 7. it is padded if the caller wishes so.
//!
//! Ids and offsets are those of Hugging Face's `tokenizers` 0.22, and with BERT's components those of 0.23.
//! Other components than these are refused by name:
//!
//! | section | `type` |
//! |---|---|
//! | `normalizer` | `Sequence`, `Precompiled`, `NFC`, `NFD`, `NFKC`, `NFKD`, `Nmt`, `Strip`, `StripAccents`, `Lowercase`, `Replace`, `Prepend`, `BertNormalizer` |
//! | `pre_tokenizer` | `Sequence`, `Metaspace`, `Punctuation`, `WhitespaceSplit`, `ByteLevel`, `BertPreTokenizer` |
//! | `model` | `Unigram`, `BPE`, `WordPiece` |
//! | `post_processor` | `Sequence`, `TemplateProcessing`, `ByteLevel`, `BertProcessing`, `RobertaProcessing` |
//! | `decoder` | `Sequence`, `Metaspace`, `Replace`, `Fuse`, `Strip`, `ByteFallback`, `ByteLevel`, `WordPiece` |
//!
//! Sections `truncation` and `padding` of a file are read but not applied: see [`HfTokenizer::truncation`].
//!
//! ## Differences from the reference
//!
//! * An id without a token is an error when decoding, not skipped.
//! * A normalizer may not make a text more than 64 times as long (beyond a megabyte).
//! * Two equal pieces in a vocabulary are an error, and so is an added token that normalisation removes.
//! * Two tokens with one id are an error. Ids may have holes.
//! * A character that a BPE vocabulary does not have is an error where the file names no unknown token, not
//!   left out.
//! * A WordPiece model without its unknown token is an error when it is read, not when a text needs the token.
//! * Two equal lines of a `vocab.txt` are an error; of these the reference takes the last.
//! * An added token that is found in normalised text is decoded as it is written, as by version 0.22; version
//!   0.23 decodes what normalisation makes of it.
//! * Offsets that a post-processor trims are trimmed before a text is cut into windows: the token with which a
//!   window begins has not kept the one space that `add_prefix_space` stands for. Two post-processors that
//!   trim are an error.
//! * Where the reference panics (a stride longer than the window, options that leave no room), this is an
//!   error.

mod added_tokens;
mod assemble;
mod base64;
mod bert;
mod byte_level;
mod decoders;
mod encode;
mod encoding;
mod model;
mod normal_forms;
mod normalized;
mod normalizers;
mod options;
mod pattern;
mod pre_tokenizers;
#[cfg(test)]
mod properties;
mod schema;
mod settings;
mod splits;
mod template;
mod tokenizer;
mod truncation;
mod unicode9;
mod vocab_txt;

pub use added_tokens::AddedToken;
pub use encoding::Encoding;
pub use options::{EncodeOptions, Input, PadTo, Padding, Side, Truncation, TruncationStrategy};
pub use tokenizer::HfTokenizer;

pub(crate) use added_tokens::{AddedTokens, Matcher};
pub(crate) use assemble::PadToken;
pub(crate) use byte_level::ByteLevel;
pub(crate) use decoders::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use model::{BpeModel, BpeOptions};
pub(crate) use normalized::Normalized;
pub(crate) use pre_tokenizers::PreTokenizer;
pub(crate) use schema::{NumberedVocabulary, merge_of_line};
pub(crate) use settings::{Role, Settings, SpecialTokens};
pub(crate) use template::Template;
pub(crate) use tokenizer::{Parts, check_length};
pub(crate) use unicode9::is_punctuation;
