//! From the vectors of labels to those that spans are compared with.
//!
//! The package makes one vector for each of several instances of a structure, by a recurrent layer over their numbers
//! that starts at the label's vector. Entities have the first instance alone: a single step.

use deberta_kernels::{Activation, Isa, LayerNorm, PackedWeights};
use ndarray::{Array2, ArrayView2, s};

use super::config::CountingLayer;
use crate::Error;
use crate::tasks::layers::{Linear, Mlp, Tensors, sigmoid};
use crate::tasks::score::softmax;

/// Instances that the model counts up to.
pub(super) const MOST: usize = 20;

/// The step, and what comes behind it.
pub(super) struct Counting {
    step: GruStep,
    behind: Behind,
}

enum Behind {
    Projection(Mlp),
    Transformer(Box<Transformer>),
    Experts(Box<Experts>),
}

impl Counting {
    pub(super) fn load(
        tensors: &Tensors<'_>,
        kind: CountingLayer,
        size: usize,
    ) -> Result<Self, Error> {
        let behind = match kind {
            CountingLayer::Projection => Behind::Projection(Mlp::load(
                tensors,
                "count_embed.projector",
                &[0, 2],
                &[2 * size, 4 * size, size],
            )?),
            CountingLayer::Transformer => {
                Behind::Transformer(Box::new(Transformer::load(tensors, size)?))
            }
            CountingLayer::Experts => Behind::Experts(Box::new(Experts::load(tensors, size)?)),
        };
        Ok(Self {
            step: GruStep::load(tensors, size)?,
            behind,
        })
    }

    /// `[labels, H]` to `[labels, H]`.
    pub(super) fn apply(&self, labels: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let states = self.step.apply(labels)?;
        match &self.behind {
            Behind::Projection(projection) => {
                projection.apply(beside(states.view(), labels).view())
            }
            Behind::Transformer(transformer) => transformer.apply((states + labels).view()),
            Behind::Experts(experts) => experts.apply(states.view()),
        }
    }
}

/// Two matrices as one of their columns.
fn beside(one: ArrayView2<'_, f32>, other: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut both = Array2::zeros((one.nrows(), one.ncols() + other.ncols()));
    both.slice_mut(s![.., ..one.ncols()]).assign(&one);
    both.slice_mut(s![.., one.ncols()..]).assign(&other);
    both
}

/// `r, z = σ(…)` of `W_i·x + b_i + W_h·h + b_h`, `n = tanh(W_i·x + b_i + r·(W_h·h + b_h))`, `h' = (1-z)·n + z·h`, where
/// `x` is the same for all.
struct GruStep {
    /// `W_i·x + b_i`
    input: Vec<f32>,
    hidden: Linear,
}

impl GruStep {
    fn load(tensors: &Tensors<'_>, size: usize) -> Result<Self, Error> {
        let positions = tensors.read("count_embed.pos_embedding.weight", &[MOST, size])?;
        let named = |part: &str| format!("count_embed.gru.{part}_l0");
        let gates = |kind: &str| -> Result<Linear, Error> {
            Ok(Linear {
                weights: tensors.weights(&named(&format!("weight_{kind}")), 3 * size, size)?,
                bias: tensors.read(&named(&format!("bias_{kind}")), &[3 * size])?,
            })
        };
        let mut first = Array2::zeros((1, size));
        first.iter_mut().zip(positions).for_each(|(to, x)| *to = x);
        let input = gates("ih")?.apply(first.view(), Activation::Identity)?;
        Ok(Self {
            input: input.into_raw_vec_and_offset().0,
            hidden: gates("hh")?,
        })
    }

    fn apply(&self, labels: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let size = labels.ncols();
        let hidden = self.hidden.apply(labels, Activation::Identity)?;
        Ok(Array2::from_shape_fn(labels.dim(), |(label, unit)| {
            let both = |kind: usize| {
                let unit = kind * size + unit;
                (self.input[unit], hidden[[label, unit]])
            };
            let [(r, r_h), (z, z_h), (n, n_h)] = [both(0), both(1), both(2)];
            let (r, z) = (sigmoid(r + r_h), sigmoid(z + z_h));
            (1.0 - z) * (n + r * n_h).tanh() + z * labels[[label, unit]]
        }))
    }
}

/// A transformer of two layers over the labels of a text, whatever their number; what it read goes around it as well.
struct Transformer {
    input: Linear,
    layers: Vec<TransformerLayer>,
    output: Mlp,
}

impl Transformer {
    const WIDTH: usize = 128;
    const LAYERS: usize = 2;

    fn load(tensors: &Tensors<'_>, size: usize) -> Result<Self, Error> {
        let named = |part: &str| format!("count_embed.transformer.{part}");
        let layers = (0..Self::LAYERS)
            .map(|i| TransformerLayer::load(tensors, &named(&format!("transformer.layers.{i}"))));
        Ok(Self {
            input: tensors.linear(&named("in_projector"), Self::WIDTH, size)?,
            layers: layers.collect::<Result<_, _>>()?,
            output: Mlp::load(
                tensors,
                &named("out_projector"),
                &[0, 2, 4],
                &[Self::WIDTH + size, size, size, size],
            )?,
        })
    }

    fn apply(&self, labels: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let mut x = self.input.apply(labels, Activation::Identity)?;
        for layer in &self.layers {
            layer.apply(&mut x)?;
        }
        self.output.apply(beside(x.view(), labels).view())
    }
}

