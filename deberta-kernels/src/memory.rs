//! Memory for many numbers: it begins at a cache line, and on large pages where the system has them.

use memmap2::MmapMut;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// From how many bytes on memory comes from the system in large pages. With small ones, finding the page of a weight
/// takes longer than reading it.
const LARGE: usize = 1 << 20;

/// Bytes of a large page: of another size it is only less use.
const PAGE: usize = 2 << 20;

/// A number that is zero where all its bits are, and valid whatever they are.
pub trait Number: Copy + Send + Sync + 'static {
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

/// Memory for matrices of `f32`: it begins at a cache line and comes from the system in large pages where it is large
/// itself and the system has them.
///
/// ```
/// use deberta_kernels::Buffer;
/// let mut buffer = Buffer::zeros(6);
/// buffer[5] = 1.0;
/// assert_eq!(buffer.iter().sum::<f32>(), 1.0);
/// ```
pub type Buffer = Aligned<f32>;

/// Zeros, and later other numbers, that begin at a cache line: no vector of them lies across two.
#[derive(Debug)]
pub struct Aligned<T> {
    storage: Storage<T>,
    len: usize,
}

/// Where the numbers are.
#[derive(Debug)]
enum Storage<T> {
    /// In a vector from this index on.
    Heap(Vec<T>, usize),
    /// In pages of their own, from this byte on.
    Pages(MmapMut, usize),
}

impl<T: Number> Aligned<T> {
    /// As many zeros. The system hands out their pages when they are first written.
    pub fn zeros(len: usize) -> Self {
        let bytes = len.saturating_mul(size_of::<T>());
        let storage = match pages(bytes) {
            Some((pages, start)) => Storage::Pages(pages, start),
            None => {
                let spare = LINE / size_of::<T>();
                let storage = T::zeros(len + spare);
                let start = storage.as_ptr().align_offset(LINE).min(spare);
                Storage::Heap(storage, start)
            }
        };
        Self { storage, len }
    }

    /// Makes room for at least `len` numbers, whose values are then unspecified.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }
}

/// Pages of their own for that many bytes and where they begin, if they are worth it and the system gives them.
fn pages(bytes: usize) -> Option<(MmapMut, usize)> {
    if bytes < LARGE {
        return None;
    }
    // Large pages begin at multiples of their size. What lies before and behind is never touched, and so takes no memory.
    let pages = MmapMut::map_anon(bytes.checked_add(2 * PAGE)?).ok()?;
    let start = pages.as_ptr().align_offset(PAGE).min(PAGE);
    // A page that would be filled by less than three quarters would waste the rest.
    #[cfg(target_os = "linux")]
    if let whole @ 1.. = (bytes + PAGE / 4) / PAGE {
        // Only advice: without large pages everything works, more slowly.
        let _ = pages.advise_range(memmap2::Advice::HugePage, start, whole * PAGE);
    }
    Some((pages, start))
}

impl<T: Number> Default for Aligned<T> {
    /// Nothing, for which no memory is asked.
    fn default() -> Self {
        Self {
            storage: Storage::Heap(Vec::new(), 0),
            len: 0,
        }
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.storage {
            Storage::Heap(all, start) => &all[*start..][..self.len],
            // SAFETY: from `start` on, at the beginning of a page, the pages hold `len` numbers, and any bits are one.
            Storage::Pages(pages, start) => unsafe {
                std::slice::from_raw_parts(pages.as_ptr().add(*start).cast(), self.len)
            },
        }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.storage {
            Storage::Heap(all, start) => &mut all[*start..][..self.len],
            // SAFETY: as above, and the pages are borrowed mutably.
            Storage::Pages(pages, start) => unsafe {
                std::slice::from_raw_parts_mut(pages.as_mut_ptr().add(*start).cast(), self.len)
            },
        }
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
        let mut large = Aligned::<u32>::zeros(1 << 19);
        large[(1 << 19) - 1] = 7;
        assert_eq!(large.clone().iter().sum::<u32>(), 7);
    }
}
