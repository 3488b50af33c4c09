//! bf16, the upper half of `f32`, with sums in `f32`.

use super::{Dot, Edge, Float, Sums, as_they_lie, chained, tile_rows};
use crate::isa::{Portable, Simd};

/// The nearest bf16, ties to even, as a number and not as bits. NaN stays NaN.
#[inline(always)]
pub(super) fn rounded(x: f32) -> f32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() {
        bits | 0x0040_0000
    } else {
        nearest
    })
}

/// Two bf16 in 32 bits, the first in the low half.
#[inline(always)]
pub(crate) fn pair(first: f32, second: f32) -> u32 {
    rounded(first).to_bits() >> 16 | rounded(second).to_bits() & 0xffff_0000
}

/// Both halves of pairs of bf16, widened to `f32`.
pub(crate) trait Halves: Simd {
    /// The first and the second number of each pair.
    ///
    /// # Safety
    /// `p` is valid for reading a pair per lane.
    unsafe fn halves(self, p: *const u32) -> (Self::Vector, Self::Vector);
}

impl Halves for Portable {
    #[inline(always)]
    unsafe fn halves(self, p: *const u32) -> ([f32; 4], [f32; 4]) {
        // SAFETY: the caller promises four readable pairs.
        let pairs = unsafe { p.cast::<[u32; 4]>().read_unaligned() };
        (
            pairs.map(|pair| f32::from_bits(pair << 16)),
            pairs.map(|pair| f32::from_bits(pair & 0xffff_0000)),
        )
    }
}

/// Products of bf16 for every processor: pairs are widened and multiplied as `f32`, exactly what the narrow numbers
/// give. The left operand is kept widened, so that only the right one costs anything.
#[derive(Clone, Copy)]
pub(crate) struct WideBf16<S>(pub(crate) S);

impl<S: Halves> Sums for WideBf16<S> {
    type Simd = S;
    type Spread = (S::Vector, S::Vector);
    type Columns = (S::Vector, S::Vector);
    type Sum = S::Vector;
    const LEFT: usize = 8;
    const ROWS: usize = tile_rows::<S>();

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }
    #[inline(always)]
    unsafe fn spread(self, p: *const u8) -> Self::Spread {
        let p = p.cast::<f32>();
        // SAFETY: the caller promises eight readable bytes.
        let (first, second) = unsafe { (p.read_unaligned(), p.add(1).read_unaligned()) };
        (self.0.splat(first), self.0.splat(second))
    }
    #[inline(always)]
    unsafe fn columns(self, p: *const u32) -> Self::Columns {
        // SAFETY: the caller promises a pair per lane.
        unsafe { self.0.halves(p) }
    }
    #[inline(always)]
    fn dot(self, sum: S::Vector, left: Self::Spread, right: Self::Columns) -> S::Vector {
        let sum = self.0.mul_add(left.0, right.0, sum);
        self.0.mul_add(left.1, right.1, sum)
    }
    chained!();
}

