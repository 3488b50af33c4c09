//! The heads that DeBERTa is pretrained with: words for masks, and which tokens have been replaced.

use super::embeddings::Table;
use super::encoder::{Encoded, Encoder};
use super::load::Loader;
use crate::backend::{Backend, By, End, Pass, Rows};
use crate::checkpoint::TensorSpec;
use crate::{Activation, Batch, Error};

/// Scores every word of the vocabulary for every token: `W_words·LayerNorm(act(W·h + b)) + b_words`.
///
/// `h` is the encoder's output, or that of the enhanced mask decoder.
pub(crate) struct MaskedLm<B: Backend> {
    pub(super) mask_decoder: Option<EnhancedMaskDecoder<B>>,
    pub(super) dense: B::Linear,
    pub(super) activation: Activation,
    pub(super) norm: B::Norm,
    pub(super) decoder: B::Linear,
}

impl<B: Backend> MaskedLm<B> {
    /// Refuses a batch with positions that the mask decoder does not have.
    pub(super) fn check(&self, backend: &B, batch: &Batch) -> Result<(), Error> {
        match &self.mask_decoder {
            Some(decoder) => decoder.positions.check_positions(backend, batch),
            None => Ok(()),
        }
    }

    /// `[T, V]`, or a row for each token of `only`.
    pub(super) fn forward(
        &self,
        backend: &B,
        encoder: &Encoder<B>,
        states: &Encoded<B>,
        pass: Pass<'_, B>,
        only: Option<&[u32]>,
    ) -> Result<B::Matrix, Error> {
        let decoded = match &self.mask_decoder {
            None => None,
            Some(decoder) => Some(decoder.forward(backend, encoder, states.before_last(), pass)?),
        };
        let mut states = decoded.as_ref().unwrap_or(&states.last);
        let some = match only {
            None => None,
            Some(rows) => Some(backend.gather(states, Rows::These(rows), pass)?),
        };
        states = some.as_ref().unwrap_or(states);
        let transformed = backend.apply(&self.dense, states, End::activation(self.activation))?;
        let normed = backend.normalize(&self.norm, transformed)?;
        backend.apply(&self.decoder, &normed, End::plain())
    }
}

/// Microsoft's enhanced mask decoder (section 3.2 of the DeBERTa paper; `emd_context_layer` of its code).
///
/// The encoder sees relative positions alone; where a word stands in the sentence enters here, just before words are
/// predicted. The last layer runs twice, with keys and values from the layer below and queries that know their place:
///
/// ```text
/// z_0 = absolute positions + h_{n-2}
/// z_1 = layer_{n-1}(keys, values: h_{n-2}; queries, residual: z_0)
/// z_2 = layer_{n-1}(keys, values: h_{n-2}; queries, residual: z_1)
/// ```
pub(crate) struct EnhancedMaskDecoder<B: Backend> {
    positions: Table<B>,
}

impl<B: Backend> EnhancedMaskDecoder<B> {
    /// How often the last layer runs.
    const STEPS: usize = 2;

    pub(super) fn load(loader: &Loader<'_, B>, positions: &TensorSpec) -> Result<Self, Error> {
        Ok(Self {
            positions: Table::load(loader, positions)?,
        })
    }

    fn forward(
        &self,
        backend: &B,
        encoder: &Encoder<B>,
        hidden: &B::Matrix,
        pass: Pass<'_, B>,
    ) -> Result<B::Matrix, Error> {
        let places = backend.embed(&[self.positions.by(By::Position)], None, pass)?;
        let queries = backend.add(places, hidden)?;
        encoder.repeat_last_layer(backend, hidden, queries, Self::STEPS, pass)
    }
}

/// Tells for every token whether it has been replaced: `w·act(W·LayerNorm(h_0 + h) + b) + c`, where `h_0` belongs to
/// the first token of the sequence.
pub(crate) struct ReplacedToken<B: Backend> {
    pub(super) norm: B::Norm,
    pub(super) dense: B::Linear,
    pub(super) activation: Activation,
    pub(super) classifier: B::Linear,
}

impl<B: Backend> ReplacedToken<B> {
    /// `[T, 1]`
    pub(super) fn forward(
        &self,
        backend: &B,
        hidden: &B::Matrix,
        pass: Pass<'_, B>,
    ) -> Result<B::Matrix, Error> {
        let first = backend.gather(hidden, Rows::FirstOfEach, pass)?;
        let sums = backend.add(first, hidden)?;
        let normed = backend.normalize(&self.norm, sums)?;
        let inner = backend.apply(&self.dense, &normed, End::activation(self.activation))?;
        backend.apply(&self.classifier, &inner, End::plain())
    }
}
