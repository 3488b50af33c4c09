//! What only GLiNER has on the encoder: a recurrent layer over words, and a mixture of the encoder's layers.

use deberta_kernels::{Activation, Epilogue, PackedWeights, linear};
use ndarray::{Array2, ArrayView2, s};

use crate::Error;
use crate::checkpoint::Scope;
use crate::tasks::layers::{Linear, Tensors, sigmoid};

/// A bidirectional LSTM of one layer or several, over the words of one text, from states of zero.
pub(super) struct BiLstm {
    layers: Vec<[Direction; 2]>,
}

/// `i, f, o = σ(…)`, `g = tanh(…)` of `W_ih·x + b_ih + W_hh·h + b_hh`; `c' = f·c + i·g`, `h' = o·tanh(c')`.
struct Direction {
    input: Linear,
    hidden: PackedWeights,
}

impl BiLstm {
    /// Those of the file; none where it has none.
    pub(super) fn load(tensors: &Tensors<'_>, size: usize) -> Result<Self, Error> {
        let mut layers = Vec::new();
        loop {
            let layer = layers.len();
            if !tensors.has(&format!("rnn.lstm.weight_ih_l{layer}")) {
                return Ok(Self { layers });
            }
            let direction = |suffix: &str| -> Result<Direction, Error> {
                let name = |part: &str| format!("rnn.lstm.{part}_l{layer}{suffix}");
                let half = size / 2;
                let bias = tensors.read(&name("bias_ih"), &[4 * half])?;
                let more = tensors.read(&name("bias_hh"), &[4 * half])?;
                Ok(Direction {
                    input: Linear {
                        weights: tensors.weights(&name("weight_ih"), 4 * half, size)?,
                        bias: bias.iter().zip(more).map(|(a, b)| a + b).collect(),
                    },
                    hidden: tensors.weights(&name("weight_hh"), 4 * half, half)?,
                })
            };
            layers.push([direction("")?, direction("_reverse")?]);
        }
    }

    /// `[n, H]` to `[n, H]`: the states of both directions side by side.
    pub(super) fn apply(&self, mut words: Array2<f32>) -> Result<Array2<f32>, Error> {
        for [forward, backward] in &self.layers {
            let half = forward.hidden.inputs();
            let mut out = Array2::zeros((words.nrows(), 2 * half));
            let (left, right) = rayon::join(
                || forward.states(words.view(), false),
                || backward.states(words.view(), true),
            );
            out.slice_mut(s![.., ..half]).assign(&left?);
            out.slice_mut(s![.., half..]).assign(&right?);
            words = out;
        }
        Ok(words)
    }
}

impl Direction {
    fn states(&self, x: ArrayView2<'_, f32>, reversed: bool) -> Result<Array2<f32>, Error> {
        let half = self.hidden.inputs();
        let inputs = self.input.apply(x, Activation::Identity)?;
        let mut states = Array2::zeros((x.nrows(), half));
        let mut state = Array2::<f32>::zeros((1, half));
        let mut cell = vec![0.0f32; half];
        let mut gates = Array2::zeros((1, 4 * half));
        let order = |step: usize| if reversed { x.nrows() - 1 - step } else { step };
        for word in (0..x.nrows()).map(order) {
            linear(
                state.view(),
                &self.hidden,
                &Epilogue::default(),
                gates.view_mut(),
            )?;
            gates += &inputs.slice(s![word..word + 1, ..]);
            for unit in 0..half {
                let gate = |kind: usize| gates[[0, kind * half + unit]];
                let (i, f, o) = (sigmoid(gate(0)), sigmoid(gate(1)), sigmoid(gate(3)));
                cell[unit] = f * cell[unit] + i * gate(2).tanh();
                state[[0, unit]] = o * cell[unit].tanh();
            }
            states.row_mut(word).assign(&state.row(0));
        }
        Ok(states)
    }
}

/// Mixes the hidden states of all layers, `U_1 … U_N`: `W_o·Σ_i s_i·U_i + b_o`, where
/// `s = σ(W_2·relu(W_1·z))` and `z_i` is the mean over all tokens of `w·U_i + b`.
pub(super) struct LayerFuser {
    squeeze: Linear,
    inner: Linear,
    outer: Linear,
    output: Linear,
}

impl LayerFuser {
    pub(super) fn load(tensors: &Tensors<'_>, layers: usize, size: usize) -> Result<Self, Error> {
        let named = |part: &str| format!("token_rep_layer.bert_layer.layers_fuser.{part}");
        let output = tensors
            .checkpoint
            .shape(Scope::Head, &named("output_projection.weight"));
        let output = output
            .and_then(|shape| shape.first().copied())
            .unwrap_or(size);
        Ok(Self {
            squeeze: tensors.linear(&named("squeeze"), 1, size)?,
            inner: tensors.linear(&named("W1"), layers / 2, layers)?,
            outer: tensors.linear(&named("W2"), layers, layers / 2)?,
            output: tensors.linear(&named("output_projection"), output, size)?,
        })
    }

    /// The hidden states of one text, layer by layer, as one matrix.
    pub(super) fn apply(&self, layers: &[ArrayView2<'_, f32>]) -> Result<Array2<f32>, Error> {
        let mut means = Array2::zeros((1, layers.len()));
        for (states, mean) in layers.iter().zip(&mut means) {
            let squeezed = self.squeeze.apply(*states, Activation::Identity)?;
            let sum: f64 = squeezed.iter().map(|&x| f64::from(x)).sum();
            *mean = (sum / squeezed.len().max(1) as f64) as f32;
        }
        let inner = self.inner.apply(means.view(), Activation::Relu)?;
        let weights = self.outer.apply(inner.view(), Activation::Identity)?;
        let mut mixed = Array2::zeros(layers.first().map_or((0, 0), |states| states.dim()));
        for (states, &weight) in layers.iter().zip(&weights) {
            mixed.scaled_add(sigmoid(weight), states);
        }
        self.output.apply(mixed.view(), Activation::Identity)
    }
}
