//! Everything that can go wrong between a directory and an answer.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::source::HubProblem;

/// An error of this crate: what was expected, what was found, and where.
///
/// A message does not repeat that of its cause: print the chain of [`std::error::Error::source`] to see both.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("cannot read or write {path}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A GPU cannot be used, or has failed.
    #[error(transparent)]
    Device {
        /// What is missing, or what the driver said: a `CudaError` where the feature `cuda` is on.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model could not be got from the hub.
    #[error(
        "{repository}{}: cannot be got from the hub",
        file.as_deref().map(|file| format!(", {file}")).unwrap_or_default()
    )]
    Hub {
        /// The repository, `organisation/name`.
        repository: String,
        /// The file; `None` where it is about all of it.
        file: Option<String>,
        /// Why.
        #[source]
        problem: HubProblem,
    },
    /// A model on the hub is meant, and this program cannot get any.
    #[error(
        "{repository}: no such directory, and no model can be got from the hub: this program was built without the \
         feature `hub` of deberta-core"
    )]
    WithoutHub {
        /// The repository, `organisation/name`.
        repository: String,
    },
    /// A JSON file does not parse.
    #[error("{file}: not the JSON that is expected", file = file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A key of a configuration file has a value that this crate refuses.
    #[error("{file}: key {key:?}: expected {expected}, found {found}", file = file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// The key, such as `hidden_size`.
        key: String,
        /// The value in the file.
        found: String,
        /// The values that are accepted.
        expected: String,
    },
    /// The directory holds a model of a family that this crate does not run.
    #[error("{file}: model_type {found} {reason}", file = file.display())]
    UnsupportedModel {
        /// The configuration file.
        file: PathBuf,
        /// The value of `model_type` (or `missing`).
        found: String,
        /// Why it is refused and what would be accepted.
        reason: String,
    },
    /// A directory holds no weights that this crate reads.
    #[error("{folder}: no weights: {reason}", folder = folder.display())]
    NoWeights {
        /// The model directory.
        folder: PathBuf,
        /// What was looked for, and what lies there instead.
        reason: String,
    },
    /// A weights file, or the index of a sharded one, is truncated, corrupt or hostile.
    #[error("{file}: expected {expected}, found {found}", file = file.display())]
    WeightsFile {
        /// The file.
        file: PathBuf,
        /// What the format asks for.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// A PyTorch file is truncated, corrupt, or asks for something that tensors do not need.
    #[error("{file}: byte {position}: expected {expected}, found {found}", file = file.display())]
    TorchFile {
        /// The file.
        file: PathBuf,
        /// Where in the file.
        position: usize,
        /// What the format asks for.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// The encoder cannot be found among the tensor names.
    #[error(
        "{file}: expected exactly one tensor named [prefix.]embeddings.word_embeddings.weight, found {}",
        Names(found),
        file = file.display()
    )]
    EncoderNotFound {
        /// The weights file.
        file: PathBuf,
        /// All the tensors whose names end so.
        found: Vec<String>,
    },
    /// Tensors that the model needs are missing or have the wrong shape.
    #[error("{}", WeightsReport { file, missing, misshapen, unused })]
    Weights {
        /// The weights file.
        file: PathBuf,
        /// Names that the model needs and the file lacks.
        missing: Vec<String>,
        /// Tensors of another shape than the configuration asks for.
        misshapen: Vec<Misshapen>,
        /// Names in the file that the model does not use: a hint at a different naming.
        unused: Vec<String>,
    },
    /// A tensor has an element type that this crate does not read.
    #[error("{file}: tensor {tensor:?}: expected F64, F32, F16 or BF16, found {found}", file = file.display())]
    Dtype {
        /// The weights file.
        file: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// Its element type.
        found: String,
    },
    /// A tensor holds a NaN or an infinity.
    #[error("{file}: tensor {tensor:?}: expected finite numbers, found {value} at element {index}", file = file.display())]
    NonFinite {
        /// The weights file.
        file: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// The offending element, counted in row-major order.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A tensor holds a number that the type to read or write it as cannot hold.
    #[error("{file}: tensor {tensor:?}: expected numbers that {target} can hold, found {value} at element {index}", file = file.display())]
    TooLarge {
        /// The weights file.
        file: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// The offending element, counted in row-major order.
        index: usize,
        /// Its value.
        value: f64,
        /// The type that is too small.
        target: &'static str,
    },
    /// The elements of a tensor could not be written.
    #[error("cannot write the elements of tensor {tensor:?}")]
    Output {
        /// The tensor's name in the file.
        tensor: String,
        /// What the writer said.
        source: std::io::Error,
    },
    /// The directory to write is there already.
    #[error("{path}: expected a new or empty directory to write, found something there", path = path.display())]
    TargetExists {
        /// The directory.
        path: PathBuf,
    },
    /// The caller ended the operation.
    #[error("cancelled")]
    Cancelled,
    /// A token id is outside the embedding table.
    #[error("token id {id} at packed position {position} is outside the table of {rows} rows")]
    IdOutOfRange {
        /// The offending id.
        id: u32,
        /// Rows of the table.
        rows: usize,
        /// Index of the token in the packed batch.
        position: usize,
    },
    /// A token type id is outside the table of token types.
    #[error(
        "token type {id} at packed position {position} is outside the table of {rows} types (type_vocab_size)"
    )]
    TypeIdOutOfRange {
        /// The offending type.
        id: u32,
        /// Rows of the table.
        rows: usize,
        /// Index of the token in the packed batch.
        position: usize,
    },
    /// A sequence is longer than the table of absolute positions.
    #[error(
        "sequence {sequence} reaches position {position}; the model adds absolute positions and has {rows} of them (max_position_embeddings)"
    )]
    PositionOutOfRange {
        /// Index of the sequence in the batch.
        sequence: usize,
        /// The position that has no row.
        position: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A head that reads the first token met a sequence without one.
    #[error("sequence {sequence} has no [CLS]: it is empty, or its first token is masked")]
    NoClsToken {
        /// Index of the sequence in the batch.
        sequence: usize,
    },
    /// The model's output for a text is no number: an intermediate value overflowed.
    #[error("the model's output for input {input} is not finite")]
    NotFiniteOutput {
        /// Index of the text in the input.
        input: usize,
    },
    /// The arrays of a batch do not fit together.
    #[error("batch: {what}: expected {expected}, found {found}")]
    Batch {
        /// The array, and where in it.
        what: String,
        /// What the other arrays or the format ask for.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The model has another head than the task or the caller needs.
    #[error("expected a model for {expected}, found {found}")]
    Head {
        /// The head that is needed.
        expected: String,
        /// The head that the model has, or why none could be chosen.
        found: String,
    },
    /// An option has a value that the operation does not define.
    #[error("{name}: expected {expected}, found {found}")]
    Argument {
        /// The option's name.
        name: &'static str,
        /// The values that are accepted.
        expected: String,
        /// The value that was given.
        found: String,
    },
    /// The pool of threads could not be started.
    #[error("could not start {threads} threads: {reason}")]
    Threads {
        /// Threads that were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The tokenizer could not be read, or refused the text.
    #[error(transparent)]
    Tokenizer(#[from] tokenizer_spm::TokenizerError),
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] deberta_kernels::KernelError),
    /// The instruction set that was asked for cannot be used.
    #[error(transparent)]
    Isa(#[from] deberta_kernels::IsaError),
}

/// A tensor whose shape is not the one that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// The tensor's name in the file.
    pub name: String,
    /// The shape that is needed; `None` stands for any size.
    pub expected: Vec<Option<usize>>,
    /// The shape in the file.
    pub found: Vec<usize>,
}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}, expected [", self.name, self.found)?;
        for (i, size) in self.expected.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match size {
                Some(size) => write!(f, "{comma}{size}")?,
                None => write!(f, "{comma}any")?,
            }
        }
        f.write_str("]")
    }
}