/// PyTorch's `TransformerEncoderLayer`: normalised behind each half.
struct TransformerLayer {
    attention: Linear,
    out: Linear,
    norms: [LayerNorm; 2],
    up: Linear,
    down: Linear,
    isa: Isa,
}

impl TransformerLayer {
    const HEADS: usize = 4;

    fn load(tensors: &Tensors<'_>, name: &str) -> Result<Self, Error> {
        let width = Transformer::WIDTH;
        let named = |part: &str| format!("{name}.{part}");
        let norm = |part: &str| -> Result<LayerNorm, Error> {
            let weight = tensors.read(&named(&format!("{part}.weight")), &[width])?;
            let bias = tensors.read(&named(&format!("{part}.bias")), &[width])?;
            Ok(LayerNorm::new(weight, bias, 1e-5)?)
        };
        Ok(Self {
            attention: Linear {
                weights: tensors.weights(&named("self_attn.in_proj_weight"), 3 * width, width)?,
                bias: tensors.read(&named("self_attn.in_proj_bias"), &[3 * width])?,
            },
            out: tensors.linear(&named("self_attn.out_proj"), width, width)?,
            norms: [norm("norm1")?, norm("norm2")?],
            up: tensors.linear(&named("linear1"), 2 * width, width)?,
            down: tensors.linear(&named("linear2"), width, 2 * width)?,
            isa: tensors.isa,
        })
    }

    fn apply(&self, x: &mut Array2<f32>) -> Result<(), Error> {
        let mixed = self.mixed(x.view())?;
        *x += &self.out.apply(mixed.view(), Activation::Identity)?;
        self.norms[0].apply(self.isa, x.view_mut())?;
        let inner = self.up.apply(x.view(), Activation::Relu)?;
        *x += &self.down.apply(inner.view(), Activation::Identity)?;
        self.norms[1].apply(self.isa, x.view_mut())?;
        Ok(())
    }

    /// What every label sees of all, head by head.
    fn mixed(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let width = Transformer::WIDTH;
        let size = width / Self::HEADS;
        let all = self.attention.apply(x, Activation::Identity)?;
        let mut mixed = Array2::zeros(x.dim());
        for head in 0..Self::HEADS {
            let part = |kind: usize| {
                let start = kind * width + head * size;
                all.slice(s![.., start..start + size])
            };
            let mut scores = part(0).dot(&part(1).t()) / (size as f32).sqrt();
            for mut row in scores.outer_iter_mut() {
                let shares = softmax(&row.to_vec());
                row.iter_mut().zip(shares).for_each(|(to, x)| *to = x);
            }
            let columns = s![.., head * size..(head + 1) * size];
            mixed.slice_mut(columns).assign(&scores.dot(&part(2)));
        }
        Ok(mixed)
    }
}

/// Several projections, of which a small network says how much each counts.
struct Experts {
    router: [Linear; 2],
    experts: Vec<[Linear; 2]>,
}

impl Experts {
    const COUNT: usize = 4;

    fn load(tensors: &Tensors<'_>, size: usize) -> Result<Self, Error> {
        let inner = 2 * size;
        let up = stacked(tensors, ["w1", "b1"], size, inner)?;
        let down = stacked(tensors, ["w2", "b2"], inner, size)?;
        Ok(Self {
            router: [
                tensors.linear("count_embed.router.0", size, size)?,
                tensors.linear("count_embed.router.2", Self::COUNT, size)?,
            ],
            experts: up
                .into_iter()
                .zip(down)
                .map(|(up, down)| [up, down])
                .collect(),
        })
    }

    fn apply(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
        let [first, second] = &self.router;
        let inner = first.apply(x, Activation::Gelu)?;
        let gates = second.apply(inner.view(), Activation::Identity)?;
        let gates: Vec<Vec<f32>> = gates
            .outer_iter()
            .map(|row| softmax(&row.to_vec()))
            .collect();
        let mut mixed = Array2::zeros(x.dim());
        for (i, [up, down]) in self.experts.iter().enumerate() {
            let inner = up.apply(x, Activation::Gelu)?;
            let out = down.apply(inner.view(), Activation::Identity)?;
            for ((mut to, row), gates) in mixed.outer_iter_mut().zip(out.outer_iter()).zip(&gates) {
                to.scaled_add(gates[i], &row);
            }
        }
        Ok(mixed)
    }
}

/// One layer for each expert, from matrices `[experts, inputs, outputs]`.
fn stacked(
    tensors: &Tensors<'_>,
    [weights, bias]: [&str; 2],
    inputs: usize,
    outputs: usize,
) -> Result<Vec<Linear>, Error> {
    let named = |part: &str| format!("count_embed.{part}");
    let weights = tensors.read(&named(weights), &[Experts::COUNT, inputs, outputs])?;
    let bias = tensors.read(&named(bias), &[Experts::COUNT, outputs])?;
    let each = weights
        .chunks_exact(inputs * outputs)
        .zip(bias.chunks_exact(outputs));
    each.map(|(weights, bias)| {
        let mut turned = vec![0.0; weights.len()];
        for (row, values) in weights.chunks_exact(outputs).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                turned[column * inputs + row] = value;
            }
        }
        Ok(Linear {
            weights: PackedWeights::new(tensors.isa, &turned, outputs, inputs)?,
            bias: bias.to_vec(),
        })
    })
    .collect()
}
