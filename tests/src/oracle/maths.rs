//! The operations between rows.

use super::Rows;
use super::weights::{Linear, Norm};
use deberta_kernels::{Activation, reference};

/// `y[t] = W·x[t] + b`
pub fn linear(x: &Rows, layer: &Linear) -> Rows {
    let output = |row: &[f64], weights: &[f32], bias: f32| {
        let products = row.iter().zip(weights).map(|(x, &w)| x * f64::from(w));
        products.sum::<f64>() + f64::from(bias)
    };
    x.iter()
        .map(|row| {
            let outputs = layer.weight.iter().zip(&layer.bias);
            outputs.map(|(w, &b)| output(row, w, b)).collect()
        })
        .collect()
}

/// `(x[t] - mean) / sqrt(var + eps) · weight + bias`
pub fn normalize(x: &Rows, norm: &Norm, eps: f32) -> Rows {
    x.iter()
        .map(|row| reference::layer_norm(row, &norm.weight, &norm.bias, eps))
        .collect()
}

/// A function of every value.
pub fn activate(x: &Rows, activation: Activation) -> Rows {
    x.iter()
        .map(|row| {
            row.iter()
                .map(|&x| reference::activation(activation, x))
                .collect()
        })
        .collect()
}

/// `a + b`
pub fn add(a: &Rows, b: &Rows) -> Rows {
    let sum = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
    a.iter().zip(b).map(sum).collect()
}

/// `y[p][o] = b[o] + Σ_tap Σ_c W[o][c][tap]·x[p + tap - (kernel-1)/2][c]`, c over the channels of o's group.
///
/// p is a position; where no token stands, x is 0.
pub fn convolve(x: &Rows, positions: &[u32], conv: &Linear, groups: usize) -> Rows {
    let channels = conv.bias.len();
    let width = channels / groups;
    let kernel = conv.weight[0].len() / width;
    let output = |position: u32, o: usize| {
        let mut sum = f64::from(conv.bias[o]);
        for tap in 0..kernel {
            let wanted = i64::from(position) + tap as i64 - (kernel as i64 - 1) / 2;
            let Some(token) = positions.iter().position(|&p| i64::from(p) == wanted) else {
                continue;
            };
            for c in 0..width {
                let weight = f64::from(conv.weight[o][c * kernel + tap]);
                sum += weight * x[token][o / width * width + c];
            }
        }
        sum
    };
    positions
        .iter()
        .map(|&p| (0..channels).map(|o| output(p, o)).collect())
        .collect()
}
