//! The operations that a model is made of, on whatever computes them.
//!
//! The encoder and the heads are written once over [`Backend`]. An implementation decides how it keeps a matrix and in
//! which form it keeps weights; it converts them once, at load. Rows are packed tokens: no operation sees padding.

mod arena;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

pub(crate) use arena::Matrix;
pub(crate) use cpu::{Cpu, Linear};
#[cfg(feature = "cuda")]
pub(crate) use cuda::{Cuda, contents, shape};

use crate::checkpoint::MappedTable;
use crate::{Activation, Batch, Error, Pooling, Precision};
use deberta_kernels::{AttentionMap, Observation, RelativePositions};
use ndarray::Array2;
use std::ops::Range;

/// What computes: its forms of data and weights, and the operations between them.
pub(crate) trait Backend: Sized + Send + Sync {
    /// A matrix `[rows, columns]`.
    type Matrix: Send + Sync;
    /// An embedding table.
    type Table: Send + Sync;
    /// A matrix that is on its way from one linear layer to another and not seen.
    type Inner: Send + Sync;
    /// A linear layer: weights and bias.
    type Linear: Send + Sync;
    /// A layer normalisation.
    type Norm: Send + Sync;
    /// A convolution over tokens.
    type Conv: Send + Sync;
    /// The projected relative-position tables of one layer.
    type PositionTables: Send + Sync;
    /// The slots of all distances up to a length.
    type Slots: Send + Sync;
    /// How heads mix before and after the softmax.
    type Mixing: Send + Sync;
    /// What a backend makes of a batch before a pass.
    type Plan: Send + Sync;

    /// Takes over an embedding table that stays on disk.
    fn table(&self, table: MappedTable) -> Result<Self::Table, Error>;
    /// Takes over a linear layer.
    fn linear(
        &self,
        weight: &impl WeightRows,
        bias: Option<Vec<f32>>,
        form: LinearForm<'_>,
    ) -> Result<Self::Linear, Error>;
    /// Takes over a linear layer whose weights are in 8 bits, with a scale for every output and group of inputs.
    fn quantized(
        &self,
        weight: &impl WeightRows,
        scales: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Result<Self::Linear, Error>;
    /// Takes over a layer normalisation.
    fn norm(&self, weight: Vec<f32>, bias: Vec<f32>, eps: f32) -> Result<Self::Norm, Error>;
    /// Takes over a convolution, `weight: [channels, channels / groups, kernel]` in row-major order.
    fn conv(
        &self,
        weight: &[f32],
        bias: Vec<f32>,
        kernel: usize,
        groups: usize,
    ) -> Result<Self::Conv, Error>;
    /// Takes over a matrix.
    fn matrix(&self, values: Array2<f32>) -> Result<Self::Matrix, Error>;
    /// Takes over the position keys and position queries of a layer, `[2·span, H·D]` each, for attention in a precision.
    fn position_tables(
        &self,
        keys: Option<Self::Matrix>,
        queries: Option<Self::Matrix>,
        heads: usize,
        precision: Precision,
    ) -> Result<Self::PositionTables, Error>;
    /// Takes over the matrices that mix heads, `[H, H]` each.
    fn mixing(&self, logits: Array2<f32>, weights: Array2<f32>) -> Result<Self::Mixing, Error>;
    /// Tabulates the slots for sequences up to `length`.
    fn slots(&self, relative: RelativePositions, length: usize) -> Result<Self::Slots, Error>;
    /// The error for a row of a table that is to be looked up and holds something else than numbers, if there is one.
    fn check_rows(&self, table: &Self::Table, ids: &[u32]) -> Result<(), Error>;

    /// Prepares a batch.
    fn plan(&self, batch: &Batch) -> Result<Self::Plan, Error>;
    /// The sum of one row from each table per token, normalised if there is a norm: `[T, columns]`.
    fn embed(
        &self,
        lookups: &[Lookup<'_, Self>],
        norm: Option<&Self::Norm>,
        pass: Pass<'_, Self>,
    ) -> Result<Self::Matrix, Error>;
    /// A linear layer and what follows it.
    fn apply(
        &self,
        linear: &Self::Linear,
        x: &Self::Matrix,
        end: End<'_, Self>,
    ) -> Result<Self::Matrix, Error>;
    /// A linear layer and an activation whose output only `next` will see.
    fn apply_before(
        &self,
        linear: &Self::Linear,
        x: &Self::Matrix,
        activation: Activation,
        next: &Self::Linear,
    ) -> Result<Self::Inner, Error>;
    /// The linear layer that [`Backend::apply_before`] was told of, and what follows it.
    fn apply_after(
        &self,
        linear: &Self::Linear,
        x: &Self::Inner,
        end: End<'_, Self>,
    ) -> Result<Self::Matrix, Error>;
    /// Normalises rows.
    fn normalize(&self, norm: &Self::Norm, x: Self::Matrix) -> Result<Self::Matrix, Error>;
    /// Attention within each sequence of the batch.
    fn attend(
        &self,
        operands: Attend<'_, Self>,
        pass: Pass<'_, Self>,
    ) -> Result<Self::Matrix, Error>;
    /// The same, showing what heads do.
    fn attend_observed(
        &self,
        operands: Attend<'_, Self>,
        pass: Pass<'_, Self>,
        observation: Observation<'_>,
    ) -> Result<(Self::Matrix, Vec<AttentionMap>), Error>;
    /// A convolution within each sequence of the batch and what follows it.
    fn convolve(
        &self,
        conv: &Self::Conv,
        x: &Self::Matrix,
        pass: Pass<'_, Self>,
        end: End<'_, Self>,
    ) -> Result<Self::Matrix, Error>;
    /// Some rows of a matrix `[T, columns]`.
    fn gather(
        &self,
        x: &Self::Matrix,
        rows: Rows<'_>,
        pass: Pass<'_, Self>,
    ) -> Result<Self::Matrix, Error>;
    /// One vector per sequence from the rows of its tokens, of Euclidean length one if `normalize`: `[B, columns]`.
    fn pool(
        &self,
        x: &Self::Matrix,
        pooling: Pooling,
        normalize: bool,
        pass: Pass<'_, Self>,
    ) -> Result<Array2<f32>, Error>;
    /// The mean of all rows of a matrix.
    fn mean(&self, x: &Self::Matrix) -> Result<Vec<f32>, Error>;
    /// The sum of two matrices.
    fn add(&self, x: Self::Matrix, y: &Self::Matrix) -> Result<Self::Matrix, Error>;
    /// Hands a result out: its first rows, as many as the batch has. This, [`Backend::pool`], [`Backend::mean`] and
    /// [`Backend::peek`] are the only operations that wait.
    fn read(&self, x: &Self::Matrix, rows: usize) -> Result<Array2<f32>, Error>;
    /// Gives back memory that waits to be used again: what loading asks for is not what a forward pass asks for.
    fn release(&self) -> Result<(), Error>;
    /// Hands a copy of an intermediate result out.
    fn peek(&self, x: &Self::Matrix) -> Result<Array2<f32>, Error>;
}

/// How a linear layer is to be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinearForm<'a> {
    pub(crate) precision: Precision,
    /// The mean of typical inputs. What rounding to [`Precision::Int8`] takes from its product is added to the bias.
    pub(crate) mean: Option<&'a [f32]>,
}

impl LinearForm<'_> {
    /// In single precision.
    pub(crate) const EXACT: Self = Self {
        precision: Precision::F32,
        mean: None,
    };
}

