//! Every operation once more, as short as it can be written: plain loops in `f64`.
//!
//! These are the oracles of the tests, and the version to read first.

use crate::{Activation, RelativePositions};

/// `out[t, n] = Σ_k x[t, k]·w[n, k] + bias[n]`
pub fn linear(x: &[f32], w: &[f32], bias: &[f32], inputs: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks_exact(inputs) {
        for (weights, &b) in w.chunks_exact(inputs).zip(bias) {
            let products = row
                .iter()
                .zip(weights)
                .map(|(&x, &w)| f64::from(x) * f64::from(w));
            out.push(products.sum::<f64>() + f64::from(b));
        }
    }
    out
}

/// `(x - mean) / sqrt(var + eps) · weight + bias` for one row.
pub fn layer_norm(row: &[f64], weight: &[f32], bias: &[f32], eps: f32) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let scale = 1.0 / (variance + f64::from(eps)).sqrt();
    let affine = weight.iter().zip(bias);
    row.iter()
        .zip(affine)
        .map(|(x, (&w, &b))| (x - mean) * scale * f64::from(w) + f64::from(b))
        .collect()
}

/// `exp(x_i - max) / Σ_j exp(x_j - max)`
pub fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|x| x / sum).collect()
}

/// The complementary error function, by its series near zero and its continued fraction elsewhere.
pub fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        // erf(x) = 2/√π · Σ (-1)^n x^(2n+1) / (n!·(2n+1))
        let (mut term, mut sum) = (x, x);
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    // erfc(x) = exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))))
    let fraction = (1..200)
        .rev()
        .fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
    (-x * x).exp() / fraction * std::f64::consts::FRAC_2_SQRT_PI / 2.0
}

/// One value of an activation function, from its definition.
pub fn activation(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Identity => x,
        Activation::Gelu => x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2) / 2.0,
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x / 2.0 * (1.0 + inner.tanh())
        }
        Activation::GeluClipped => {
            (x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2) / 2.0).clamp(-10.0, 10.0)
        }
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::ReluSquared => x.max(0.0).powi(2),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Laplace => {
            #[allow(clippy::approx_constant)] // the rounded number of the definition, not 1/√2
            let z = (x - 0.707107) / 0.282095;
            erfc(-z * std::f64::consts::FRAC_1_SQRT_2) / 2.0
        }
        Activation::Mish => x * x.exp().ln_1p().tanh(),
    }
}

/// The token convolution of one sequence whose tokens stand at `positions`; weights `[channels, channels/groups, kernel]`.
pub fn conv(
    x: &[f32],
    positions: &[u32],
    weights: &[f32],
    bias: &[f32],
    kernel: usize,
    groups: usize,
) -> Vec<f64> {
    let channels = bias.len();
    let width = channels / groups;
    let mut out = Vec::new();
    for &position in positions {
        for (o, &b) in bias.iter().enumerate() {
            let mut sum = f64::from(b);
            for tap in 0..kernel {
                let wanted = i64::from(position) + tap as i64 - (kernel as i64 - 1) / 2;
                let Some(n) = positions.iter().position(|&p| i64::from(p) == wanted) else {
                    continue;
                };
                for c in 0..width {
                    let value = x[n * channels + o / width * width + c];
                    sum += f64::from(value) * f64::from(weights[(o * width + c) * kernel + tap]);
                }
            }
            out.push(sum);
        }
    }
    out
}

/// The operands of [`attention`]: one sequence, one head, matrices `[L, D]` and position tables `[2·span, D]`.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Queries.
    pub query: &'a [f32],
    /// Keys.
    pub key: &'a [f32],
    /// Values.
    pub value: &'a [f32],
    /// Head size, D.
    pub size: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// The position of each token.
    pub positions: &'a [u32],
    /// How distances map to rows of the position tables.
    pub relative: Option<RelativePositions>,
    /// PK, for the content-to-position term.
    pub position_keys: Option<&'a [f32]>,
    /// PQ, for the position-to-content term.
    pub position_queries: Option<&'a [f32]>,
}

/// Disentangled attention of one head of one sequence: every score in full, then a softmax per row.
pub fn attention(head: &Head<'_>) -> Vec<f64> {
    let queries: Vec<usize> = (0..head.positions.len()).collect();
    attention_of(head, &queries)
}

/// The rows of [`attention`] that belong to some queries, `[queries, D]`.
pub fn attention_of(head: &Head<'_>, queries: &[usize]) -> Vec<f64> {
    let dot = |a: &[f32], i: usize, b: &[f32], j: usize| -> f64 {
        let rows = a[i * head.size..][..head.size]
            .iter()
            .zip(&b[j * head.size..][..head.size]);
        rows.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let length = head.positions.len();
    let mut out = Vec::new();
    for &i in queries {
        let scores: Vec<f64> = (0..length)
            .map(|j| {
                let mut score = dot(head.query, i, head.key, j);
                if let Some(relative) = head.relative {
                    let delta = i64::from(head.positions[i]) - i64::from(head.positions[j]);
                    let slot = relative.slot(delta);
                    score += head
                        .position_keys
                        .map_or(0.0, |pk| dot(head.query, i, pk, slot));
                    score += head
                        .position_queries
                        .map_or(0.0, |pq| dot(head.key, j, pq, slot));
                }
                score * f64::from(head.scale)
            })
            .collect();
        let weights = softmax(&scores);
        for d in 0..head.size {
            let values = head.value.iter().skip(d).step_by(head.size);
            out.push(
                weights
                    .iter()
                    .zip(values)
                    .map(|(w, &v)| w * f64::from(v))
                    .sum(),
            );
        }
    }
    out
}

/// Plain attention of one query of one head over the rows `seen` of keys and values, `[_, D]` each:
/// `Σ_j softmax_j(query · key_j · scale) · value_j`.
pub fn attend(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    scale: f32,
    seen: impl IntoIterator<Item = usize>,
) -> Vec<f64> {
    let size = query.len();
    let seen: Vec<usize> = seen.into_iter().collect();
    let score = |&j: &usize| -> f64 {
        let pairs = query.iter().zip(&key[j * size..]);
        let products = pairs.map(|(&q, &k)| f64::from(q) * f64::from(k));
        products.sum::<f64>() * f64::from(scale)
    };
    let weights = softmax(&seen.iter().map(score).collect::<Vec<_>>());
    let weighted = |d: usize| {
        let values = seen.iter().map(|&j| f64::from(value[j * size + d]));
        weights.iter().zip(values).map(|(w, v)| w * v).sum()
    };
    (0..size).map(weighted).collect()
}
