//! The error of every function of one variable, measured against `f64`.
//!
//! Two measures over `f32` inputs, NaN and infinities among them:
//!
//! * where the exact result is large enough, the distance in ULP: in units of the gap between the `f32` numbers around it.
//!   Half a unit is the best that rounding allows.
//! * where it is smaller, the absolute distance, which must stay below that limit: what is left may be zero. For most
//!   functions the limit is the smallest normal number, 2^-126.
//!
//! The default test takes every 2039th bit pattern and what lies around the places where a function changes its formula;
//! the ignored one takes all 2^32, some minutes per function, and prints the table of `ACCURACY.md`:
//!
//! ```text
//! cargo test --release -p deberta-kernels --lib accuracy -- --ignored --nocapture
//! ```

use crate::elementwise::{Elementwise, map};
use crate::isa::{Operation, Simd};
use crate::{Activation, Isa, vecmath};
use rayon::prelude::*;

/// A function, what it should be, and the bounds that are stated of it.
#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    apply: fn(Isa, &mut [f32]),
    exact: fn(f64) -> f64,
    /// The smallest and the largest input for which something is promised.
    domain: [f32; 2],
    /// The largest error in ULP of results from `least` on: without fused multiply-add, and with it.
    ulps: [f64; 2],
    /// Smaller results (in magnitude) may be off by as much.
    least: f64,
}

/// Defines how a function of vectors is applied to a slice.
macro_rules! over_slices {
    ($name:ident, $function:path) => {
        fn $name(isa: Isa, values: &mut [f32]) {
            #[derive(Clone, Copy)]
            struct Map;
            impl Elementwise for Map {
                #[inline(always)]
                fn eval<S: Simd>(self, s: S, x: S::Vector) -> S::Vector {
                    $function(s, x)
                }
            }
            struct Run<'a>(&'a mut [f32]);
            impl Operation for Run<'_> {
                type Output = ();
                #[inline(always)]
                fn run<S: Simd>(self, s: S) {
                    map(s, self.0, Map);
                }
            }
            isa.dispatch(Run(values));
        }
    };
}
over_slices!(exp, vecmath::exp);
over_slices!(exp2_below_one, vecmath::exp2_below_one);
over_slices!(normal_cdf, vecmath::normal_cdf);

/// `Φ(x)`
fn phi(x: f64) -> f64 {
    libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

/// `1/(1 + exp(-x))`
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `√(2/π)·(x + 0.044715·x³)`; with it, `(1 + tanh(u))/2 = 1/(1 + exp(-2u))` needs no difference of nearly equal numbers.
fn tanh_inner(x: f64) -> f64 {
    (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))
}

/// The smallest normal number.
const NORMAL: f64 = f32::MIN_POSITIVE as f64;

const ALL: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

