//! Rows of numbers in the device's memory.

use crate::launch::Pointer;
use crate::memory::Memory;
use crate::{CudaError, Gpu};
use cudarc::driver::CudaSlice;
use half::{bf16, f16};
use ndarray::{Array2, ArrayView2};
use std::fmt;

/// How numbers are stored. Kernels compute and accumulate in `f32` whatever this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// The upper 16 bits of an `f32`.
    Bf16,
}

impl Dtype {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// How the names of kernels for it end.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}

/// Rows begin at multiples of this many bytes, the widest that a thread reads at once.
const ALIGNMENT: usize = 16;

/// A matrix in the device's memory, rows one after the other, each beginning at a multiple of 16 bytes.
pub struct Matrix {
    memory: Memory,
    rows: usize,
    columns: usize,
    /// Numbers from one row to the next.
    stride: usize,
    dtype: Dtype,
}

impl Matrix {
    /// A matrix whose values are unspecified until a kernel writes them.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], or [`CudaError::Argument`] where kernels cannot count so many rows or columns.
    pub fn new(gpu: &Gpu, rows: usize, columns: usize, dtype: Dtype) -> Result<Self, CudaError> {
        // Kernels count rows and columns in 32 bits, and read whole 32 bytes of vectors.
        let countable = |n: &usize| i32::try_from(*n).is_ok();
        let stride = Some(columns).filter(countable);
        let stride = stride.map(|n| n.next_multiple_of(ALIGNMENT / dtype.bytes()));
        let bytes = stride
            .zip(Some(rows).filter(countable))
            .and_then(|(stride, rows)| rows.checked_mul(stride)?.checked_mul(dtype.bytes()))
            .and_then(|bytes| bytes.checked_add(2 * ALIGNMENT))
            // Half of what can be counted, so that the pool can round it up.
            .filter(|&bytes| isize::try_from(bytes).is_ok());
        let (Some(bytes), Some(stride)) = (bytes, stride) else {
            return Err(CudaError::Argument {
                argument: "matrix",
                expected: "a size that memory can have".to_owned(),
                found: format!("{rows} x {columns}"),
            });
        };
        Ok(Self {
            memory: gpu.pool().take(bytes)?,
            rows,
            columns,
            stride,
            dtype,
        })
    }

    /// Bytes of the device's memory that it has.
    pub fn bytes(&self) -> usize {
        self.memory.len()
    }

    /// Copies a matrix to the device, rounding it to its type.
    ///
    /// # Errors
    /// [`CudaError`] where memory does not suffice or copying fails.
    pub fn from_f32(
        gpu: &Gpu,
        values: ArrayView2<'_, f32>,
        dtype: Dtype,
    ) -> Result<Self, CudaError> {
        let (rows, columns) = values.dim();
        Self::from_rows(gpu, [rows, columns], dtype, |first, to| {
            for (to, row) in to
                .chunks_exact_mut(columns.max(1))
                .zip(values.outer_iter().skip(first))
            {
                to.iter_mut().zip(row).for_each(|(to, &x)| *to = x);
            }
            Ok::<_, CudaError>(())
        })
    }

    /// Copies a matrix to the device a few rows at a time: `read` writes rows from the given one on, row-major.
    ///
    /// # Errors
    /// What `read` returns, or [`CudaError`] where memory does not suffice, copying fails, or a number is too large for
    /// the type.
    pub fn from_rows<E: From<CudaError>>(
        gpu: &Gpu,
        [rows, columns]: [usize; 2],
        dtype: Dtype,
        mut read: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        /// Numbers that are on their way at a time.
        const PORTION: usize = 1 << 20;
        let mut matrix = Self::new(gpu, rows, columns, dtype)?;
        let portion = (PORTION / columns.max(1)).max(1);
        let mut values = Vec::new();
        let mut bytes = Vec::new();
        for first in (0..if columns > 0 { rows } else { 0 }).step_by(portion) {
            let count = portion.min(rows - first);
            values.resize(count * columns, 0.0);
            read(first, &mut values)?;
            bytes.clear();
            for row in values.chunks_exact(columns) {
                round(row, dtype, &mut bytes)?;
                bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            }
            let start = first * matrix.stride * dtype.bytes();
            let mut target = matrix.memory.slice_mut(start..start + bytes.len());
            let copied = gpu.stream().memcpy_htod(&bytes, &mut target);
            // The bytes are not in pinned memory, so that the driver has taken them by now.
            copied.map_err(|error| CudaError::driver("copying to the device", error))?;
        }
        Ok(matrix)
    }

    /// Copies the matrix from the device. Waits until it has been computed.
    ///
    /// # Errors
    /// [`CudaError::Driver`] where copying, or a kernel before it, fails.
    pub fn to_f32(&self) -> Result<Array2<f32>, CudaError> {
        self.rows_to_f32(self.rows)
    }

