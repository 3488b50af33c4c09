//! Checks of arguments, and access to the contiguous rows of a matrix that may be part of a larger one.

use crate::KernelError;
use ndarray::ArrayView2;
use std::ops::Range;

/// The matrix has this shape and contiguous rows.
pub(crate) fn check_matrix(
    argument: &'static str,
    matrix: &ArrayView2<'_, f32>,
    expected: [usize; 2],
) -> Result<(), KernelError> {
    if matrix.shape() != expected {
        let found = matrix.shape().to_vec();
        return Err(KernelError::Shape {
            argument,
            expected: expected.to_vec(),
            found,
        });
    }
    if matrix.is_empty() {
        return Ok(());
    }
    let strides = matrix.strides();
    let contiguous = matrix.ncols() <= 1 || strides[1] == 1;
    let apart = matrix.nrows() <= 1 || strides[0] >= matrix.ncols() as isize;
    if !contiguous || !apart {
        return Err(KernelError::Strides {
            argument,
            strides: strides.to_vec(),
        });
    }
    Ok(())
}

/// The vector has this length.
pub(crate) fn check_len(
    argument: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), KernelError> {
    if found != expected {
        let (expected, found) = (vec![expected], vec![found]);
        return Err(KernelError::Shape {
            argument,
            expected,
            found,
        });
    }
    Ok(())
}

/// Sequence boundaries rise from 0 to the number of tokens.
pub(crate) fn check_bounds(bounds: &[usize], tokens: usize) -> Result<(), KernelError> {
    let mut previous = 0;
    for (index, &found) in bounds.iter().enumerate() {
        if found < previous || found > tokens || (index == 0 && found != 0) {
            return Err(KernelError::Bounds {
                tokens,
                index,
                found,
            });
        }
        previous = found;
    }
    if previous != tokens || bounds.is_empty() {
        let index = bounds.len().saturating_sub(1);
        return Err(KernelError::Bounds {
            tokens,
            index,
            found: previous,
        });
    }
    Ok(())
}

/// Positions rise strictly within every sequence.
pub(crate) fn check_positions(positions: &[u32], bounds: &[usize]) -> Result<(), KernelError> {
    check_len(
        "positions",
        positions.len(),
        bounds.last().copied().unwrap_or(0),
    )?;
    for pair in bounds.windows(2) {
        let sequence = &positions[pair[0]..pair[1]];
        if let Some(i) = sequence.windows(2).position(|p| p[0] >= p[1]) {
            return Err(KernelError::Positions {
                token: pair[0] + i + 1,
                previous: sequence[i],
                found: sequence[i + 1],
            });
        }
    }
    Ok(())
}

/// Rows `rows` of a matrix that passed [`check_matrix`], and the distance between their beginnings.
pub(crate) fn row_slice<'a>(
    matrix: &ArrayView2<'a, f32>,
    rows: Range<usize>,
) -> (&'a [f32], usize) {
    let columns = matrix.ncols();
    let stride = if matrix.nrows() <= 1 {
        columns
    } else {
        matrix.strides()[0] as usize
    };
    assert!(rows.start <= rows.end && rows.end <= matrix.nrows());
    if rows.is_empty() || columns == 0 {
        return (&[], stride);
    }
    // SAFETY: `check_matrix` saw contiguous rows `stride` apart, so everything from the beginning of the first row to
    // the end of the last lies within the array that the view borrows.
    let slice = unsafe {
        std::slice::from_raw_parts(
            matrix.as_ptr().add(rows.start * stride),
            (rows.len() - 1) * stride + columns,
        )
    };
    (slice, stride)
}