const FUNCTIONS: [Function; 12] = [
    Function {
        name: "exp",
        apply: exp,
        exact: f64::exp,
        domain: ALL,
        ulps: [1.09, 1.09],
        least: NORMAL,
    },
    Function {
        name: "exp2 (x <= 0)",
        apply: exp2_below_one,
        exact: f64::exp2,
        domain: [f32::NEG_INFINITY, 0.0],
        ulps: [1.15, 0.88],
        least: 2.0 * NORMAL,
    },
    Function {
        name: "normal distribution",
        apply: normal_cdf,
        exact: phi,
        domain: ALL,
        ulps: [68.0, 6.2],
        least: NORMAL,
    },
    Function {
        name: "gelu",
        apply: |isa, x| Activation::Gelu.apply(isa, x),
        exact: |x| x * phi(x),
        domain: ALL,
        ulps: [71.0, 11.0],
        least: NORMAL,
    },
    Function {
        name: "gelu_new",
        apply: |isa, x| Activation::GeluTanh.apply(isa, x),
        exact: |x| x * logistic(2.0 * tanh_inner(x)),
        domain: ALL,
        ulps: [219.0, 181.0],
        least: 128.0 * NORMAL,
    },
    Function {
        name: "gelu_10",
        apply: |isa, x| Activation::GeluClipped.apply(isa, x),
        exact: |x| (x * phi(x)).clamp(-10.0, 10.0),
        domain: ALL,
        ulps: [71.0, 11.0],
        least: NORMAL,
    },
    Function {
        name: "quick_gelu",
        apply: |isa, x| Activation::QuickGelu.apply(isa, x),
        exact: |x| x * logistic(1.702 * x),
        domain: ALL,
        ulps: [84.0, 84.0],
        least: 128.0 * NORMAL,
    },
    Function {
        name: "silu",
        apply: |isa, x| Activation::Silu.apply(isa, x),
        exact: |x| x * logistic(x),
        domain: ALL,
        ulps: [2.9, 2.9],
        least: 128.0 * NORMAL,
    },
    Function {
        name: "sigmoid",
        apply: |isa, x| Activation::Sigmoid.apply(isa, x),
        exact: logistic,
        domain: ALL,
        ulps: [2.5, 2.5],
        least: NORMAL,
    },
    Function {
        name: "tanh",
        apply: |isa, x| Activation::Tanh.apply(isa, x),
        exact: f64::tanh,
        domain: ALL,
        ulps: [1.34, 1.34],
        least: NORMAL,
    },
    Function {
        name: "mish",
        apply: |isa, x| Activation::Mish.apply(isa, x),
        exact: |x| x * x.exp().ln_1p().tanh(),
        domain: ALL,
        ulps: [4.8, 4.8],
        least: 128.0 * NORMAL,
    },
    Function {
        name: "laplace",
        apply: |isa, x| Activation::Laplace.apply(isa, x),
        #[allow(clippy::approx_constant)] // the rounded number of the definition, not 1/√2
        exact: |x| phi((x - 0.707107) / 0.282095),
        domain: ALL,
        ulps: [363.0, 303.0],
        least: NORMAL,
    },
];

/// The worst of one function under one instruction set.
#[derive(Debug, Clone, Copy, Default)]
struct Worst {
    /// The largest error in ULP, and where.
    ulps: f64,
    at: f32,
    /// The largest absolute error of smaller results, and where.
    below: f64,
    below_at: f32,
    /// An input whose result is NaN or infinite where it should not be, or the other way round.
    broken: Option<f32>,
}

impl Worst {
    fn see(&mut self, least: f64, x: f32, found: f32, exact: f64) {
        // From half of the last gap on, numbers round to infinity.
        const OVERFLOW: f64 = f32::MAX as f64 + (1u128 << 103) as f64;
        if exact.is_nan() || found.is_nan() {
            if exact.is_nan() != found.is_nan() {
                self.broken = Some(x);
            }
        } else if exact.abs() >= OVERFLOW {
            // The largest finite number is one gap away.
            if f64::from(found) != exact.signum() * f64::INFINITY {
                self.broken = Some(x);
            }
        } else {
            let error = (f64::from(found) - exact).abs();
            let size = exact.abs();
            if size >= least {
                let exponent = (size.to_bits() >> 52) - 23;
                let ulps = error / f64::from_bits(exponent << 52);
                if ulps > self.ulps {
                    (self.ulps, self.at) = (ulps, x);
                }
            } else if error > self.below {
                (self.below, self.below_at) = (error, x);
            }
        }
    }

    fn join(self, other: Self) -> Self {
        let (mut worst, below) = if other.ulps > self.ulps {
            (other, self)
        } else {
            (self, other)
        };
        if below.below > worst.below {
            (worst.below, worst.below_at) = (below.below, below.below_at);
        }
        worst.broken = self.broken.or(other.broken);
        worst
    }
}

/// The sets whose elementwise arithmetic differs: the extensions of AVX-512 change products alone.
fn isas() -> Vec<Isa> {
    let mut lanes = Vec::new();
    let distinct = |isa: &Isa| {
        let family = isa.name().split('-').next().unwrap_or_default();
        let family = if family == "generic" {
            "portable"
        } else {
            family
        };
        let new = !lanes.contains(&family);
        lanes.push(family);
        new
    };
    Isa::available().into_iter().filter(distinct).collect()
}

