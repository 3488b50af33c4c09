//! 8-bit integers with sums in 32 bits: unsigned activations times signed weights.
//!
//! A row of activations `x` in one group of k is kept as `x ≈ step·q + low` with `q` from 0 to 255, a column of weights
//! as `w ≈ scale·p` with `p` from -127 to 127. Their product over the group is then
//!
//! ```text
//! Σ_k x_k·w_k  ≈  scale·( step·Σ_k q_k·p_k + low·Σ_k p_k )
//! ```
//!
//! The first sum is exact in integers, the second is known when the weights are packed.

use super::{Dot, Edge, Sums, tile_rows};
use crate::gemm::weights::LARGEST_GROUP;
use crate::isa::{Portable, Simd};

/// The largest number of the left operand.
const LEVELS: f32 = 255.0;

/// The step and the lowest value of a group: `x ≈ step·q + low`. NaN or an infinity in the group makes the step NaN,
/// and so every sum that the group is part of.
#[inline(always)]
pub(super) fn range<S: Simd>(s: S, values: &[f32]) -> [f32; 2] {
    let first = values.first().copied().unwrap_or(0.0);
    let (mut low, mut high, mut doubt) = (s.splat(first), s.splat(first), s.splat(0.0));
    let chunks = values.chunks_exact(S::LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        let x = s.load_slice(chunk);
        low = s.min(low, x);
        high = s.max(high, x);
        // Zero, or NaN where x is not finite.
        doubt = s.mul_add(x, s.splat(0.0), doubt);
    }
    if !rest.is_empty() {
        let x = s.load_partial(rest, first);
        low = s.min(low, x);
        high = s.max(high, x);
        doubt = s.mul_add(x, s.splat(0.0), doubt);
    }
    let high = s.max_lanes(high);
    let low = -s.max_lanes(s.sub(s.splat(0.0), low));
    let doubt = s.sum_lanes(doubt);
    [(high - low) / LEVELS + doubt, low]
}

/// Rounds values to `q`, a byte each, where `range` is that of their group.
#[inline(always)]
pub(super) fn quantize<S: Simd>(s: S, [step, low]: [f32; 2], values: &[f32], to: &mut [u8]) {
    // Of a step that is not a normal number the inverse might be infinite; so small, it does not matter.
    let normal = step >= f32::MIN_POSITIVE;
    let inverse = if normal { 1.0 / step } else { 0.0 };
    let (inverse, lowest) = (s.splat(inverse), s.splat(low));
    let chunks = values.chunks_exact(S::LANES);
    let rest = chunks.remainder();
    let (full, last) = to.split_at_mut(values.len() - rest.len());
    for (from, to) in chunks.zip(full.chunks_exact_mut(S::LANES)) {
        let q = s.mul(s.sub(s.load_slice(from), lowest), inverse);
        // SAFETY: the slice has a byte per lane.
        unsafe { s.store_bytes(q, to.as_mut_ptr()) };
    }
    if !rest.is_empty() {
        let q = s.mul(s.sub(s.load_partial(rest, low), lowest), inverse);
        let mut bytes = [0; 16];
        // SAFETY: no vector has more than 16 lanes.
        unsafe { s.store_bytes(q, bytes.as_mut_ptr()) };
        last.copy_from_slice(&bytes[..last.len()]);
    }
}

/// Rounds a group of values; four bytes per step, as they are.
#[inline(always)]
fn narrow_bytes<S: Simd>(s: S, from: &[f32], to: &mut [u8]) -> [f32; 2] {
    let range = range(s, from);
    let (given, missing) = to.split_at_mut(from.len());
    missing.fill(0);
    quantize(s, range, from, given);
    range
}

/// `begin` and `end` of integer sums: a group's integers are complete before they become real numbers.
macro_rules! grouped {
    ($simd:ty, $zero:expr, $to_float:expr) => {
        #[inline(always)]
        unsafe fn begin(self, _: *const f32, _: bool) -> Self::Sum {
            $zero
        }
        #[inline(always)]
        unsafe fn end(self, sum: Self::Sum, c: *mut f32, accumulate: bool, edge: Edge) {
            let s = self.simd();
            // SAFETY: the caller promises a vector at `c` and at the factors of the columns, and one pair for the row.
            unsafe {
                let [step, low] = *edge.row;
                let constant = s.mul(s.splat(low), s.load(edge.totals));
                let product = s.mul_add(s.splat(step), $to_float(sum), constant);
                let scales = s.load(edge.scales);
                let c_new = if accumulate {
                    s.mul_add(scales, product, s.load(c))
                } else {
                    s.mul(scales, product)
                };
                s.store(c_new, c);
            }
        }
    };
}

pub(super) use grouped;

/// Plain code. Both operands are kept or taken apart as `f32`: a group's sums stay below 2^24, so that those are exact, and
/// multiplied as fast as any others.
#[derive(Clone, Copy)]
pub(crate) struct PortableInt8;

/// The same with the right operand taken apart beforehand: a step is one value.
#[derive(Clone, Copy)]
pub(crate) struct PortableFloats;

const _: () = assert!(LARGEST_GROUP * 255 * 127 < 1 << 24);

