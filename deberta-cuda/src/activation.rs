//! The numbers by which kernels know activations.

use crate::CudaError;
use deberta_kernels::Activation;

/// The number of an activation in `kernels/activation.cuh`.
pub(crate) fn number(activation: Activation) -> Result<usize, CudaError> {
    Ok(match activation {
        Activation::Identity => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::GeluClipped => 3,
        Activation::QuickGelu => 4,
        Activation::Relu => 5,
        Activation::Relu6 => 6,
        Activation::ReluSquared => 7,
        Activation::LeakyRelu => 8,
        Activation::Silu => 9,
        Activation::Sigmoid => 10,
        Activation::Tanh => 11,
        Activation::Mish => 12,
        Activation::Laplace => 13,
        other => {
            return Err(CudaError::Argument {
                argument: "activation",
                expected: "one that the kernels know".to_owned(),
                found: format!("{other:?}"),
            });
        }
    })
}
