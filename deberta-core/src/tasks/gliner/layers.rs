//! What stands on the encoder: projections, a recurrent layer, and the vectors of spans and labels.

use deberta_kernels::{Activation, Epilogue, Isa, PackedWeights, linear};
use ndarray::{Array2, ArrayView2, Axis, s};

use crate::Error;
use crate::checkpoint::{Checkpoint, Dim, Scope, TensorSpec};

/// Reads the head's tensors.
pub(super) struct Tensors<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) isa: Isa,
}

impl Tensors<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.checkpoint.contains(Scope::Head, name)
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let shape: Vec<Dim> = shape.iter().map(|&size| Dim::Exactly(size)).collect();
        let spec = TensorSpec::head(name, shape);
        self.checkpoint.verify(std::slice::from_ref(&spec))?;
        Ok(self.checkpoint.read_f32(&spec)?.0)
    }

    fn weights(&self, name: &str, outputs: usize, inputs: usize) -> Result<PackedWeights, Error> {
        let weights = self.read(name, &[outputs, inputs])?;
        Ok(PackedWeights::new(self.isa, &weights, outputs, inputs)?)
    }

    pub(super) fn linear(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, Error> {
        Ok(Linear {
            weights: self.weights(&format!("{name}.weight"), outputs, inputs)?,
            bias: self.read(&format!("{name}.bias"), &[outputs])?,
        })
    }
}

/// `W·x + b`
pub(super) struct Linear {
    weights: PackedWeights,
    bias: Vec<f32>,
}

impl Linear {
    pub(super) fn apply(
        &self,
        x: ArrayView2<'_, f32>,
        activation: Activation,
    ) -> Result<Array2<f32>, Error> {
        let end = Epilogue::default().bias(&self.bias).activation(activation);
        product(x, &self.weights, &end)
    }
}

fn product(
    x: ArrayView2<'_, f32>,
    weights: &PackedWeights,
    end: &Epilogue<'_>,
) -> Result<Array2<f32>, Error> {
    let mut out = Array2::zeros((x.nrows(), weights.outputs()));
    linear(x, weights, end, out.view_mut())?;
    Ok(out)
}

/// `W_2·relu(W_1·x + b_1) + b_2`, four times as wide inside. (Between them lies a dropout, so that the second is number 3.)
pub(super) struct Mlp {
    up: Linear,
    down: Linear,
}

impl Mlp {
    pub(super) fn load(tensors: &Tensors<'_>, name: &str, size: usize) -> Result<Self, Error> {
        Ok(Self {
            up: tensors.linear(&format!("{name}.0"), 4 * size, size)?,
            down: tensors.linear(&format!("{name}.3"), size, 4 * size)?,
        })
    }

    pub(super) fn apply(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let inner = self.up.apply(x, Activation::Relu)?;
        self.down.apply(inner.view(), Activation::Identity)
    }
}

/// Scores of spans for labels: `span(i, j) · label`, with
/// `span(i, j) = W_2·relu(W_1·relu([start_i; end_j]) + b_1) + b_2`.
///
/// Nothing of the size of all spans but the inner layer is ever computed. The first product is split,
/// `W_1·[a; b] = W_s·a + W_e·b`, and done once for every word instead of every span; the second one is taken to the
/// labels' side, `(W_2·h + b_2)·l = h·(W_2ᵀ·l) + b_2·l`, of which there are few.
pub(super) struct SpanScorer {
    start: Mlp,
    end: Mlp,
    /// `W_s` and `W_e`, `b_1` with the former.
    from_start: Linear,
    from_end: PackedWeights,
    /// `W_2ᵀ: [4H, H]`
    back: PackedWeights,
    /// `b_2`
    bias: Vec<f32>,
}

/// Spans whose inner layer is held at a time.
const SPANS_AT_ONCE: usize = 512;

impl SpanScorer {
    pub(super) fn load(tensors: &Tensors<'_>, size: usize) -> Result<Self, Error> {
        let named = |part: &str| format!("span_rep_layer.span_rep_layer.{part}");
        let inner = 4 * size;
        let both = tensors.read(&named("out_project.0.weight"), &[inner, 2 * size])?;
        let half = |first: usize| -> Result<PackedWeights, Error> {
            let rows = both.chunks_exact(2 * size);
            let rows: Vec<f32> = rows
                .flat_map(|row| &row[first..first + size])
                .copied()
                .collect();
            Ok(PackedWeights::new(tensors.isa, &rows, inner, size)?)
        };
        let down = tensors.read(&named("out_project.3.weight"), &[size, inner])?;
        let mut back = vec![0.0; down.len()];
        for (row, values) in down.chunks_exact(inner).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                back[column * size + row] = value;
            }
        }
        Ok(Self {
            start: Mlp::load(tensors, &named("project_start"), size)?,
            end: Mlp::load(tensors, &named("project_end"), size)?,
            from_start: Linear {
                weights: half(0)?,
                bias: tensors.read(&named("out_project.0.bias"), &[inner])?,
            },
            from_end: half(size)?,
            back: PackedWeights::new(tensors.isa, &back, inner, size)?,
            bias: tensors.read(&named("out_project.3.bias"), &[size])?,
        })
    }

    /// The logits of all spans of up to `max_width` words for all labels: `[spans, labels]`, spans by their first word,
    /// then by their last.
    pub(super) fn logits(
        &self,
        words: ArrayView2<'_, f32>,
        labels: ArrayView2<'_, f32>,
        max_width: usize,
    ) -> Result<Array2<f32>, Error> {
        let relu = |mut x: Array2<f32>| {
            x.mapv_inplace(|x| x.max(0.0));
            x
        };
        let starts = relu(self.start.apply(words)?);
        let ends = relu(self.end.apply(words)?);
        let starts = self.from_start.apply(starts.view(), Activation::Identity)?;
        let ends = product(ends.view(), &self.from_end, &Epilogue::default())?;
        let columns = product(labels, &self.back, &Epilogue::default())?;
        let offsets: Vec<f32> = labels
            .outer_iter()
            .map(|label| label.iter().zip(&self.bias).map(|(a, b)| a * b).sum())
            .collect();
        let inner = starts.ncols();
        let isa = self.back.isa();
        let columns = PackedWeights::new(
            isa,
            &columns.into_raw_vec_and_offset().0,
            labels.nrows(),
            inner,
        )?;
        let spans: Vec<(usize, usize)> = spans(words.nrows(), max_width).collect();
        let mut logits = Array2::zeros((spans.len(), labels.nrows()));
        let mut hidden = Array2::zeros((SPANS_AT_ONCE.min(spans.len()), inner));
        let end = Epilogue::default().bias(&offsets);
        for (some, to) in spans
            .chunks(SPANS_AT_ONCE)
            .zip(logits.axis_chunks_iter_mut(Axis(0), SPANS_AT_ONCE))
        {
            for (&(i, j), mut row) in some.iter().zip(hidden.outer_iter_mut()) {
                let pairs = starts.row(i).into_iter().zip(ends.row(j));
                for (x, (a, b)) in row.iter_mut().zip(pairs) {
                    *x = (a + b).max(0.0);
                }
            }
            linear(hidden.slice(s![..some.len(), ..]), &columns, &end, to)?;
        }
        Ok(logits)
    }
}

/// First and last word of every span of up to `max_width` of `count` words.
pub(super) fn spans(count: usize, max_width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (i..count.min(i.saturating_add(max_width))).map(move |j| (i, j)))
}

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

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
