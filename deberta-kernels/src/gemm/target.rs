//! Where a product is written.

use std::ops::Range;

/// A matrix that a product is written to: row `i` begins at `i·stride`.
///
/// A pointer and not a slice, because tasks on other threads write other columns of the same rows.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    data: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
}

// SAFETY: a target is an address; what may be written through it, and by whom, is the contract of `product`.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The matrix `[rows, columns]` in `data`.
    ///
    /// # Panics
    /// If the slice is too short for it.
    pub(crate) fn new(data: &mut [f32], stride: usize, rows: usize, columns: usize) -> Self {
        assert!(rows == 0 || columns == 0 || data.len() >= (rows - 1) * stride + columns);
        assert!(columns <= stride || rows <= 1);
        Self {
            data: data.as_mut_ptr(),
            stride,
            rows,
            columns,
        }
    }

    /// A matrix at an address.
    ///
    /// # Safety
    /// Every row is valid for reading and writing while the target is in use.
    pub(crate) unsafe fn from_raw(
        data: *mut f32,
        stride: usize,
        rows: usize,
        columns: usize,
    ) -> Self {
        Self {
            data,
            stride,
            rows,
            columns,
        }
    }

    /// Part of the matrix.
    ///
    /// # Panics
    /// If the ranges are not within the matrix.
    pub(crate) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns);
        // SAFETY: the first element of the part lies within (or, if it is empty, at the end of) the matrix.
        let data = unsafe { self.data.add(rows.start * self.stride + columns.start) };
        Self {
            data,
            stride: self.stride,
            rows: rows.len(),
            columns: columns.len(),
        }
    }

    /// The first element.
    pub(crate) fn address(self) -> *mut f32 {
        self.data
    }

    /// The number of rows.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    /// The distance between the beginnings of rows.
    pub(crate) fn stride(self) -> usize {
        self.stride
    }

    /// One row of the matrix.
    ///
    /// # Safety
    /// Nothing else reads or writes these columns of the row while the slice lives.
    pub(crate) unsafe fn row<'a>(self, index: usize) -> &'a mut [f32] {
        assert!(index < self.rows);
        // SAFETY: the row lies within the matrix, and the caller has it to itself.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(index * self.stride), self.columns) }
    }
}
