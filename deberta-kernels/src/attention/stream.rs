//! The running softmax that joins blocks of keys.
//!
//! After any number of blocks, with `m` the largest score so far, `sum = Σ 2^(s_j - m)` and `sums = Σ 2^(s_j - m)·V_j`.
//! A block with a larger score multiplies both by `2^(m_old - m_new)`; at the end `sums / sum` is the attention
//! (Milakov and Gimelshein, "Online normalizer calculation for softmax"). Scores come multiplied by `log2(e)`, which
//! makes powers of two of the exponentials.

use crate::elementwise::{Scale, map};
use crate::isa::{Isa, Operation, Simd};
use crate::vecmath::exp2_below_one;

/// The state of one query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    max: f32,
    sum: f32,
}

impl Running {
    /// Before the first block. Not minus infinity: a block whose scores are all minus infinity weighs nothing, and
    /// infinity minus infinity would make it NaN.
    pub(super) const START: Self = Self {
        max: f32::MIN,
        sum: 0.0,
    };
}

/// Folds the scores of a strip of queries with a block of keys into the running softmax of each query: turns them into
/// weights relative to the new maximum, and rescales what the query has summed up so far.
pub(super) struct Fold<'a> {
    /// One row per query, `stride` apart; the last vector of a row may go on beyond the keys.
    pub(super) scores: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) keys: usize,
    pub(super) states: &'a mut [Running],
    /// What the queries have summed up: rows of `width`.
    pub(super) sums: &'a mut [f32],
    pub(super) width: usize,
    /// Whether this is the first block, before which there is nothing to rescale.
    pub(super) first: bool,
}

impl Operation for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let lanes = S::LANES;
        let full = self.keys / lanes * lanes;
        let inside = s.first(self.keys - full);
        let none = s.splat(f32::NEG_INFINITY);
        let rows = self.scores.chunks_exact_mut(self.stride);
        let sums = self.sums.chunks_exact_mut(self.width);
        for ((row, state), summed) in rows.zip(self.states).zip(sums) {
            let (row, tail) = row[..self.keys.next_multiple_of(lanes)].split_at_mut(full);
            let mut largest = none;
            for scores in row.chunks_exact(lanes) {
                largest = s.max(largest, s.load_slice(scores));
            }
            if !tail.is_empty() {
                // Whatever stands beyond the last key weighs nothing.
                let scores = s.select(inside, s.load_slice(tail), none);
                s.store_slice(scores, tail);
                largest = s.max(largest, scores);
            }
            // False of NaN, which then comes out of the powers.
            let block = s.max_lanes(largest);
            let max = if block > state.max { block } else { state.max };
            let shift = s.splat(max);
            let mut sum = s.splat(0.0);
            for scores in row
                .chunks_exact_mut(lanes)
                .chain(tail.chunks_exact_mut(lanes))
            {
                let weights = exp2_below_one(s, s.sub(s.load_slice(scores), shift));
                s.store_slice(weights, scores);
                sum = s.add(sum, weights);
            }
            let mut sum = s.sum_lanes(sum);
            if !self.first {
                let mut before = state.sum;
                if max > state.max {
                    let mut fade = [0.0; 16];
                    s.store_slice(exp2_below_one(s, s.splat(state.max - max)), &mut fade);
                    map(s, summed, Scale(fade[0]));
                    before *= fade[0];
                }
                sum += before;
            }
            *state = Running { max, sum };
        }
    }
}

/// Divides what a query has summed up by the sum of its weights.
pub(super) fn finish(isa: Isa, state: Running, sums: &[f32], out: &mut [f32]) {
    struct Divide<'a>(&'a [f32], f32, &'a mut [f32]);
    impl Operation for Divide<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let factor = s.splat(self.1);
            let pairs = self.0.chunks(S::LANES).zip(self.2.chunks_mut(S::LANES));
            for (sums, out) in pairs {
                if out.len() == S::LANES {
                    s.store_slice(s.mul(s.load_slice(sums), factor), out);
                } else {
                    s.store_partial(s.mul(s.load_partial(sums, 0.0), factor), out);
                }
            }
        }
    }
    isa.dispatch(Divide(sums, 1.0 / state.sum, out));
}
