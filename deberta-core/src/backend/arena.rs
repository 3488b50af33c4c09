//! Matrices whose memory is used again.
//!
//! A forward pass makes the same handful of matrices in every layer. Their memory comes from an [`Arena`] and goes back
//! there when they are dropped, so that a pass whose shapes have been seen before asks the system for nothing.

use deberta_kernels::{Buffer, RoundedRows};
use ndarray::{ArrayView2, ArrayViewMut2, Ix2, ShapeBuilder, StrideShape};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The largest buffer that is kept, in numbers: 256 MB, which the inner layer of a base model fills with 21,000 tokens. A
/// rare huge batch should not leave its memory behind.
const LARGEST: usize = 1 << 26;
/// Buffers that are kept at most.
const MOST: usize = 16;

/// Rows this many numbers long, or a multiple, would all begin at the same few places of a cache.
const ALIASED: usize = 256;
/// What is added to them: a cache line.
const PADDING: usize = 16;

/// Memory that waits for its next matrix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arena(Arc<Free>);

#[derive(Debug, Default)]
struct Free {
    buffers: Mutex<Vec<Buffer>>,
    rounded: Mutex<Vec<RoundedRows>>,
}

impl Arena {
    /// A matrix whose values are unspecified.
    pub(crate) fn matrix(&self, rows: usize, columns: usize) -> Matrix {
        let padded = rows > 1 && columns > 0 && columns.is_multiple_of(ALIASED);
        let stride = columns + if padded { PADDING } else { 0 };
        Matrix {
            buffer: self.take(rows * stride),
            rows,
            columns,
            stride,
            home: self.clone(),
        }
    }

    /// A matrix between two layers, to be written.
    pub(crate) fn inner(&self) -> Inner {
        let free = locked(&self.0.rounded).pop();
        Inner {
            rows: free.unwrap_or_default(),
            home: self.clone(),
        }
    }

    /// Gives back all memory that waits.
    pub(crate) fn clear(&self) {
        locked(&self.0.buffers).clear();
        locked(&self.0.rounded).clear();
    }

    /// The smallest buffer that is large enough, or a new one.
    fn take(&self, len: usize) -> Buffer {
        let mut free = locked(&self.0.buffers);
        let fitting = free.iter().enumerate().filter(|(_, b)| b.len() >= len);
        match fitting.min_by_key(|(_, b)| b.len()).map(|(index, _)| index) {
            Some(index) => free.swap_remove(index),
            None => Buffer::zeros(len),
        }
    }

    fn give(&self, buffer: Buffer) {
        if buffer.is_empty() || buffer.len() > LARGEST {
            return;
        }
        let mut free = locked(&self.0.buffers);
        free.push(buffer);
        if free.len() > MOST {
            let smallest = (0..free.len()).min_by_key(|&index| free[index].len());
            smallest.map(|index| free.swap_remove(index));
        }
    }
}

/// The list, whatever befell a thread that held it.
fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A matrix between two layers, in memory of an [`Arena`].
#[derive(Debug)]
pub(crate) struct Inner {
    rows: RoundedRows,
    home: Arena,
}

impl Deref for Inner {
    type Target = RoundedRows;

    fn deref(&self) -> &RoundedRows {
        &self.rows
    }
}

impl DerefMut for Inner {
    fn deref_mut(&mut self) -> &mut RoundedRows {
        &mut self.rows
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let mut free = locked(&self.home.0.rounded);
        if rows.bytes() <= LARGEST * size_of::<f32>() && free.len() < MOST {
            free.push(rows);
        }
    }
}

/// A matrix in memory of an [`Arena`].
#[derive(Debug)]
pub(crate) struct Matrix {
    buffer: Buffer,
    rows: usize,
    columns: usize,
    stride: usize,
    home: Arena,
}

impl Matrix {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn view(&self) -> ArrayView2<'_, f32> {
        // The buffer was made for this shape.
        ArrayView2::from_shape(self.shape(), &self.buffer).expect("a buffer of that size")
    }

    pub(crate) fn view_mut(&mut self) -> ArrayViewMut2<'_, f32> {
        let shape = self.shape();
        ArrayViewMut2::from_shape(shape, &mut self.buffer).expect("a buffer of that size")
    }

    fn shape(&self) -> StrideShape<Ix2> {
        let shape = (self.rows, self.columns);
        match self.rows * self.columns {
            0 => shape.into(),
            _ => shape.strides((self.stride, 1)),
        }
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, LARGEST, MOST, locked};

    #[test]
    fn memory_is_used_again() {
        let arena = Arena::default();
        let place = |rows| arena.matrix(rows, 256).view().as_ptr();
        let first = place(100);
        assert_eq!(place(100), first);
        assert_eq!(place(7), first, "a smaller matrix fits too");
        let held: Vec<_> = (1..40).map(|n| arena.matrix(n, 3)).collect();
        drop(held);
        assert!((1..=MOST).contains(&locked(&arena.0.buffers).len()));
        arena.clear();
        assert!(locked(&arena.0.buffers).is_empty());
    }

    #[test]
    fn large_memory_is_used_again_and_huge_memory_is_not() {
        let arena = Arena::default();
        // Sixteen texts of 512 tokens between the feed-forward layers of a base model; pages nobody writes cost nothing.
        drop(arena.matrix(16 * 512, 3072));
        assert_eq!(locked(&arena.0.buffers).len(), 1);
        let again = arena.matrix(16 * 512, 3072);
        assert!(locked(&arena.0.buffers).is_empty(), "not taken from there");
        drop(again);
        drop(arena.matrix(LARGEST / 256 + 1, 256));
        assert_eq!(locked(&arena.0.buffers).len(), 1);
    }

    #[test]
    fn empty_matrices_and_padded_rows_have_the_right_shape() {
        let arena = Arena::default();
        for (rows, columns) in [(0, 5), (5, 0), (1, 512), (3, 512), (2, 7)] {
            let mut matrix = arena.matrix(rows, columns);
            matrix.view_mut().fill(1.0);
            assert_eq!(matrix.view().dim(), (rows, columns));
            assert_eq!(matrix.view().to_owned().dim(), (rows, columns));
            assert_eq!(matrix.view().sum(), (rows * columns) as f32);
        }
    }
}
