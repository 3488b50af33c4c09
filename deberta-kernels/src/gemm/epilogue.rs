//! What happens to a product before it is written: the contract of a linear layer's end.

use crate::shape::{check_len, check_matrix};
use crate::{Activation, KernelError, LayerNorm};
use ndarray::ArrayView2;

/// The end of a linear layer: `norm( activation( x·Wᵀ + bias ) + residual )`, every part optional.
///
/// A contract on the result, not a promise of one pass: an implementation fuses what pays.
///
/// ```
/// use deberta_kernels::{Activation, Epilogue};
/// let bias = vec![0.0; 8];
/// let up = Epilogue::default().bias(&bias).activation(Activation::Gelu);
/// assert!(up.residual.is_none());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Added to every row: `[N]`.
    pub bias: Option<&'a [f32]>,
    /// Applied to every element.
    pub activation: Activation,
    /// Added after the activation: `[T, N]`.
    pub residual: Option<ArrayView2<'a, f32>>,
    /// Applied to every row at the very end.
    pub norm: Option<&'a LayerNorm>,
}

impl<'a> Epilogue<'a> {
    /// Adds a bias `[N]`.
    pub fn bias(self, bias: &'a [f32]) -> Self {
        Self {
            bias: Some(bias),
            ..self
        }
    }

    /// Applies an activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Adds a residual `[T, N]`.
    pub fn residual(self, residual: ArrayView2<'a, f32>) -> Self {
        Self {
            residual: Some(residual),
            ..self
        }
    }

    /// Normalises every row.
    pub fn norm(self, norm: &'a LayerNorm) -> Self {
        Self {
            norm: Some(norm),
            ..self
        }
    }

    /// Checks every part against an output of `tokens` rows of `outputs` values.
    pub(super) fn check(&self, tokens: usize, outputs: usize) -> Result<(), KernelError> {
        if let Some(bias) = self.bias {
            check_len("bias", bias.len(), outputs)?;
        }
        if let Some(residual) = &self.residual {
            check_matrix("residual", residual, [tokens, outputs])?;
        }
        if let Some(norm) = self.norm {
            check_len("norm", norm.len(), outputs)?;
        }
        Ok(())
    }
}
