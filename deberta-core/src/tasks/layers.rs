//! What heads that score spans have in common: their tensors, projections, and the scores of spans for labels.

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

    pub(super) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let shape: Vec<Dim> = shape.iter().map(|&size| Dim::Exactly(size)).collect();
        let spec = TensorSpec::head(name, shape);
        self.checkpoint.verify(std::slice::from_ref(&spec))?;
        Ok(self.checkpoint.read_f32(&spec)?.0)
    }

    pub(super) fn weights(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<PackedWeights, Error> {
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
    pub(super) weights: PackedWeights,
    pub(super) bias: Vec<f32>,
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

/// Linear layers with a rectifier between them: `W_2·relu(W_1·x + b_1) + b_2`, or longer.
pub(super) struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// Layers of these numbers, from the first size to the second, and so on. (Where a dropout lies between layers, it
    /// has a number too.)
    pub(super) fn load(
        tensors: &Tensors<'_>,
        name: &str,
        numbers: &[usize],
        sizes: &[usize],
    ) -> Result<Self, Error> {
        let layers = numbers.iter().zip(sizes.windows(2));
        let layers = layers
            .map(|(number, size)| tensors.linear(&format!("{name}.{number}"), size[1], size[0]));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    /// The projection around which GLiNER's span models are built: four times as wide inside.
    pub(super) fn projection(
        tensors: &Tensors<'_>,
        name: &str,
        size: usize,
    ) -> Result<Self, Error> {
        Self::load(tensors, name, &[0, 3], &[size, 4 * size, size])
    }

    pub(super) fn apply(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let mut inner: Option<Array2<f32>> = None;
        for (i, layer) in self.layers.iter().enumerate() {
            let activation = match i + 1 == self.layers.len() {
                true => Activation::Identity,
                false => Activation::Relu,
            };
            inner = Some(layer.apply(inner.as_ref().map_or(x, |x| x.view()), activation)?);
        }
        Ok(inner.unwrap_or_else(|| x.to_owned()))
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
    /// Its tensors are called `name` and what follows.
    pub(super) fn load(tensors: &Tensors<'_>, name: &str, size: usize) -> Result<Self, Error> {
        let named = |part: &str| format!("{name}.{part}");
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
            start: Mlp::projection(tensors, &named("project_start"), size)?,
            end: Mlp::projection(tensors, &named("project_end"), size)?,
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

/// `1 / (1 + exp(-x))`, in `f32` as the reference has it: near one, scores of different logits are equal there, and which
/// of them comes first hangs on it.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
