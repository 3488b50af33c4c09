//! Single precision: the vectors' own multiply-add.

use super::{Dot, Edge, Sums, as_they_lie, chained, tile_rows};
use crate::isa::Simd;

/// Products of `f32`, one value of k per step.
#[derive(Clone, Copy)]
pub(crate) struct Float<S>(pub(crate) S);

impl<S: Simd> Sums for Float<S> {
    type Simd = S;
    type Spread = S::Vector;
    type Columns = S::Vector;
    type Sum = S::Vector;
    const LEFT: usize = 4;
    const ROWS: usize = tile_rows::<S>();

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }
    #[inline(always)]
    unsafe fn spread(self, p: *const u8) -> S::Vector {
        // SAFETY: the caller promises four readable bytes.
        self.0.splat(unsafe { p.cast::<f32>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn columns(self, p: *const u32) -> S::Vector {
        // SAFETY: the caller promises a number per lane.
        unsafe { self.0.load(p.cast()) }
    }
    #[inline(always)]
    fn dot(self, sum: S::Vector, left: S::Vector, right: S::Vector) -> S::Vector {
        self.0.mul_add(left, right, sum)
    }
    chained!();
}

impl<S: Simd> Dot for Float<S> {
    const STEP: usize = 1;
    #[inline(always)]
    fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2] {
        for (to, from) in to.as_chunks_mut().0.iter_mut().zip(from) {
            *to = from.to_ne_bytes();
        }
        [1.0, 0.0]
    }
    as_they_lie!();
}
