//! CPU kernels for transformer encoders: numbers in, numbers out.
//!
//! This crate knows neither models nor files. It offers the handful of operations that a DeBERTa encoder is made of, and
//! a decoder behind it, on slices and `ndarray` views, each written once over an abstract vector and run with the best
//! instruction set of the processor.
//!
//! | operation | what it computes | where |
//! |---|---|---|
//! | [`linear`] | `norm(activation(x·Wᵀ + b) + residual)` with [`PackedWeights`] and an [`Epilogue`] | `gemm` |
//! | [`disentangled_attention`] | content and position attention over packed sequences | `attention` |
//! | [`causal_attention`], [`cross_attention`] | attention of a decoder to its past, and to an encoder | `attention` |
//! | [`attend_packed`], [`gathered_attention`] | the same one token at a time: over [`PackedKeyValues`], and over the rows of a cache | `attention` |
//! | [`LayerNorm`], [`softmax`], [`Activation`] | rows and elements | `norm`, `softmax`, `activation` |
//! | [`EmbeddingTable`] | rows of a table in f32, f16 or bf16, wherever it lies | `embed` |
//! | [`TokenConv`] | a convolution over the tokens of each sequence | `conv` |
//!
//! # How it is built
//!
//! * **Instruction sets are values.** An [`Isa`] exists only if the processor has it, so holding one is the proof that
//!   its instructions may run; all `#[target_feature]` code is behind [`Isa::dispatch`] or, for matrix products, behind
//!   `gemm::dot::dispatch`. To add an instruction set, implement [`isa::Simd`] for a new proof in `isa/`, and choose its
//!   products there; every kernel and every test then runs on it.
//! * **One tile per operand.** Linear layers in every precision end in one register tile (`gemm::tile`), or in the tiles
//!   that AMX has instead; attention, whose operands are small and change with every call, has its own
//!   (`attention::product`).
//! * **Deterministic.** Each output is one chain of operations in an order that depends on the shape of its own row
//!   alone: the same bits for any number of threads and whatever else is in the batch. Between instruction sets the
//!   last bits differ.
//! * **An oracle for everything.** [`mod@reference`] holds each operation again as plain loops in `f64`. Start reading
//!   there.
//!
//! Parallel operations run on the current rayon pool; call them within `ThreadPool::install` to choose one. Wrong
//! shapes are a [`KernelError`] before anything is written.
//!
//! ```
//! use deberta_kernels::{Activation, Epilogue, Isa, PackedWeights, linear};
//! use ndarray::{Array2, array};
//!
//! let isa = Isa::from_env()?; // the best set of this processor, or the one that DEBERTA_ISA names
//! let weights = PackedWeights::new(isa, &[1.0, 2.0, 3.0, 4.0], 2, 2)?; // W: [2 outputs, 2 inputs]
//! let x = array![[1.0, -1.0]];
//! let mut y = Array2::zeros((1, 2));
//! let epilogue = Epilogue::default().bias(&[0.0, 5.0]).activation(Activation::Relu);
//! linear(x.view(), &weights, &epilogue, y.view_mut())?;
//! assert_eq!(y, array![[0.0, 4.0]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod activation;
mod attention;
mod conv;
mod elementwise;
mod embed;
mod error;
mod gemm;
pub mod isa;
mod memory;
mod norm;
mod parallel;
pub mod reference;
mod shape;
mod softmax;
mod vecmath;

pub use activation::Activation;
pub use attention::{
    Attention, AttentionMap, GatheredAttention, HeadMixing, Observation, PackedKeyValues,
    PlainAttention, PositionTables, RelativePositions, ScoreTerms, SlotTable, attend_packed,
    causal_attention, cross_attention, disentangled_attention, explicit_attention,
    gathered_attention,
};
pub use conv::TokenConv;
pub use embed::{EmbeddingTable, Storage};
pub use error::{IsaError, KernelError};
pub use gemm::{
    Epilogue, PackedWeights, Precision, RoundedRows, linear, linear_of_rounded, linear_rounded,
    peak,
};
pub use isa::Isa;
pub use memory::Buffer;
pub use norm::LayerNorm;
pub use softmax::softmax;
