//! Right operands of the products of attention, in the order in which register tiles read them.

use super::buffer::Buffer;
use crate::Isa;
use crate::isa::{Operation, Simd};

/// Largest number of lanes of any instruction set.
pub(super) const MOST_LANES: usize = 16;

/// The transpose of a matrix of N rows of D values, such as keys, cut into panels one vector wide.
///
/// Element `(k, n)` of the operand lies in panel `n / LANES` at `k·LANES + n % LANES`. Panels this narrow let a product
/// begin and end at any vector, as the windows of a position table do. The last panel is filled up with zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Panels {
    data: Buffer,
    /// D.
    depth: usize,
    lanes: usize,
}

impl Panels {
    /// Packs anew, reusing the memory: row `n` of the matrix begins at `n·stride`.
    pub(super) fn pack(
        &mut self,
        isa: Isa,
        matrix: &[f32],
        stride: usize,
        rows: usize,
        depth: usize,
    ) {
        self.depth = depth;
        self.lanes = lanes(isa);
        let panels = self.data.reserve(rows.next_multiple_of(self.lanes) * depth);
        isa.dispatch(PackTransposed {
            matrix,
            stride,
            rows,
            depth,
            panels,
        });
    }

    /// D.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The panels from number `first` on.
    pub(super) fn from(&self, first: usize) -> Right<'_> {
        Right {
            data: &self.data[first * self.depth * self.lanes..],
            across: self.depth * self.lanes,
            down: self.lanes,
        }
    }
}

/// A right operand of a product: the vector of columns `v·LANES ..` of row `k` lies at `v·across + k·down`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) data: &'a [f32],
    pub(super) across: usize,
    pub(super) down: usize,
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

/// Copies rows of `width` values, multiplied by `factor`, to the beginnings of rows `target_stride` apart, and fills
/// those up with zeros.
pub(super) fn copy_rows(
    isa: Isa,
    matrix: &[f32],
    stride: usize,
    width: usize,
    factor: f32,
    target: &mut [f32],
    target_stride: usize,
) {
    isa.dispatch(CopyRows {
        rows: matrix.chunks(stride),
        width,
        factor,
        target: target.chunks_exact_mut(target_stride),
    });
}

struct CopyRows<'a> {
    rows: std::slice::Chunks<'a, f32>,
    width: usize,
    factor: f32,
    target: std::slice::ChunksExactMut<'a, f32>,
}

impl Operation for CopyRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = s.splat(self.factor);
        for (row, target) in self.rows.zip(self.target) {
            let (copy, rest) = target.split_at_mut(self.width);
            let pairs = row[..self.width].chunks(S::LANES);
            for (values, copy) in pairs.zip(copy.chunks_mut(S::LANES)) {
                if values.len() == S::LANES {
                    s.store_slice(s.mul(s.load_slice(values), factor), copy);
                } else {
                    let scaled = s.mul(s.load_partial(values, 0.0), factor);
                    s.store_partial(scaled, copy);
                }
            }
            rest.fill(0.0);
        }
    }
}
