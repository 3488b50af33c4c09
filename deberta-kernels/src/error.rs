//! What can go wrong in a kernel call: shapes that do not fit, ids outside a table, values that are not numbers.

use crate::Precision;
use thiserror::Error;

/// An argument that a kernel cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A matrix or vector has another shape than the operation needs.
    #[error("{argument}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The argument's name.
        argument: &'static str,
        /// The shape that the other arguments ask for.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// Rounded rows were made for weights of another precision, instruction set or number of inputs.
    #[error("the rounded rows were made for weights of another kind")]
    Rounded,
    /// The elements of a row do not lie side by side in memory.
    #[error("{argument}: rows must be contiguous (element stride 1), found strides {strides:?}")]
    Strides {
        /// The argument's name.
        argument: &'static str,
        /// The strides that were given, in elements.
        strides: Vec<isize>,
    },
    /// Sequence boundaries do not start at 0, decrease, or do not end at the number of tokens.
    #[error(
        "bounds must rise from 0 to the number of tokens ({tokens}), found {found} at index {index}"
    )]
    Bounds {
        /// The number of packed tokens.
        tokens: usize,
        /// The index of the offending boundary.
        index: usize,
        /// Its value.
        found: usize,
    },
    /// The positions within one sequence do not rise strictly.
    #[error(
        "positions must rise strictly within a sequence: token {token} has {found} after {previous}"
    )]
    Positions {
        /// The packed index of the offending token.
        token: usize,
        /// The position before it.
        previous: u32,
        /// Its position.
        found: u32,
    },
    /// A sequence is longer than the slot table was built for.
    #[error("the slot table covers distances below {covered}, a sequence needs {needed}")]
    SlotTable {
        /// Distances that the table covers.
        covered: usize,
        /// Distances that the sequence needs.
        needed: usize,
    },
    /// A query has no key to attend to: there is no softmax of nothing.
    #[error("query {query} has no key to attend to")]
    NoKeys {
        /// The row of the query.
        query: usize,
    },
    /// Position tables were packed in another precision than attention computes in.
    #[error("the position tables were packed in {found:?}, attention computes in {expected:?}")]
    TablePrecision {
        /// The precision of the attention.
        expected: Precision,
        /// That of the tables.
        found: Precision,
    },
    /// An id is outside the table.
    #[error("id {id} of token {token} is outside the table of {rows} rows")]
    IdOutOfRange {
        /// The offending id.
        id: u32,
        /// The index of its token.
        token: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A gathered row of a table holds NaN or an infinity.
    #[error("row {row} of the table holds a value that is not finite")]
    NonFinite {
        /// The offending row.
        row: usize,
    },
    /// A parameter has a value that the operation does not define.
    #[error("{parameter}: {reason}, found {found}")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
        /// What it must satisfy.
        reason: &'static str,
        /// The value that was given.
        found: usize,
    },
}

/// An instruction set that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IsaError {
    /// The name is none that this crate knows.
    #[error(
        "unknown instruction set {name:?}; known: portable, generic, avx2, avx512, avx512-vnni, avx512-bf16, avx512-amx"
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// This processor lacks the instruction set.
    #[error("this processor does not have the instruction set {name:?}; available: {available}")]
    Unsupported {
        /// The name that was asked for.
        name: String,
        /// The names of those that it has.
        available: String,
    },
}
