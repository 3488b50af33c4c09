//! One layer of the encoder: attention, then a feed-forward network, each with a residual and a normalisation.

use super::layout::LayerLayout;
use super::load::Loader;
use crate::backend::{Attend, Backend, End};
use crate::{Activation, Batch, Config, Error};

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
    attention_output: B::Linear,
    attention_norm: B::Norm,
    up: B::Linear,
    down: B::Linear,
    output_norm: B::Norm,
    heads: usize,
    scale: f32,
    activation: Activation,
}

impl<B: Backend> Layer<B> {
    /// Reads a layer and projects the relative table, `[2·span, N]`, for it.
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &LayerLayout,
        config: &Config,
        relative: Option<&B::Matrix>,
    ) -> Result<Self, Error> {
        let query = loader.linear(&layout.query)?;
        let key = loader.linear(&layout.key)?;
        let terms = config.pos_att_type;
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
                let keys = project(terms.c2p, &layout.position_key, &key)?;
                let queries = project(terms.p2c, &layout.position_query, &query)?;
                let heads = config.num_attention_heads;
                Some(
                    loader
                        .backend
                        .position_tables(keys.as_ref(), queries.as_ref(), heads)?,
                )
            }
        };
        // The terms count in the scale even where attention is not relative: the reference does it so.
        let factor = 1 + usize::from(terms.c2p) + usize::from(terms.p2c);
        Ok(Self {
            query,
            key,
            value: loader.linear(&layout.value)?,
            positions,
            attention_output: loader.linear(&layout.attention_output)?,
            attention_norm: loader.norm(&layout.attention_norm, config.layer_norm_eps)?,
            up: loader.linear(&layout.up)?,
            down: loader.linear(&layout.down)?,
            output_norm: loader.norm(&layout.output_norm, config.layer_norm_eps)?,
            heads: config.num_attention_heads,
            scale: 1.0 / ((config.head_size() * factor) as f32).sqrt(),
            activation: config.hidden_act,
        })
    }

    /// `[T, N] -> [T, N]`
    ///
    /// Keys and values come from `hidden`, queries from `queries` where they are given, and the residual follows the
    /// queries.
    pub(crate) fn forward(
        &self,
        backend: &B,
        hidden: &B::Matrix,
        queries: Option<&B::Matrix>,
        batch: &Batch,
        slots: Option<&B::Slots>,
    ) -> Result<B::Matrix, Error> {
        let queries = queries.unwrap_or(hidden);
        let operands = Attend {
            query: &backend.apply(&self.query, queries, End::plain())?,
            key: &backend.apply(&self.key, hidden, End::plain())?,
            value: &backend.apply(&self.value, hidden, End::plain())?,
            heads: self.heads,
            scale: self.scale,
            relative: self.positions.as_ref().zip(slots),
        };
        let context = backend.attend(operands, batch)?;
        let end = End::plain().residual(queries, &self.attention_norm);
        let attended = backend.apply(&self.attention_output, &context, end)?;
        let inner = backend.apply(&self.up, &attended, End::activation(self.activation))?;
        let end = End::plain().residual(&attended, &self.output_norm);
        backend.apply(&self.down, &inner, end)
    }
}