impl Sums for PortableInt8 {
    type Simd = Portable;
    type Spread = [f32; 4];
    type Columns = [[i8; 4]; 4];
    type Sum = [f32; 4];
    const LEFT: usize = 16;
    const ROWS: usize = tile_rows::<Portable>();

    #[inline(always)]
    fn simd(self) -> Portable {
        Portable
    }
    #[inline(always)]
    unsafe fn spread(self, p: *const u8) -> [f32; 4] {
        // SAFETY: the caller promises sixteen readable bytes.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn columns(self, p: *const u32) -> [[i8; 4]; 4] {
        // SAFETY: the caller promises four columns of four bytes.
        unsafe { p.cast::<[[i8; 4]; 4]>().read() }
    }
    #[inline(always)]
    fn dot(self, sum: [f32; 4], left: [f32; 4], right: [[i8; 4]; 4]) -> [f32; 4] {
        std::array::from_fn(|column| {
            let products = left.iter().zip(right[column]);
            sum[column] + products.map(|(&q, p)| q * f32::from(p)).sum::<f32>()
        })
    }
    grouped!(Portable, [0.0; 4], |sum: [f32; 4]| sum);
}

impl Dot for PortableInt8 {
    const STEP: usize = 4;
    #[inline(always)]
    fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2] {
        const PART: usize = 64;
        let range = range(Portable, from);
        for (from, to) in from.chunks(PART).zip(to.chunks_mut(4 * PART)) {
            let mut bytes = [0; PART];
            quantize(Portable, range, from, &mut bytes[..from.len()]);
            // What is missing in the last step is zero.
            for (to, byte) in to.as_chunks_mut().0.iter_mut().zip(bytes) {
                *to = f32::from(byte).to_ne_bytes();
            }
        }
        range
    }

    type Wide = PortableFloats;
    const WIDER: usize = 4;
    #[inline(always)]
    fn wide(self) -> PortableFloats {
        PortableFloats
    }
    #[inline(always)]
    unsafe fn widen(self, from: *const u32, to: *mut u32, apart: usize) {
        // SAFETY: the caller promises four columns, and room for four numbers at each of four addresses.
        unsafe {
            let columns = self.columns(from);
            for i in 0..4 {
                let step = columns.map(|column| f32::from(column[i]));
                Portable.store(step, to.add(i * apart).cast());
            }
        }
    }
}

impl Sums for PortableFloats {
    type Simd = Portable;
    type Spread = [f32; 4];
    type Columns = [f32; 4];
    type Sum = [f32; 4];
    const LEFT: usize = 4;
    const ROWS: usize = tile_rows::<Portable>();

    #[inline(always)]
    fn simd(self) -> Portable {
        Portable
    }
    #[inline(always)]
    unsafe fn spread(self, p: *const u8) -> [f32; 4] {
        // SAFETY: the caller promises four readable bytes.
        Portable.splat(unsafe { p.cast::<f32>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn columns(self, p: *const u32) -> [f32; 4] {
        // SAFETY: the caller promises a number per lane.
        unsafe { Portable.load(p.cast()) }
    }
    #[inline(always)]
    fn dot(self, sum: [f32; 4], left: [f32; 4], right: [f32; 4]) -> [f32; 4] {
        Portable.mul_add(left, right, sum)
    }
    grouped!(Portable, [0.0; 4], |sum: [f32; 4]| sum);
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Vnni;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::as_they_lie;
    use super::*;
    use crate::isa::Avx512;
    use std::arch::x86_64::*;

    /// Four products and their sum in one instruction, `vpdpbusd`.
    #[derive(Clone, Copy)]
    pub(crate) struct Vnni(Avx512);

    impl Vnni {
        /// The products, if the instruction set has the extension.
        pub(crate) fn new(simd: Avx512) -> Option<Self> {
            simd.has_vnni().then_some(Self(simd))
        }
    }

    impl Sums for Vnni {
        type Simd = Avx512;
        type Spread = __m512i;
        type Columns = __m512i;
        type Sum = __m512i;
        const LEFT: usize = 4;
        const ROWS: usize = tile_rows::<Avx512>();

        #[inline(always)]
        fn simd(self) -> Avx512 {
            self.0
        }
        #[inline(always)]
        unsafe fn spread(self, p: *const u8) -> __m512i {
            // SAFETY: the caller promises four readable bytes, and self the instruction.
            unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn columns(self, p: *const u32) -> __m512i {
            // SAFETY: the caller promises sixteen columns, and self the instruction.
            unsafe { _mm512_loadu_si512(p.cast()) }
        }
        #[inline(always)]
        fn dot(self, sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
            // SAFETY: a value of the type exists only on processors that have the instruction.
            unsafe { _mm512_dpbusd_epi32(sum, left, right) }
        }
        grouped!(
            Avx512,
            // SAFETY: a value of the type exists only on processors that have the instruction.
            unsafe { _mm512_setzero_si512() },
            |sum| _mm512_cvtepi32_ps(sum)
        );
    }

    impl Dot for Vnni {
        const STEP: usize = 4;
        #[inline(always)]
        fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2] {
            narrow_bytes(self.0, from, to)
        }
        as_they_lie!();
    }
}
