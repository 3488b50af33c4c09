//! DeBERTa inference: from a directory in Hugging Face layout to labels, spans and scores.

mod backend;
pub mod batch;
pub mod checkpoint;
pub mod config;
mod error;
mod model;
pub mod tasks;

pub use batch::Batch;
pub use config::Config;
pub use deberta_kernels::Activation;
pub use error::{Error, Misshapen};
pub use model::{HeadChoice, HeadKind, LoadOptions, Model, Output};
pub use tasks::{TextClassifier, TokenClassifier};

/// Keeps the README's code compiling.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
