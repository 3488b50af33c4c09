//! Work that is recorded once and replayed: a CUDA graph.

use crate::{CudaError, Gpu};
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use std::fmt;

/// What was enqueued on a stream while it was recorded. It reads and writes the memory that it was recorded with, which
/// must be alive when it is replayed: matrices that were made meanwhile, and those it began with.
pub struct Graph {
    graph: CudaGraph,
    gpu: Gpu,
}

// SAFETY: the driver wants calls with a graph not to overlap. `launch` takes `&self`, but enqueues on the one stream of the
// handle, whose users take turns: a `Gpu` handle's work is enqueued by one thread at a time, as `Gpu::record` asks.
unsafe impl Send for Graph {}
// SAFETY: as above.
unsafe impl Sync for Graph {}

impl Gpu {
    /// Records what `run` enqueues on this handle's stream.
    ///
    /// It is run twice: as it is, so that kernels are loaded and the pool has memory for everything, and then with its
    /// work recorded instead of done. Nothing can be allocated or waited for while recording. From then on memory that
    /// waits in the pool is kept. One thread at a time may use a handle that has recorded something.
    ///
    /// # Errors
    /// What `run` returns, [`CudaError::Recording`] where it needs more memory the second time, or [`CudaError::Driver`]
    /// where the driver cannot record it.
    pub fn record<R, E: From<CudaError>>(
        &self,
        run: impl Fn() -> Result<R, E>,
    ) -> Result<(Graph, R), E> {
        let failed = |error| CudaError::driver("recording a graph", error);
        run()?;
        self.pool().keep();
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream().begin_capture(mode).map_err(failed)?;
        self.pool().set_recording(true);
        let result = run();
        self.pool().set_recording(false);
        // A recording is ended whatever has happened.
        let graph = self.stream().end_capture(CUgraphInstantiate_flags(0));
        let result = result?;
        let graph = graph.map_err(failed)?.ok_or_else(|| CudaError::Argument {
            argument: "recording",
            expected: "work on the stream".to_owned(),
            found: "none".to_owned(),
        })?;
        let graph = Graph {
            graph,
            gpu: self.clone(),
        };
        Ok((graph, result))
    }
}

impl Graph {
    /// Enqueues all of it.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn launch(&self) -> Result<(), CudaError> {
        let launched = self.graph.launch();
        launched.map_err(|error| CudaError::driver("replaying a graph", error))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // It is destroyed after this, on whatever thread this is. What fails here can be told to nobody.
        let _ = self.gpu.bind();
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph on {:?}", self.gpu)
    }
}
