//! What the arithmetic units of a core can do.

use super::dot::{Dot, DotOperation, dispatch};
use super::tile::VECTORS;
use super::weights::Precision;
use crate::Isa;
use crate::isa::Simd;
use std::hint::black_box;
use std::time::Instant;

/// Steps per measurement: a few milliseconds.
const STEPS: usize = 400_000;
/// Measurements, of which the best counts.
const RUNS: usize = 7;

/// Operations per second (a multiplication and an addition are two) that one core of this processor reaches in a
/// register tile that never touches memory: the ceiling of every matrix product in that precision.
///
/// Takes some tens of milliseconds. With `threads` threads at once, expect less than that many times as much where
/// cores share their units or lower their frequency.
pub fn peak(isa: Isa, precision: Precision) -> f64 {
    struct Peak<'a>(&'a mut f64);
    impl DotOperation for Peak<'_> {
        #[inline(always)]
        fn run<D: Dot>(self, d: D) {
            let lanes = D::Simd::LANES;
            let (left, right) = (black_box([0u8; 8]), black_box([0u32; 16]));
            for _ in 0..RUNS {
                let start = Instant::now();
                let mut c = [0.0f32; 16];
                // SAFETY: the arrays hold what one step of one row and one vector of columns takes.
                let (mut sums, spread, columns) = unsafe {
                    (
                        [[d.begin(c.as_ptr(), false); VECTORS]; 8],
                        d.spread(left.as_ptr()),
                        d.columns(right.as_ptr()),
                    )
                };
                for _ in 0..STEPS {
                    for sums in sums.iter_mut().take(D::ROWS) {
                        for sum in sums {
                            *sum = d.dot(*sum, spread, columns);
                        }
                    }
                }
                for sum in sums.iter().take(D::ROWS).flatten() {
                    let ones = [1.0; 16];
                    let edge = super::dot::Edge {
                        row: &[1.0, 0.0],
                        scales: ones.as_ptr(),
                        totals: ones.as_ptr(),
                    };
                    // SAFETY: `c` and the factors hold a vector.
                    unsafe { d.end(*sum, c.as_mut_ptr(), true, edge) };
                }
                black_box(c);
                let seconds = start.elapsed().as_secs_f64();
                let operations = STEPS * D::ROWS * VECTORS * lanes * D::STEP * 2;
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
