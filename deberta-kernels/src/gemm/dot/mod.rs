//! What a matrix product needs of an instruction set: sums of products of narrow or wide numbers.
//!
//! [`Sums`] multiply *steps* of one, two or four consecutive values of k and add them to a vector of sums; a [`Dot`] also
//! makes their operands. That is all in which the precisions and the instruction sets differ; the loops around it are
//! written once (`tile`).
//!
//! | precision | step | left operand, per step | AVX-512 | AVX2 | portable |
//! |---|---|---|---|---|---|
//! | f32 | 1 | `f32` | fused multiply-add | the same | multiply, add |
//! | bf16 | 2 | two bf16, or the same numbers as `f32` | `vdpbf16ps` where the processor has it, else two fused multiply-adds of widened numbers | the latter | the latter |
//! | int8 | 4 | four `u8`, or the same numbers as `u16` or `f32` | `vpdpbusd` where the processor has it, else `vpmaddwd` of widened pairs | the latter | multiply, add: `f32` holds the sums of a group exactly |
//!
//! Where columns are widened, a product of few rows does so as it reads them; one of many rows takes each panel apart once,
//! for all of them ([`Dot::widen`]), and goes on with sums of wide numbers ([`Dot::Wide`]): the same bits, sooner.
//!
//! All forms of int8 give the same integers: nothing saturates. Processors with AMX multiply many steps of many rows at a
//! time (`amx`), of operands that lie as those of `vdpbf16ps` and `vpdpbusd` do.

mod bf16;
mod float;
mod int8;
#[cfg(target_arch = "x86_64")]
mod pairs;

pub(crate) use bf16::{WideBf16, pair};
pub(crate) use float::Float;
pub(crate) use int8::PortableInt8;
#[cfg(target_arch = "x86_64")]
pub(crate) use {bf16::NativeBf16, int8::Vnni, pairs::PairsInt8};

use super::weights::Precision;
use crate::isa::{Isa, Simd};

/// Sums of products of steps of the left operand with columns of the right one: what a register tile does.
///
/// In the right operand a step of one column takes 32 bits: one `f32`, two bf16 (the first in the low half), two `i16`, or
/// four `i8` (the first in the lowest byte).
pub(crate) trait Sums: Copy + Send + Sync {
    /// The vectors of `f32` beside it.
    type Simd: Simd;
    /// A step of one row, in every lane.
    type Spread: Copy;
    /// A step of as many columns as a vector has lanes.
    type Columns: Copy;
    /// A sum per column.
    type Sum: Copy;
    /// Bytes of a step of one row of the left operand.
    const LEFT: usize;
    /// Rows of the largest register tile, three vectors wide.
    const ROWS: usize;
    /// Steps per turn of the innermost loop, which always come together.
    const UNROLLED: usize = 1;

    /// The instruction set.
    fn simd(self) -> Self::Simd;

    /// Reads a step of one row.
    ///
    /// # Safety
    /// `p` is valid for reading [`Sums::LEFT`] bytes.
    unsafe fn spread(self, p: *const u8) -> Self::Spread;
    /// Reads a step of a vector's columns.
    ///
    /// # Safety
    /// `p` is valid for reading a number per lane.
    unsafe fn columns(self, p: *const u32) -> Self::Columns;
    /// Adds the products of a step, the first value of k first.
    fn dot(self, sum: Self::Sum, left: Self::Spread, right: Self::Columns) -> Self::Sum;
    /// Sums to begin a group of steps with: what `c` holds if the sums go on from there and can.
    ///
    /// # Safety
    /// `c` is valid for reading a vector.
    unsafe fn begin(self, c: *const f32, accumulate: bool) -> Self::Sum;
    /// Writes sums to `c` at the end of a group of steps, or adds them if [`Sums::begin`] could not go on from there.
    ///
    /// # Safety
    /// `c` is valid for reading and writing a vector, and what `edge` points to for reading, where the precision has
    /// factors at all.
    unsafe fn end(self, sum: Self::Sum, c: *mut f32, accumulate: bool, edge: Edge);
}

/// Sums of products, and the forms of their operands: all that a precision is.
pub(crate) trait Dot: Sums {
    /// The same sums of a right operand that is taken apart beforehand, once for all strips of rows. Itself where there is
    /// nothing to take apart.
    type Wide: Sums<Simd = Self::Simd>;
    /// Values of k per step.
    const STEP: usize;
    /// Steps of [`Dot::Wide`] per step. The left operand is the same.
    const WIDER: usize;

    /// Rounds one row of `f32` to the left operand's form and returns what undoes it: see [`Edge::row`].
    ///
    /// `to` holds a step for every [`Dot::STEP`] values begun; what is missing in the last one counts as zero.
    fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2];

    /// The sums of operands taken apart.
    fn wide(self) -> Self::Wide;
    /// Takes a step of a vector's columns apart: step `i` of [`Dot::WIDER`] goes to `to + i·apart`.
    ///
    /// # Safety
    /// `from` is valid for reading and every `to + i·apart` for writing a number per lane.
    unsafe fn widen(self, from: *const u32, to: *mut u32, apart: usize);
}

