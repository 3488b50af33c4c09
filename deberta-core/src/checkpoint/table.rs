//! A table that stays on disk until its rows are asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::elements;
use super::file::WeightsFile;
use super::mmap::Mapping;
use super::tensor::Tensor;
use crate::Error;
use deberta_kernels::Storage;

/// A memory-mapped matrix `[rows, columns]`, row-major, little endian, in no particular alignment.
///
/// A table whose file holds it in another order (a transposed view) or in double precision is the exception:
/// it is a copy in memory, the latter in f32.
///
/// Nothing has looked at the values yet: whoever gathers a row checks it. The file must not be changed
/// or truncated while the table is in use (replacing it by a rename is safe): a truncation ends the
/// process when a missing page is touched.
#[derive(Debug, Clone)]
pub struct MappedTable {
    elements: Elements,
    rows: usize,
    columns: usize,
    dtype: Storage,
    file: PathBuf,
    name: String,
}

/// Where a table's elements are.
#[derive(Debug, Clone)]
enum Elements {
    Mapped(Arc<Mapping>, Range<usize>),
    Copied(Arc<[u8]>),
}

impl MappedTable {
    /// A tensor of floating-point numbers with `shape`.
    pub(super) fn new(
        file: &WeightsFile,
        name: &str,
        tensor: &Tensor,
        [rows, columns]: [usize; 2],
    ) -> Result<Self, Error> {
        let elements = match tensor.dtype.storage() {
            Some(_) if tensor.is_contiguous() => {
                Elements::Mapped(Arc::clone(file.mapping()), tensor.range.clone())
            }
            as_is => {
                let mut bytes = Vec::new();
                file.chunks(tensor, |chunk| {
                    if as_is.is_some() {
                        bytes.extend_from_slice(chunk);
                        return Ok(());
                    }
                    let mut values = vec![0.0; chunk.len() * 8 / tensor.dtype.bits()];
                    elements::widen(tensor.dtype, chunk, &mut values)?;
                    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                    Ok(())
                })?;
                Elements::Copied(bytes.into())
            }
        };
        Ok(Self {
            elements,
            rows,
            columns,
            dtype: tensor.dtype.storage().unwrap_or(Storage::F32),
            file: file.path().to_owned(),
            name: name.to_owned(),
        })
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
        match &self.elements {
            // The range was checked against the mapping's length, which does not change.
            Elements::Mapped(mapping, range) => &mapping.bytes()[range.clone()],
            Elements::Copied(bytes) => bytes,
        }
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
        let mut values = vec![0.0; self.columns];
        self.dtype.widen(bytes, &mut values)?;
        let place = elements::Place {
            file: &self.file,
            tensor: &self.name,
            first: row * self.columns,
        };
        elements::check_finite(&values, place)?;
        Ok(Some(values))
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
