//! 8-bit integers where no instruction multiplies them: widened to 16 bits and multiplied in pairs.
//!
//! The left operand is kept widened. The right one is bytes in memory, and takes two shifts per pair and vector to widen;
//! products of many rows do that once and go on with [`WidePairs`].

use super::int8::{grouped, quantize, range};
use super::{Dot, Edge, Sums};
use crate::isa::{Avx2, Avx512, Simd};
use std::arch::x86_64::*;

/// Products of numbers widened to 16 bits, in pairs, by `vpmaddwd`. Unlike `vpmaddubsw` it cannot overflow.
///
/// The left operand is kept widened, in the order first, third, second, fourth: that is how shifts take the bytes of
/// the right one apart.
#[derive(Clone, Copy)]
pub(crate) struct PairsInt8<S>(pub(crate) S);

/// The same with both operands widened beforehand: a step is one pair.
#[derive(Clone, Copy)]
pub(crate) struct WidePairs<S>(S);

/// Rounds a group of values to 16-bit numbers in the order in which pairs meet.
#[inline(always)]
fn narrow_pairs<S: Simd>(s: S, from: &[f32], to: &mut [u8]) -> [f32; 2] {
    const PART: usize = 64;
    let range = range(s, from);
    for (from, to) in from.chunks(PART).zip(to.chunks_mut(2 * PART)) {
        let mut bytes = [0; PART];
        quantize(s, range, from, &mut bytes[..from.len()]);
        // What is missing in the last step is zero.
        for (to, step) in to.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
            let step = u64::from(u32::from_le_bytes(*step));
            let [first, second] = [step & 0x00ff_00ff, step >> 8 & 0x00ff_00ff];
            *to = (first | second << 32).to_le_bytes();
        }
    }
    range
}

/// Implements both for an instruction set: its proof and its register, the rows of tiles that fit its registers, and the
/// intrinsics.
macro_rules! pairs {
    (
        $simd:ty, $register:ty, $narrow_rows:literal, $wide_rows:literal, $load:ident, $store:ident, $splat:ident,
        $left:ident, $right:ident, $madd:ident, $add:ident, $zero:ident, $to_float:ident
    ) => {
        impl Sums for PairsInt8<$simd> {
            type Simd = $simd;
            type Spread = ($register, $register);
            type Columns = ($register, $register);
            type Sum = $register;
            const LEFT: usize = 8;
            const ROWS: usize = $narrow_rows;

            #[inline(always)]
            fn simd(self) -> $simd {
                self.0
            }
            #[inline(always)]
            unsafe fn spread(self, p: *const u8) -> Self::Spread {
                let p = p.cast::<i32>();
                // SAFETY: the caller promises eight readable bytes, and self the instruction.
                unsafe {
                    (
                        $splat(p.read_unaligned()),
                        $splat(p.add(1).read_unaligned()),
                    )
                }
            }
            #[inline(always)]
            unsafe fn columns(self, p: *const u32) -> Self::Columns {
                // SAFETY: the caller promises a vector of columns, and self the instructions.
                unsafe {
                    let bytes = $load(p.cast());
                    ($right::<8>($left::<8>(bytes)), $right::<8>(bytes))
                }
            }
            #[inline(always)]
            fn dot(self, sum: $register, left: Self::Spread, right: Self::Columns) -> $register {
                // SAFETY: a value of the type exists only on processors that have the instructions.
                unsafe {
                    let products = $add($madd(left.0, right.0), $madd(left.1, right.1));
                    $add(sum, products)
                }
            }
            grouped!(
                $simd,
                // SAFETY: a value of the type exists only on processors that have the instruction.
                unsafe { $zero() },
                |sum| $to_float(sum)
            );
        }

        impl Dot for PairsInt8<$simd> {
            const STEP: usize = 4;
            #[inline(always)]
            fn narrow(self, from: &[f32], to: &mut [u8]) -> [f32; 2] {
                narrow_pairs(self.0, from, to)
            }
            type Wide = WidePairs<$simd>;
            const WIDER: usize = 2;
            #[inline(always)]
            fn wide(self) -> WidePairs<$simd> {
                WidePairs(self.0)
            }
            #[inline(always)]
            unsafe fn widen(self, from: *const u32, to: *mut u32, apart: usize) {
                // SAFETY: the caller promises a vector of columns, and room for one at both addresses.
                unsafe {
                    let (first, second) = self.columns(from);
                    $store(to.cast(), first);
                    $store(to.add(apart).cast(), second);
                }
            }
        }

        impl Sums for WidePairs<$simd> {
            type Simd = $simd;
            type Spread = $register;
            type Columns = $register;
            type Sum = $register;
            const LEFT: usize = 4;
            const ROWS: usize = $wide_rows;
            const UNROLLED: usize = 2;

            #[inline(always)]
            fn simd(self) -> $simd {
                self.0
            }
            #[inline(always)]
            unsafe fn spread(self, p: *const u8) -> $register {
                // SAFETY: the caller promises four readable bytes, and self the instruction.
                unsafe { $splat(p.cast::<i32>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn columns(self, p: *const u32) -> $register {
                // SAFETY: the caller promises a vector of columns, and self the instruction.
                unsafe { $load(p.cast()) }
            }
            #[inline(always)]
            fn dot(self, sum: $register, left: $register, right: $register) -> $register {
                // SAFETY: a value of the type exists only on processors that have the instructions.
                unsafe { $add(sum, $madd(left, right)) }
            }
            grouped!(
                $simd,
                // SAFETY: a value of the type exists only on processors that have the instruction.
                unsafe { $zero() },
                |sum| $to_float(sum)
            );
        }
    };
}
pairs!(
    Avx2,
    __m256i,
    2,
    3,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_set1_epi32,
    _mm256_slli_epi16,
    _mm256_srai_epi16,
    _mm256_madd_epi16,
    _mm256_add_epi32,
    _mm256_setzero_si256,
    _mm256_cvtepi32_ps
);
pairs!(
    Avx512,
    __m512i,
    4,
    8,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi32,
    _mm512_slli_epi16,
    _mm512_srai_epi16,
    _mm512_madd_epi16,
    _mm512_add_epi32,
    _mm512_setzero_si512,
    _mm512_cvtepi32_ps
);
