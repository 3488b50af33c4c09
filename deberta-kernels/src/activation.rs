//! Element-wise activation functions, by the names that `transformers` configs use.

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
}
