//! The encoder: embeddings, layers, and the convolution that some models have beside the first layer.

use super::embeddings::Embeddings;
use super::layer::Layer;
use super::layout::Layout;
use super::load::Loader;
use super::observe::{Observe, Watch};
use super::profile::Stage;
use super::self_attention::AttentionInput;
use crate::backend::{Backend, End, Pass};
use crate::{Activation, Batch, Config, Error, Precision};
use deberta_kernels::RelativePositions;
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// The hidden states of the last two layers, `[T, N]`.
pub(crate) struct Encoded<B: Backend> {
    pub(crate) last: B::Matrix,
    /// Of the layer before the last, or the embeddings where there is but one layer.
    before_last: Option<B::Matrix>,
}

impl<B: Backend> Encoded<B> {
    /// The hidden states that the last layer was given.
    pub(crate) fn before_last(&self) -> &B::Matrix {
        self.before_last.as_ref().unwrap_or(&self.last)
    }
}

/// Ids to hidden states.
pub(crate) struct Encoder<B: Backend> {
    embeddings: Embeddings<B>,
    layers: Vec<Layer<B>>,
    conv: Option<ConvLayer<B>>,
    relative: Option<RelativePositions>,
    /// How many of the two position terms there are.
    position_terms: usize,
    /// The slots for the longest sequence so far.
    slots: Mutex<Option<(usize, Arc<B::Slots>)>>,
}

impl<B: Backend> Encoder<B> {
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &Layout,
        config: &Config,
    ) -> Result<Self, Error> {
        let table = loader.relative_table(layout, config)?;
        let mut encoder = Self {
            embeddings: Embeddings::load(loader, &layout.embeddings, config)?,
            layers: Vec::new(),
            conv: ConvLayer::load(loader, layout, config)?,
            relative: layout.attention.relative,
            position_terms: usize::from(layout.attention.c2p) + usize::from(layout.attention.p2c),
            slots: Mutex::new(None),
        };
        if loader.precision == Precision::Int8 && !loader.checkpoint.is_int8() {
            encoder.load_fitted(loader, layout, config, table.as_ref())?;
        } else {
            let layers = layout.layers.par_iter().map(|layer| {
                let (attention, table) = (layout.attention, table.as_ref());
                Ok(Layer::load(loader, layer, config, attention, table, None)?.0)
            });
            encoder.layers = layers.collect::<Result<_, Error>>()?;
        }
        Ok(encoder)
    }

    /// Loads the layers one after the other, each fitted to what those before it make of random tokens.
    fn load_fitted(
        &mut self,
        loader: &Loader<'_, B>,
        layout: &Layout,
        config: &Config,
        table: Option<&B::Matrix>,
    ) -> Result<(), Error> {
        let backend = loader.backend;
        let batch = sample(self.vocabulary(), config)?;
        let slots = self.slots(backend, &batch)?;
        let plan = backend.plan(&batch)?;
        let pass = Pass {
            batch: &batch,
            plan: &plan,
        };
        self.embeddings.check(backend, &batch)?;
        let mut hidden = self.embeddings.forward(backend, pass)?;
        // Rows of a large table are far apart: each has brought its neighbourhood into memory.
        loader.checkpoint.release();
        for (index, layer) in layout.layers.iter().enumerate() {
            let input = AttentionInput {
                hidden: &hidden,
                queries: &hidden,
                pass,
                slots: slots.as_deref(),
                work: 0.0,
            };
            let attention = layout.attention;
            let (layer, output) =
                Layer::load(loader, layer, config, attention, table, Some(&input))?;
            self.layers.push(layer);
            if let Some(output) = output {
                hidden = match (index, &self.conv) {
                    (0, Some(conv)) => conv.forward(backend, &hidden, &output, pass)?,
                    _ => output,
                };
            }
        }
        Ok(())
    }

    /// The layers, the first one first.
    pub(super) fn layers(&self) -> &[Layer<B>] {
        &self.layers
    }

    /// The projection behind the embedding tables, if there is one.
    pub(super) fn embedding_projection(&self) -> Option<&B::Linear> {
        self.embeddings.projection()
    }

    /// Rows of the word table.
    pub(crate) fn vocabulary(&self) -> usize {
        self.embeddings.vocabulary()
    }

    /// Refuses a batch with ids, types or positions that the embeddings do not have.
    pub(crate) fn check(&self, backend: &B, batch: &Batch) -> Result<(), Error> {
        self.embeddings.check(backend, batch)
    }

    /// Runs embeddings and layers on a batch that passed [`Encoder::check`].
    pub(crate) fn forward(
        &self,
        backend: &B,
        pass: Pass<'_, B>,
        watch: &mut Watch<'_>,
    ) -> Result<Encoded<B>, Error> {
        let batch = pass.batch;
        let slots = self.slots(backend, batch)?;
        let work = self.attention_work(batch);
        let embeddings = watch.stage(Stage::Embedding, 0.0, || {
            self.embeddings.forward(backend, pass)
        })?;
        watch.hidden(backend, &embeddings)?;
        let mut states = Encoded {
            last: embeddings,
            before_last: None,
        };
        for (index, layer) in self.layers.iter().enumerate() {
            let input = AttentionInput {
                hidden: &states.last,
                queries: &states.last,
                pass,
                slots: slots.as_deref(),
                work,
            };
            let heads = watch.heads(index);
            let (mut output, maps) = layer.forward(backend, &input, watch, &heads)?;
            watch.attention(index, maps);
            if let (0, Some(conv)) = (index, &self.conv) {
                // The convolution sees the embeddings; its output joins that of the first layer.
                let work = conv.work * batch.ids().len() as f64;
                output = watch.stage(Stage::Convolution, work, || {
                    conv.forward(backend, &states.last, &output, pass)
                })?;
            }
            watch.hidden(backend, &output)?;
            states = Encoded {
                last: output,
                before_last: Some(states.last),
            };
        }
        Ok(states)
    }

    /// The last layer alone, some times over: keys and values from `hidden`, queries first those given and then the
    /// layer's own output.
    pub(crate) fn repeat_last_layer(
        &self,
        backend: &B,
        hidden: &B::Matrix,
        mut queries: B::Matrix,
        times: usize,
        pass: Pass<'_, B>,
    ) -> Result<B::Matrix, Error> {
        let slots = self.slots(backend, pass.batch)?;
        let nothing = Observe::default();
        for layer in self.layers.last().into_iter().cycle().take(times) {
            let input = AttentionInput {
                hidden,
                queries: &queries,
                pass,
                slots: slots.as_deref(),
                work: 0.0,
            };
            let mut unwatched = Watch::new(&nothing);
            queries = layer.forward(backend, &input, &mut unwatched, &[])?.0;
        }
        Ok(queries)
    }

    /// Operations of one layer's attention per column of its operands: see [`Profile`](super::Profile::operations).
    fn attention_work(&self, batch: &Batch) -> f64 {
        let of_length = |length: usize| {
            let reach = length as i64 - 1;
            let slots = self.relative.filter(|_| length > 0).map_or(0, |relative| {
                relative.slot(reach) + 1 - relative.slot(-reach)
            });
            (length * (4 * length + 2 * self.position_terms * slots)) as f64
        };
        (0..batch.len())
            .map(|i| of_length(batch.sequence(i).len()))
            .sum()
    }

    /// The slots for the longest sequence of the batch, or for a longer one seen before.
    fn slots(&self, backend: &B, batch: &Batch) -> Result<Option<Arc<B::Slots>>, Error> {
        let Some(relative) = self.relative else {
            return Ok(None);
        };
        let needed = (0..batch.len())
            .map(|i| batch.sequence(i))
            .filter(|tokens| !tokens.is_empty())
            .map(|tokens| match batch.positions() {
                Some(positions) => {
                    (positions[tokens.end - 1] - positions[tokens.start]) as usize + 1
                }
                None => tokens.len(),
            })
            .max()
            .unwrap_or(0);
        let mut cached = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(match &*cached {
            Some((length, slots)) if *length >= needed => Arc::clone(slots),
            _ => {
                let slots = Arc::new(backend.slots(relative, needed)?);
                *cached = Some((needed, Arc::clone(&slots)));
                slots
            }
        }))
    }
}

