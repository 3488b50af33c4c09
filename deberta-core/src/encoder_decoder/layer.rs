//! One layer of a decoder: self-attention, cross-attention, then a feed-forward network, each with a residual and a
//! normalisation.

use super::attend::Attend;
use super::layout::{LayerLayout, Projection};
use crate::backend::{Backend, Cpu, Linear, LinearForm, Matrix, WeightRows};
use crate::config::{DecoderConfig, DecoderFamily};
use crate::model::{Affine, Loader};
use crate::{Activation, Error};
use deberta_kernels::{Epilogue, LayerNorm};
use ndarray::{Array2, s};
use std::ops::Range;

/// A layer of a decoder. With `f` one of its three parts, a layer that normalises behind them (BERT) and one that does
/// so before them (GPT-2) compute
///
/// ```text
/// y = LayerNorm( f(x) + x )        y = f(LayerNorm(x)) + x
/// ```
pub(super) struct Layer {
    /// To queries, keys and values of self-attention, side by side: `[3·N, N]`.
    content: Linear,
    content_output: Joined,
    /// To queries of cross-attention.
    queries: Linear,
    /// To its keys and values, side by side: `[2·N, N]`.
    memory: Linear,
    memory_output: Joined,
    up: Linear,
    down: Joined,
    activation: Activation,
    /// What scores of attention are multiplied by.
    scale: f32,
}

/// The end of a part of a layer: a linear layer that joins the residual, and the normalisation behind or before all.
struct Joined {
    linear: Linear,
    norm: LayerNorm,
    /// Whether the normalisation comes before the part.
    normed_before: bool,
}

impl Joined {
    fn load(
        loader: &Loader<'_, Cpu>,
        (linear, norm): (&Projection, &Affine),
        config: &DecoderConfig,
    ) -> Result<Self, Error> {
        Ok(Self {
            linear: projection(loader, linear)?,
            norm: loader.norm(norm, config.layer_norm_eps)?,
            normed_before: config.family == DecoderFamily::Gpt2,
        })
    }

    /// What the part works on, where that is not `x` itself.
    fn input(&self, cpu: &Cpu, x: &Matrix) -> Result<Option<Matrix>, Error> {
        let copy = self.normed_before.then(|| cpu.copy(x.view()));
        copy.map(|copy| cpu.normalize(&self.norm, copy)).transpose()
    }

    /// The end of the part, given what it has come to.
    fn output(&self, cpu: &Cpu, part: &Matrix, x: &Matrix) -> Result<Matrix, Error> {
        let end = Epilogue::default().residual(x.view());
        let end = match self.normed_before {
            true => end,
            false => end.norm(&self.norm),
        };
        self.linear.forward(cpu, part, end)
    }
}

impl Layer {
    pub(super) fn load(
        loader: &Loader<'_, Cpu>,
        layout: &LayerLayout,
        config: &DecoderConfig,
        index: usize,
    ) -> Result<Self, Error> {
        let joined = |linear, norm| Joined::load(loader, (linear, norm), config);
        Ok(Self {
            content: projection(loader, &layout.content)?,
            content_output: joined(&layout.content_output, &layout.content_norm)?,
            queries: projection(loader, &layout.queries)?,
            memory: projection(loader, &layout.memory)?,
            memory_output: joined(&layout.memory_output, &layout.memory_norm)?,
            up: projection(loader, &layout.up)?,
            down: joined(&layout.down, &layout.inner_norm)?,
            activation: config.hidden_act,
            scale: config.scale(index),
        })
    }

    /// Keys and values of cross-attention, side by side, for the hidden states of an encoder: `[T, N] -> [T, 2·N]`.
    pub(super) fn memory(&self, cpu: &Cpu, hidden: &Matrix) -> Result<Matrix, Error> {
        self.memory.forward(cpu, hidden, Epilogue::default())
    }

    /// `[R, N] -> [R, N]` for the layer with this number.
    pub(super) fn forward(
        &self,
        cpu: &Cpu,
        index: usize,
        x: Matrix,
        attend: &mut impl Attend,
    ) -> Result<Matrix, Error> {
        let plain = Epilogue::default();
        let normed = self.content_output.input(cpu, &x)?;
        let content = self
            .content
            .forward(cpu, normed.as_ref().unwrap_or(&x), plain)?;
        let context = attend.itself(cpu, index, &content, self.scale)?;
        let x = self.content_output.output(cpu, &context, &x)?;

        let normed = self.memory_output.input(cpu, &x)?;
        let queries = self
            .queries
            .forward(cpu, normed.as_ref().unwrap_or(&x), plain)?;
        let context = attend.encoder(cpu, index, &queries, self.scale)?;
        let x = self.memory_output.output(cpu, &context, &x)?;

        let normed = self.down.input(cpu, &x)?;
        let end = plain.activation(self.activation);
        let inner = self.up.forward(cpu, normed.as_ref().unwrap_or(&x), end)?;
        self.down.output(cpu, &inner, &x)
    }
}

/// Reads linear layers that are applied together.
fn projection(loader: &Loader<'_, Cpu>, layout: &Projection) -> Result<Linear, Error> {
    let form = form(loader);
    match layout {
        Projection::Rows(parts) => loader.stacked(parts, form),
        Projection::Columns(layout) => {
            let transposed = Transposed(loader.matrix(&layout.weight)?);
            loader
                .backend
                .linear(&transposed, loader.bias(layout)?, form)
        }
    }
}

/// How linear layers are kept. A decoder has no sample to fit 8 bits to.
pub(super) fn form(loader: &Loader<'_, Cpu>) -> LinearForm<'static> {
    loader.word_form()
}

/// A matrix `[inputs, outputs]` to be read as its transpose.
struct Transposed(Array2<f32>);

impl WeightRows for Transposed {
    fn shape(&self) -> (usize, usize) {
        (self.0.ncols(), self.0.nrows())
    }

    fn read(&self, rows: Range<usize>, to: &mut [f32]) -> Result<(), Error> {
        let columns = self.0.slice(s![.., rows]);
        for (to, from) in to.iter_mut().zip(columns.t().iter()) {
            *to = *from;
        }
        Ok(())
    }

    fn read_bytes(&self, _rows: Range<usize>, _to: &mut [u8]) -> Result<(), Error> {
        unreachable!("a matrix of f32 is not read as bytes")
    }
}
