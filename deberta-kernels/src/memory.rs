//! Memory that begins at a cache line.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// A number whose default is zero: memory of it is had from the system without writing it first.
pub(crate) trait Number: Copy + Default + Send + Sync + 'static {
    /// As many zeros.
    fn zeros(count: usize) -> Vec<Self>;
}

macro_rules! numbers {
    ($($name:ty: $zero:literal),*) => {$(
        impl Number for $name {
            fn zeros(count: usize) -> Vec<Self> {
                vec![$zero; count]
            }
        }
    )*};
}
numbers!(f32: 0.0, u32: 0, u8: 0);

/// Zeros, and later other numbers, that begin at a cache line: no vector of them lies across two.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    storage: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Number> Aligned<T> {
    /// As many zeros. The system hands out their pages when they are first written.
    pub(crate) fn zeros(len: usize) -> Self {
        let spare = LINE / size_of::<T>();
        let storage = T::zeros(len + spare);
        let start = storage.as_ptr().align_offset(LINE).min(spare);
        Self {
            storage,
            start,
            len,
        }
    }

    /// Makes room for at least `len` numbers, whose values are then unspecified.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..][..self.len]
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..][..self.len]
    }
}

impl<T: Number> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn begins_at_a_line_and_copies_do_too() {
        let mut numbers = Aligned::<f32>::zeros(5);
        numbers[4] = 3.0;
        let copy = numbers.clone();
        assert_eq!(&*copy, [0.0, 0.0, 0.0, 0.0, 3.0]);
        for start in [numbers.as_ptr(), copy.as_ptr()] {
            assert_eq!(start.align_offset(64), 0);
        }
        assert!(Aligned::<u8>::zeros(0).is_empty());
    }
}
