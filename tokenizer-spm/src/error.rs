//! Everything that can go wrong while a tokenizer is loaded or used.

use std::path::PathBuf;

/// Why a tokenizer could not be loaded, or could not do what was asked of it.
///
/// Every variant says what was expected, what was found and where. No input, however damaged, makes
/// this crate panic: it ends in one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// An error inside the file at `path`.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<TokenizerError>,
    },

    /// The bytes are not a SentencePiece protobuf message.
    #[error("not a SentencePiece model (protobuf ModelProto): {0}")]
    Protobuf(#[from] prost::DecodeError),

    /// The model was decoded, but no tokenizer can be made of it.
    #[error("invalid model, {what}: expected {expected}, found {found}")]
    InvalidModel {
        /// The part of the model: a field, a piece.
        what: String,
        /// What would have been accepted.
        expected: &'static str,
        /// What stands there.
        found: String,
    },

    /// The precompiled character map of a normalizer is damaged.
    #[error("invalid precompiled charsmap, {what}: expected {expected}, found {found}")]
    InvalidCharsMap {
        /// The part of the blob.
        what: &'static str,
        /// What would have been accepted.
        expected: &'static str,
        /// What stands there.
        found: String,
    },

    /// A JSON file is malformed, or does not have the shape that its kind has.
    #[error("invalid JSON: {0}")]
    Json(#[from] serde_json::Error),

    /// A file asks for something that this crate does not implement; nothing is ever skipped silently.
    #[error("{file}: unsupported {component}: {found}")]
    Unsupported {
        /// Which component of the tokenizer, for example `normalizer` or `model.type`.
        component: String,
        /// What the file asks for.
        found: String,
        /// The file, or the kind of file where it came as bytes.
        file: String,
    },

    /// A component of a `tokenizer.json` or of a file beside it is not as it should be.
    #[error("{file}: invalid {component}: {problem}")]
    InvalidComponent {
        /// Which component, for example `normalizer.normalizers[1]`.
        component: String,
        /// What was expected, and what stands there.
        problem: String,
        /// The file, or the kind of file where it came as bytes.
        file: String,
    },

    /// A line of a text file is not as it should be.
    #[error("{file}, line {line}: expected {expected}, found {found}")]
    InvalidLine {
        /// The file, or the kind of file where it came as bytes.
        file: String,
        /// The line's number, counted from 1.
        line: usize,
        /// What would have been accepted.
        expected: &'static str,
        /// What stands there.
        found: String,
    },

    /// A directory without a vocabulary.
    #[error(
        "{}: expected a vocabulary (tokenizer.json; or spm.model or spiece.model; or vocab.json and \
         merges.txt), found none of these files",
        path.display()
    )]
    NoVocabulary {
        /// The directory.
        path: PathBuf,
    },

    /// One of two files that belong together is missing.
    #[error("{}: expected {missing} beside {found}, found no such file", path.display())]
    MissingFile {
        /// The directory.
        path: PathBuf,
        /// The file that is not there.
        missing: &'static str,
        /// The file that is.
        found: &'static str,
    },

    /// A text of 4 GiB or more.
    #[error("the text has {length} bytes, more than the {max} that can be encoded at once")]
    TextTooLong {
        /// Its length in bytes.
        length: usize,
        /// The greatest length.
        max: usize,
    },

    /// A normalizer makes a text longer than any real one does.
    #[error("normalisation makes more than {limit} bytes of a text of {length} bytes")]
    NormalizedTooLong {
        /// Length of the text in bytes.
        length: usize,
        /// How long it may become.
        limit: usize,
    },

    /// Options of a call contradict one another or cannot be met.
    #[error("invalid option `{option}`: {problem}")]
    InvalidOptions {
        /// The option's name.
        option: &'static str,
        /// What is wrong with its value.
        problem: String,
    },

    /// An id that the vocabulary does not have.
    #[error("id {id} is outside the vocabulary of {vocab_size} pieces")]
    IdOutOfRange {
        /// The id.
        id: u32,
        /// The vocabulary's size; ids run from 0 to one less.
        vocab_size: usize,
    },
}

impl TokenizerError {
    /// The same error, naming the file in which it arose.
    pub(crate) fn in_file(self, path: impl Into<PathBuf>) -> Self {
        TokenizerError::InFile {
            path: path.into(),
            source: Box::new(self),
        }
    }
}
