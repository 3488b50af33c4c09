//! The running softmax that joins blocks of keys.
//!
//! After any number of blocks, with `m` the largest score so far, `sum = Σ exp(s_j - m)` and `sums = Σ exp(s_j - m)·V_j`.
//! A block with a larger score multiplies both by `exp(m_old - m_new)`; at the end `sums / sum` is the attention
//! (Milakov and Gimelshein, "Online normalizer calculation for softmax"). What lies between a score and the largest
//! is multiplied by `scale·log2(e)`: scores are sums of products as they are, rounded once less, and exponentials are
//! powers of two.

use super::panels::MOST_LANES;
use super::tile::{QUERY_BLOCK, SCORE_STRIDE};
use crate::elementwise::{Scale, map};
use crate::gemm::Target;
use crate::isa::{Operation, Simd};
use crate::vecmath::exp2_below_one;

/// The states of a block of queries.
pub(super) struct Running {
    /// The largest score so far.
    max: [f32; QUERY_BLOCK],
    /// The sum of the weights so far.
    sum: [f32; QUERY_BLOCK],
}

impl Running {
    /// Before the first block of keys. Not minus infinity: a block whose scores are all minus infinity weighs nothing,
    /// and infinity minus infinity would make it NaN.
    pub(super) const START: Self = Self {
        max: [f32::MIN; QUERY_BLOCK],
        sum: [0.0; QUERY_BLOCK],
    };
}

/// One value per query and lane, for as many queries as there are lanes: transposed, what was to be reduced over the
/// lanes of a vector lies in as many vectors.
pub(super) struct Lanes([f32; MOST_LANES * MOST_LANES]);

impl Lanes {
    pub(super) const ZEROS: Self = Self([0.0; MOST_LANES * MOST_LANES]);

    #[inline(always)]
    pub(super) fn set<S: Simd>(&mut self, s: S, row: usize, value: S::Vector) {
        s.store_slice(value, &mut self.0[row * S::LANES..]);
    }

    #[inline(always)]
    pub(super) fn transposed<S: Simd>(&self, s: S) -> Self {
        let mut turned = Self::ZEROS;
        // SAFETY: both hold LANES rows of LANES values.
        unsafe { s.transpose(self.0.as_ptr(), S::LANES, turned.0.as_mut_ptr(), S::LANES) };
        turned
    }

    #[inline(always)]
    pub(super) fn get<S: Simd>(&self, s: S, row: usize) -> S::Vector {
        s.load_slice(&self.0[row * S::LANES..])
    }
}

