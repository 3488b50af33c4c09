//! What the arithmetic units of a core can do.

use super::dot::{Dot, DotOperation, Sums, dispatch};
use super::tile::VECTORS;
use super::weights::Precision;
use crate::Isa;
use crate::isa::Simd;
use std::hint::black_box;
use std::time::Instant;

/// Steps per measurement: a few milliseconds.
const STEPS: usize = 1600 * KEPT;
/// Measurements, of which the best counts.
const RUNS: usize = 7;

/// Operations per second (a multiplication and an addition are two) that one core of this processor reaches in a
/// register tile whose columns stay in registers and whose rows are in the nearest cache (on tiles of AMX, both in
/// registers): the ceiling of every matrix product in that precision.
///
/// Takes some tens of milliseconds. With `threads` threads at once, expect less than that many times as much where
/// cores share their units or lower their frequency.
pub fn peak(isa: Isa, precision: Precision) -> f64 {
    struct Peak<'a>(&'a mut f64);
    impl DotOperation for Peak<'_> {
        #[inline(always)]
        fn run<D: Dot>(self, d: D) {
            for _ in 0..RUNS {
                let start = Instant::now();
                tile(d.wide());
                let seconds = start.elapsed().as_secs_f64();
                let lanes = D::Simd::LANES;
                let operations = STEPS * D::Wide::ROWS * VECTORS * lanes * D::STEP / D::WIDER * 2;
                *self.0 = self.0.max(operations as f64 / seconds);
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    if let (Isa::Avx512(simd), Precision::Bf16 | Precision::Int8) = (isa, precision)
        && simd.has_amx()
    {
        return super::amx::peak(simd, precision, RUNS);
    }
    let mut best = 0.0;
    dispatch(isa, precision, Peak(&mut best));
    best
}

/// Rows of the largest register tile of all.
const MOST_ROWS: usize = 8;
/// Steps of a row that are kept: the rows of a tile then take a quarter of the nearest cache.
const KEPT: usize = 256;

/// [`STEPS`] steps of the largest register tile.
#[inline(always)]
fn tile<S: Sums>(s: S) {
    // Rows must differ from step to step: else the compiler would multiply but once.
    let row = KEPT * S::LEFT;
    let left = black_box([0u8; MOST_ROWS * KEPT * 4]);
    let right = black_box([0u32; 16 * VECTORS]);
    assert!(S::ROWS * row <= left.len() && VECTORS * S::Simd::LANES <= right.len());
    let c = [0.0f32; 16];
    // SAFETY: the arrays hold a vector of sums, and vectors of columns.
    let (mut sums, columns) = unsafe {
        let mut columns = [s.columns(right.as_ptr()); VECTORS];
        for (v, columns) in columns.iter_mut().enumerate() {
            *columns = s.columns(right.as_ptr().add(v * S::Simd::LANES));
        }
        ([[s.begin(c.as_ptr(), false); VECTORS]; MOST_ROWS], columns)
    };
    for _ in 0..STEPS / KEPT {
        for step in 0..KEPT {
            for (i, sums) in sums.iter_mut().enumerate().take(S::ROWS) {
                // SAFETY: there are this many rows of this many steps.
                let spread = unsafe { s.spread(left.as_ptr().add(i * row + step * S::LEFT)) };
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = s.dot(*sum, spread, columns);
                }
            }
        }
    }
    black_box(sums);
}
