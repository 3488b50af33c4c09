//! DeBERTa once more, as short as it can be written: plain loops in `f64`, one sequence at a time.
//!
//! This is the oracle of the property tests, and the version to read first. It shares nothing with the engine but the
//! scalar definitions of [`deberta_kernels::reference`] and the slot of a distance, and it reads `config.json` and the
//! tensors on its own. A sequence is its real tokens and their positions: padding never appears.
//!
//! * [`config`]: what the configuration says.
//! * [`tensors`]: names to arrays.
//! * [`weights`]: the same arrays, by their place in the model.
//! * [`maths`]: linear layer, normalisation, convolution.
//! * [`attention`]: the three score terms, talking heads, the weighted sum of values.
//! * [`encoder`]: embeddings and layers.
//! * [`heads`]: hidden states to logits.
//!
//! [`random`] makes valid models and batches to compare with.

pub mod attention;
pub mod config;
pub mod encoder;
pub mod heads;
pub mod maths;
pub mod random;
pub mod tensors;
pub mod weights;

use config::Config;
use serde_json::Value;
use tensors::Tensors;
use weights::Weights;

/// A matrix: `rows[token][channel]`.
pub type Rows = Vec<Vec<f64>>;

/// A model.
pub struct Oracle {
    /// What the configuration says.
    pub config: Config,
    /// Its tensors.
    pub weights: Weights,
}

/// The real tokens of one sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Token types.
    pub types: Vec<u32>,
    /// Where each token stands: not 0, 1, 2, ... if the mask has holes.
    pub positions: Vec<u32>,
}

impl Oracle {
    /// The model of a configuration and its tensors.
    ///
    /// # Panics
    /// Where they do not describe a model.
    pub fn new(config: &Value, tensors: &Tensors) -> Self {
        let config = Config::read(config, tensors.has(weights::IN_PROJ));
        let weights = Weights::read(&config, tensors);
        Self { config, weights }
    }
}
