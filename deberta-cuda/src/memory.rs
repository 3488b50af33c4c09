//! Device memory that is used again.
//!
//! A forward pass makes the same handful of matrices in every layer. Their memory comes from a [`Pool`] and goes back
//! there when they are dropped. Work on one stream happens in order, so that memory may be handed out again while the
//! kernels that last used it are still to run.

use crate::CudaError;
use crate::error::is_out_of_memory;
use crate::launch::Pointer;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, result};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The least that is asked of the driver, in bytes.
const LEAST: usize = 4096;

/// Memory of one stream that waits for its next use.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    stream: Arc<CudaStream>,
    /// By size.
    free: Mutex<BTreeMap<usize, Vec<CudaSlice<u8>>>>,
    /// Whether what waits is part of a recording and must not be given back.
    kept: AtomicBool,
    /// Whether work on the stream is recorded now: what the driver would allocate then would belong to the recording.
    recording: AtomicBool,
    /// Whether nothing will be taken any more, so that nothing is to wait.
    closed: AtomicBool,
    /// How often the driver was asked for memory.
    allocations: AtomicUsize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Memory is given back after this, on whatever thread this is. What fails here can be told to nobody.
        let _ = self.stream.context().bind_to_thread();
    }
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(stream: Arc<CudaStream>) -> Self {
        let free = Mutex::default();
        Self(Arc::new(Inner {
            stream,
            free,
            kept: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            allocations: AtomicUsize::new(0),
        }))
    }

    /// At least so many bytes, whose values are unspecified.
    pub(crate) fn take(&self, bytes: usize) -> Result<Memory, CudaError> {
        let bytes = size_class(bytes);
        let waiting = self.free().get_mut(&bytes).and_then(Vec::pop);
        let slice = match waiting {
            Some(slice) => slice,
            None => match self.allocate(bytes) {
                Err(CudaError::OutOfMemory { .. }) => {
                    // What waits in other sizes may be what is missing.
                    self.clear();
                    self.allocate(bytes)?
                }
                other => other?,
            },
        };
        Ok(Memory {
            slice: Some(slice),
            home: self.clone(),
        })
    }

    /// Gives back what waits, unless it is to be kept.
    pub(crate) fn clear(&self) {
        if !self.0.kept.load(Ordering::Relaxed) {
            self.free().clear();
        }
    }

    /// Keeps what waits, and will wait, as long as the pool lives.
    pub(crate) fn keep(&self) {
        self.0.kept.store(true, Ordering::Relaxed);
    }

    /// Gives back what waits, and from now on all memory when it is dropped: some may outlive the stream's users.
    pub(crate) fn close(&self) {
        let mut free = self.free();
        self.0.closed.store(true, Ordering::Relaxed);
        free.clear();
    }

    /// From now on, or no longer, there is only what waits.
    pub(crate) fn set_recording(&self, recording: bool) {
        self.0.recording.store(recording, Ordering::Relaxed);
    }

    /// How often the driver was asked for memory.
    pub(crate) fn allocations(&self) -> usize {
        self.0.allocations.load(Ordering::Relaxed)
    }

    fn allocate(&self, bytes: usize) -> Result<CudaSlice<u8>, CudaError> {
        if self.0.recording.load(Ordering::Relaxed) {
            return Err(CudaError::Recording { wanted: bytes });
        }
        self.0.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: bytes have no invalid values, and whoever takes memory writes it before reading.
        let allocated = unsafe { self.0.stream.alloc::<u8>(bytes) };
        allocated.map_err(|error| {
            if !is_out_of_memory(error) {
                return CudaError::driver(format!("allocating {bytes} bytes"), error);
            }
            let (free, total) = result::mem_get_info().unwrap_or_default();
            let wanted = bytes;
            CudaError::OutOfMemory {
                wanted,
                free,
                total,
            }
        })
    }

    fn free(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<CudaSlice<u8>>>> {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounds up to one of four sizes per power of two, so that batches of slightly different sizes share memory.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(LEAST);
    let step = 1 << (bytes.ilog2() - 2);
    bytes.next_multiple_of(step)
}

/// Memory that goes back to its pool when it is dropped.
pub(crate) struct Memory {
    /// There until it is dropped.
    slice: Option<CudaSlice<u8>>,
    home: Pool,
}

impl Memory {
    /// Where it begins.
    pub(crate) fn pointer(&self) -> Pointer {
        // No events are recorded for this memory, which is used on one stream at a time.
        Pointer(self.device_ptr(self.stream()).0)
    }
}

impl Deref for Memory {
    type Target = CudaSlice<u8>;

    fn deref(&self) -> &CudaSlice<u8> {
        self.slice.as_ref().expect("taken when dropped only")
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut CudaSlice<u8> {
        self.slice.as_mut().expect("taken when dropped only")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            let mut free = self.home.free();
            if self.home.0.closed.load(Ordering::Relaxed) {
                // As above: it is given back on whatever thread this is.
                let _ = self.home.0.stream.context().bind_to_thread();
                return;
            }
            free.entry(slice.len()).or_default().push(slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn sizes_fall_into_four_classes_per_power_of_two() {
        let sizes = [0, 1, 4096, 4097, 5120, 5121, 8192, 8193, 1_000_000];
        let classes = [4096, 4096, 4096, 5120, 5120, 6144, 8192, 10240, 1_048_576];
        assert_eq!(sizes.map(size_class), classes);
    }
}
