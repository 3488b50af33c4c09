//! Right operands of the products of attention, in the order in which register tiles read them.

use crate::Isa;
use crate::isa::{Operation, Simd};
use crate::memory::Aligned;

/// Largest number of lanes of any instruction set.
pub(super) const MOST_LANES: usize = 16;

/// A right operand of N columns, cut into panels one vector wide.
///
/// Element `(k, n)` lies in panel `n / LANES` at `k·LANES + n % LANES`. Panels this narrow let a product begin and end
/// at any vector, as the windows of a position table do. The last panel is filled up with zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Panels {
    data: Aligned<f32>,
    /// Rows of the operand.
    depth: usize,
    lanes: usize,
}

impl Panels {
    /// Packs the transpose of a matrix of `rows` rows of `depth` values, row `n` of which begins at `n·stride`: the
    /// matrix holds the columns of the operand, as keys do. The memory is reused.
    pub(super) fn pack_transposed(
        &mut self,
        isa: Isa,
        matrix: &[f32],
        stride: usize,
        rows: usize,
        depth: usize,
    ) {
        let panels = self.reserve(isa, rows, depth);
        isa.dispatch(PackTransposed {
            matrix,
            stride,
            rows,
            depth,
            panels,
        });
    }

    /// Packs a matrix of `depth` rows of `columns` values: the matrix is the operand, as values are.
    pub(super) fn pack(
        &mut self,
        isa: Isa,
        matrix: &[f32],
        stride: usize,
        columns: usize,
        depth: usize,
    ) {
        let panels = self.reserve(isa, columns, depth);
        isa.dispatch(Pack {
            matrix,
            stride,
            columns,
            depth,
            panels,
        });
    }

    fn reserve(&mut self, isa: Isa, columns: usize, depth: usize) -> &mut [f32] {
        self.depth = depth;
        self.lanes = lanes(isa);
        let count = columns.next_multiple_of(self.lanes) * depth;
        self.data.reserve(count);
        &mut self.data[..count]
    }

    /// The number of rows.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Panels from number `panel` on, and of them the rows from number `row` on.
    pub(super) fn part(&self, panel: usize, row: usize) -> Right<'_> {
        Right {
            data: &self.data[(panel * self.depth + row) * self.lanes..],
            across: self.depth * self.lanes,
        }
    }
}

/// A right operand of a product: vector `v` of row `k` lies at `v·across + k·LANES`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) data: &'a [f32],
    pub(super) across: usize,
}

/// Values per vector of an instruction set.
pub(super) fn lanes(isa: Isa) -> usize {
    struct Lanes;
    impl Operation for Lanes {
        type Output = usize;
        fn run<S: Simd>(self, _: S) -> usize {
            S::LANES
        }
    }
    isa.dispatch(Lanes)
}

/// How many rows ahead packing asks for memory. A head's part of a row is short and the next row far away, which the
/// processor does not foresee.
const AHEAD: usize = 12;

/// Asks for the first `width` values of a row that is soon to be read, if there is such a row.
#[inline(always)]
fn prefetch_row<S: Simd>(s: S, matrix: &[f32], stride: usize, row: usize, width: usize) {
    let start = row * stride;
    if start < matrix.len() {
        for offset in (0..width).step_by(MOST_LANES) {
            s.prefetch(matrix.as_ptr().wrapping_add(start + offset));
        }
    }
}

struct PackTransposed<'a> {
    matrix: &'a [f32],
    stride: usize,
    rows: usize,
    depth: usize,
    panels: &'a mut [f32],
}

impl Operation for PackTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (lanes, depth) = (S::LANES, self.depth);
        for first in (0..self.rows).step_by(lanes) {
            let panel = &mut self.panels[first * depth..][..lanes * depth];
            let height = lanes.min(self.rows - first);
            for row in first + lanes..first + 2 * lanes {
                prefetch_row(s, self.matrix, self.stride, row, depth);
            }
            for k in (0..depth).step_by(lanes) {
                let width = lanes.min(depth - k);
                let source = &self.matrix[first * self.stride + k..];
                let target = &mut panel[k * lanes..][..width * lanes];
                if height == lanes && width == lanes {
                    assert!(source.len() >= (lanes - 1) * self.stride + lanes);
                    // SAFETY: the source holds these rows, and the target the whole block.
                    unsafe {
                        s.transpose(source.as_ptr(), self.stride, target.as_mut_ptr(), lanes)
                    };
                } else {
                    for (c, column) in target.chunks_exact_mut(lanes).enumerate() {
                        for (r, value) in column.iter_mut().enumerate() {
                            *value = if r < height {
                                source[r * self.stride + c]
                            } else {
                                0.0
                            };
                        }
                    }
                }
            }
        }
    }
}

struct Pack<'a> {
    matrix: &'a [f32],
    stride: usize,
    columns: usize,
    depth: usize,
    panels: &'a mut [f32],
}

impl Operation for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for k in 0..self.depth {
            prefetch_row(s, self.matrix, self.stride, k + AHEAD, self.columns);
            let row = &self.matrix[k * self.stride..][..self.columns];
            for (panel, values) in row.chunks(S::LANES).enumerate() {
                let target = &mut self.panels[(panel * self.depth + k) * S::LANES..];
                let vector = if values.len() == S::LANES {
                    s.load_slice(values)
                } else {
                    s.load_partial(values, 0.0)
                };
                s.store_slice(vector, target);
            }
        }
    }
}

/// Copies rows of `width` values, multiplied by `factor`, to rows without gaps.
pub(super) fn copy_rows(
    isa: Isa,
    matrix: &[f32],
    stride: usize,
    width: usize,
    factor: f32,
    target: &mut [f32],
) {
    isa.dispatch(CopyRows {
        matrix,
        stride,
        width,
        factor,
        target,
    });
}

struct CopyRows<'a> {
    matrix: &'a [f32],
    stride: usize,
    width: usize,
    factor: f32,
    target: &'a mut [f32],
}

impl Operation for CopyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = s.splat(self.factor);
        for (i, target) in self.target.chunks_exact_mut(self.width).enumerate() {
            prefetch_row(s, self.matrix, self.stride, i + AHEAD, self.width);
            let row = &self.matrix[i * self.stride..][..self.width];
            for (values, copy) in row.chunks(S::LANES).zip(target.chunks_mut(S::LANES)) {
                if values.len() == S::LANES {
                    s.store_slice(s.mul(s.load_slice(values), factor), copy);
                } else {
                    let scaled = s.mul(s.load_partial(values, 0.0), factor);
                    s.store_partial(scaled, copy);
                }
            }
        }
    }
}
