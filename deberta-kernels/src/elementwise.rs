//! Applying a function to every value of a row, a vector at a time.

use crate::isa::Simd;

/// A function of one value, written over vectors.
///
/// A trait and not a closure: only a method can be `#[inline(always)]`, and without that the compiler may leave the
/// vector instructions of a large function behind calls.
pub(crate) trait Elementwise: Copy {
    /// `f(x)` for every lane.
    fn eval<S: Simd>(self, s: S, x: S::Vector) -> S::Vector;
}

/// Multiplication by a constant.
#[derive(Clone, Copy)]
pub(crate) struct Scale(pub(crate) f32);

impl Elementwise for Scale {
    #[inline(always)]
    fn eval<S: Simd>(self, s: S, x: S::Vector) -> S::Vector {
        s.mul(x, s.splat(self.0))
    }
}

/// Replaces every value of a row by its image.
#[inline(always)]
pub(crate) fn map<S: Simd, F: Elementwise>(s: S, row: &mut [f32], f: F) {
    for chunk in row.chunks_mut(S::LANES) {
        map_chunk(s, chunk, 0.0, f);
    }
}

/// Replaces the values of one vector, or of less than one filled up with `fill`; returns what it wrote, all lanes.
#[inline(always)]
pub(crate) fn map_chunk<S: Simd, F: Elementwise>(
    s: S,
    chunk: &mut [f32],
    fill: f32,
    f: F,
) -> S::Vector {
    if chunk.len() == S::LANES {
        let y = f.eval(s, s.load_slice(chunk));
        s.store_slice(y, chunk);
        y
    } else {
        let y = f.eval(s, s.load_partial(chunk, fill));
        s.store_partial(y, chunk);
        y
    }
}
