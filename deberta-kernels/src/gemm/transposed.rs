//! Linear layers by `matrixmultiply`, for processors without a tile of ours.

use super::target::Target;
use crate::KernelError;
use std::ops::Range;

/// Rows that are read at a time.
const ROWS: usize = 16;

/// Reads `[outputs, inputs]` and returns its transpose, in row-major order.
pub(super) fn read<E: From<KernelError>>(
    outputs: usize,
    inputs: usize,
    read: &impl Fn(Range<usize>, &mut [f32]) -> Result<(), E>,
) -> Result<Vec<f32>, E> {
    let mut values = vec![0.0; outputs * inputs];
    let mut rows = vec![0.0; ROWS * inputs];
    for start in (0..outputs).step_by(ROWS) {
        let range = start..outputs.min(start + ROWS);
        let rows = &mut rows[..range.len() * inputs];
        read(range, rows)?;
        for (lane, row) in rows.chunks_exact(inputs).enumerate() {
            for (k, value) in row.iter().enumerate() {
                values[k * outputs + start + lane] = *value;
            }
        }
    }
    Ok(values)
}

/// `c = x·w` for the columns of `w: [inputs, outputs]` at which `c` begins.
///
/// # Safety
/// The caller has the rows of `c` to itself.
///
/// # Panics
/// If an operand is too small.
pub(super) unsafe fn product(
    x: (&[f32], usize),
    inputs: usize,
    w: &[f32],
    outputs: usize,
    columns: Range<usize>,
    c: Target,
) {
    let (x, stride) = x;
    if c.rows() == 0 || columns.is_empty() {
        return;
    }
    assert!(columns.end <= outputs && columns.len() == c.columns() && w.len() == inputs * outputs);
    assert!(x.len() >= (c.rows() - 1) * stride + inputs);
    // SAFETY: the assertions, and that the caller has the rows of `c` to itself.
    unsafe {
        matrixmultiply::sgemm(
            c.rows(),
            inputs,
            columns.len(),
            1.0,
            x.as_ptr(),
            stride as isize,
            1,
            w.as_ptr().add(columns.start),
            outputs as isize,
            1,
            0.0,
            c.address(),
            c.stride() as isize,
            1,
        );
    }
}
