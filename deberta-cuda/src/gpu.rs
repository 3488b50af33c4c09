//! A device: its context, its stream and its kernels.

use crate::blas::{Blas, WORKSPACE_BYTES};
use crate::memory::{Memory, Pool};
use crate::{CudaError, Dtype};
use cudarc::driver::sys::{self, CUdevice_attribute, CUfunction_attribute_enum};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, result};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The CUDA version whose PTX is embedded: `1000·major + 10·minor`.
const DRIVER: i32 = 12_040;
/// The compute capability that the PTX is written for.
const CAPABILITY: (i32, i32) = (8, 0);

/// A family of kernels: `kernels/<name>.cu`, compiled to `ptx/<name>.ptx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Module {
    /// Disentangled attention on numbers of one type.
    Attention(Dtype),
    /// One small kernel for every wrapper of the header that all kernels are written with.
    Conformance,
    /// Attention with every score in memory.
    Explicit,
    /// Products of matrices of one type.
    Linear(Dtype),
    /// Operations on rows.
    Rows,
}

/// The name of a module's files, and its PTX.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../ptx/", $name, ".ptx")))
    };
}

impl Module {
    /// The name of its files.
    pub fn name(self) -> &'static str {
        self.file().0
    }

    fn ptx(self) -> &'static str {
        self.file().1
    }

    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Attention(Dtype::F32) => file!("attention_f32"),
            Self::Attention(Dtype::F16) => file!("attention_f16"),
            Self::Attention(Dtype::Bf16) => file!("attention_bf16"),
            Self::Conformance => file!("conformance"),
            Self::Explicit => file!("explicit"),
            Self::Linear(Dtype::F32) => file!("linear_f32"),
            Self::Linear(Dtype::F16) => file!("linear_f16"),
            Self::Linear(Dtype::Bf16) => file!("linear_bf16"),
            Self::Rows => file!("rows"),
        }
    }
}

/// An NVIDIA GPU, with a stream of its own on which all operations of this handle and its clones are enqueued.
///
/// Kernels are compiled by the driver the first time that their [`Module`] is needed.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    device: Arc<Device>,
    stream: Arc<CudaStream>,
    pool: Pool,
    /// For the products of cuBLASLt, once there are any.
    workspace: OnceLock<Memory>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Memory is given back after this, on whatever thread this is. What fails here can be told to nobody.
        let _ = self.device.context.bind_to_thread();
        self.pool.close();
    }
}

/// What all handles of a device share.
struct Device {
    context: Arc<CudaContext>,
    loaded: Mutex<Loaded>,
    blas: OnceLock<Option<Blas>>,
    name: String,
    multiprocessors: usize,
    shared_memory: usize,
}

#[derive(Default)]
struct Loaded {
    modules: HashMap<Module, Arc<CudaModule>>,
    functions: HashMap<String, (CudaFunction, u32)>,
}

impl Gpu {
    /// How many devices there are: 0 without a driver.
    pub fn count() -> usize {
        driver_version().and_then(|_| devices()).unwrap_or_default()
    }

    /// The device with this number, counted from 0.
    ///
    /// # Errors
    /// [`CudaError`] says whether the driver, the device or something of either is missing.
    pub fn new(ordinal: usize) -> Result<Self, CudaError> {
        let found = driver_version()?;
        if found < DRIVER {
            let needed = DRIVER;
            return Err(CudaError::OldDriver { needed, found });
        }
        let count = devices()?;
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let failed = |error| CudaError::driver(format!("opening device {ordinal}"), error);
        let context = CudaContext::new(ordinal).map_err(failed)?;
        let attribute = |what| context.attribute(what).map_err(failed);
        use CUdevice_attribute as A;
        let found = (
            attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let name = context.name().map_err(failed)?;
        if found < CAPABILITY {
            return Err(CudaError::OldDevice { name, found });
        }
        let multiprocessors = attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let shared_memory = attribute(A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        // SAFETY: memory of this handle is used on its one stream alone, so that no events are needed to order its uses.
        unsafe { context.disable_event_tracking() };
        Self::on_new_stream(Arc::new(Device {
            context,
            loaded: Mutex::default(),
            blas: OnceLock::new(),
            name,
            multiprocessors: multiprocessors.max(1) as usize,
            shared_memory: shared_memory.max(0) as usize,
        }))
    }

    /// The same device with another stream and other memory to use again: for another thread.
    ///
    /// Matrices that one handle made may be read on the stream of another once [`Gpu::synchronize`] has returned.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn with_own_stream(&self) -> Result<Self, CudaError> {
        Self::on_new_stream(Arc::clone(&self.0.device))
    }

    fn on_new_stream(device: Arc<Device>) -> Result<Self, CudaError> {
        let stream = device.context.new_stream();
        let stream = stream.map_err(|error| CudaError::driver("creating a stream", error))?;
        Ok(Self(Arc::new(Inner {
            pool: Pool::new(Arc::clone(&stream)),
            workspace: OnceLock::new(),
            device,
            stream,
        })))
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.0.device.name
    }

    /// The stream on which operations are enqueued.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.0.stream
    }

