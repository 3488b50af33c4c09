//! Where a tensor lies in a file, and its elements in row-major order.

use std::ops::Range;

use super::dtype::Dtype;

/// Elements that are gathered or converted at a time.
pub(super) const CHUNK: usize = 16 * 1024;

/// A tensor of a file. Every byte that shape and strides reach is inside `storage`, and that inside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Bytes of the file that hold the elements: all of them where the tensor is contiguous, else from
    /// the first to the last one.
    pub(super) range: Range<usize>,
    /// Elements from one index to the next in each dimension, `None` where row-major without gaps.
    strides: Option<Vec<usize>>,
    /// The bytes that the tensor may share with others.
    pub(super) storage: Range<usize>,
}

/// A view into a storage, as a PyTorch file describes it. Its numbers are the file's: not yet trusted.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) dtype: Dtype,
    /// Elements before the first one.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl View {
    /// Checks the view against a storage of `size` bytes. Returns the bytes from the first to the end of the
    /// last element.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn span(&self, size: usize) -> Result<Range<usize>, String> {
        let Self {
            shape,
            strides,
            offset,
            dtype,
        } = self;
        if shape.len() != strides.len() {
            return Err(format!("shape {shape:?} with strides {strides:?}"));
        }
        let beyond = || {
            format!(
                "shape {shape:?} with strides {strides:?} at element {offset} of {dtype} in a storage of {size} bytes"
            )
        };
        let elements = elements(shape).ok_or_else(beyond)?;
        if elements == 0 {
            return Ok(0..0);
        }
        // The last element of a view with positive strides is the farthest.
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(*offset, |at, (&size, &stride)| {
                at.checked_add((size - 1).checked_mul(stride)?)
            })
            .ok_or_else(beyond)?;
        let end = last.checked_add(1).and_then(|n| dtype.bytes(n));
        match (dtype.bytes(*offset), end) {
            (Some(start), Some(end)) if end <= size => Ok(start..end),
            _ => Err(beyond()),
        }
    }
}

impl Tensor {
    /// A tensor that fills the bytes `range`; the caller has checked that they fit shape and type.
    pub(super) fn contiguous(dtype: Dtype, shape: Vec<usize>, range: Range<usize>) -> Self {
        Self {
            dtype,
            shape,
            storage: range.clone(),
            range,
            strides: None,
        }
    }

    /// The view of the bytes `storage` of the file.
    ///
    /// # Errors
    /// As [`View::span`].
    pub(super) fn view(view: View, storage: Range<usize>) -> Result<Self, String> {
        let span = view.span(storage.len())?;
        let View {
            dtype,
            shape,
            strides,
            ..
        } = view;
        let strides = (!is_contiguous(&shape, &strides)).then_some(strides);
        Ok(Self {
            dtype,
            shape,
            range: storage.start + span.start..storage.start + span.end,
            strides,
            storage,
        })
    }

    pub(super) fn is_contiguous(&self) -> bool {
        self.strides.is_none()
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        // Both constructors have seen that the number is addressable.
        elements(&self.shape).unwrap_or(0)
    }

    /// Calls `visit` with the elements' bytes in row-major order, [`CHUNK`] elements at a time (the last
    /// time fewer). `file` is the whole file.
    ///
    /// # Errors
    /// What `visit` returns.
    pub(super) fn chunks<E>(
        &self,
        file: &[u8],
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = &file[self.range.clone()];
        let Some(strides) = &self.strides else {
            // A whole number even for elements of less than a byte.
            return bytes
                .chunks(CHUNK / 8 * self.dtype.bits())
                .try_for_each(visit);
        };
        let size = self.dtype.bits() / 8;
        let mut packed = Vec::with_capacity(CHUNK.min(self.len()) * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..self.len() {
            packed.extend_from_slice(&bytes[at * size..(at + 1) * size]);
            if packed.len() == CHUNK * size {
                visit(&packed)?;
                packed.clear();
            }
            // On to the next element: the last index that has room goes up, those after it start over.
            for axis in (0..index.len()).rev() {
                if index[axis] + 1 < self.shape[axis] {
                    index[axis] += 1;
                    at += strides[axis];
                    break;
                }
                at -= index[axis] * strides[axis];
                index[axis] = 0;
            }
        }
        if packed.is_empty() {
            return Ok(());
        }
        visit(&packed)
    }
}

/// Number of elements of a shape, `None` where it is not addressable.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))
}

/// Whether the strides are those of row-major order without gaps; where an index has one value, its stride
/// is never used.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected *= size;
        fits
    })
}
