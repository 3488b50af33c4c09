//! Tokenizers from Hugging Face `tokenizer.json` files.
//!
//! A `tokenizer.json` lists the steps from text to ids, and [`HfTokenizer`] follows it:
//!
//! 1. `added_tokens` are cut out of the text,
//! 2. the `normalizer` rewrites what lies between them, each character staying aligned with the original,
//! 3. the `pre_tokenizer` cuts it into words,
//! 4. the `model` cuts each word into tokens: the pieces with the greatest total score (Unigram), or what
//!    is left when neighbours are merged by a list (BPE, as byte-level tokenizers such as DeBERTa v1's do),
//! 5. the text is cut to length if the caller wishes so,
//! 6. the `post_processor` puts special tokens around it,
//! 7. it is padded if the caller wishes so.
//!
//! Ids and offsets are those of Hugging Face's `tokenizers` 0.22. Components that DeBERTa's tokenizers and
//! their kin never have are refused by name. Sections `truncation` and `padding` of a file are read but not
//! applied: see [`HfTokenizer::truncation`].
//!
//! ## Differences from the reference
//!
//! * An id without a token is an error when decoding, not skipped.
//! * A normalizer may not make a text more than 64 times as long (beyond a megabyte).
//! * Two equal pieces in a vocabulary are an error, and so is an added token that normalisation removes.
//! * Two tokens with one id are an error. Ids may have holes.
//! * A character that a BPE vocabulary does not have is an error where the file names no unknown token, not
//!   left out.
//! * Where the reference panics (a stride longer than the window, options that leave no room), this is an
//!   error.

mod added_tokens;
mod assemble;
mod base64;
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
