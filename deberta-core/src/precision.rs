//! The arithmetic of a model.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// How the weights of the encoder's linear layers are kept, and what the operands of their products are rounded to. Sums,
/// softmax and normalisations are `f32` whatever this is.
///
/// | precision | processor | GPU |
/// |---|---|---|
/// | [`F32`](Self::F32) | single precision | the same accuracy, as three products of tf32 on tensor cores |
/// | [`F16`](Self::F16) | not there | weights and what is between layers in IEEE 754 half precision |
/// | [`Bf16`](Self::Bf16) | operands rounded to bf16 | weights and what is between layers in bf16 |
/// | [`Int8`](Self::Int8) | integers of 8 bits, with the scales of small groups | not there; files of it are widened to f16 |
///
/// ```
/// use deberta_core::Precision;
/// assert_eq!("bf16".parse::<Precision>()?, Precision::Bf16);
/// assert_eq!(Precision::default().to_string(), "f32");
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision of IEEE 754.
    F16,
    /// The upper half of single precision.
    Bf16,
    /// 8-bit integers with the scales of small groups.
    Int8,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Int8];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

/// Reads what [`Display`](fmt::Display) writes.
impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = |precision: &Self| precision.to_string() == text;
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| Error::Argument {
                name: "precision",
                expected: "f32, f16, bf16 or int8".to_owned(),
                found: format!("{text:?}"),
            })
    }
}
