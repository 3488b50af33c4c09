//! DeBERTa's operations on an NVIDIA GPU: numbers in, numbers out, as `deberta-kernels` has them for the processor.
//!
//! Kernels are CUDA C++ (`kernels/*.cu`). Their PTX is part of this crate and is compiled for the GPU at hand by its
//! driver, so that a program needs nothing but the driver, and not even that to be built or to start. Without a GPU,
//! tests run on a driver whose device is emulated: see `emulator/build.sh`.
//!
//! * [`Gpu`]: a device, its stream, its memory and its kernels.
//! * [`Matrix`]: rows of numbers in the device's memory, in one of three [`Dtype`]s.
//! * [`Sequences`]: which rows are whose tokens.
//! * [`Linear`], [`Attention`], [`TokenConv`], [`embed()`], [`join()`], [`gather()`], [`cast()`], [`pool()`]: the
//!   operations.
//!
//! Operations are enqueued on the stream of their [`Gpu`]; only reading a result waits. [`Gpu::record`] makes a [`Graph`] of
//! them, which is enqueued by one call.

mod activation;
mod attention;
mod blas;
mod conv;
mod error;
mod explicit;
mod gpu;
mod graph;
mod indices;
mod launch;
mod linear;
mod matrix;
mod memory;
mod rows;
mod sequences;

pub use attention::{
    Attention, Columns, PositionTables, Slots, queries_per_task, shared_bytes_per_block,
};
pub use conv::TokenConv;
pub use error::CudaError;
pub use explicit::{HeadMixing, ScoreMap};
pub use gpu::{Gpu, Module};
pub use graph::Graph;
pub use indices::Indices;
pub use linear::Linear;
pub use matrix::{Dtype, Matrix};
pub use rows::{Lookup, Norm, Pool, cast, embed, gather, join, pool};
pub use sequences::{Contents, Sequences, Shape};
