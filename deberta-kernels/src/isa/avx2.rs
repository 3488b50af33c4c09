//! 256-bit vectors: AVX2 with fused multiply-add.

use super::Simd;
use std::arch::x86_64::*;

/// Proof that the processor has AVX2 and FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has the instructions.
    pub fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

/// Calls an intrinsic from a method of the proof.
macro_rules! proven {
    ($call:expr) => {{
        // SAFETY: a value of the proof type exists only on processors that have the instructions.
        unsafe { $call }
    }};
}

impl Simd for Avx2 {
    type Vector = __m256;
    type Mask = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        proven!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: the caller promises LANES readable values, and self the instruction.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, v: __m256, p: *mut f32) {
        // SAFETY: the caller promises LANES writable values, and self the instruction.
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, v: __m256, p: *mut u8) {
        // SAFETY: the caller promises LANES writable bytes, and self the instructions.
        unsafe {
            let words = _mm256_cvtps_epi32(v);
            let halves = _mm_packs_epi32(
                _mm256_castsi256_si128(words),
                _mm256_extracti128_si256::<1>(words),
            );
            _mm_storel_epi64(p.cast(), _mm_packus_epi16(halves, halves));
        }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        proven!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        proven!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        proven!(_mm256_round_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }
    #[inline(always)]
    fn scale_exponent(self, a: __m256, n: __m256) -> __m256 {
        proven!({
            let shift = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), shift))
        })
    }
    #[inline(always)]
    fn less(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: __m256, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_blendv_ps(b, a, mask))
    }
    #[inline(always)]
    fn first(self, count: usize) -> __m256 {
        const WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: the vector begins at most eight values into the window, and ends within it.
        unsafe { _mm256_loadu_ps(WINDOW.as_ptr().add(8 - count.min(8)).cast()) }
    }
    #[inline(always)]
    fn lookup(self, table: __m256, indices: &[u32], base: u32) -> __m256 {
        assert!(indices.len() >= Self::LANES);
        // SAFETY: the slice holds LANES indices, and self proves the instructions.
        unsafe {
            let indices = _mm256_loadu_si256(indices.as_ptr().cast());
            let lanes = _mm256_sub_epi32(indices, _mm256_set1_epi32(base as i32));
            _mm256_permutevar8x32_ps(table, lanes)
        }
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        source: *const f32,
        source_stride: usize,
        target: *mut f32,
        target_stride: usize,
    ) {
        // Halves of two rows, four apart, side by side in a vector: the transposition of halves is done by the loads,
        // and two rounds of shuffles within halves complete it. All loads of a row come together, so that few addresses
        // are in use at a time. (No closures here: the compiler may leave them without the instruction set.)
        // SAFETY: the caller promises the rows, and self proves the instructions.
        unsafe {
            let mut rows = [[_mm256_setzero_ps(); 2]; 4];
            for (r, halves) in rows.iter_mut().enumerate() {
                let first = source.add(r * source_stride);
                let second = first.add(4 * source_stride);
                for (h, half) in halves.iter_mut().enumerate() {
                    let v = _mm256_castps128_ps256(_mm_loadu_ps(first.add(4 * h)));
                    *half = _mm256_insertf128_ps::<1>(v, _mm_loadu_ps(second.add(4 * h)));
                }
            }
            let [first, second, third, fourth] = rows;
            let mut row = target;
            for half in 0..2 {
                let (a, b) = (first[half], second[half]);
                let (c, d) = (third[half], fourth[half]);
                let pairs = [
                    _mm256_unpacklo_ps(a, b),
                    _mm256_unpacklo_ps(c, d),
                    _mm256_unpackhi_ps(a, b),
                    _mm256_unpackhi_ps(c, d),
                ];
                let [ab, cd, ef, gh] = [
                    _mm256_castps_pd(pairs[0]),
                    _mm256_castps_pd(pairs[1]),
                    _mm256_castps_pd(pairs[2]),
                    _mm256_castps_pd(pairs[3]),
                ];
                let columns = [
                    _mm256_unpacklo_pd(ab, cd),
                    _mm256_unpackhi_pd(ab, cd),
                    _mm256_unpacklo_pd(ef, gh),
                    _mm256_unpackhi_pd(ef, gh),
                ];
                for column in columns {
                    _mm256_storeu_ps(row, _mm256_castpd_ps(column));
                    row = row.wrapping_add(target_stride);
                }
            }
        }
    }
    #[inline(always)]
    fn load_partial(self, s: &[f32], fill: f32) -> __m256 {
        let mask = self.first(s.len());
        // SAFETY: the mask keeps the lanes beyond the slice from being read.
        let lanes = unsafe { _mm256_maskload_ps(s.as_ptr(), _mm256_castps_si256(mask)) };
        self.select(mask, lanes, self.splat(fill))
    }
    #[inline(always)]
    fn store_partial(self, v: __m256, s: &mut [f32]) {
        let mask = self.first(s.len());
        // SAFETY: the mask keeps the lanes beyond the slice from being written.
        unsafe { _mm256_maskstore_ps(s.as_mut_ptr(), _mm256_castps_si256(mask), v) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        proven!(_mm_prefetch::<_MM_HINT_T0>(p.cast()))
    }
    #[inline(always)]
    fn sum_lanes(self, a: __m256) -> f32 {
        proven!({
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn max_lanes(self, a: __m256) -> f32 {
        proven!({
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }
}
