//! The running softmax that joins blocks of keys.
//!
//! After any number of blocks, with `m` the largest score so far, `sum = Σ exp(s_j - m)` and `out = Σ exp(s_j - m)·V_j`.
//! A block with a larger score multiplies both by `exp(m_old - m_new)`; at the end `out / sum` is the attention
//! (Milakov and Gimelshein, "Online normalizer calculation for softmax").

use crate::elementwise::{Scale, map};
use crate::isa::{Isa, Operation, Simd};
use crate::softmax::{exp_sum, row_max};
use crate::vecmath::exp;

/// The state of one query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    max: f32,
    sum: f32,
}

impl Running {
    /// Before the first block.
    pub(super) const START: Self = Self {
        max: f32::NEG_INFINITY,
        sum: 0.0,
    };
}

/// Turns the scores of one query with a block of keys into weights relative to the new maximum, and rescales what the
/// query has summed up so far.
pub(super) struct Fold<'a> {
    pub(super) scores: &'a mut [f32],
    pub(super) scale: f32,
    pub(super) state: &'a mut Running,
    pub(super) out: &'a mut [f32],
}

/// Folds a block into the running softmax of each of its queries.
pub(super) fn fold<'a>(isa: Isa, queries: impl Iterator<Item = Fold<'a>>) {
    isa.dispatch(FoldAll { queries });
}

struct FoldAll<I> {
    queries: I,
}

impl<'a, I: Iterator<Item = Fold<'a>>> Operation for FoldAll<I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for Fold {
            scores,
            scale,
            state,
            out,
        } in self.queries
        {
            map(s, scores, Scale(scale));
            let max = state.max.max(row_max(s, scores));
            let sum = exp_sum(s, scores, max);
            let mut fade = [0.0; 16];
            s.store_slice(exp(s, s.splat(state.max - max)), &mut fade);
            if max > state.max {
                map(s, out, Scale(fade[0]));
            }
            *state = Running {
                max,
                sum: state.sum * fade[0] + sum,
            };
        }
    }
}

/// Divides what a query has summed up by the sum of its weights.
pub(super) fn finish(isa: Isa, state: Running, out: &mut [f32]) {
    struct Divide<'a>(&'a mut [f32], f32);
    impl Operation for Divide<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            map(s, self.0, Scale(self.1));
        }
    }
    isa.dispatch(Divide(out, 1.0 / state.sum));
}
