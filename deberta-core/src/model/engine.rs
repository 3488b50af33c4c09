//! A loaded model together with what computes it.

use super::Output;
use super::encoder::Encoder;
use super::head::Head;
use super::layout::Layout;
use super::load::Loader;
use super::observe::{Observe, Watch};
use super::pooling::Pooling;
use super::profile::{Profile, Stage};
use crate::backend::{Backend, Pass};
use crate::checkpoint::Checkpoint;
use crate::{Batch, Config, Error, Precision};
use ndarray::Array2;

/// A model on some backend.
pub(super) trait Engine: Send + Sync {
    /// Rows of the word table.
    fn vocabulary(&self) -> usize;
    /// Whether the head has an enhanced mask decoder.
    fn has_mask_decoder(&self) -> bool;
    /// A forward pass, and what was seen of it.
    fn forward<'a>(&self, batch: &Batch, wanted: &'a Observe)
    -> Result<(Output, Watch<'a>), Error>;
    /// A forward pass, and how long its stages took.
    fn profile(&self, batch: &Batch) -> Result<(Output, Profile), Error>;
    /// The logits of a forward pass alone.
    fn logits(&self, batch: &Batch) -> Result<Option<Array2<f32>>, Error>;
    /// The same for these tokens alone, with a head that has logits for every token.
    fn logits_at(&self, batch: &Batch, tokens: &[u32]) -> Result<Option<Array2<f32>>, Error>;
    /// One vector per sequence from the hidden states of the last layer.
    fn embeddings(
        &self,
        batch: &Batch,
        pooling: Pooling,
        normalize: bool,
    ) -> Result<Array2<f32>, Error>;
}

/// The parts of a model.
pub(super) struct Parts<B: Backend> {
    pub(super) backend: B,
    encoder: Encoder<B>,
    head: Head<B>,
}

/// What a pass has computed.
pub(super) struct Computed<B: Backend> {
    pub(super) hidden: B::Matrix,
    pub(super) logits: Option<B::Matrix>,
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
        backend.release()?;
        Ok(Self {
            backend,
            encoder,
            head,
        })
    }

    /// Rows of the word table.
    pub(super) fn vocabulary(&self) -> usize {
        self.encoder.vocabulary()
    }

    /// Whether the head has an enhanced mask decoder.
    pub(super) fn has_mask_decoder(&self) -> bool {
        self.head.has_mask_decoder()
    }

    /// Refuses a batch that the model cannot take.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), Error> {
        self.encoder.check(&self.backend, batch)?;
        self.head.check(&self.backend, batch)
    }

    /// Rows of the logits for a batch.
    pub(super) fn logit_rows(&self, batch: &Batch) -> usize {
        self.head.rows(batch)
    }

    /// Runs encoder and head on a batch that passed [`Parts::check`].
    pub(super) fn run(
        &self,
        backend: &B,
        pass: Pass<'_, B>,
        watch: &mut Watch<'_>,
    ) -> Result<Computed<B>, Error> {
        self.run_at(backend, pass, watch, None)
    }

    /// The same with the logits of some tokens, if any are named.
    pub(super) fn run_at(
        &self,
        backend: &B,
        pass: Pass<'_, B>,
        watch: &mut Watch<'_>,
        only: Option<&[u32]>,
    ) -> Result<Computed<B>, Error> {
        let states = self.encoder.forward(backend, pass, watch)?;
        let logits = watch.stage(Stage::Head, 0.0, || {
            self.head
                .forward(backend, &self.encoder, &states, pass, only)
        })?;
        Ok(Computed {
            hidden: states.last,
            logits,
        })
    }

    /// The same of any batch, from the beginning; then something with what was computed.
    fn computed<R>(
        &self,
        batch: &Batch,
        watch: &mut Watch<'_>,
        then: impl FnOnce(Computed<B>, Pass<'_, B>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.check(batch)?;
        let plan = self.backend.plan(batch)?;
        let pass = Pass { batch, plan: &plan };
        then(self.run(&self.backend, pass, watch)?, pass)
    }
}

impl<B: Backend> Engine for Parts<B> {
    fn vocabulary(&self) -> usize {
        self.vocabulary()
    }

    fn has_mask_decoder(&self) -> bool {
        self.has_mask_decoder()
    }

    fn forward<'a>(
        &self,
        batch: &Batch,
        wanted: &'a Observe,
    ) -> Result<(Output, Watch<'a>), Error> {
        let mut watch = Watch::new(wanted);
        let output = self.computed(batch, &mut watch, |computed, _| {
            let backend = &self.backend;
            let logits = computed.logits.as_ref();
            let logits = logits.map(|logits| backend.read(logits, self.logit_rows(batch)));
            Ok(Output {
                last_hidden_state: backend.read(&computed.hidden, batch.tokens())?,
                logits: logits.transpose()?,
            })
        })?;
        Ok((output, watch))
    }

    fn profile(&self, batch: &Batch) -> Result<(Output, Profile), Error> {
        let nothing = Observe::default();
        let (output, watch) = self.forward(batch, &nothing)?;
        Ok((output, watch.profile))
    }

    fn logits(&self, batch: &Batch) -> Result<Option<Array2<f32>>, Error> {
        let nothing = Observe::default();
        self.computed(batch, &mut Watch::new(&nothing), |computed, _| {
            let logits = computed.logits.as_ref();
            let logits = logits.map(|logits| self.backend.read(logits, self.logit_rows(batch)));
            logits.transpose()
        })
    }

    fn logits_at(&self, batch: &Batch, tokens: &[u32]) -> Result<Option<Array2<f32>>, Error> {
        self.check(batch)?;
        let plan = self.backend.plan(batch)?;
        let pass = Pass { batch, plan: &plan };
        let nothing = Observe::default();
        let mut watch = Watch::new(&nothing);
        let computed = self.run_at(&self.backend, pass, &mut watch, Some(tokens))?;
        let logits = computed.logits.as_ref();
        logits
            .map(|logits| self.backend.read(logits, tokens.len()))
            .transpose()
    }

    fn embeddings(
        &self,
        batch: &Batch,
        pooling: Pooling,
        normalize: bool,
    ) -> Result<Array2<f32>, Error> {
        let nothing = Observe::default();
        self.computed(batch, &mut Watch::new(&nothing), |computed, pass| {
            self.backend
                .pool(&computed.hidden, pooling, normalize, pass)
        })
    }
}
