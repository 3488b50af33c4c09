//! Right operands of the products of attention, in the order in which register tiles read them.

use super::left::{AHEAD, prefetch_row};
use crate::gemm::Precision;
use crate::gemm::dot::left_step;
use crate::isa::{Isa, Operation, Simd};
use crate::memory::Aligned;

/// Largest number of lanes of any instruction set.
pub(super) const MOST_LANES: usize = 16;

/// A right operand of N columns, cut into panels one vector wide.
///
/// Step `k` of column `n` lies in panel `n / LANES` at `k·LANES + n % LANES`; a step is one `f32`, or two bf16 in 32
/// bits. Panels this narrow let a product begin and end at any vector, as the windows of a position table do. The last
/// panel and the last step are filled up with zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Panels {
    data: Aligned<u32>,
    /// Rows of the operand.
    depth: usize,
    /// The same in steps.
    steps: usize,
    /// Rows per step.
    step: usize,
    lanes: usize,
}

impl Panels {
    /// Packs the transpose of a matrix of `rows` rows of `depth` values, row `n` of which begins at `n·stride`: the
    /// matrix holds the columns of the operand, as keys do. The memory is reused.
    pub(super) fn pack_transposed(
        &mut self,
        isa: Isa,
        precision: Precision,
        matrix: &[f32],
        stride: usize,
        rows: usize,
        depth: usize,
    ) {
        let steps = self.reserve(isa, precision, rows, depth);
        let panels = &mut self.data[..rows.next_multiple_of(self.lanes) * steps];
        let matrix = Matrix {
            values: matrix,
            stride,
        };
        match precision {
            Precision::Bf16 => isa.dispatch(pairs::PackTransposed {
                matrix,
                rows,
                depth,
                panels,
            }),
            _ => isa.dispatch(PackTransposed {
                matrix,
                rows,
                depth,
                panels,
            }),
        }
    }

    /// Packs a matrix of `depth` rows of `columns` values: the matrix is the operand, as values are.
    pub(super) fn pack(
        &mut self,
        isa: Isa,
        precision: Precision,
        matrix: &[f32],
        stride: usize,
        columns: usize,
        depth: usize,
    ) {
        let steps = self.reserve(isa, precision, columns, depth);
        let panels = &mut self.data[..columns.next_multiple_of(self.lanes) * steps];
        let matrix = Matrix {
            values: matrix,
            stride,
        };
        match precision {
            Precision::Bf16 => isa.dispatch(pairs::Pack {
                matrix,
                columns,
                depth,
                panels,
            }),
            _ => isa.dispatch(Pack {
                matrix,
                columns,
                depth,
                panels,
            }),
        }
    }

    /// Makes room, and returns the number of steps.
    fn reserve(&mut self, isa: Isa, precision: Precision, columns: usize, depth: usize) -> usize {
        self.depth = depth;
        self.step = left_step(isa, precision).0;
        self.steps = depth.div_ceil(self.step);
        self.lanes = lanes(isa);
        self.data
            .reserve(columns.next_multiple_of(self.lanes) * self.steps);
        self.steps
    }

    /// The number of rows.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.data)
    }

    /// Panels from number `panel` on, and of them the rows from number `row` on, where a step begins.
    pub(super) fn part(&self, panel: usize, row: usize) -> Right<'_> {
        debug_assert!(row.is_multiple_of(self.step));
        Right {
            data: &self.data[(panel * self.steps + row / self.step) * self.lanes..],
            across: self.steps * self.lanes,
        }
    }
}

/// A matrix that is packed: row `i` begins at `i·stride`.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    stride: usize,
}

impl<'a> Matrix<'a> {
    /// The values of a row from a column on.
    #[inline(always)]
    fn row(&self, row: usize, column: usize) -> &'a [f32] {
        &self.values[row * self.stride + column..]
    }
}

/// A right operand of a product: vector `v` of step `k` lies at `v·across + k·LANES`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) data: &'a [u32],
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

struct PackTransposed<'a> {
    matrix: Matrix<'a>,
    rows: usize,
    depth: usize,
    panels: &'a mut [u32],
}

impl Operation for PackTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (lanes, depth) = (S::LANES, self.depth);
        let Matrix { values, stride } = self.matrix;
        for first in (0..self.rows).step_by(lanes) {
            let panel = &mut self.panels[first * depth..][..lanes * depth];
            let height = lanes.min(self.rows - first);
            for row in first + lanes..first + 2 * lanes {
                prefetch_row(s, values, stride, row, depth);
            }
            for k in (0..depth).step_by(lanes) {
                let width = lanes.min(depth - k);
                let source = self.matrix.row(first, k);
                let target = &mut panel[k * lanes..][..width * lanes];
                if height == lanes && width == lanes {
                    assert!(source.len() >= (lanes - 1) * stride + lanes);
                    // SAFETY: the source holds these rows, and the target the whole block.
                    unsafe {
                        s.transpose(source.as_ptr(), stride, target.as_mut_ptr().cast(), lanes)
                    };
                } else {
                    for (c, column) in target.chunks_exact_mut(lanes).enumerate() {
                        for (r, bits) in column.iter_mut().enumerate() {
                            *bits = if r < height {
                                source[r * stride + c].to_bits()
                            } else {
                                0
                            };
                        }
                    }
                }
            }
        }
    }
}

