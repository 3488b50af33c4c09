//! Attention within a layer: projections of the hidden states, position tables, and the kernel's operands.

use super::attention::AttentionKind;
use super::layout::{LayerLayout, PositionLayout, PositionProjection};
use super::load::{Content, Loader};
use super::observe::Watch;
use super::profile::Stage;
use crate::backend::{Attend, Backend, Columns, End, LinearForm, Pass};
use crate::{Batch, Config, Error, Precision};
use deberta_kernels::AttentionMap;

/// Disentangled self-attention, without the projection of its output.
pub(crate) struct SelfAttention<B: Backend> {
    /// To queries, keys and values, side by side: `[3·N, N]`.
    content: B::Linear,
    positions: Option<B::PositionTables>,
    mixing: Option<B::Mixing>,
    heads: usize,
    /// N.
    width: usize,
    scale: f32,
    precision: Precision,
}

/// What attention is applied to.
pub(crate) struct AttentionInput<'a, B: Backend> {
    /// What keys and values are made from, `[T, N]`.
    pub(crate) hidden: &'a B::Matrix,
    /// What queries are made from, and what the layer's residual adds: `hidden` unless the layer decodes masks.
    pub(crate) queries: &'a B::Matrix,
    pub(crate) pass: Pass<'a, B>,
    pub(crate) slots: Option<&'a B::Slots>,
    /// Operations of attention per column of its operands.
    pub(crate) work: f64,
}

impl<B: Backend> SelfAttention<B> {
    /// Reads the weights and projects the relative table, `[2·span, N]`, unless the file has the projections.
    pub(super) fn load(
        loader: &Loader<'_, B>,
        layout: &LayerLayout,
        config: &Config,
        attention: AttentionKind,
        relative: Option<&B::Matrix>,
        form: LinearForm<'_>,
    ) -> Result<Self, Error> {
        let heads = config.num_attention_heads;
        let content = loader.projection(&layout.content, heads, Content::All, form)?;
        let positions = match attention.relative {
            None => None,
            Some(_) => {
                let keys = position_table(loader, layout, heads, relative, Content::Keys)?;
                let queries = position_table(loader, layout, heads, relative, Content::Queries)?;
                let precision = loader.precision;
                Some(
                    loader
                        .backend
                        .position_tables(keys, queries, heads, precision)?,
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
            heads,
            width: config.hidden_size,
            scale: attention.scale,
            precision: loader.precision,
        })
    }

    /// The projection to queries, keys and values.
    pub(super) fn content(&self) -> &B::Linear {
        &self.content
    }

    /// The context `[T, N]`, and what the observed heads did.
    pub(super) fn forward(
        &self,
        backend: &B,
        input: &AttentionInput<'_, B>,
        watch: &mut Watch<'_>,
        heads: &[usize],
    ) -> Result<(B::Matrix, Vec<AttentionMap>), Error> {
        let AttentionInput {
            hidden,
            queries,
            pass,
            slots,
            work,
        } = *input;
        let width = self.width;
        let projection = products(pass.batch, width, 3 * width);
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
            precision: self.precision,
            relative: self.positions.as_ref().zip(slots),
            mixing: self.mixing.as_ref(),
        };
        let observation = watch.observation(heads);
        watch.stage(Stage::Attention, work * width as f64, || {
            if heads.is_empty() {
                Ok((backend.attend(operands, pass)?, Vec::new()))
            } else {
                backend.attend_observed(operands, pass, observation)
            }
        })
    }
}

/// The position keys or position queries of a layer, `[2·span, N]`, if the model has the term: a projection of the
/// relative table, or what the file has.
pub(super) fn position_table<B: Backend>(
    loader: &Loader<'_, B>,
    layout: &LayerLayout,
    heads: usize,
    relative: Option<&B::Matrix>,
    part: Content,
) -> Result<Option<B::Matrix>, Error> {
    let is_keys = part == Content::Keys;
    let projection = match &layout.positions {
        PositionLayout::Tables { keys, queries } => {
            let table = if is_keys { keys } else { queries };
            let table = table.as_ref().map(|table| {
                let values = loader.matrix(table)?;
                loader.backend.matrix(values)
            });
            return table.transpose();
        }
        PositionLayout::Projected { key, query } => {
            if is_keys {
                key
            } else {
                query
            }
        }
    };
    let (Some(projection), Some(relative)) = (projection, relative) else {
        return Ok(None);
    };
    // Biases included, as in the reference. In single precision always: the tables are made once.
    let projection = match projection {
        PositionProjection::Own(own) => loader.exact(own)?,
        PositionProjection::Shared => {
            loader.projection(&layout.content, heads, part, LinearForm::EXACT)?
        }
    };
    let table = loader.backend.apply(&projection, relative, End::plain())?;
    Ok(Some(table))
}

/// Operations of the product of one matrix of weights with all tokens of a batch.
pub(super) fn products(batch: &Batch, inputs: usize, outputs: usize) -> f64 {
    2.0 * (batch.ids().len() * inputs) as f64 * outputs as f64
}
