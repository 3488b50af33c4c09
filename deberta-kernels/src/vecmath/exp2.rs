//! Powers of two, for the weights of a softmax.

use super::polynomial;
use crate::isa::Simd;

/// `(2^r - 1) / r` on `|r| <= 1/2`; largest error of the fit 7.9e-9.
const EXP2: [f32; 6] = [
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_503_57,
    9.618_082e-3,
    1.339_097_8e-3,
    1.545_326_2e-4,
];

/// Below this the result is zero in any case: half of the smallest subnormal number.
const LOWEST: f32 = -150.0;

/// `2^x` for `x <= 0`, within 0.88 ULP (1.15 without fused multiply-add) down to `x = -125`; below, what is left of it, or
/// zero. Exactly one of zero, NaN of NaN.
///
/// A softmax takes powers of differences from the largest score, so no more is needed; with `log2(e)` in the scale of
/// the scores they are powers of two, and `x - round(x)` is exact.
#[inline(always)]
pub(crate) fn exp2_below_one<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    // The order of the operands lets NaN through.
    let x = s.max(s.splat(LOWEST), x);
    let n = s.round(x);
    let r = s.sub(x, n);
    let p = s.mul_add(r, polynomial(s, r, &EXP2), s.splat(1.0));
    s.scale_down(p, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Operation};

    struct Map<'a>(&'a mut [f32]);

    impl Operation for Map<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for chunk in self.0.chunks_exact_mut(S::LANES) {
                let y = exp2_below_one(s, s.load_slice(chunk));
                s.store_slice(y, chunk);
            }
        }
    }

    #[test]
    fn is_within_its_bound_over_its_whole_range() {
        // Every 509th bit pattern.
        let inputs: Vec<f32> = (0x8000_0000..=(-125.0f32).to_bits())
            .step_by(509)
            .map(f32::from_bits)
            .collect();
        let inputs = &inputs[..inputs.len() / 16 * 16];
        for isa in Isa::available() {
            let mut outputs = inputs.to_vec();
            isa.dispatch(Map(&mut outputs));
            for (&x, &y) in inputs.iter().zip(&outputs) {
                let expected = f64::from(x).exp2();
                let ulp = f64::from(f32::from_bits((expected as f32).to_bits() + 1))
                    - f64::from(expected as f32);
                let error = (f64::from(y) - expected).abs() / ulp;
                assert!(error <= 1.15, "{} 2^{x} = {y}: {error} ULP", isa.name());
            }
        }
    }

    #[test]
    fn limits_and_nan() {
        for isa in Isa::available() {
            let mut x = [f32::NAN; 16];
            isa.dispatch(Map(&mut x));
            assert!(x.iter().all(|x| x.is_nan()), "{}", isa.name());
            let mut x = [
                0.0,
                -0.0,
                -1.0,
                -151.0,
                -1e30,
                f32::NEG_INFINITY,
                f32::MIN,
                -1e-40,
            ]
            .repeat(2);
            isa.dispatch(Map(&mut x));
            let expected = [1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0].repeat(2);
            assert_eq!(x, expected, "{}", isa.name());
        }
    }
}