impl<S: Halves> Dot for WideBf16<S> {
    const STEP: usize = 2;
    #[inline(always)]
    fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2] {
        let to = to.as_chunks_mut::<4>().0;
        let (given, missing) = to.split_at_mut(from.len());
        for (to, &from) in given.iter_mut().zip(from) {
            *to = rounded(from).to_ne_bytes();
        }
        missing.fill([0; 4]);
        [1.0, 0.0]
    }
    // Widened pairs are two numbers one after the other, in the order in which they are multiplied here.
    type Wide = Float<S>;
    const WIDER: usize = 2;
    #[inline(always)]
    fn wide(self) -> Float<S> {
        Float(self.0)
    }
    #[inline(always)]
    unsafe fn widen(self, from: *const u32, to: *mut u32, apart: usize) {
        // SAFETY: the caller promises a pair per lane, and room for a number per lane at both addresses.
        unsafe {
            let (first, second) = self.0.halves(from);
            self.0.store(first, to.cast());
            self.0.store(second, to.add(apart).cast());
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use native::NativeBf16;

#[cfg(target_arch = "x86_64")]
mod native {
    use super::*;
    use crate::isa::{Avx2, Avx512};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    impl Halves for Avx2 {
        #[inline(always)]
        unsafe fn halves(self, p: *const u32) -> (__m256, __m256) {
            // SAFETY: the caller promises eight readable pairs, and self the instructions.
            unsafe {
                let pairs = _mm256_loadu_si256(p.cast());
                let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
                (
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)),
                    _mm256_castsi256_ps(_mm256_and_si256(pairs, upper)),
                )
            }
        }
    }

    impl Halves for Avx512 {
        #[inline(always)]
        unsafe fn halves(self, p: *const u32) -> (__m512, __m512) {
            // SAFETY: the caller promises sixteen readable pairs, and self the instructions.
            unsafe {
                let pairs = _mm512_loadu_si512(p.cast());
                let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
                (
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)),
                    _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)),
                )
            }
        }
    }

    /// Products of bf16 by `vdpbf16ps`, which takes subnormal numbers for zero.
    #[derive(Clone, Copy)]
    pub(crate) struct NativeBf16(Avx512);

    impl NativeBf16 {
        /// The products, if the instruction set has the extension.
        pub(crate) fn new(simd: Avx512) -> Option<Self> {
            simd.has_bf16().then_some(Self(simd))
        }
    }

    impl Sums for NativeBf16 {
        type Simd = Avx512;
        type Spread = __m512bh;
        type Columns = __m512bh;
        type Sum = __m512;
        const LEFT: usize = 4;
        const ROWS: usize = tile_rows::<Avx512>();

        #[inline(always)]
        fn simd(self) -> Avx512 {
            self.0
        }
        #[inline(always)]
        unsafe fn spread(self, p: *const u8) -> __m512bh {
            // SAFETY: the caller promises four readable bytes, and self the instruction; both types are 64 plain bytes.
            unsafe { transmute(_mm512_set1_epi32(p.cast::<i32>().read_unaligned())) }
        }
        #[inline(always)]
        unsafe fn columns(self, p: *const u32) -> __m512bh {
            // SAFETY: the caller promises sixteen readable pairs, and self the instruction; both types are 64 plain
            // bytes.
            unsafe { transmute(_mm512_loadu_si512(p.cast())) }
        }
        #[inline(always)]
        fn dot(self, sum: __m512, left: __m512bh, right: __m512bh) -> __m512 {
            // SAFETY: a value of the type exists only on processors that have the instruction.
            unsafe { _mm512_dpbf16_ps(sum, left, right) }
        }
        chained!();
    }

    impl Dot for NativeBf16 {
        const STEP: usize = 2;
        #[inline(always)]
        fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2] {
            let (given, missing) = to.split_at_mut(2 * from.len());
            let (vectors, rest) = from.as_chunks::<16>();
            let (to, last) = given.split_at_mut(32 * vectors.len());
            for (vector, to) in vectors.iter().zip(to.as_chunks_mut::<32>().0) {
                // SAFETY: sixteen numbers become as many halves, and self proves the instructions.
                unsafe {
                    let halves = _mm512_cvtneps_pbh(_mm512_loadu_ps(vector.as_ptr()));
                    _mm256_storeu_si256(
                        to.as_mut_ptr().cast(),
                        transmute::<__m256bh, __m256i>(halves),
                    );
                }
            }
            for (to, &from) in last.as_chunks_mut::<2>().0.iter_mut().zip(rest) {
                *to = ((rounded(from).to_bits() >> 16) as u16).to_ne_bytes();
            }
            missing.fill(0);
            [1.0, 0.0]
        }
        as_they_lie!();
    }
}

/// The bf16 bits nearest to a number, as the `half` crate rounds: what [`rounded`] must agree with.
#[cfg(test)]
mod tests {
    use super::{pair, rounded};
    use half::bf16;

    #[test]
    fn rounds_as_half_does() {
        for bits in (0..=u32::MAX).step_by(8191) {
            let x = f32::from_bits(bits);
            let expected = bf16::from_f32(x);
            let found = rounded(x);
            if x.is_nan() {
                assert!(found.is_nan(), "{bits:#x}");
            } else {
                assert_eq!(
                    found.to_bits() >> 16,
                    u32::from(expected.to_bits()),
                    "{bits:#x}"
                );
                assert_eq!(found.to_bits() & 0xffff, 0, "{bits:#x}");
            }
        }
        assert_eq!(pair(1.0, -2.0), 0xc000_3f80);
    }
}
