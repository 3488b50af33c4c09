//! Vector versions of the functions that a transformer needs: `exp`, the normal distribution function, `tanh`.
//!
//! The polynomials are printed by `tests/reference/fit_polynomials.py`. Each function states its error against
//! a calculation in `f64`, measured for every `f32`: see `accuracy`.

#[cfg(test)]
mod accuracy;
mod exp;
mod exp2;
mod normal;
mod tanh;

pub(crate) use exp::{exp, exp_below};
pub(crate) use exp2::exp2_below_one;
pub(crate) use normal::normal_cdf;
pub(crate) use tanh::{sigmoid, tanh};

use crate::isa::Simd;

/// `c[0] + c[1]·x + c[2]·x² + …` by Horner's rule.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::Vector, coefficients: &[f32; N]) -> S::Vector {
    let mut sum = s.splat(coefficients[N - 1]);
    for &c in coefficients[..N - 1].iter().rev() {
        sum = s.mul_add(sum, x, s.splat(c));
    }
    sum
}