struct Pack<'a> {
    matrix: Matrix<'a>,
    columns: usize,
    depth: usize,
    panels: &'a mut [u32],
}

impl Operation for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Matrix { values, stride } = self.matrix;
        for k in 0..self.depth {
            prefetch_row(s, values, stride, k + AHEAD, self.columns);
            let row = &self.matrix.row(k, 0)[..self.columns];
            for (panel, values) in row.chunks(S::LANES).enumerate() {
                let target = &mut self.panels[(panel * self.depth + k) * S::LANES..][..S::LANES];
                let vector = if values.len() == S::LANES {
                    s.load_slice(values)
                } else {
                    s.load_partial(values, 0.0)
                };
                // SAFETY: the target holds a vector.
                unsafe { s.store(vector, target.as_mut_ptr().cast()) };
            }
        }
    }
}

/// Panels of bf16: a step is two rows of the operand, the first in the lower half.
mod pairs {
    use super::{MOST_LANES, Matrix};
    use crate::attention::left::{AHEAD, prefetch_row};
    use crate::gemm::dot::pair;
    use crate::isa::{Operation, Simd};

    pub(super) struct PackTransposed<'a> {
        pub(super) matrix: Matrix<'a>,
        pub(super) rows: usize,
        pub(super) depth: usize,
        pub(super) panels: &'a mut [u32],
    }

    impl Operation for PackTransposed<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (lanes, steps) = (S::LANES, self.depth.div_ceil(2));
            let Matrix { values, stride } = self.matrix;
            for first in (0..self.rows).step_by(lanes) {
                let panel = &mut self.panels[first * steps..][..lanes * steps];
                let height = lanes.min(self.rows - first);
                for row in first + lanes..first + 2 * lanes {
                    prefetch_row(s, values, stride, row, self.depth);
                }
                for k in (0..steps).step_by(lanes) {
                    // A block of pairs as they lie in the rows, zeros where there are none, and its transpose.
                    let (mut block, mut turned) =
                        ([0; MOST_LANES * MOST_LANES], [0; MOST_LANES * MOST_LANES]);
                    for (r, pairs) in block.chunks_exact_mut(lanes).take(height).enumerate() {
                        let count = (2 * lanes).min(self.depth - 2 * k);
                        let row = &self.matrix.row(first + r, 2 * k)[..count];
                        let (whole, last) = row.as_chunks::<2>();
                        for (to, [a, b]) in pairs.iter_mut().zip(whole) {
                            *to = pair(*a, *b);
                        }
                        if let [a] = last {
                            pairs[whole.len()] = pair(*a, 0.0);
                        }
                    }
                    // SAFETY: both hold LANES rows of LANES numbers, which are moved as they are.
                    unsafe {
                        s.transpose(
                            block.as_ptr().cast(),
                            lanes,
                            turned.as_mut_ptr().cast(),
                            lanes,
                        )
                    };
                    let target = &mut panel[k * lanes..steps.min(k + lanes) * lanes];
                    target.copy_from_slice(&turned[..target.len()]);
                }
            }
        }
    }

    pub(super) struct Pack<'a> {
        pub(super) matrix: Matrix<'a>,
        pub(super) columns: usize,
        pub(super) depth: usize,
        pub(super) panels: &'a mut [u32],
    }

    impl Operation for Pack<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let steps = self.depth.div_ceil(2);
            let Matrix { values, stride } = self.matrix;
            let nothing = [0.0; MOST_LANES];
            for k in 0..steps {
                for row in 2 * k + AHEAD..2 * k + AHEAD + 2 {
                    prefetch_row(s, values, stride, row, self.columns);
                }
                let first = &self.matrix.row(2 * k, 0)[..self.columns];
                let second = (2 * k + 1 < self.depth).then(|| self.matrix.row(2 * k + 1, 0));
                for (panel, first) in first.chunks(S::LANES).enumerate() {
                    let second = match second {
                        Some(second) => &second[panel * S::LANES..][..first.len()],
                        None => &nothing[..first.len()],
                    };
                    let target = &mut self.panels[(panel * steps + k) * S::LANES..][..S::LANES];
                    target.fill(0);
                    for ((to, a), b) in target.iter_mut().zip(first).zip(second) {
                        *to = pair(*a, *b);
                    }
                }
            }
        }
    }
}