    /// The same of the first rows alone.
    ///
    /// # Errors
    /// As [`Matrix::to_f32`], or [`CudaError::Shape`] where there are fewer rows.
    pub fn rows_to_f32(&self, rows: usize) -> Result<Array2<f32>, CudaError> {
        let misshapen = || CudaError::Shape {
            argument: "matrix",
            expected: vec![rows, self.columns],
            found: vec![self.rows, self.columns],
        };
        if rows > self.rows {
            return Err(misshapen());
        }
        let mut bytes = vec![0; rows * self.stride * self.dtype.bytes()];
        if !bytes.is_empty() {
            let view = self.memory.slice(..bytes.len());
            // On its own stream: on another one, what computes it might not be done.
            let stream = self.memory.stream();
            let copied = stream.memcpy_dtoh(&view, &mut bytes);
            let copied = copied.and_then(|()| stream.synchronize());
            copied.map_err(|error| CudaError::driver("copying from the device", error))?;
        }
        let mut values = Vec::with_capacity(rows * self.columns);
        for row in bytes.chunks_exact((self.stride * self.dtype.bytes()).max(1)) {
            let row = &row[..self.columns * self.dtype.bytes()];
            match self.dtype {
                Dtype::F32 => values.extend(
                    row.chunks_exact(4)
                        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                ),
                Dtype::F16 => values.extend(
                    row.chunks_exact(2)
                        .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
                ),
                Dtype::Bf16 => values.extend(
                    row.chunks_exact(2)
                        .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()),
                ),
            }
        }
        Array2::from_shape_vec((rows, self.columns), values).map_err(|_| misshapen())
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Numbers from the beginning of a row to that of the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// How its numbers are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its memory, for a kernel on the stream of its [`Gpu`] to read.
    pub fn memory(&self) -> &CudaSlice<u8> {
        &self.memory
    }

    /// Its memory, for a kernel on the stream of its [`Gpu`] to write.
    pub fn memory_mut(&mut self) -> &mut CudaSlice<u8> {
        &mut self.memory
    }

    /// Whether it has this shape and type.
    pub(crate) fn check(
        &self,
        argument: &'static str,
        rows: usize,
        columns: usize,
        dtype: Dtype,
    ) -> Result<(), CudaError> {
        if (self.rows, self.columns) != (rows, columns) {
            return Err(CudaError::Shape {
                argument,
                expected: vec![rows, columns],
                found: vec![self.rows, self.columns],
            });
        }
        if self.dtype != dtype {
            return Err(CudaError::Argument {
                argument,
                expected: format!("numbers of {dtype}"),
                found: self.dtype.to_string(),
            });
        }
        Ok(())
    }

    /// A matrix of one row as one of more, which follow each other without gaps: only for kernels that know.
    pub(crate) fn reshape(self, rows: usize, columns: usize) -> Result<Self, CudaError> {
        self.check("matrix", 1, rows * columns, self.dtype)?;
        let stride = columns;
        Ok(Self {
            rows,
            columns,
            stride,
            ..self
        })
    }

    /// Where its first number is.
    pub(crate) fn pointer(&self) -> Pointer {
        self.memory.pointer()
    }

    /// Where a column begins.
    pub(crate) fn pointer_to(&self, column: usize) -> Pointer {
        self.pointer().after(column * self.dtype.bytes())
    }
}

/// Rounds a row and appends its bytes.
fn round(row: &[f32], dtype: Dtype, bytes: &mut Vec<u8>) -> Result<(), CudaError> {
    match dtype {
        Dtype::F32 => row.iter().for_each(|x| bytes.extend(x.to_le_bytes())),
        Dtype::Bf16 => row
            .iter()
            .for_each(|&x| bytes.extend(bf16::from_f32(x).to_le_bytes())),
        Dtype::F16 => {
            for &x in row {
                let rounded = f16::from_f32(x);
                if rounded.is_infinite() && x.is_finite() {
                    return Err(CudaError::Argument {
                        argument: "matrix",
                        expected: "numbers that f16 holds, at most 65504".to_owned(),
                        found: x.to_string(),
                    });
                }
                bytes.extend(rounded.to_le_bytes());
            }
        }
    }
    Ok(())
}

/// A vector of `f32` in the device's memory, which kernels may read up to the next multiple of 8 numbers: zeros.
#[derive(Debug)]
pub(crate) struct Vector(Matrix);

impl Vector {
    pub(crate) fn new(gpu: &Gpu, values: &[f32]) -> Result<Self, CudaError> {
        let mut values = values.to_vec();
        values.resize(values.len().next_multiple_of(8), 0.0);
        let row = ArrayView2::from_shape((1, values.len()), &values);
        let row = row.map_err(|_| CudaError::Shape {
            argument: "vector",
            expected: vec![1, values.len()],
            found: vec![values.len()],
        })?;
        Matrix::from_f32(gpu, row, Dtype::F32).map(Self)
    }

    pub(crate) fn pointer(&self) -> Pointer {
        self.0.pointer()
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matrix({} x {} {})", self.rows, self.columns, self.dtype)
    }
}