    /// How many multiprocessors the device has.
    pub fn multiprocessors(&self) -> usize {
        self.0.device.multiprocessors
    }

    /// Bytes of shared memory that a block can have.
    pub fn shared_memory_per_block(&self) -> usize {
        self.0.device.shared_memory
    }

    /// Makes the device's context the calling thread's, without which the driver refuses.
    pub(crate) fn bind(&self) -> Result<(), CudaError> {
        let bound = self.0.device.context.bind_to_thread();
        bound.map_err(|error| CudaError::driver("binding the device to a thread", error))
    }

    /// How often this handle and its clones have asked the driver for memory.
    pub fn allocations(&self) -> usize {
        self.0.pool.allocations()
    }

    /// Gives back memory that waits to be used again.
    pub fn release(&self) {
        self.0.pool.clear();
    }

    /// cuBLASLt and memory for it to use on this handle's stream, where it can be loaded.
    pub(crate) fn blas(&self) -> Result<Option<(&Blas, &Memory)>, CudaError> {
        self.bind()?;
        let Some(blas) = self.0.device.blas.get_or_init(Blas::load) else {
            return Ok(None);
        };
        let workspace = match self.0.workspace.get() {
            Some(workspace) => workspace,
            None => {
                let memory = self.pool().take(WORKSPACE_BYTES)?;
                self.0.workspace.get_or_init(|| memory)
            }
        };
        Ok(Some((blas, workspace)))
    }

    /// Memory that matrices are made of.
    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// A kernel, allowed to use some bytes of dynamic shared memory.
    ///
    /// # Errors
    /// [`CudaError::Driver`] where the driver cannot compile the module, and [`CudaError::Argument`] where a block of
    /// this device has less shared memory.
    pub fn function(
        &self,
        module: Module,
        name: &str,
        shared_bytes: u32,
    ) -> Result<CudaFunction, CudaError> {
        self.bind()?;
        let mut loaded = self.loaded();
        if let Some((function, allowed)) = loaded.functions.get(name)
            && *allowed >= shared_bytes
        {
            return Ok(function.clone());
        }
        if shared_bytes as usize > self.0.device.shared_memory {
            return Err(CudaError::Argument {
                argument: "shared memory",
                expected: format!(
                    "at most {} bytes on {}",
                    self.0.device.shared_memory, self.0.device.name
                ),
                found: format!("{shared_bytes} for {name}"),
            });
        }
        let failed = |error| CudaError::driver(format!("loading the kernel {name}"), error);
        let code = match loaded.modules.get(&module) {
            Some(code) => Arc::clone(code),
            None => {
                let ptx = Ptx::from_src(module.ptx());
                let code = self.0.device.context.load_module(ptx).map_err(failed)?;
                loaded.modules.insert(module, Arc::clone(&code));
                code
            }
        };
        let function = code.load_function(name).map_err(failed)?;
        let limit = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        function
            .set_attribute(limit, shared_bytes as i32)
            .map_err(failed)?;
        loaded
            .functions
            .insert(name.to_owned(), (function.clone(), shared_bytes));
        Ok(function)
    }

    /// Waits for all that has been enqueued.
    ///
    /// # Errors
    /// [`CudaError::Driver`] where something that was enqueued has failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        let waited = self.0.stream.synchronize();
        waited.map_err(|error| CudaError::driver("waiting for the stream", error))
    }

    /// Runs something and tells how many milliseconds the device took for what it enqueued. Waits for it.
    ///
    /// # Errors
    /// What `run` returns, or [`CudaError::Driver`].
    pub fn timed<R, E: From<CudaError>>(
        &self,
        run: impl FnOnce() -> Result<R, E>,
    ) -> Result<(f32, R), E> {
        let failed = |error| CudaError::driver("measuring time", error);
        let event = || {
            let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
            self.0.device.context.new_event(flags).map_err(failed)
        };
        let (start, end) = (event()?, event()?);
        start.record(self.stream()).map_err(failed)?;
        let result = run()?;
        end.record(self.stream()).map_err(failed)?;
        end.synchronize().map_err(failed)?;
        let elapsed = start.elapsed_ms(&end).map_err(failed)?;
        Ok((elapsed, result))
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.0
            .device
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gpu").field(&self.0.device.name).finish()
    }
}

/// The CUDA version that the driver is for, once it is known to be there.
fn driver_version() -> Result<i32, CudaError> {
    // SAFETY: it only tries to open the library; cudarc panics on first use where that fails, so this comes first.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    let mut version = 0;
    // SAFETY: the pointer is to a local integer, which the call fills.
    let asked = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
    asked.map_err(|error| CudaError::driver("asking for its version", error))?;
    Ok(version)
}

/// How many devices the driver knows.
fn devices() -> Result<usize, CudaError> {
    match result::init().and_then(|()| result::device::get_count()) {
        Ok(count) => Ok(count.max(0) as usize),
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => Ok(0),
        Err(error) => Err(CudaError::driver("looking for devices", error)),
    }
}
