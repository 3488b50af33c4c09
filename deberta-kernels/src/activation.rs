//! Element-wise activation functions, by the names that `transformers` configs use.

use crate::elementwise::{Elementwise, map};
use crate::isa::{Isa, Operation, Simd};
use crate::vecmath::{exp, normal_cdf, sigmoid, tanh};

/// An activation function of one variable.
///
/// The names are those of `transformers`' `ACT2FN` table. Of every `f32` the result has been compared with `f64`; errors are
/// in ULP, and may reach the size of results that are smaller than 2^-126 (2^-119 where marked *):
///
/// | function | largest error | without fused multiply-add |
/// |---|---|---|
/// | `Gelu`, `GeluClipped` | 11 far below zero | 71 |
/// | `GeluTanh`* | 181 far below zero | 219 |
/// | `QuickGelu`* | 84 far below zero | 84 |
/// | `Silu`* | 2.9 | 2.9 |
/// | `Sigmoid` | 2.5 | 2.5 |
/// | `Tanh` | 1.34 | 1.34 |
/// | `Mish`* | 4.8 | 4.8 |
/// | `Laplace` | 303 far below its mean | 363 |
///
/// NaN stays NaN. At minus infinity, functions of the form `x·f(x)` are NaN as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Activation {
    /// `x` (`linear`).
    #[default]
    Identity,
    /// `x·Φ(x) = x/2·(1 + erf(x/√2))`, the exact form (`gelu`, `gelu_python`).
    Gelu,
    /// `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))` (`gelu_new`, `gelu_fast`, `gelu_pytorch_tanh`, `gelu_accurate`).
    GeluTanh,
    /// `min(max(x·Φ(x), -10), 10)` (`gelu_10`).
    GeluClipped,
    /// `x·σ(1.702·x)` (`quick_gelu`).
    QuickGelu,
    /// `max(x, 0)` (`relu`).
    Relu,
    /// `min(max(x, 0), 6)` (`relu6`).
    Relu6,
    /// `max(x, 0)²` (`relu2`).
    ReluSquared,
    /// `x` where positive, `0.01·x` elsewhere (`leaky_relu`).
    LeakyRelu,
    /// `x·σ(x)` (`silu`, `swish`).
    Silu,
    /// `σ(x) = 1/(1 + exp(-x))` (`sigmoid`).
    Sigmoid,
    /// The hyperbolic tangent (`tanh`).
    Tanh,
    /// `x·tanh(ln(1 + exp(x)))` (`mish`).
    Mish,
    /// `Φ((x - 0.707107)/0.282095)` (`laplace`).
    Laplace,
}

impl Activation {
    /// The names that [`Activation::from_name`] knows, for error messages.
    pub const NAMES: &'static [&'static str] = &[
        "gelu",
        "gelu_python",
        "gelu_new",
        "gelu_fast",
        "gelu_pytorch_tanh",
        "gelu_accurate",
        "gelu_10",
        "quick_gelu",
        "relu",
        "relu6",
        "relu2",
        "leaky_relu",
        "silu",
        "swish",
        "sigmoid",
        "tanh",
        "mish",
        "laplace",
        "linear",
    ];

    /// The function that a `transformers` config calls `name`.
    ///
    /// ```
    /// use deberta_kernels::Activation;
    /// assert_eq!(Activation::from_name("gelu"), Some(Activation::Gelu));
    /// assert_eq!(Activation::from_name("gelo"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "linear" => Self::Identity,
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_accurate" => Self::GeluTanh,
            "gelu_10" => Self::GeluClipped,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "relu2" => Self::ReluSquared,
            "leaky_relu" => Self::LeakyRelu,
            "silu" | "swish" => Self::Silu,
            "sigmoid" => Self::Sigmoid,
            "tanh" => Self::Tanh,
            "mish" => Self::Mish,
            "laplace" => Self::Laplace,
            _ => return None,
        })
    }
    /// Applies the function to every value.
    ///
    /// ```
    /// use deberta_kernels::{Activation, Isa};
    /// let mut x = [-1.0, 0.0, 2.0];
    /// Activation::Relu.apply(Isa::detect(), &mut x);
    /// assert_eq!(x, [0.0, 0.0, 2.0]);
    /// ```
    pub fn apply(self, isa: Isa, values: &mut [f32]) {
        activate(isa, self, None, values);
    }
}

/// `x = f(x + bias)` for one row, or part of one.
///
/// # Panics
/// If the bias is shorter than the row.
pub(crate) fn activate(isa: Isa, activation: Activation, bias: Option<&[f32]>, row: &mut [f32]) {
    if let Some(bias) = bias {
        assert!(bias.len() >= row.len());
    } else if activation == Activation::Identity {
        return;
    }
    isa.dispatch(Activate {
        activation,
        bias,
        row,
    });
}

struct Activate<'a> {
    activation: Activation,
    bias: Option<&'a [f32]>,
    row: &'a mut [f32],
}

