//! 512-bit vectors: AVX-512 as every processor since Skylake-X and Zen 4 has it, with or without its extensions for
//! int8 (VNNI), bf16 (BF16) and tiles of both (AMX).

use super::Simd;
use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::OnceLock;

/// Proof that the processor has AVX-512 F, BW, DQ and VL, and the extensions up to a certain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(Extension);

/// How far the extensions go. Every processor with BF16 has VNNI, and every one with AMX has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Extension {
    None,
    Vnni,
    Bf16,
    Amx,
}

impl Avx512 {
    /// The proofs that the processor allows, the one with most extensions first.
    pub fn all() -> Vec<Self> {
        let base = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        let vnni = base && is_x86_feature_detected!("avx512vnni");
        let bf16 = vnni && is_x86_feature_detected!("avx512bf16");
        [
            (bf16 && amx(), Extension::Amx),
            (bf16, Extension::Bf16),
            (vnni, Extension::Vnni),
            (base, Extension::None),
        ]
        .into_iter()
        .filter_map(|(present, extension)| present.then_some(Self(extension)))
        .collect()
    }

    /// Whether `vpdpbusd` may be used.
    pub fn has_vnni(self) -> bool {
        self.0 >= Extension::Vnni
    }

    /// Whether `vdpbf16ps` may be used.
    pub fn has_bf16(self) -> bool {
        self.0 >= Extension::Bf16
    }

    /// Whether tiles may be used.
    pub fn has_amx(self) -> bool {
        self.0 >= Extension::Amx
    }

    /// The set for products of bf16 that are too small for tiles. Processors with AMX take four times as long for a
    /// `vdpbf16ps` as for a multiply-add, so that two of these, of widened numbers, are faster.
    pub(super) fn without_tiles(self) -> Self {
        match self.0 {
            Extension::Amx => Self(Extension::Vnni),
            _ => self,
        }
    }

    /// The name of the set.
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            Extension::None => "avx512",
            Extension::Vnni => "avx512-vnni",
            Extension::Bf16 => "avx512-bf16",
            Extension::Amx => "avx512-amx",
        }
    }
}

/// Whether the processor multiplies tiles of int8 and bf16, and the system lets this process do so.
fn amx() -> bool {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| {
        const TILE: u32 = 1 << 24;
        const BF16: u32 = 1 << 22;
        const INT8: u32 = 1 << 25;
        let features = __cpuid_count(7, 0).edx;
        features & (TILE | BF16 | INT8) == TILE | BF16 | INT8 && granted()
    })
}

/// Asks Linux for the tile registers, which it keeps for a process that asks and not for others: they are large.
#[cfg(target_os = "linux")]
fn granted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let result: isize;
    // SAFETY: the call takes two numbers and touches no memory; the kernel overwrites these two registers alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// How other systems are asked is not known here.
#[cfg(not(target_os = "linux"))]
fn granted() -> bool {
    false
}

/// Calls an intrinsic from a method of the proof.
macro_rules! proven {
    ($call:expr) => {{
        // SAFETY: a value of the proof type exists only on processors that have the instructions.
        unsafe { $call }
    }};
}

