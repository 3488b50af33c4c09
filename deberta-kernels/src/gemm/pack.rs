//! The weights of a linear layer in the order in which the micro-kernel reads them.

use super::micro::TILE_VECTORS;
use crate::isa::{Isa, Operation, Simd};

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
