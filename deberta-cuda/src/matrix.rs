//! Rows of numbers in the device's memory.

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

/// A matrix in the device's memory, rows one after the other.
pub struct Matrix {
    memory: Memory,
    rows: usize,
    columns: usize,
    dtype: Dtype,
}

impl Matrix {
    /// A matrix whose values are unspecified until a kernel writes them.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`].
    pub fn new(gpu: &Gpu, rows: usize, columns: usize, dtype: Dtype) -> Result<Self, CudaError> {
        let bytes = rows
            .checked_mul(columns)
            .and_then(|count| count.checked_mul(dtype.bytes()))
            // Half of what can be counted, so that the pool can round it up.
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| CudaError::Argument {
                argument: "matrix",
                expected: "a size that memory can have".to_owned(),
                found: format!("{rows} x {columns}"),
            })?;
        Ok(Self {
            memory: gpu.pool().take(bytes)?,
            rows,
            columns,
            dtype,
        })
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
        let mut matrix = Self::new(gpu, rows, columns, dtype)?;
        let bytes: Vec<u8> = match dtype {
            Dtype::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Dtype::F16 => values
                .iter()
                .flat_map(|&x| f16::from_f32(x).to_le_bytes())
                .collect(),
            Dtype::Bf16 => values
                .iter()
                .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
                .collect(),
        };
        if !bytes.is_empty() {
            let copied = gpu.stream().memcpy_htod(&bytes, &mut *matrix.memory);
            copied.map_err(|error| CudaError::driver("copying to the device", error))?;
        }
        Ok(matrix)
    }

    /// Copies the matrix from the device. Waits until it has been computed.
    ///
    /// # Errors
    /// [`CudaError::Driver`] where copying, or a kernel before it, fails.
    pub fn to_f32(&self) -> Result<Array2<f32>, CudaError> {
        let mut bytes = vec![0; self.rows * self.columns * self.dtype.bytes()];
        if !bytes.is_empty() {
            let view = self.memory.slice(..bytes.len());
            // On its own stream: on another one, what computes it might not be done.
            let stream = self.memory.stream();
            let copied = stream.memcpy_dtoh(&view, &mut bytes);
            let copied = copied.and_then(|()| stream.synchronize());
            copied.map_err(|error| CudaError::driver("copying from the device", error))?;
        }
        let values = match self.dtype {
            Dtype::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Dtype::F16 => bytes
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            Dtype::Bf16 => bytes
                .chunks_exact(2)
                .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
        };
        Array2::from_shape_vec((self.rows, self.columns), values).map_err(|_| CudaError::Shape {
            argument: "matrix",
            expected: vec![self.rows, self.columns],
            found: vec![bytes.len()],
        })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.columns
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
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Matrix({} x {} {})", self.rows, self.columns, self.dtype)
    }
}