impl Simd for Avx512 {
    type Vector = __m512;
    type Mask = __mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        proven!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: the caller promises LANES readable values, and self the instruction.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, v: __m512, p: *mut f32) {
        // SAFETY: the caller promises LANES writable values, and self the instruction.
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, v: __m512, p: *mut u8) {
        // SAFETY: the caller promises LANES writable bytes, and self the instructions.
        unsafe {
            let positive = _mm512_max_epi32(_mm512_cvtps_epi32(v), _mm512_setzero_si512());
            _mm_storeu_si128(p.cast(), _mm512_cvtusepi32_epi8(positive));
        }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        proven!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        proven!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        proven!(_mm512_roundscale_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }
    #[inline(always)]
    fn scale_exponent(self, a: __m512, n: __m512) -> __m512 {
        proven!({
            let shift = _mm512_slli_epi32::<23>(_mm512_cvtps_epi32(n));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), shift))
        })
    }
    #[inline(always)]
    fn less(self, a: __m512, b: __m512) -> __mmask16 {
        proven!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_mask_blend_ps(mask, b, a))
    }
    #[inline(always)]
    fn scale_down(self, a: __m512, n: __m512) -> __m512 {
        proven!(_mm512_scalef_ps(a, n))
    }
    #[inline(always)]
    fn first(self, count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }
    #[inline(always)]
    fn lookup(self, table: __m512, indices: &[u32], base: u32) -> __m512 {
        assert!(indices.len() >= Self::LANES);
        // SAFETY: the slice holds LANES indices, and self proves the instructions.
        unsafe {
            let indices = _mm512_loadu_si512(indices.as_ptr().cast());
            let lanes = _mm512_sub_epi32(indices, _mm512_set1_epi32(base as i32));
            _mm512_permutexvar_ps(lanes, table)
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
        // Quarters of four rows, four apart, side by side in a vector: the transposition of quarters is done by the
        // loads, and two rounds of shuffles within quarters complete it. All loads of a row come together, so that few
        // addresses are in use at a time. (No closures here: the compiler may leave them without the instruction set.)
        // SAFETY: the caller promises the rows, and self proves the instructions.
        unsafe {
            let mut rows = [[_mm512_setzero_ps(); 4]; 4];
            for (r, quarters) in rows.iter_mut().enumerate() {
                let first = source.add(r * source_stride);
                let second = first.add(4 * source_stride);
                let third = second.add(4 * source_stride);
                let fourth = third.add(4 * source_stride);
                for (q, quarter) in quarters.iter_mut().enumerate() {
                    let v = _mm512_castps128_ps512(_mm_loadu_ps(first.add(4 * q)));
                    let v = _mm512_insertf32x4::<1>(v, _mm_loadu_ps(second.add(4 * q)));
                    let v = _mm512_insertf32x4::<2>(v, _mm_loadu_ps(third.add(4 * q)));
                    *quarter = _mm512_insertf32x4::<3>(v, _mm_loadu_ps(fourth.add(4 * q)));
                }
            }
            let [first, second, third, fourth] = rows;
            let mut row = target;
            for quarter in 0..4 {
                let (a, b) = (first[quarter], second[quarter]);
                let (c, d) = (third[quarter], fourth[quarter]);
                let pairs = [
                    _mm512_unpacklo_ps(a, b),
                    _mm512_unpacklo_ps(c, d),
                    _mm512_unpackhi_ps(a, b),
                    _mm512_unpackhi_ps(c, d),
                ];
                let [ab, cd, ef, gh] = [
                    _mm512_castps_pd(pairs[0]),
                    _mm512_castps_pd(pairs[1]),
                    _mm512_castps_pd(pairs[2]),
                    _mm512_castps_pd(pairs[3]),
                ];
                let columns = [
                    _mm512_unpacklo_pd(ab, cd),
                    _mm512_unpackhi_pd(ab, cd),
                    _mm512_unpacklo_pd(ef, gh),
                    _mm512_unpackhi_pd(ef, gh),
                ];
                for column in columns {
                    _mm512_storeu_ps(row, _mm512_castpd_ps(column));
                    row = row.wrapping_add(target_stride);
                }
            }
        }
    }
    #[inline(always)]
    fn load_partial(self, s: &[f32], fill: f32) -> __m512 {
        // SAFETY: the mask keeps the lanes beyond the slice from being read.
        unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), self.first(s.len()), s.as_ptr()) }
    }
    #[inline(always)]
    fn store_partial(self, v: __m512, s: &mut [f32]) {
        // SAFETY: the mask keeps the lanes beyond the slice from being written.
        unsafe { _mm512_mask_storeu_ps(s.as_mut_ptr(), self.first(s.len()), v) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        proven!(_mm_prefetch::<_MM_HINT_T0>(p.cast()))
    }
    #[inline(always)]
    fn sum_lanes(self, a: __m512) -> f32 {
        proven!(_mm512_reduce_add_ps(a))
    }
    #[inline(always)]
    fn max_lanes(self, a: __m512) -> f32 {
        proven!(_mm512_reduce_max_ps(a))
    }
}
