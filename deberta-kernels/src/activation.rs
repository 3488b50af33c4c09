//! Element-wise activation functions, by the names that `transformers` configs use.

use crate::isa::{Isa, Operation, Simd};
use crate::softmax::map_chunk;
use crate::vecmath::{exp, normal_cdf, sigmoid, tanh};

/// An activation function of one variable.
///
/// The names are those of `transformers`' `ACT2FN` table.
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
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "relu2" => Self::ReluSquared,
            "leaky_relu" => Self::LeakyRelu,
            "silu" | "swish" => Self::Silu,
            "sigmoid" => Self::Sigmoid,
            "tanh" => Self::Tanh,
            "mish" => Self::Mish,
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
        let zero = s.splat(0.0);
        let one = s.splat(1.0);
        // One arm per function, so that the loop itself has no branches.
        match self.activation {
            Activation::Identity => map(s, bias, row, |x| x),
            Activation::Gelu => map(s, bias, row, |x| s.mul(x, normal_cdf(s, x))),
            Activation::GeluTanh => map(s, bias, row, |x| {
                let cube = s.mul(s.mul(x, x), x);
                let inner = s.mul_add(cube, s.splat(0.044_715), x);
                let t = tanh(s, s.mul(inner, s.splat(SQRT_2_OVER_PI)));
                s.mul(s.mul(x, s.splat(0.5)), s.add(one, t))
            }),
            Activation::QuickGelu => map(s, bias, row, |x| {
                s.mul(x, sigmoid(s, s.mul(x, s.splat(1.702))))
            }),
            Activation::Relu => map(s, bias, row, |x| s.max(zero, x)),
            Activation::Relu6 => map(s, bias, row, |x| s.min(s.splat(6.0), s.max(zero, x))),
            Activation::ReluSquared => map(s, bias, row, |x| {
                let positive = s.max(zero, x);
                s.mul(positive, positive)
            }),
            Activation::LeakyRelu => map(s, bias, row, |x| {
                s.select(s.less(x, zero), s.mul(x, s.splat(0.01)), x)
            }),
            Activation::Silu => map(s, bias, row, |x| s.mul(x, sigmoid(s, x))),
            Activation::Sigmoid => map(s, bias, row, |x| sigmoid(s, x)),
            Activation::Tanh => map(s, bias, row, |x| tanh(s, x)),
            Activation::Mish => map(s, bias, row, |x| {
                // tanh(ln(1 + e)) = n / (n + 2) with n = e·(e + 2); above 20 it is 1 in f32.
                let e = exp(s, s.min(s.splat(20.0), x));
                let n = s.mul(e, s.add(e, s.splat(2.0)));
                s.mul(x, s.div(n, s.add(n, s.splat(2.0))))
            }),
        }
    }
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;

#[inline(always)]
fn map<S: Simd>(s: S, bias: Option<&[f32]>, row: &mut [f32], f: impl Fn(S::Vector) -> S::Vector) {
    for (index, chunk) in row.chunks_mut(S::LANES).enumerate() {
        match bias {
            None => {
                map_chunk(s, chunk, 0.0, &f);
            }
            Some(bias) => {
                let bias = &bias[index * S::LANES..];
                let b = if chunk.len() == S::LANES {
                    s.load_slice(bias)
                } else {
                    s.load_partial(&bias[..chunk.len()], 0.0)
                };
                map_chunk(s, chunk, 0.0, |x| f(s.add(x, b)));
            }
        }
    }
}
