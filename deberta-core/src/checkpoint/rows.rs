//! A matrix that is read a few rows at a time, so that it never lies in memory as a whole.

use std::cell::RefCell;
use std::ops::Range;

use super::elements;
use super::file::WeightsFile;
use super::tensor::Tensor;
use crate::Error;

/// The rows of a matrix as f32, every number of them finite; or as signed bytes.
pub(crate) struct MatrixReader<'a> {
    file: &'a WeightsFile,
    name: &'a str,
    tensor: &'a Tensor,
    rows: usize,
    columns: usize,
    /// The elements, where their order in the file is not row-major.
    gathered: Option<Vec<f32>>,
}

thread_local! {
    /// Elements as they are in the file.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<'a> MatrixReader<'a> {
    pub(super) fn new(
        file: &'a WeightsFile,
        name: &'a str,
        tensor: &'a Tensor,
        [rows, columns]: [usize; 2],
    ) -> Result<Self, Error> {
        let gathered = match tensor.is_contiguous() || !tensor.dtype.is_float() {
            true => None,
            false => Some(file.read_f32(name)?.0),
        };
        Ok(Self {
            file,
            name,
            tensor,
            rows,
            columns,
            gathered,
        })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Writes some rows of a matrix of signed bytes to `to`, as they are.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub(crate) fn read_bytes(&self, rows: Range<usize>, to: &mut [u8]) -> Result<(), Error> {
        // Only safetensors files have such matrices, and there all tensors are contiguous.
        let start = self.tensor.range.start + rows.start * self.columns;
        let file = self.file.path();
        self.file.mapping().read_at(start, to, file)
    }

    /// Writes some rows to `to`.
    ///
    /// # Errors
    /// [`Error::NonFinite`] and [`Error::TooLarge`] as [`Checkpoint::read_f32`](super::Checkpoint::read_f32);
    /// [`Error::Io`] where the file cannot be read.
    pub(crate) fn read(&self, rows: Range<usize>, to: &mut [f32]) -> Result<(), Error> {
        let elements = rows.start * self.columns..rows.end * self.columns;
        if let Some(gathered) = &self.gathered {
            to.copy_from_slice(&gathered[elements]);
            return Ok(());
        }
        let size = self.tensor.dtype.bits() / 8;
        let start = self.tensor.range.start + elements.start * size;
        BYTES.with_borrow_mut(|bytes| {
            bytes.resize(elements.len() * size, 0);
            self.file
                .mapping()
                .read_at(start, bytes, self.file.path())?;
            let place = elements::Place {
                file: self.file.path(),
                tensor: self.name,
                first: elements.start,
            };
            elements::widen_finite(self.tensor.dtype, bytes, to, place)
        })
    }
}
