//! CPU kernels for transformer encoders.

mod activation;
mod attention;
mod conv;
mod elementwise;
mod embed;
mod error;
mod gemm;
pub mod isa;
mod norm;
pub mod reference;
mod shape;
mod softmax;
mod vecmath;

pub use activation::Activation;
pub use attention::{
    Attention, PositionTables, RelativePositions, SlotTable, disentangled_attention,
};
pub use conv::TokenConv;
pub use embed::{EmbeddingTable, Storage};
pub use error::{IsaError, KernelError};
pub use gemm::{Epilogue, PackedWeights, linear};
pub use isa::Isa;
pub use norm::LayerNorm;
pub use softmax::softmax;
