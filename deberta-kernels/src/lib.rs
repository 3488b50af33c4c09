//! CPU kernels for transformer encoders.

mod activation;
mod error;

pub use activation::Activation;
pub use error::{IsaError, KernelError};
