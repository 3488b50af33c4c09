//! One layer of the encoder: attention, then a feed-forward network, each with a residual and a normalisation.

use super::attention::AttentionKind;
use super::layout::LayerLayout;
use super::load::Loader;
use crate::backend::{Attend, Backend, End};
use crate::{Activation, Batch, Config, Error};
use deberta_kernels::{AttentionMap, Observation};

/// A transformer layer with disentangled attention.
///
/// ```text
/// a = LayerNorm( W_o·attention(x, x, x) + x )
/// y = LayerNorm( W_down·act(W_up·a) + a )
/// ```
pub(crate) struct Layer<B: Backend> {
    query: B::Linear,
    key: B::Linear,
    value: B::Linear,
    positions: Option<B::PositionTables>,
    mixing: Option<B::Mixing>,
    attention_output: B::Linear,
    attention_norm: B::Norm,
    up: B::Linear,
    down: B::Linear,
    output_norm: B::Norm,
    heads: usize,
    scale: f32,
    activation: Activation,
}

/// What a layer is applied to.
pub(crate) struct LayerInput<'a, B: Backend> {
    /// What keys and values are made from, `[T, N]`.
    pub(crate) hidden: &'a B::Matrix,
    /// What queries are made from, and what the residual adds: `hidden` unless the layer decodes masks.
    pub(crate) queries: &'a B::Matrix,
    pub(crate) batch: &'a Batch,
    pub(crate) slots: Option<&'a B::Slots>,
}

impl<B: Backend> Layer<B> {
    /// Reads a layer and projects the relative table, `[2·span, N]`, for it.
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &LayerLayout,
        config: &Config,
        attention: AttentionKind,
        relative: Option<&B::Matrix>,
    ) -> Result<Self, Error> {
        let heads = config.num_attention_heads;
        let [query, key, value] = loader.projections(&layout.content, heads)?;
        let positions = match relative {
            None => None,
            Some(table) => {
                // Biases included, as in the reference. Without a projection of their own, positions share that of
                // the content.
                let project = |wanted: bool, own: &Option<_>, shared: &B::Linear| {
                    if !wanted {
                        return Ok(None);
                    }
                    let projected = match own {
                        Some(own) => {
                            loader
                                .backend
                                .apply(&loader.linear(own)?, table, End::plain())?
                        }
                        None => loader.backend.apply(shared, table, End::plain())?,
                    };
                    Ok::<_, Error>(Some(projected))
                };
                let keys = project(attention.c2p, &layout.position_key, &key)?;
                let queries = project(attention.p2c, &layout.position_query, &query)?;
                Some(
                    loader
                        .backend
                        .position_tables(keys.as_ref(), queries.as_ref(), heads)?,
                )
            }
        };
        let mixing = layout.mixing.as_ref().map(|mixing| {
            let (logits, weights) = (&mixing.logits, &mixing.weights);
            loader
                .backend
                .mixing(loader.matrix(logits)?, loader.matrix(weights)?)
        });
        Ok(Self {
            query,
            key,
            value,
            positions,
            mixing: mixing.transpose()?,
            attention_output: loader.linear(&layout.attention_output)?,
            attention_norm: loader.norm(&layout.attention_norm, config.layer_norm_eps)?,
            up: loader.linear(&layout.up)?,
            down: loader.linear(&layout.down)?,
            output_norm: loader.norm(&layout.output_norm, config.layer_norm_eps)?,
            heads,
            scale: attention.scale,
            activation: config.hidden_act,
        })
    }

    /// `[T, N] -> [T, N]`, and what the observed heads did.
    pub(crate) fn forward(
        &self,
        backend: &B,
        input: &LayerInput<'_, B>,
        observation: Observation<'_>,
    ) -> Result<(B::Matrix, Vec<AttentionMap>), Error> {
        let LayerInput {
            hidden,
            queries,
            batch,
            slots,
        } = *input;
        let operands = Attend {
            query: &backend.apply(&self.query, queries, End::plain())?,
            key: &backend.apply(&self.key, hidden, End::plain())?,
            value: &backend.apply(&self.value, hidden, End::plain())?,
            heads: self.heads,
            scale: self.scale,
            relative: self.positions.as_ref().zip(slots),
            mixing: self.mixing.as_ref(),
        };
        let (context, maps) = if observation.heads.is_empty() {
            (backend.attend(operands, batch)?, Vec::new())
        } else {
            backend.attend_observed(operands, batch, observation)?
        };
        let end = End::plain().residual(queries, &self.attention_norm);
        let attended = backend.apply(&self.attention_output, &context, end)?;
        let inner = backend.apply(&self.up, &attended, End::activation(self.activation))?;
        let end = End::plain().residual(&attended, &self.output_norm);
        Ok((backend.apply(&self.down, &inner, end)?, maps))
    }
}