impl Operation for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (bias, row) = (self.bias, self.row);
        // One arm per function, so that the loop itself has no branches.
        match self.activation {
            Activation::Identity => biased(s, bias, row, Identity),
            Activation::Gelu => biased(s, bias, row, Gelu),
            Activation::GeluTanh => biased(s, bias, row, GeluTanh),
            Activation::GeluClipped => biased(s, bias, row, GeluClipped),
            Activation::QuickGelu => biased(s, bias, row, QuickGelu),
            Activation::Relu => biased(s, bias, row, Relu),
            Activation::Relu6 => biased(s, bias, row, Relu6),
            Activation::ReluSquared => biased(s, bias, row, ReluSquared),
            Activation::LeakyRelu => biased(s, bias, row, LeakyRelu),
            Activation::Silu => biased(s, bias, row, Silu),
            Activation::Sigmoid => biased(s, bias, row, Sigmoid),
            Activation::Tanh => biased(s, bias, row, Tanh),
            Activation::Mish => biased(s, bias, row, Mish),
            Activation::Laplace => biased(s, bias, row, Laplace),
        }
    }
}

/// Replaces every value of a row by `f(x + bias)`.
#[inline(always)]
fn biased<S: Simd, F: Elementwise>(s: S, bias: Option<&[f32]>, row: &mut [f32], f: F) {
    let Some(bias) = bias else {
        return map(s, row, f);
    };
    let bias = &bias[..row.len()];
    let mut chunks = row.chunks_exact_mut(S::LANES);
    let mut biases = bias.chunks_exact(S::LANES);
    for (chunk, bias) in (&mut chunks).zip(&mut biases) {
        let x = s.add(s.load_slice(chunk), s.load_slice(bias));
        s.store_slice(f.eval(s, x), chunk);
    }
    let (rest, bias) = (chunks.into_remainder(), biases.remainder());
    if !rest.is_empty() {
        let x = s.add(s.load_partial(rest, 0.0), s.load_partial(bias, 0.0));
        s.store_partial(f.eval(s, x), rest);
    }
}

/// Defines a function of one vector as a type.
macro_rules! elementwise {
    ($name:ident, |$s:ident, $x:ident| $body:expr) => {
        #[derive(Clone, Copy)]
        struct $name;

        impl Elementwise for $name {
            #[inline(always)]
            fn eval<S: Simd>(self, $s: S, $x: S::Vector) -> S::Vector {
                $body
            }
        }
    };
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// What the reference approximates squared ReLU with (Ma et al., "Mega", 2022).
#[allow(clippy::approx_constant)] // the reference's rounded number, not 1/√2
const LAPLACE_MEAN: f32 = 0.707_107;
const LAPLACE_SPREAD: f32 = 0.282_095;

elementwise!(Identity, |_s, x| x);
elementwise!(Gelu, |s, x| s.mul(x, normal_cdf(s, x)));
elementwise!(GeluTanh, |s, x| {
    let cube = s.mul(s.mul(x, x), x);
    let inner = s.mul_add(cube, s.splat(0.044_715), x);
    // (1 + tanh(u))/2 = σ(2u), without the difference that costs every digit of the negative tail.
    s.mul(x, sigmoid(s, s.mul(inner, s.splat(2.0 * SQRT_2_OVER_PI))))
});
elementwise!(GeluClipped, |s, x| {
    let gelu = s.mul(x, normal_cdf(s, x));
    s.max(s.splat(-10.0), s.min(s.splat(10.0), gelu))
});
elementwise!(QuickGelu, |s, x| s
    .mul(x, sigmoid(s, s.mul(x, s.splat(1.702)))));
elementwise!(Relu, |s, x| s.max(s.splat(0.0), x));
elementwise!(Relu6, |s, x| s.min(s.splat(6.0), s.max(s.splat(0.0), x)));
elementwise!(ReluSquared, |s, x| {
    let positive = s.max(s.splat(0.0), x);
    s.mul(positive, positive)
});
elementwise!(LeakyRelu, |s, x| {
    s.select(s.less(x, s.splat(0.0)), s.mul(x, s.splat(0.01)), x)
});
elementwise!(Silu, |s, x| s.mul(x, sigmoid(s, x)));
elementwise!(Sigmoid, |s, x| sigmoid(s, x));
elementwise!(Tanh, |s, x| tanh(s, x));
elementwise!(Laplace, |s, x| {
    let centred = s.sub(x, s.splat(LAPLACE_MEAN));
    normal_cdf(s, s.div(centred, s.splat(LAPLACE_SPREAD)))
});
elementwise!(Mish, |s, x| {
    // tanh(ln(1 + e)) = n / (n + 2) with n = e·(e + 2); above 20 it is 1 in f32.
    let e = exp(s, s.min(s.splat(20.0), x));
    let n = s.mul(e, s.add(e, s.splat(2.0)));
    s.mul(x, s.div(n, s.add(n, s.splat(2.0))))
});
