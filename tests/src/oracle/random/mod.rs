//! Random valid models and batches.
//!
//! * [`plan`]: what a model is, as a `proptest` strategy.
//! * [`config`]: its `config.json`, spelled in one of the ways that real files use.
//! * [`tensors`]: its tensors, by name and shape, and random values for them.
//! * [`folder`]: both as files.
//! * [`batch`]: token ids, masks with holes, token types.
//! * [`broken`]: models with one thing wrong.

pub mod batch;
pub mod broken;
pub mod config;
pub mod folder;
pub mod plan;
pub mod tensors;

pub use batch::Padded;
pub use plan::Plan;
