//! Vectors of four values in plain Rust, which the compiler maps to its baseline instructions.

use super::Simd;

/// Plain Rust: runs everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

type V = [f32; 4];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    type Vector = V;
    type Mask = [bool; 4];
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> V {
        // SAFETY: the caller promises LANES readable values; a float array needs no more alignment than f32.
        unsafe { p.cast::<V>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, v: V, p: *mut f32) {
        // SAFETY: the caller promises LANES writable values; a float array needs no more alignment than f32.
        unsafe { p.cast::<V>().write(v) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, v: V, p: *mut u8) {
        // SAFETY: the caller promises LANES writable bytes.
        unsafe {
            p.cast::<[u8; 4]>()
                .write(v.map(|x| x.round_ties_even() as u8))
        }
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x / y)
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        // Not `f32::mul_add`: without the instruction that is a slow library call.
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        zip(a, b, |x, y| if x < y { x } else { y })
    }
    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        zip(a, b, |x, y| if x > y { x } else { y })
    }
    #[inline(always)]
    fn abs(self, a: V) -> V {
        a.map(f32::abs)
    }
    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding and subtracting 1.5·2^23 leaves the nearest integer, ties to even.
        const MAGIC: f32 = 12_582_912.0;
        a.map(|x| {
            if x.abs() < 4_194_304.0 {
                (x + MAGIC) - MAGIC
            } else {
                x
            }
        })
    }
    #[inline(always)]
    fn scale_exponent(self, a: V, n: V) -> V {
        zip(a, n, |x, k| {
            f32::from_bits(x.to_bits().wrapping_add(((k as i32) << 23) as u32))
        })
    }
    #[inline(always)]
    fn less(self, a: V, b: V) -> [bool; 4] {
        [a[0] < b[0], a[1] < b[1], a[2] < b[2], a[3] < b[3]]
    }
    #[inline(always)]
    fn select(self, m: [bool; 4], a: V, b: V) -> V {
        let pick = |i: usize| if m[i] { a[i] } else { b[i] };
        [pick(0), pick(1), pick(2), pick(3)]
    }
    #[inline(always)]
    fn first(self, count: usize) -> [bool; 4] {
        [0 < count, 1 < count, 2 < count, 3 < count]
    }
    #[inline(always)]
    fn lookup(self, table: V, indices: &[u32], base: u32) -> V {
        assert!(indices.len() >= Self::LANES);
        let pick = |l: usize| table[indices[l].wrapping_sub(base) as usize % Self::LANES];
        [pick(0), pick(1), pick(2), pick(3)]
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        source: *const f32,
        source_stride: usize,
        target: *mut f32,
        target_stride: usize,
    ) {
        // SAFETY: the caller promises the rows.
        let rows: [V; 4] = unsafe {
            [
                self.load(source),
                self.load(source.add(source_stride)),
                self.load(source.add(2 * source_stride)),
                self.load(source.add(3 * source_stride)),
            ]
        };
        for column in 0..4 {
            let column_of = rows.map(|row| row[column]);
            // SAFETY: the caller promises the rows.
            unsafe { self.store(column_of, target.add(column * target_stride)) };
        }
    }
    #[inline(always)]
    fn sum_lanes(self, a: V) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
    #[inline(always)]
    fn max_lanes(self, a: V) -> f32 {
        a[0].max(a[1]).max(a[2].max(a[3]))
    }
}
