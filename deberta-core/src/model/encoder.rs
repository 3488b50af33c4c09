//! The encoder: embeddings, layers, and the convolution that some models have beside the first layer.

use super::embeddings::Embeddings;
use super::layer::{Layer, LayerInput};
use super::layout::Layout;
use super::load::Loader;
use super::observe::{Observe, Watch};
use super::profile::Stage;
use crate::backend::{Backend, End};
use crate::{Activation, Batch, Config, Error};
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
        let backend = loader.backend;
        let table = match &layout.relative {
            None => None,
            Some(relative) => {
                let table = backend.matrix(loader.matrix(&relative.table)?)?;
                Some(match &relative.norm {
                    None => table,
                    Some(norm) => {
                        backend.normalize(&loader.norm(norm, config.layer_norm_eps)?, table)?
                    }
                })
            }
        };
        let layers = layout.layers.par_iter();
        Ok(Self {
            embeddings: Embeddings::load(loader, &layout.embeddings, config)?,
            layers: layers
                .map(|layer| Layer::load(loader, layer, config, layout.attention, table.as_ref()))
                .collect::<Result<_, _>>()?,
            conv: ConvLayer::load(loader, layout, config)?,
            relative: layout.attention.relative,
            position_terms: usize::from(layout.attention.c2p) + usize::from(layout.attention.p2c),
            slots: Mutex::new(None),
        })
    }

    /// Rows of the word table.
    pub(crate) fn vocabulary(&self) -> usize {
        self.embeddings.vocabulary()
    }

    /// Runs embeddings and layers.
    pub(crate) fn forward(
        &self,
        backend: &B,
        batch: &Batch,
        watch: &mut Watch<'_>,
    ) -> Result<Encoded<B>, Error> {
        let slots = self.slots(backend, batch);
        let work = self.attention_work(batch);
        let embeddings = watch.stage(Stage::Embedding, 0.0, || {
            self.embeddings.forward(backend, batch)
        })?;
        watch.hidden(backend, &embeddings)?;
        let mut states = Encoded {
            last: embeddings,
            before_last: None,
        };
        for (index, layer) in self.layers.iter().enumerate() {
            let input = LayerInput {
                hidden: &states.last,
                queries: &states.last,
                batch,
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
                    conv.forward(backend, &states.last, &output, batch)
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
        batch: &Batch,
    ) -> Result<B::Matrix, Error> {
        let slots = self.slots(backend, batch);
        let nothing = Observe::default();
        for layer in self.layers.last().into_iter().cycle().take(times) {
            let input = LayerInput {
                hidden,
                queries: &queries,
                batch,
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
    fn slots(&self, backend: &B, batch: &Batch) -> Option<Arc<B::Slots>> {
        let relative = self.relative?;
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
        Some(match &*cached {
            Some((length, slots)) if *length >= needed => Arc::clone(slots),
            _ => {
                let slots = Arc::new(backend.slots(relative, needed));
                *cached = Some((needed, Arc::clone(&slots)));
                slots
            }
        })
    }
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
        batch: &Batch,
    ) -> Result<B::Matrix, Error> {
        let end = End::activation(self.activation).residual(output, &self.norm);
        backend.convolve(&self.conv, embeddings, batch, end)
    }
}