impl Error {
    /// An [`Error::Io`] about `path`, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// How many entries of a list a message shows: a wrong directory misses hundreds of tensors.
const SHOWN: usize = 8;

/// Writes the first entries of a list, and how many more there are.
fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().take(SHOWN).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    match items.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => write!(f, " and {more} more"),
        _ => Ok(()),
    }
}

/// A list of names for a message, `none` when it is empty.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        write_list(f, self.0)
    }
}

/// The message of [`Error::Weights`].
struct WeightsReport<'a> {
    file: &'a Path,
    missing: &'a [String],
    misshapen: &'a [Misshapen],
    unused: &'a [String],
}

impl fmt::Display for WeightsReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: the tensors do not fit the configuration",
            self.file.display()
        )?;
        if !self.missing.is_empty() {
            write!(f, "; {} missing: ", self.missing.len())?;
            write_list(f, self.missing)?;
        }
        if !self.misshapen.is_empty() {
            write!(f, "; {} of the wrong shape: ", self.misshapen.len())?;
            write_list(f, self.misshapen)?;
        }
        if !self.unused.is_empty() {
            write!(f, "; {} unused: ", self.unused.len())?;
            write_list(f, self.unused)?;
        }
        Ok(())
    }
}

#[cfg(feature = "cuda")]
impl From<deberta_cuda::CudaError> for Error {
    fn from(error: deberta_cuda::CudaError) -> Self {
        Self::Device {
            source: Box::new(error),
        }
    }
}