/// Sequences of random tokens. Several short ones tell more of what inputs have in common than one long one.
fn sample(vocabulary: usize, config: &Config) -> Result<Batch, Error> {
    const SEQUENCES: usize = 8;
    let length = 32.min(config.max_position_embeddings).max(1);
    let mut state = 1_u64;
    let mut id = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary.max(1) as u64) as u32
    };
    Batch::packed((0..SEQUENCES).map(|_| {
        let ids: Vec<u32> = (0..length).map(|_| id()).collect();
        (ids, Vec::new())
    }))
}

/// `LayerNorm( act(conv(embeddings)) + output of the first layer )`
struct ConvLayer<B: Backend> {
    conv: B::Conv,
    norm: B::Norm,
    activation: Activation,
    /// Operations per token.
    work: f64,
}

impl<B: Backend> ConvLayer<B> {
    fn load(
        loader: &Loader<'_, B>,
        layout: &Layout,
        config: &Config,
    ) -> Result<Option<Self>, Error> {
        let (Some(layout), Some(config_conv)) = (&layout.conv, config.conv) else {
            return Ok(None);
        };
        let weight = loader.vector(&layout.conv.weight)?;
        let bias = loader
            .bias(&layout.conv)?
            .unwrap_or_else(|| vec![0.0; config.hidden_size]);
        let (kernel, groups) = (config_conv.kernel_size, config_conv.groups);
        Ok(Some(Self {
            work: 2.0 * weight.len() as f64,
            conv: loader.backend.conv(&weight, bias, kernel, groups)?,
            norm: loader.norm(&layout.norm, config.layer_norm_eps)?,
            activation: config_conv.activation,
        }))
    }

    fn forward(
        &self,
        backend: &B,
        embeddings: &B::Matrix,
        output: &B::Matrix,
        pass: Pass<'_, B>,
    ) -> Result<B::Matrix, Error> {
        let end = End::activation(self.activation).residual(output, &self.norm);
        backend.convolve(&self.conv, embeddings, pass, end)
    }
}
