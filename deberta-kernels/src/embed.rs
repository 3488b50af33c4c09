//! Gathering rows of an embedding table that stays where it is, usually in a mapped file.

use crate::KernelError;
use crate::shape::{check_len, check_matrix};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use ndarray::ArrayViewMut2;
use rayon::prelude::*;

/// How the values of a table are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Storage {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
}

impl Storage {
    /// Bytes per value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Widens values to `f32`, exactly.
    ///
    /// # Errors
    /// [`KernelError::Shape`] unless `bytes` holds just as many values as `out`.
    ///
    /// ```
    /// use deberta_kernels::Storage;
    /// let mut out = [0.0; 2];
    /// Storage::Bf16.widen(&[0x80, 0x3f, 0x00, 0xc0], &mut out)?;
    /// assert_eq!(out, [1.0, -2.0]);
    /// # Ok::<(), deberta_kernels::KernelError>(())
    /// ```
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) -> Result<(), KernelError> {
        check_len("bytes", bytes.len(), out.len() * self.size())?;
        match self {
            Self::F32 => {
                for (value, b) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(*b);
                }
            }
            Self::F16 => widen(bytes, out, f16::from_le_bytes, |from, to| {
                from.convert_to_f32_slice(to)
            }),
            Self::Bf16 => widen(bytes, out, bf16::from_le_bytes, |from, to| {
                from.convert_to_f32_slice(to)
            }),
        }
        Ok(())
    }
}

/// Values that are converted at a time.
const BLOCK: usize = 512;

/// Widens 16-bit values a block at a time, so that the processor's own conversions apply. The bytes need no alignment.
fn widen<H: Copy + Default>(
    bytes: &[u8],
    out: &mut [f32],
    read: impl Fn([u8; 2]) -> H,
    convert: impl Fn(&[H], &mut [f32]),
) {
    let mut block = [H::default(); BLOCK];
    let values = bytes.as_chunks().0;
    for (values, out) in values.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let block = &mut block[..values.len()];
        block
            .iter_mut()
            .zip(values)
            .for_each(|(half, &bytes)| *half = read(bytes));
        convert(block, out);
    }
}

/// A table of embeddings `[rows, columns]` in its stored form.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingTable<'a> {
    bytes: &'a [u8],
    storage: Storage,
    rows: usize,
    columns: usize,
}

impl<'a> EmbeddingTable<'a> {
    /// A row-major table over its bytes, which need no alignment.
    ///
    /// # Errors
    /// [`KernelError::Shape`] unless there are just `rows · columns` values.
    pub fn new(
        bytes: &'a [u8],
        storage: Storage,
        rows: usize,
        columns: usize,
    ) -> Result<Self, KernelError> {
        let expected = rows
            .checked_mul(columns)
            .and_then(|n| n.checked_mul(storage.size()));
        if expected != Some(bytes.len()) {
            return Err(KernelError::Shape {
                argument: "table",
                expected: vec![rows, columns],
                found: vec![bytes.len() / storage.size()],
            });
        }
        Ok(Self {
            bytes,
            storage,
            rows,
            columns,
        })
    }

    /// Adds (`add`) or writes row `ids[t]` of the table to row `t` of `out: [T, columns]`, on the current rayon pool.
    ///
    /// # Errors
    /// [`KernelError::IdOutOfRange`] names an id without a row, [`KernelError::NonFinite`] a row that holds NaN or an
    /// infinity; `out` is then partly written.
    pub fn gather(
        &self,
        ids: &[u32],
        add: bool,
        mut out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), KernelError> {
        check_matrix("out", &out.view(), [ids.len(), self.columns])?;
        if let Some(token) = ids.iter().position(|&id| id as usize >= self.rows) {
            return Err(KernelError::IdOutOfRange {
                id: ids[token],
                token,
                rows: self.rows,
            });
        }
        let width = self.columns * self.storage.size();
        out.outer_iter_mut()
            .into_par_iter()
            .zip(ids)
            .with_min_len(16)
            .try_for_each_init(Vec::new, |buffer, (mut row, &id)| {
                let id = id as usize;
                let bytes = &self.bytes[id * width..][..width];
                // Rows passed `check_matrix`: their values lie side by side.
                let Some(row) = row.as_slice_mut() else {
                    return Ok(());
                };
                let values = if add {
                    buffer.resize(self.columns, 0.0);
                    buffer.as_mut_slice()
                } else {
                    &mut *row
                };
                self.storage.widen(bytes, values)?;
                // All of them without a branch, so that vectors do it.
                if !values.iter().fold(true, |all, x| all & x.is_finite()) {
                    return Err(KernelError::NonFinite { row: id });
                }
                if add {
                    row.iter_mut().zip(buffer).for_each(|(o, x)| *o += *x);
                }
                Ok(())
            })
    }
}