/// Measures over these bit patterns, block by block on all threads.
fn measure(
    function: &Function,
    isas: &[Isa],
    blocks: usize,
    block: impl Fn(usize, &mut Vec<f32>) + Sync,
) -> Vec<Worst> {
    let [low, high] = function.domain;
    let none = || vec![Worst::default(); isas.len()];
    (0..blocks)
        .into_par_iter()
        .fold(none, |mut worst, index| {
            let mut inputs = Vec::new();
            block(index, &mut inputs);
            inputs.retain(|x| x.is_nan() || (low <= *x && *x <= high));
            let exact: Vec<f64> = inputs
                .iter()
                .map(|&x| (function.exact)(f64::from(x)))
                .collect();
            let mut found = vec![0.0; inputs.len()];
            for (isa, worst) in isas.iter().zip(&mut worst) {
                found.copy_from_slice(&inputs);
                (function.apply)(*isa, &mut found);
                for ((&x, &found), &exact) in inputs.iter().zip(&found).zip(&exact) {
                    worst.see(function.least, x, found, exact);
                }
            }
            worst
        })
        .reduce(none, |a, b| {
            a.into_iter().zip(b).map(|(a, b)| a.join(b)).collect()
        })
}

/// Prints a row of the table for each instruction set and returns what is worse than stated.
fn check(function: &Function, isas: &[Isa], worst: &[Worst]) -> Vec<String> {
    let mut broken = Vec::new();
    for (isa, worst) in isas.iter().zip(worst) {
        let (function, set) = (function, isa.name());
        println!(
            "| {} | {set} | {:.3} | {:e} | {:e} | {:.1e} | {:e} |",
            function.name, worst.ulps, worst.at, function.least, worst.below, worst.below_at
        );
        let fused = !matches!(isa, Isa::Portable(_) | Isa::Generic(_));
        let bound = function.ulps[usize::from(fused)];
        if worst.broken.is_some() || worst.ulps > bound || worst.below > function.least {
            broken.push(format!("{} with {set}: {worst:?}", function.name));
        }
    }
    broken
}

#[test]
fn functions_keep_their_bounds() {
    const STEP: u32 = 2039;
    const BLOCK: u32 = 4096;
    let (isas, mut broken) = (isas(), Vec::new());
    let blocks = u32::MAX / STEP / BLOCK + 1;
    for function in &FUNCTIONS {
        let worst = measure(function, &isas, blocks as usize + 1, |index, inputs| {
            if index == blocks as usize {
                // Around the powers of two, the limits of exp and where tanh changes its formula, on both sides of zero.
                let powers = (0..=0xff).map(|e| e << 23);
                let places = [87.336_54f32, 88.722_83, 103.97, 0.625, 13.2, 20.0, 150.0];
                for place in powers.chain(places.map(f32::to_bits)) {
                    for bits in place.saturating_sub(300)..place + 300 {
                        inputs.extend([f32::from_bits(bits), -f32::from_bits(bits)]);
                    }
                }
            } else {
                let first = index as u32 * BLOCK;
                let bits = (first..first + BLOCK).map_while(|i| i.checked_mul(STEP));
                inputs.extend(bits.map(f32::from_bits));
            }
        });
        broken.extend(check(function, &isas, &worst));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
#[ignore = "some minutes per function in release"]
fn functions_keep_their_bounds_for_every_number() {
    let (isas, mut broken) = (isas(), Vec::new());
    println!(
        "| function | set | ULP | at | limit | error below | at |\n|---|---|---|---|---|---|---|"
    );
    for function in &FUNCTIONS {
        let worst = measure(function, &isas, 1 << 18, |index, inputs| {
            let first = (index as u32) << 14;
            inputs.extend((first..=first + 0x3fff).map(f32::from_bits));
        });
        broken.extend(check(function, &isas, &worst));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
