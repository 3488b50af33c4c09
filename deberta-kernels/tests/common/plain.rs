//! Cases of attention without position terms, and what plain loops say.

use super::Random;
use deberta_kernels::{
    Isa, PlainAttention, Precision, causal_attention, cross_attention, reference,
};
use half::bf16;
use ndarray::{Array2, s};
use std::ops::Range;

/// The weights of the softmax are rounded too, each by up to one part in 512; scores are exact but for the order of
/// their sums.
pub(crate) const BF16_TOLERANCE: f64 = 4e-3;

/// Operands of B pairs of sequences.
#[derive(Clone)]
pub(crate) struct Operands {
    pub(crate) query: Array2<f32>,
    pub(crate) key: Array2<f32>,
    pub(crate) value: Array2<f32>,
    pub(crate) heads: usize,
    pub(crate) scale: f32,
    pub(crate) query_bounds: Vec<usize>,
    pub(crate) key_bounds: Vec<usize>,
}

impl Operands {
    /// Random operands of pairs of lengths (queries, keys).
    pub(crate) fn new(heads: usize, size: usize, lengths: &[(usize, usize)], seed: u64) -> Self {
        let (queries, keys): (Vec<usize>, Vec<usize>) = lengths.iter().copied().unzip();
        let (query_bounds, key_bounds) = (
            super::attention::bounds(&queries),
            super::attention::bounds(&keys),
        );
        let width = heads * size;
        let mut random = Random::new(seed);
        let mut matrix = |bounds: &[usize]| {
            let rows = bounds[bounds.len() - 1];
            Array2::from_shape_vec((rows, width), random.normals(rows * width, 1.0)).unwrap()
        };
        Self {
            query: matrix(&query_bounds),
            key: matrix(&key_bounds),
            value: matrix(&key_bounds),
            heads,
            scale: 1.0 / (size as f32).sqrt(),
            query_bounds,
            key_bounds,
        }
    }

    /// The same, rounded to bf16.
    pub(crate) fn rounded(&self) -> Self {
        let round = |matrix: &Array2<f32>| matrix.mapv(|x| bf16::from_f32(x).to_f32());
        Self {
            query: round(&self.query),
            key: round(&self.key),
            value: round(&self.value),
            ..self.clone()
        }
    }

    /// One pair of sequences: some of its queries and of its keys.
    pub(crate) fn part(&self, sequence: usize, queries: Range<usize>, keys: Range<usize>) -> Self {
        let rows = |matrix: &Array2<f32>, bounds: &[usize], range: &Range<usize>| {
            let first = bounds[sequence];
            let range = first + range.start..first + range.end;
            matrix.slice(s![range, ..]).to_owned()
        };
        Self {
            query: rows(&self.query, &self.query_bounds, &queries),
            key: rows(&self.key, &self.key_bounds, &keys),
            value: rows(&self.value, &self.key_bounds, &keys),
            query_bounds: vec![0, queries.len()],
            key_bounds: vec![0, keys.len()],
            ..self.clone()
        }
    }

    pub(crate) fn attention(&self, precision: Precision) -> PlainAttention<'_> {
        PlainAttention {
            query: self.query.view(),
            key: self.key.view(),
            value: self.value.view(),
            heads: self.heads,
            scale: self.scale,
            precision,
            query_bounds: &self.query_bounds,
            key_bounds: &self.key_bounds,
        }
    }

    /// The kernel's result.
    pub(crate) fn run(&self, isa: Isa, precision: Precision, causal: bool) -> Array2<f32> {
        let mut out = Array2::from_elem(self.query.raw_dim(), f32::NAN);
        let attention = self.attention(precision);
        let run = if causal {
            causal_attention
        } else {
            cross_attention
        };
        run(isa, &attention, out.view_mut()).unwrap();
        out
    }

    /// The result of plain loops in `f64`.
    pub(crate) fn expected(&self, causal: bool) -> Vec<f64> {
        let width = self.query.ncols();
        let size = width / self.heads;
        let mut out = vec![f64::NAN; self.query.len()];
        let pairs = self.query_bounds.windows(2).zip(self.key_bounds.windows(2));
        for (queries, keys) in pairs {
            let older = (keys[1] - keys[0]) as isize - (queries[1] - queries[0]) as isize;
            for head in 0..self.heads {
                let columns = head * size..(head + 1) * size;
                let of = |matrix: &Array2<f32>| -> Vec<f32> {
                    let rows = matrix.slice(s![keys[0]..keys[1], columns.clone()]);
                    rows.iter().copied().collect()
                };
                let (key, value) = (of(&self.key), of(&self.value));
                for query in queries[0]..queries[1] {
                    let seen = if causal {
                        0..((query - queries[0]) as isize + older + 1) as usize
                    } else {
                        0..keys[1] - keys[0]
                    };
                    let row = self.query.slice(s![query, columns.clone()]).to_vec();
                    let result = reference::attend(&row, &key, &value, self.scale, seen);
                    out[query * width + columns.start..][..size].copy_from_slice(&result);
                }
            }
        }
        out
    }
}