/// The factors by which sums of quantised numbers become sums of real ones:
/// `scale[n]·(row[0]·sum + row[1]·total[n])`.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    /// Of the row in this group: size of a quantisation step, and the number that zero stands for.
    pub(crate) row: *const [f32; 2],
    /// Of a vector's columns in this group: size of a quantisation step.
    pub(crate) scales: *const f32,
    /// Of a vector's columns in this group: the sum of the quantised weights.
    pub(crate) totals: *const f32,
}

impl Edge {
    /// No factors, for sums that are real numbers already.
    pub(crate) const NONE: Self = Self {
        row: std::ptr::null(),
        scales: std::ptr::null(),
        totals: std::ptr::null(),
    };
}

/// An algorithm over a [`Dot`]: everything in it that touches vectors must be `#[inline(always)]`.
pub(crate) trait DotOperation {
    /// Runs.
    fn run<D: Dot>(self, d: D);
}

/// Runs an operation with the best products of a precision that an instruction set has.
pub(crate) fn dispatch(isa: Isa, precision: Precision, operation: impl DotOperation) {
    /// Calls a function whose instructions the products prove.
    #[cfg(target_arch = "x86_64")]
    macro_rules! proven {
        ($function:ident, $dot:expr) => {{
            let dot = $dot;
            // SAFETY: a value of this type exists only on processors that have the instructions.
            unsafe { $function(dot, operation) }
        }};
    }
    match (isa, precision) {
        (Isa::Portable(simd) | Isa::Generic(simd), Precision::F32) => operation.run(Float(simd)),
        (Isa::Portable(simd) | Isa::Generic(simd), Precision::Bf16) => {
            operation.run(WideBf16(simd));
        }
        (Isa::Portable(_) | Isa::Generic(_), Precision::Int8) => operation.run(PortableInt8),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2(simd), Precision::F32) => proven!(in_avx2, Float(simd)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2(simd), Precision::Bf16) => proven!(in_avx2, WideBf16(simd)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2(simd), Precision::Int8) => proven!(in_avx2, PairsInt8(simd)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512(simd), Precision::F32) => proven!(in_avx512, Float(simd)),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512(simd), Precision::Bf16) => match NativeBf16::new(simd) {
            Some(dot) => proven!(in_avx512_bf16, dot),
            None => proven!(in_avx512, WideBf16(simd)),
        },
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512(simd), Precision::Int8) => match Vnni::new(simd) {
            Some(dot) => proven!(in_avx512_vnni, dot),
            None => proven!(in_avx512, PairsInt8(simd)),
        },
    }
}

/// Values and bytes per step of the left operand.
pub(crate) fn left_step(isa: Isa, precision: Precision) -> (usize, usize) {
    struct Ask<'a>(&'a mut (usize, usize));
    impl DotOperation for Ask<'_> {
        fn run<D: Dot>(self, _: D) {
            *self.0 = (D::STEP, D::LEFT);
        }
    }
    let mut step = (0, 0);
    dispatch(isa, precision, Ask(&mut step));
    step
}

/// Defines functions in which the compiler may use certain instructions.
macro_rules! with_features {
    ($($name:ident: $features:literal;)*) => {$(
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name<D: Dot, O: DotOperation>(dot: D, operation: O) {
            operation.run(dot);
        }
    )*};
}
with_features! {
    in_avx2: "avx2,fma";
    in_avx512: "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma";
    in_avx512_vnni: "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma";
    in_avx512_bf16: "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma";
}

/// `begin` and `end` of sums that are real numbers from the first step on: one chain, whatever the groups and blocks.
macro_rules! chained {
    () => {
        #[inline(always)]
        unsafe fn begin(self, c: *const f32, accumulate: bool) -> Self::Sum {
            if accumulate {
                // SAFETY: the caller promises a readable vector.
                unsafe { self.simd().load(c) }
            } else {
                self.simd().splat(0.0)
            }
        }
        #[inline(always)]
        unsafe fn end(self, sum: Self::Sum, c: *mut f32, _: bool, _: Edge) {
            // SAFETY: the caller promises a writable vector.
            unsafe { self.simd().store(sum, c) }
        }
    };
}
use chained;

/// The wide form of products that read their columns as they lie.
macro_rules! as_they_lie {
    () => {
        type Wide = Self;
        const WIDER: usize = 1;
        #[inline(always)]
        fn wide(self) -> Self {
            self
        }
        #[inline(always)]
        unsafe fn widen(self, from: *const u32, to: *mut u32, _: usize) {
            // SAFETY: the caller promises a vector at both addresses.
            unsafe { from.copy_to_nonoverlapping(to, <Self::Simd as Simd>::LANES) }
        }
    };
}
use as_they_lie;

/// Rows of a register tile three vectors wide: with the vectors themselves it fills 32 or 16 registers.
const fn tile_rows<S: Simd>() -> usize {
    if S::LANES == 16 { 8 } else { 4 }
}