/// Folds the scores of a strip of queries with a block of keys into the running softmax of each query: turns them into
/// weights relative to the new maximum, and rescales what the query has summed up so far.
pub(super) struct Fold<'a> {
    /// One row per query, [`SCORE_STRIDE`] apart; the last vector of a row may go on beyond the keys.
    pub(super) scores: &'a mut [f32],
    pub(super) keys: usize,
    /// Of the keys, as many at the end are hidden from the first query of the strip, one less from each further one.
    pub(super) hidden: usize,
    /// What scores are multiplied by, not negative.
    pub(super) scale: f32,
    pub(super) running: &'a mut Running,
    /// The strip begins at this query of the block.
    pub(super) query: usize,
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
        let keys_of = |row: usize| self.keys - self.hidden.saturating_sub(row).min(self.keys);
        let none = s.splat(f32::NEG_INFINITY);
        let scale = s.splat(self.scale);
        let mut per_lane = Lanes::ZEROS;
        let groups = self.scores.chunks_mut(lanes * SCORE_STRIDE);
        let sums = self.sums.chunks_mut(lanes * self.width);
        for ((index, scores), sums) in groups.enumerate().zip(sums) {
            let query = self.query + index * lanes;
            for (r, row) in scores.chunks_exact_mut(SCORE_STRIDE).enumerate() {
                let keys = keys_of(index * lanes + r);
                let full = keys / lanes * lanes;
                let mut largest = none;
                for scores in row[..full].chunks_exact(lanes) {
                    largest = s.max(largest, s.load_slice(scores));
                }
                if full < keys {
                    let scores = s.load_slice(&row[full..]);
                    let inside = s.first(keys - full);
                    largest = s.max(largest, s.select(inside, scores, none));
                }
                per_lane.set(s, r, largest);
            }
            let before = s.load_slice(&self.running.max[query..]);
            let mut max = before;
            let turned = per_lane.transposed(s);
            for lane in 0..lanes {
                let largest = turned.get(s, lane);
                // False of NaN, which then comes out of the powers.
                max = s.select(s.less(max, largest), largest, max);
            }
            s.store_slice(max, &mut self.running.max[query..]);

            let maxima = &self.running.max[query..];
            let rows = scores.chunks_exact_mut(SCORE_STRIDE).zip(maxima);
            for (r, (row, &max)) in rows.enumerate() {
                let keys = keys_of(index * lanes + r);
                let full = keys / lanes * lanes;
                let max = s.splat(max);
                let mut sum = s.splat(0.0);
                for scores in row[..full].chunks_exact_mut(lanes) {
                    let below = s.mul(s.sub(s.load_slice(scores), max), scale);
                    let weights = exp2_below_one(s, below);
                    s.store_slice(weights, scores);
                    sum = s.add(sum, weights);
                }
                if full < keys {
                    let inside = s.first(keys - full);
                    // Whatever stands beyond the last key weighs nothing.
                    let below = s.mul(s.sub(s.load_slice(&row[full..]), max), scale);
                    let weights = s.select(inside, exp2_below_one(s, below), s.splat(0.0));
                    s.store_slice(weights, &mut row[full..]);
                    sum = s.add(sum, weights);
                }
                if keys < self.keys {
                    row[keys..self.keys].fill(0.0);
                }
                per_lane.set(s, r, sum);
            }
            let fade = exp2_below_one(s, s.mul(s.sub(before, max), scale));
            let mut sum = s.mul(fade, s.load_slice(&self.running.sum[query..]));
            let turned = per_lane.transposed(s);
            for lane in 0..lanes {
                sum = s.add(sum, turned.get(s, lane));
            }
            s.store_slice(sum, &mut self.running.sum[query..]);

            if !self.first {
                let mut fades = [0.0; MOST_LANES];
                s.store_slice(fade, &mut fades);
                for (summed, &fade) in sums.chunks_exact_mut(self.width).zip(&fades) {
                    if fade != 1.0 {
                        map(s, summed, Scale(fade));
                    }
                }
            }
        }
    }
}

/// Asks for the memory of outputs that are soon to be written.
pub(super) struct Expect {
    pub(super) out: Target,
    pub(super) rows: usize,
}

impl Operation for Expect {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in 0..self.rows {
            // SAFETY: the task has these rows of the output to itself.
            let row = unsafe { self.out.row(i) };
            for line in row.chunks(MOST_LANES) {
                s.prefetch(line.as_ptr());
            }
        }
    }
}

/// Divides what a strip of queries has summed up by the sums of its weights.
pub(super) struct Finish<'a> {
    pub(super) running: &'a Running,
    /// The strip begins at this query of the block.
    pub(super) query: usize,
    pub(super) sums: &'a [f32],
    pub(super) width: usize,
    pub(super) out: Target,
}

impl Operation for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let weights = &self.running.sum[self.query..];
        let rows = self.sums.chunks_exact(self.width).zip(weights);
        for (i, (sums, &weight)) in rows.enumerate() {
            let factor = s.splat(1.0 / weight);
            // SAFETY: the task has these rows of the output to itself.
            let out = unsafe { self.out.row(i) };
            let pairs = sums.chunks_exact(S::LANES).zip(out.chunks_mut(S::LANES));
            for (sums, out) in pairs {
                let values = s.mul(s.load_slice(sums), factor);
                if out.len() == S::LANES {
                    s.store_slice(values, out);
                } else {
                    s.store_partial(values, out);
                }
            }
        }
    }
}
