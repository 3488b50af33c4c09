//! A loaded model together with what computes it.

use super::encoder::Encoder;
use super::head::Head;
use super::layout::Layout;
use super::load::Loader;
use super::observe::{Observe, Watch};
use super::profile::Stage;
use super::{Output, head};
use crate::backend::Backend;
use crate::checkpoint::Checkpoint;
use crate::{Batch, Config, Error};
use deberta_kernels::Precision;

/// A model on some backend.
pub(super) trait Engine: Send + Sync {
    /// Rows of the word table.
    fn vocabulary(&self) -> usize;
    /// Whether the head has an enhanced mask decoder.
    fn has_mask_decoder(&self) -> bool;
    /// A forward pass, and what was seen of it.
    fn forward<'a>(&self, batch: &Batch, wanted: &'a Observe)
    -> Result<(Output, Watch<'a>), Error>;
}

/// The parts of a model.
pub(super) struct Parts<B: Backend> {
    backend: B,
    encoder: Encoder<B>,
    head: Head<B>,
}

impl<B: Backend> Parts<B> {
    /// Hands every weight to the backend.
    pub(super) fn load(
        backend: B,
        checkpoint: &Checkpoint,
        layout: &Layout,
        config: &Config,
        precision: Precision,
    ) -> Result<Self, Error> {
        let loader = Loader {
            backend: &backend,
            checkpoint,
            precision,
        };
        let encoder = Encoder::load(&loader, layout, config)?;
        let head = Head::load(&loader, &layout.head, config)?;
        backend.release();
        Ok(Self {
            backend,
            encoder,
            head,
        })
    }
}

impl<B: Backend> Engine for Parts<B> {
    fn vocabulary(&self) -> usize {
        self.encoder.vocabulary()
    }

    fn has_mask_decoder(&self) -> bool {
        self.head.has_mask_decoder()
    }

    fn forward<'a>(
        &self,
        batch: &Batch,
        wanted: &'a Observe,
    ) -> Result<(Output, Watch<'a>), Error> {
        if self.head.needs_cls() {
            head::first_tokens(batch)?;
        }
        let backend = &self.backend;
        let mut watch = Watch::new(wanted);
        let states = self.encoder.forward(backend, batch, &mut watch)?;
        let logits = watch.stage(Stage::Head, 0.0, || {
            self.head.forward(backend, &self.encoder, &states, batch)
        })?;
        let output = Output {
            last_hidden_state: backend.read(states.last)?,
            logits: logits.map(|logits| backend.read(logits)).transpose()?,
        };
        Ok((output, watch))
    }
}
