//! DeBERTa inference: from a directory in Hugging Face layout to labels, spans and scores.

pub mod batch;
pub mod checkpoint;
pub mod config;
mod error;

pub use batch::Batch;
pub use config::Config;
pub use deberta_kernels::Activation;
pub use error::{Error, Misshapen};
