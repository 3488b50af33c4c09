//! Applying a function to every value of a row, a vector at a time.

use crate::isa::{Isa, Operation, Simd};

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
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for chunk in &mut chunks {
        s.store_slice(f.eval(s, s.load_slice(chunk)), chunk);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        s.store_partial(f.eval(s, s.load_partial(rest, 0.0)), rest);
    }
}

/// `to = from + other`, or a copy; as many values as `to` has.
///
/// # Panics
/// If there are fewer of the others.
pub(crate) fn add_rows(isa: Isa, from: &[f32], other: Option<&[f32]>, to: &mut [f32]) {
    let from = &from[..to.len()];
    match other {
        None => to.copy_from_slice(from),
        Some(other) => {
            let other = &other[..to.len()];
            isa.dispatch(AddRows { from, other, to });
        }
    }
}

struct AddRows<'a> {
    from: &'a [f32],
    other: &'a [f32],
    to: &'a mut [f32],
}

impl Operation for AddRows<'_> {
    type Output = ();

    // No vectors of ours: loops this simple, compiled for the instruction set, become what we would write.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((to, x), y) in self.to.iter_mut().zip(self.from).zip(self.other) {
            *to = x + y;
        }
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
