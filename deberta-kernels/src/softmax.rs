//! The softmax function.

use crate::elementwise::{Elementwise, Scale, map, map_chunk};
use crate::isa::{Isa, Operation, Simd};
use crate::vecmath::exp_below;

/// `softmax(x)_i = exp(x_i - max x) / Σ_j exp(x_j - max x)`, in place.
///
/// Entries of minus infinity get zero. An empty row stays empty. With NaN or plus infinity among the entries, or nothing
/// but minus infinity, all are NaN.
///
/// Of rows up to 4,096 long, the largest weight is within 3 ULP, and another one within `5 + (max x - x_i)` ULP or 2^-126
/// if that is more: rounding the difference costs what its size says (6 and 8 instead without vectors of 8 or 16). The
/// weights sum to one within 4e-7.
///
/// ```
/// use deberta_kernels::{Isa, softmax};
/// let mut row = [1.0, 1.0, f32::NEG_INFINITY, 1.0, 1.0];
/// softmax(Isa::detect(), &mut row);
/// assert_eq!(row, [0.25, 0.25, 0.0, 0.25, 0.25]);
/// ```
pub fn softmax(isa: Isa, row: &mut [f32]) {
    isa.dispatch(Softmax { row });
}

struct Softmax<'a> {
    row: &'a mut [f32],
}

impl Operation for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let max = row_max(s, self.row);
        let sum = exp_sum(s, self.row, max);
        map(s, self.row, Scale(1.0 / sum));
    }
}

/// The largest value of a row; minus infinity if it is empty.
#[inline(always)]
pub(crate) fn row_max<S: Simd>(s: S, row: &[f32]) -> f32 {
    let mut max = s.splat(f32::NEG_INFINITY);
    let mut chunks = row.chunks_exact(S::LANES);
    for chunk in &mut chunks {
        max = s.max(max, s.load_slice(chunk));
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        max = s.max(max, s.load_partial(tail, f32::NEG_INFINITY));
    }
    s.max_lanes(max)
}

/// `exp(x - max)`
#[derive(Clone, Copy)]
struct ExpBelow(f32);

impl Elementwise for ExpBelow {
    #[inline(always)]
    fn eval<S: Simd>(self, s: S, x: S::Vector) -> S::Vector {
        exp_below(s, s.sub(x, s.splat(self.0)))
    }
}

/// Vectors of a row that are summed before their sum is added to the whole: of 4,096 values no sum is then the last of
/// more than some tens of additions, each of which rounds.
const BLOCK: usize = 16;

/// Replaces every value of a row by `exp(x - max)` and returns their sum.
#[inline(always)]
pub(crate) fn exp_sum<S: Simd>(s: S, row: &mut [f32], max: f32) -> f32 {
    let mut sum = s.splat(0.0);
    for block in row.chunks_mut(BLOCK * S::LANES) {
        let mut part = s.splat(0.0);
        for chunk in block.chunks_mut(S::LANES) {
            // Missing lanes are minus infinity, whose exponential adds nothing.
            part = s.add(part, map_chunk(s, chunk, f32::NEG_INFINITY, ExpBelow(max)));
        }
        sum = s.add(sum, part);
    }
    s.sum_lanes(sum)
}
