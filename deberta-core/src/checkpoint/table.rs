//! A table that stays on disk until its rows are asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{FloatTensor, WeightsFile};
use super::mmap::Mapping;
use super::read;
use crate::Error;
use deberta_kernels::Storage;

/// A memory-mapped matrix `[rows, columns]`, row-major, little endian, in no particular alignment.
///
/// Nothing has looked at the values yet: whoever gathers a row checks it. The file must not be changed
/// or truncated while the table is in use (replacing it by a rename is safe): a truncation ends the
/// process when a missing page is touched.
#[derive(Debug, Clone)]
pub struct MappedTable {
    mapping: Arc<Mapping>,
    range: Range<usize>,
    rows: usize,
    columns: usize,
    dtype: Storage,
    file: PathBuf,
    name: String,
}

impl MappedTable {
    pub(super) fn new(
        file: &WeightsFile,
        name: &str,
        rows: usize,
        columns: usize,
        tensor: &FloatTensor<'_>,
    ) -> Self {
        Self {
            mapping: Arc::clone(file.mapping()),
            range: tensor.range.clone(),
            rows,
            columns,
            dtype: tensor.dtype,
            file: file.path().to_owned(),
            name: name.to_owned(),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Storage {
        self.dtype
    }

    /// All the elements, `rows * columns * dtype().size()` bytes.
    pub fn bytes(&self) -> &[u8] {
        // The range was checked against the mapping's length, which does not change.
        &self.mapping.bytes()[self.range.clone()]
    }

    /// The file that holds the table.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The tensor's name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Row `row` as f32, or `None` where there is no such row.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where the row holds a NaN or an infinity.
    pub fn row(&self, row: usize) -> Result<Option<Vec<f32>>, Error> {
        if row >= self.rows {
            return Ok(None);
        }
        let width = self.columns * self.dtype.size();
        let bytes = &self.bytes()[row * width..(row + 1) * width];
        match read::finite(bytes, self.dtype, &self.file, &self.name) {
            Ok(values) => Ok(Some(values)),
            Err(Error::NonFinite {
                file,
                tensor,
                index,
                value,
            }) => Err(Error::NonFinite {
                file,
                tensor,
                index: row * self.columns + index,
                value,
            }),
            Err(other) => Err(other),
        }
    }

    /// The error to return when a kernel meets a value in `row` that is not finite.
    pub fn non_finite(&self, row: usize) -> Error {
        match self.row(row) {
            Err(error) => error,
            _ => Error::NonFinite {
                file: self.file.clone(),
                tensor: self.name.clone(),
                index: row.saturating_mul(self.columns),
                value: f32::NAN,
            },
        }
    }
}
