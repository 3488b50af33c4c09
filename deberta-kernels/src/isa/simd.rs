//! What every instruction set offers: a vector of `f32` and the arithmetic that kernels are written in.

/// An algorithm over vectors, written once for every instruction set.
///
/// `run` and everything it calls that touches vectors must be `#[inline(always)]`: only then does
/// the compiler emit the instructions that [`Isa::dispatch`](super::Isa::dispatch) allows.
pub trait Operation {
    /// What the algorithm computes.
    type Output;

    /// Runs with the vectors of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A vector of [`Simd::LANES`] `f32` values and its arithmetic.
///
/// A value of an implementing type proves that the processor has the instructions.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A vector.
    type Vector: Copy;
    /// One truth value per lane.
    type Mask: Copy;
    /// Values per vector.
    const LANES: usize;

    /// The same value in every lane.
    fn splat(self, x: f32) -> Self::Vector;
    /// Reads a vector.
    ///
    /// # Safety
    /// `p` is valid for reading `LANES` values.
    unsafe fn load(self, p: *const f32) -> Self::Vector;
    /// Writes a vector.
    ///
    /// # Safety
    /// `p` is valid for writing `LANES` values.
    unsafe fn store(self, v: Self::Vector, p: *mut f32);

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a·b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The smaller value; `b` if either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger value; `b` if either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The absolute value.
    fn abs(self, a: Self::Vector) -> Self::Vector;
    /// The nearest integer, ties to even, of values below 2^31 in magnitude.
    fn round(self, a: Self::Vector) -> Self::Vector;
    /// `a · 2^n` for an integral `n` and a normal result: adds `n` to the exponent.
    fn scale_exponent(self, a: Self::Vector, n: Self::Vector) -> Self::Vector;
    /// Which lanes of `a` are smaller than those of `b`; false where either is NaN.
    fn less(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `a` where the mask is true, `b` elsewhere.
    fn select(self, mask: Self::Mask, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · 2^n` for `a` between 1/2 and 2 and an integral `n` between -150 and 0; a result too small for a normal
    /// number may become zero.
    #[inline(always)]
    fn scale_down(self, a: Self::Vector, n: Self::Vector) -> Self::Vector {
        let tiny = self.less(n, self.splat(-125.0));
        self.select(tiny, self.splat(0.0), self.scale_exponent(a, n))
    }
    /// True in the first `count` lanes.
    fn first(self, count: usize) -> Self::Mask;
    /// In lane `l` the value that lane `indices[l] - base` of `table` holds, for differences below `LANES`.
    ///
    /// # Panics
    /// If there are fewer than `LANES` indices.
    fn lookup(self, table: Self::Vector, indices: &[u32], base: u32) -> Self::Vector;
    /// Writes the transpose of a block of `LANES` rows of `LANES` values.
    ///
    /// # Safety
    /// `source + i·source_stride` is valid for reading and `target + i·target_stride` for writing `LANES` values, for
    /// every `i` below `LANES`, and the two do not overlap.
    unsafe fn transpose(
        self,
        source: *const f32,
        source_stride: usize,
        target: *mut f32,
        target_stride: usize,
    );
    /// Asks for the cache line of an address, which need not be readable.
    #[inline(always)]
    fn prefetch(self, _: *const f32) {}
    /// The sum of the lanes, always in the same order.
    fn sum_lanes(self, a: Self::Vector) -> f32;
    /// The largest lane.
    fn max_lanes(self, a: Self::Vector) -> f32;

    /// Writes the nearest integers from 0 to 255, ties to even, one byte per lane, of values below 2^31 in magnitude;
    /// for NaN any of them.
    ///
    /// # Safety
    /// `p` is valid for writing `LANES` bytes.
    unsafe fn store_bytes(self, v: Self::Vector, p: *mut u8);

    /// Reads the first vector of a slice.
    ///
    /// # Panics
    /// If the slice is shorter than a vector.
    #[inline(always)]
    fn load_slice(self, s: &[f32]) -> Self::Vector {
        assert!(s.len() >= Self::LANES);
        // SAFETY: the slice holds LANES values.
        unsafe { self.load(s.as_ptr()) }
    }

    /// Writes the first vector of a slice.
    ///
    /// # Panics
    /// If the slice is shorter than a vector.
    #[inline(always)]
    fn store_slice(self, v: Self::Vector, s: &mut [f32]) {
        assert!(s.len() >= Self::LANES);
        // SAFETY: the slice holds LANES values.
        unsafe { self.store(v, s.as_mut_ptr()) }
    }

    /// Reads a slice shorter than a vector, the missing lanes being `fill`.
    #[inline(always)]
    fn load_partial(self, s: &[f32], fill: f32) -> Self::Vector {
        let mut padded = [fill; 16];
        padded[..s.len()].copy_from_slice(s);
        self.load_slice(&padded)
    }

    /// Writes the first lanes of a vector over a slice shorter than one.
    #[inline(always)]
    fn store_partial(self, v: Self::Vector, s: &mut [f32]) {
        let mut padded = [0.0; 16];
        self.store_slice(v, &mut padded);
        s.copy_from_slice(&padded[..s.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    /// Runs a check, as an operation, with every instruction set of this processor.
    fn everywhere<O: Operation + Copy>(check: O) {
        for isa in Isa::available() {
            isa.dispatch(check);
        }
    }

    #[derive(Clone, Copy)]
    struct Transposes;

    impl Operation for Transposes {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let lanes = S::LANES;
            // Rows that begin before the end of those above, rows in a line, and rows with gaps.
            for source_stride in [lanes - 1, lanes, lanes + 3] {
                for target_stride in [lanes, lanes + 5] {
                    let source: Vec<f32> = (0..lanes * (lanes + 3)).map(|x| x as f32).collect();
                    let mut target = vec![-1.0; lanes * (lanes + 5)];
                    // SAFETY: both hold LANES rows at these strides.
                    unsafe {
                        let target = target.as_mut_ptr();
                        s.transpose(source.as_ptr(), source_stride, target, target_stride);
                    }
                    for (i, &value) in target.iter().enumerate() {
                        let (row, column) = (i / target_stride, i % target_stride);
                        let expected = if row < lanes && column < lanes {
                            source[column * source_stride + row]
                        } else {
                            -1.0
                        };
                        assert_eq!(value, expected, "{lanes} lanes, row {row}, column {column}");
                    }
                }
            }
        }
    }

    #[derive(Clone, Copy)]
    struct LooksUp;

    impl Operation for LooksUp {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let table: Vec<f32> = (0..S::LANES).map(|x| 0.5 + x as f32).collect();
            let indices: Vec<u32> = (0..S::LANES as u32)
                .map(|i| 100 + (i * 7 + 3) % S::LANES as u32)
                .collect();
            let mut found = vec![0.0; S::LANES];
            let picked = s.lookup(s.load_slice(&table), &indices, 100);
            s.store_slice(picked, &mut found);
            for (found, index) in found.iter().zip(indices) {
                assert_eq!(*found, 0.5 + (index - 100) as f32);
            }
        }
    }

    #[derive(Clone, Copy)]
    struct MasksLanes;

    impl Operation for MasksLanes {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for count in 0..=S::LANES {
                let values: Vec<f32> = (0..count).map(|x| 1.0 + x as f32).collect();
                let mut found = vec![0.0; S::LANES];
                s.store_slice(s.load_partial(&values, -2.0), &mut found);
                assert_eq!(found[..count], values);
                assert!(found[count..].iter().all(|&x| x == -2.0));
                let mut part = vec![0.0; count];
                s.store_partial(s.load_slice(&found), &mut part);
                assert_eq!(part, values);
                let kept = s.select(s.first(count), s.splat(1.0), s.splat(0.0));
                assert_eq!(s.sum_lanes(kept), count as f32);
            }
        }
    }

    #[derive(Clone, Copy)]
    struct ScalesDown;

    impl Operation for ScalesDown {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let mut found = vec![0.0; S::LANES];
            for n in -150i32..=0 {
                s.store_slice(s.scale_down(s.splat(1.25), s.splat(n as f32)), &mut found);
                let expected = (1.25 * f64::from(n).exp2()) as f32;
                let normal = n >= -125;
                assert!(
                    found[0] == expected || (!normal && found[0] == 0.0),
                    "2^{n}"
                );
            }
            s.store_slice(
                s.scale_down(s.splat(f32::NAN), s.splat(f32::NAN)),
                &mut found,
            );
            assert!(found[0].is_nan());
        }
    }

    #[test]
    fn blocks_are_transposed_at_any_stride() {
        everywhere(Transposes);
    }

    #[test]
    fn lanes_are_looked_up() {
        everywhere(LooksUp);
    }

    #[test]
    fn parts_of_vectors_are_read_written_and_chosen() {
        everywhere(MasksLanes);
    }

    #[test]
    fn powers_of_two_shrink_to_nothing() {
        everywhere(ScalesDown);
    }
}
