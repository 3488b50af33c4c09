//! One layer of the encoder: attention, then a feed-forward network, each with a residual and a normalisation.

use super::attention::AttentionKind;
use super::layout::LayerLayout;
use super::load::{Content, Loader};
use super::observe::Watch;
use super::profile::Stage;
use crate::backend::{Attend, Backend, Columns, End};
use crate::{Activation, Batch, Config, Error};
use deberta_kernels::{AttentionMap, Precision};

/// A transformer layer with disentangled attention.
///
/// ```text
/// a = LayerNorm( W_o·attention(x, x, x) + x )
/// y = LayerNorm( W_down·act(W_up·a) + a )
/// ```
pub(crate) struct Layer<B: Backend> {
    /// To queries, keys and values, side by side: `[3·N, N]`.
    content: B::Linear,
    positions: Option<B::PositionTables>,
    mixing: Option<B::Mixing>,
    attention_output: B::Linear,
    attention_norm: B::Norm,
    up: B::Linear,
    down: B::Linear,
    output_norm: B::Norm,
    heads: usize,
    /// N.
    width: usize,
    /// The width of the feed-forward network.
    inner: usize,
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
    /// Operations of attention per column of its operands.
    pub(crate) work: f64,
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
        let precision = loader.precision;
        let content = loader.projection(&layout.content, heads, Content::All, precision)?;
        let positions = match relative {
            None => None,
            Some(table) => {
                // Biases included, as in the reference. Without a projection of their own, positions share that of
                // the content. In single precision always: the tables are made once.
                let project = |wanted: bool, own: &Option<_>, shared| {
                    if !wanted {
                        return Ok(None);
                    }
                    let projection = match own {
                        Some(own) => loader.exact(own)?,
                        None => {
                            loader.projection(&layout.content, heads, shared, Precision::F32)?
                        }
                    };
                    let projected = loader.backend.apply(&projection, table, End::plain())?;
                    Ok::<_, Error>(Some(projected))
                };
                let keys = project(attention.c2p, &layout.position_key, Content::Keys)?;
                let queries = project(attention.p2c, &layout.position_query, Content::Queries)?;
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
            content,
            positions,
            mixing: mixing.transpose()?,
            attention_output: loader.linear(&layout.attention_output)?,
            attention_norm: loader.norm(&layout.attention_norm, config.layer_norm_eps)?,
            up: loader.linear(&layout.up)?,
            down: loader.linear(&layout.down)?,
            output_norm: loader.norm(&layout.output_norm, config.layer_norm_eps)?,
            heads,
            width: config.hidden_size,
            inner: config.intermediate_size,
            scale: attention.scale,
            activation: config.hidden_act,
        })
    }

    /// `[T, N] -> [T, N]`, and what the observed heads did.
    pub(crate) fn forward(
        &self,
        backend: &B,
        input: &LayerInput<'_, B>,
        watch: &mut Watch<'_>,
        heads: &[usize],
    ) -> Result<(B::Matrix, Vec<AttentionMap>), Error> {
        let LayerInput {
            hidden,
            queries,
            batch,
            slots,
            ..
        } = *input;
        // Operations of a product of one matrix of weights with all tokens.
        let work = |inputs: usize, outputs: usize| {
            2.0 * (batch.ids().len() * inputs) as f64 * outputs as f64
        };
        let (width, inner) = (self.width, self.inner);
        let projection = work(width, 3 * width);
        let content = watch.stage(Stage::Projection, projection, || {
            backend.apply(&self.content, hidden, End::plain())
        })?;
        // Queries of their own are rare: the enhanced mask decoder's.
        let own = if std::ptr::eq(queries, hidden) {
            None
        } else {
            Some(watch.stage(Stage::Projection, projection, || {
                backend.apply(&self.content, queries, End::plain())
            })?)
        };
        let columns = |matrix, part| Columns {
            matrix,
            first: part * width,
        };
        let operands = Attend {
            query: columns(own.as_ref().unwrap_or(&content), 0),
            key: columns(&content, 1),
            value: columns(&content, 2),
            width,
            heads: self.heads,
            scale: self.scale,
            relative: self.positions.as_ref().zip(slots),
            mixing: self.mixing.as_ref(),
        };
        let observation = watch.observation(heads);
        let (context, maps) = watch.stage(Stage::Attention, input.work * width as f64, || {
            if heads.is_empty() {
                Ok((backend.attend(operands, batch)?, Vec::new()))
            } else {
                backend.attend_observed(operands, batch, observation)
            }
        })?;
        // Their memory can be used again.
        drop((content, own));
        let attended = watch.stage(Stage::Output, work(width, width), || {
            let end = End::plain().residual(queries, &self.attention_norm);
            backend.apply(&self.attention_output, &context, end)
        })?;
        drop(context);
        let up = watch.stage(Stage::Up, work(width, inner), || {
            backend.apply(&self.up, &attended, End::activation(self.activation))
        })?;
        let output = watch.stage(Stage::Down, work(inner, width), || {
            let end = End::plain().residual(&attended, &self.output_norm);
            backend.apply(&self.down, &up, end)
        })?;
        Ok((output, maps))
    }
}
