//! Integers in the device's memory.

use crate::launch::Pointer;
use crate::memory::Memory;
use crate::{CudaError, Gpu};
use cudarc::driver::result;
use std::fmt;
use std::sync::Arc;

/// A vector of 32-bit integers in the device's memory, or a part of one.
#[derive(Clone)]
pub struct Indices {
    memory: Arc<Memory>,
    first: usize,
    len: usize,
}

impl Indices {
    /// Copies integers to the device.
    ///
    /// # Errors
    /// [`CudaError`] where memory does not suffice or copying fails.
    pub fn new(gpu: &Gpu, values: &[i32]) -> Result<Self, CudaError> {
        let memory = gpu.pool().take(size_of_val(values))?;
        let indices = Self::of(Arc::new(memory), 0, values.len());
        indices.write(gpu, values)?;
        Ok(indices)
    }

    /// A part of memory that holds integers.
    pub(crate) fn of(memory: Arc<Memory>, first: usize, len: usize) -> Self {
        Self { memory, first, len }
    }

    /// Some of them.
    pub(crate) fn part(&self, first: usize, len: usize) -> Self {
        Self::of(Arc::clone(&self.memory), self.first + first, len)
    }

    /// Copies other integers there.
    pub(crate) fn write(&self, gpu: &Gpu, values: &[i32]) -> Result<(), CudaError> {
        self.check("integers", values.len())?;
        if values.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = values.iter().flat_map(|i| i.to_le_bytes()).collect();
        let address = self.pointer().0;
        gpu.bind()?;
        // SAFETY: the memory holds so many integers; work that reads them is on the same stream, before or after. The
        // bytes are not in pinned memory, so that the driver has taken them when the call returns.
        let copied =
            unsafe { result::memcpy_htod_async(address, &bytes, gpu.stream().cu_stream()) };
        copied.map_err(|error| CudaError::driver("copying to the device", error))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn pointer(&self) -> Pointer {
        self.memory.pointer().after(self.first * size_of::<i32>())
    }

    pub(crate) fn check(&self, argument: &'static str, len: usize) -> Result<(), CudaError> {
        if self.len == len {
            return Ok(());
        }
        Err(CudaError::Shape {
            argument,
            expected: vec![len],
            found: vec![self.len],
        })
    }
}

impl fmt::Debug for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Indices({})", self.len)
    }
}
