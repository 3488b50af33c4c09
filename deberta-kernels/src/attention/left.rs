//! Left operands of the products of attention: rows in the form that the precision asks for.

use crate::gemm::Precision;
use crate::gemm::dot::{Dot, DotOperation, dispatch, left_step};
use crate::isa::{Isa, Operation, Simd};
use crate::memory::Aligned;

/// Rows of values, each a whole number of steps.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftRows {
    bytes: Aligned<u8>,
    /// Bytes from one row to the next.
    stride: usize,
}

/// Rows that a product reads: row `i` begins at byte `i·stride`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) data: &'a [u8],
    pub(super) stride: usize,
}

impl<'a> Left<'a> {
    /// Rows of `f32` as they are, `stride` values apart.
    pub(super) fn of_values(values: &'a [f32], stride: usize) -> Self {
        // SAFETY: any number is four bytes.
        let data = unsafe {
            std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values))
        };
        Self {
            data,
            stride: stride * size_of::<f32>(),
        }
    }
}

impl LeftRows {
    /// Copies `rows` rows of `width` values, multiplied by `factor`, from rows that lie `stride` apart.
    #[allow(clippy::too_many_arguments)] // an operand and its form, spelled out
    pub(super) fn fill(
        &mut self,
        isa: Isa,
        precision: Precision,
        matrix: &[f32],
        stride: usize,
        rows: usize,
        width: usize,
        factor: f32,
    ) {
        let (step, bytes) = left_step(isa, precision);
        self.stride = width.div_ceil(step) * bytes;
        self.bytes.reserve(rows * self.stride);
        let target = &mut self.bytes[..rows * self.stride];
        match precision {
            Precision::F32 => {
                // SAFETY: the memory begins at a cache line and holds this many numbers; any bytes are one.
                let target = unsafe {
                    std::slice::from_raw_parts_mut(target.as_mut_ptr().cast(), rows * width)
                };
                copy_rows(isa, matrix, stride, width, factor, target);
            }
            _ => dispatch(
                isa,
                precision,
                NarrowRows {
                    matrix,
                    stride,
                    width,
                    factor,
                    target,
                    target_stride: self.stride,
                },
            ),
        }
    }

    /// The rows from number `first` on.
    pub(super) fn from(&self, first: usize) -> Left<'_> {
        Left {
            data: &self.bytes[first * self.stride..],
            stride: self.stride,
        }
    }
}

/// How many rows ahead packing asks for memory. A head's part of a row is short and the next row far away, which the
/// processor does not foresee.
pub(super) const AHEAD: usize = 12;

/// Asks for the first `width` values of a row that is soon to be read, if there is such a row.
#[inline(always)]
pub(super) fn prefetch_row<S: Simd>(s: S, matrix: &[f32], stride: usize, row: usize, width: usize) {
    const LINE: usize = 16;
    let start = row * stride;
    if start < matrix.len() {
        for offset in (0..width).step_by(LINE) {
            s.prefetch(matrix.as_ptr().wrapping_add(start + offset));
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

/// Rounds rows to narrower numbers.
struct NarrowRows<'a> {
    matrix: &'a [f32],
    stride: usize,
    width: usize,
    factor: f32,
    target: &'a mut [u8],
    target_stride: usize,
}

impl DotOperation for NarrowRows<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        // Pieces of whole steps, small enough for the stack.
        const PIECE: usize = 64;
        let mut scaled = [0.0f32; PIECE];
        let bytes = PIECE / D::STEP * D::LEFT;
        for (i, target) in self.target.chunks_exact_mut(self.target_stride).enumerate() {
            prefetch_row(d.simd(), self.matrix, self.stride, i + AHEAD, self.width);
            let row = &self.matrix[i * self.stride..][..self.width];
            for (from, to) in row.chunks(PIECE).zip(target.chunks_mut(bytes)) {
                for (scaled, x) in scaled.iter_mut().zip(from) {
                    *scaled = x * self.factor;
                }
                d.narrow(&scaled[..from.len()], to);
            }
        }
    }
}
