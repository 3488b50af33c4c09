//! The exponential function.

use super::polynomial;
use crate::isa::Simd;

/// `(exp(r) - 1 - r) / r²` on `|r| <= ln(2)/2`; largest error of the fit 6.5e-8.
const EXP: [f32; 5] = [
    0.5,
    0.166_665_77,
    0.041_666_555,
    8.363_233e-3,
    1.392_625_1e-3,
];

/// Below this the result would be subnormal; it is zero instead.
const LOWEST: f32 = -87.336_54;
/// `exp` of more than this is infinite.
const HIGHEST: f32 = 88.722_83;
/// `ln 2` in two parts, the first with few enough bits for `n·LN2_HIGH` to be exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `exp(x)`, within 1.09 ULP wherever the result is a normal number; 0 below, infinite above, NaN of NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let y = exp_below(s, s.min(s.splat(HIGHEST), x));
    s.select(s.less(s.splat(HIGHEST), x), s.splat(f32::INFINITY), y)
}

/// [`exp`] for `x <= 88`, which cannot overflow.
///
/// With `n = round(x/ln 2)` and `r = x - n·ln 2`, it is `2^n · exp(r)`.
#[inline(always)]
pub(crate) fn exp_below<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    // The order of the operands lets NaN through.
    let inside = s.max(s.splat(LOWEST), x);
    let n = s.round(s.mul(inside, s.splat(std::f32::consts::LOG2_E)));
    let r = s.mul_add(n, s.splat(-LN2_HIGH), inside);
    let r = s.mul_add(n, s.splat(-LN2_LOW), r);
    let p = polynomial(s, r, &EXP);
    let p = s.add(s.mul_add(s.mul(r, r), p, r), s.splat(1.0));
    // NaN has an `n` that turns into an integer with nothing in its lowest bits: it stays NaN.
    let y = s.scale_exponent(p, n);
    s.select(s.less(x, s.splat(LOWEST)), s.splat(0.0), y)
}