/// The weight of a linear layer, `[outputs, inputs]`, read a few rows at a time.
pub(crate) trait WeightRows: Sync {
    /// Outputs and inputs.
    fn shape(&self) -> (usize, usize);
    /// Writes some rows to `to`, row-major.
    fn read(&self, rows: Range<usize>, to: &mut [f32]) -> Result<(), Error>;
    /// The same of weights in 8 bits, which are signed bytes.
    fn read_bytes(&self, rows: Range<usize>, to: &mut [u8]) -> Result<(), Error>;
}

/// A batch on its way through a model.
pub(crate) struct Pass<'a, B: Backend> {
    pub(crate) batch: &'a Batch,
    #[cfg_attr(not(feature = "cuda"), expect(dead_code))] // there is nothing in the processor's
    pub(crate) plan: &'a B::Plan,
}

impl<B: Backend> Clone for Pass<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Pass<'_, B> {}

/// One table and by what each token takes a row of it.
pub(crate) struct Lookup<'a, B: Backend> {
    pub(crate) table: &'a B::Table,
    pub(crate) by: By,
}

/// A number that each token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Id,
    TypeId,
    /// The position in its sequence.
    Position,
}

/// Rows of a matrix that has one per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows<'a> {
    /// That of the first token of each sequence: `[B, columns]`.
    First,
    /// The same for every token of the sequence: `[T, columns]`.
    FirstOfEach,
    /// These, which are there.
    These(&'a [u32]),
}

/// What follows a product: `norm(activation(x) + residual)`, every part optional.
pub(crate) struct End<'a, B: Backend> {
    pub(crate) activation: Activation,
    pub(crate) residual: Option<(&'a B::Matrix, &'a B::Norm)>,
}

impl<'a, B: Backend> End<'a, B> {
    /// Nothing.
    pub(crate) fn plain() -> Self {
        Self::activation(Activation::Identity)
    }

    /// An activation.
    pub(crate) fn activation(activation: Activation) -> Self {
        Self {
            activation,
            residual: None,
        }
    }

    /// A residual, then a layer normalisation.
    pub(crate) fn residual(self, residual: &'a B::Matrix, norm: &'a B::Norm) -> Self {
        Self {
            residual: Some((residual, norm)),
            ..self
        }
    }
}

/// Some columns of a matrix, from the first on.
pub(crate) struct Columns<'a, B: Backend> {
    pub(crate) matrix: &'a B::Matrix,
    pub(crate) first: usize,
}

/// The operands of attention, `[T, H·D]` each.
pub(crate) struct Attend<'a, B: Backend> {
    pub(crate) query: Columns<'a, B>,
    pub(crate) key: Columns<'a, B>,
    pub(crate) value: Columns<'a, B>,
    /// H·D.
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) scale: f32,
    pub(crate) precision: Precision,
    pub(crate) relative: Option<(&'a B::PositionTables, &'a B::Slots)>,
    pub(crate) mixing: Option<&'a B::Mixing>,
}
