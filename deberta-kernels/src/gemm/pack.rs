//! The weights of a linear layer in the order in which the micro-kernel reads them.

use super::micro::TILE_VECTORS;
use crate::KernelError;
use crate::isa::{Isa, Operation, Simd};

/// A matrix `W: [N, K]` packed for computing `x·Wᵀ`, once, when a model loads.
///
/// ```
/// use deberta_kernels::{Isa, PackedWeights};
/// let weights = PackedWeights::new(Isa::detect(), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
/// assert_eq!((weights.outputs(), weights.inputs()), (2, 3));
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PackedWeights {
    isa: Isa,
    panels: Panels,
}

impl PackedWeights {
    /// Packs the row-major matrix `weights: [outputs, inputs]` for the given instruction set.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if the slice does not hold `outputs · inputs` values, or none.
    pub fn new(
        isa: Isa,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, KernelError> {
        if outputs.checked_mul(inputs) != Some(weights.len()) || weights.is_empty() {
            return Err(KernelError::Shape {
                argument: "weights",
                expected: vec![outputs, inputs],
                found: vec![weights.len()],
            });
        }
        // One panel as wide as the matrix is the layout that `matrixmultiply` takes.
        let width = if let Isa::Generic(_) = isa {
            outputs
        } else {
            panel_width(isa)
        };
        Ok(Self {
            isa,
            panels: Panels::new(weights, outputs, inputs, width),
        })
    }

    /// The number of output features, N.
    pub fn outputs(&self) -> usize {
        self.panels.columns
    }

    /// The number of input features, K.
    pub fn inputs(&self) -> usize {
        self.panels.depth
    }

    /// The instruction set that the weights were packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The weights in panels.
    pub(crate) fn panels(&self) -> &Panels {
        &self.panels
    }
}

/// The right operand of a matrix product, cut into panels as wide as a register tile.
///
/// Column `n` of the operand lies in panel `n / width`; within a panel the values of one `k` lie side by side, so that
/// the micro-kernel reads memory in one forward sweep. The last panel is filled up with zeros:
///
/// ```text
/// element (k, n)  ->  data[n / width][k][n % width]
/// ```
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    data: Vec<f32>,
    /// The number of columns, N.
    pub(crate) columns: usize,
    /// The number of rows, K.
    pub(crate) depth: usize,
    /// Columns per panel.
    pub(crate) width: usize,
}

impl Panels {
    /// Packs the transpose of the row-major matrix `source: [columns, depth]`.
    pub(crate) fn new(source: &[f32], columns: usize, depth: usize, width: usize) -> Self {
        let mut panels = Self::default();
        panels.pack_transposed(columns, depth, width, |n| &source[n * depth..][..depth]);
        panels
    }

    /// Packs anew, reusing the memory: column `n` is `column(n)`, of length `depth`.
    pub(crate) fn pack_transposed<'a>(
        &mut self,
        columns: usize,
        depth: usize,
        width: usize,
        column: impl Fn(usize) -> &'a [f32],
    ) {
        self.shape(columns, depth, width);
        for (first, panel) in (0..columns)
            .step_by(width)
            .zip(self.data.chunks_exact_mut(width * depth))
        {
            for lane in 0..width {
                if first + lane < columns {
                    let values = column(first + lane);
                    for (group, &value) in panel.chunks_exact_mut(width).zip(values) {
                        group[lane] = value;
                    }
                } else {
                    panel
                        .chunks_exact_mut(width)
                        .for_each(|group| group[lane] = 0.0);
                }
            }
        }
    }

    /// Packs anew, reusing the memory: row `k` is `row(k)`, of length `columns`.
    pub(crate) fn pack_rows<'a>(
        &mut self,
        columns: usize,
        depth: usize,
        width: usize,
        row: impl Fn(usize) -> &'a [f32],
    ) {
        self.shape(columns, depth, width);
        for k in 0..depth {
            for (p, part) in row(k).chunks(width).enumerate() {
                let group = &mut self.data[(p * depth + k) * width..][..width];
                group[..part.len()].copy_from_slice(part);
                group[part.len()..].fill(0.0);
            }
        }
    }

    fn shape(&mut self, columns: usize, depth: usize, width: usize) {
        (self.columns, self.depth, self.width) = (columns, depth, width);
        self.data
            .resize(columns.div_ceil(width) * width * depth, 0.0);
    }

    /// The number of panels.
    pub(crate) fn count(&self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// The values of one panel: `[depth, width]`.
    pub(crate) fn panel(&self, index: usize) -> &[f32] {
        &self.data[index * self.width * self.depth..][..self.width * self.depth]
    }
}

/// Columns per panel for an instruction set.
pub(crate) fn panel_width(isa: Isa) -> usize {
    struct Width;
    impl Operation for Width {
        type Output = usize;
        fn run<S: Simd>(self, _: S) -> usize {
            S::LANES * TILE_VECTORS
        }
    }
    isa.dispatch(Width)
}

/// Rows of the largest register tile of an instruction set.
pub(crate) fn tile_rows(isa: Isa) -> usize {
    struct Rows;
    impl Operation for Rows {
        type Output = usize;
        fn run<S: Simd>(self, _: S) -> usize {
            S::TILE_ROWS
        }
    }
    isa.dispatch(Rows)
}
