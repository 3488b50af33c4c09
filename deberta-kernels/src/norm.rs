//! Layer normalisation.

use crate::KernelError;
use crate::isa::{Isa, Operation, Simd};
use crate::shape::{check_len, check_matrix};
use ndarray::ArrayViewMut2;
use rayon::prelude::*;

/// Layer normalisation of rows: `y = (x - mean) / sqrt(var + eps) · weight + bias`.
///
/// Mean and (biased) variance are those of the row, the variance from the centred values, all in `f32`, as
/// `torch.nn.LayerNorm` defines it.
///
/// With `m` the largest of the row's values `|x - mean|/sqrt(var + eps)`, each result is within 4 ULP of
/// `m·|weight| + |bias|`, for rows of up to 4,096 values whose mean is up to 100 times their spread; within 7 at 4,096 times
/// (7 and 11 without vectors of 8 or 16). A row with NaN or an infinity becomes NaN.
///
/// ```
/// use deberta_kernels::{Isa, LayerNorm};
/// use ndarray::array;
/// let norm = LayerNorm::new(vec![1.0, 1.0], vec![0.0, 0.0], 0.0)?;
/// let mut x = array![[1.0, 3.0]];
/// norm.apply(Isa::detect(), x.view_mut())?;
/// assert_eq!(x, array![[-1.0, 1.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// A normalisation with weight and bias of the same length.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if the lengths differ.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>, eps: f32) -> Result<Self, KernelError> {
        check_len("bias", bias.len(), weight.len())?;
        Ok(Self { weight, bias, eps })
    }

    /// The length of the rows that it normalises.
    pub fn len(&self) -> usize {
        self.weight.len()
    }

    /// Whether that length is zero.
    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    /// Normalises every row of `x: [T, N]` in place, on the current rayon pool.
    ///
    /// # Errors
    /// [`KernelError`] if N is not [`LayerNorm::len`] or the rows are not contiguous.
    pub fn apply(&self, isa: Isa, mut x: ArrayViewMut2<'_, f32>) -> Result<(), KernelError> {
        check_matrix("x", &x.view(), [x.nrows(), self.len()])?;
        x.outer_iter_mut()
            .into_par_iter()
            .with_min_len(16)
            .for_each(|mut row| {
                if let Some(row) = row.as_slice_mut() {
                    normalize_row(isa, self, row);
                }
            });
        Ok(())
    }
}

/// Normalises one row whose length is that of the normalisation.
pub(crate) fn normalize_row(isa: Isa, norm: &LayerNorm, row: &mut [f32]) {
    isa.dispatch(NormalizeRow { norm, row });
}

struct NormalizeRow<'a> {
    norm: &'a LayerNorm,
    row: &'a mut [f32],
}

impl Operation for NormalizeRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { norm, row } = self;
        let count = row.len() as f32;
        let full = row.len() / S::LANES * S::LANES;

        let mut sum = s.splat(0.0);
        for chunk in row[..full].chunks_exact(S::LANES) {
            sum = s.add(sum, s.load_slice(chunk));
        }
        let mean = (s.sum_lanes(sum) + row[full..].iter().sum::<f32>()) / count;

        // The mean is rounded; what the centred values still sum to corrects it. Far from zero that saves many digits.
        let center = s.splat(mean);
        let (mut rest, mut squares) = (s.splat(0.0), s.splat(0.0));
        for chunk in row[..full].chunks_exact(S::LANES) {
            let d = s.sub(s.load_slice(chunk), center);
            rest = s.add(rest, d);
            squares = s.mul_add(d, d, squares);
        }
        let tail = || row[full..].iter().map(|x| x - mean);
        let shift = (s.sum_lanes(rest) + tail().sum::<f32>()) / count;
        let squares = s.sum_lanes(squares) + tail().map(|d| d * d).sum::<f32>();
        let variance = (squares / count - shift * shift).max(0.0);
        let scale = 1.0 / (variance + norm.eps).sqrt();

        let factor = s.splat(scale);
        let (weight, bias) = (&norm.weight, &norm.bias);
        for start in (0..full).step_by(S::LANES) {
            let d = s.sub(s.sub(s.load_slice(&row[start..]), center), s.splat(shift));
            let d = s.mul(d, factor);
            let y = s.mul_add(
                d,
                s.load_slice(&weight[start..]),
                s.load_slice(&bias[start..]),
            );
            s.store_slice(y, &mut row[start..]);
        }
        for i in full..row.len() {
            row[i] = (row[i] - mean - shift) * scale * weight[i] + bias[i];
        }
    }
}
