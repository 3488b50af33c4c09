//! Calls of kernels.

use crate::{CudaError, Gpu, Module};
use cudarc::driver::{LaunchConfig, PushKernelArg};

/// An address in the device's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) u64);

impl Pointer {
    /// What is not there.
    pub(crate) const NULL: Self = Self(0);

    /// An address some bytes further.
    pub(crate) fn after(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument {
    Pointer(Pointer),
    Int(i32),
    Float(f32),
}

impl From<Pointer> for Argument {
    fn from(pointer: Pointer) -> Self {
        Self::Pointer(pointer)
    }
}

impl From<Option<Pointer>> for Argument {
    fn from(pointer: Option<Pointer>) -> Self {
        Self::Pointer(pointer.unwrap_or(Pointer::NULL))
    }
}

/// Sizes, which are below 2^31: matrices see to it.
impl From<usize> for Argument {
    fn from(size: usize) -> Self {
        Self::Int(i32::try_from(size).unwrap_or(i32::MAX))
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

/// The arguments of a kernel, in its order.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        &[$($crate::launch::Argument::from($argument)),*]
    };
}
pub(crate) use arguments;

/// A kernel and the shape of its grid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel<'a> {
    pub(crate) module: Module,
    pub(crate) name: &'a str,
    /// Blocks along x and y. None at all: nothing is enqueued.
    pub(crate) blocks: [usize; 2],
    pub(crate) threads: usize,
    /// Dynamic shared memory of a block.
    pub(crate) shared_bytes: usize,
}

impl Kernel<'_> {
    /// Enqueues the kernel.
    ///
    /// # Safety
    /// The arguments are the kernel's parameters in number, order and type, and every pointer that the kernel reads or
    /// writes through is to as much memory as it touches there, on a device whose stream this is.
    ///
    /// # Errors
    /// [`CudaError`] where the kernel cannot be loaded, or the grid has too many blocks.
    pub(crate) unsafe fn enqueue(self, gpu: &Gpu, arguments: &[Argument]) -> Result<(), CudaError> {
        let [across, down] = self.blocks;
        if across == 0 || down == 0 {
            return Ok(());
        }
        // Along x there may be 2^31 - 1 blocks, along y 2^16 - 1.
        let (Ok(across), Ok(down)) = (i32::try_from(across), u16::try_from(down)) else {
            return Err(CudaError::Argument {
                argument: "grid",
                expected: "at most 2147483647 x 65535 blocks".to_owned(),
                found: format!("{across} x {down} for {}", self.name),
            });
        };
        let shape = LaunchConfig {
            grid_dim: (across as u32, u32::from(down), 1),
            block_dim: (self.threads as u32, 1, 1),
            shared_mem_bytes: self.shared_bytes as u32,
        };
        let function = gpu.function(self.module, self.name, self.shared_bytes as u32)?;
        let mut launch = gpu.stream().launch_builder(&function);
        for argument in arguments {
            match argument {
                Argument::Pointer(Pointer(address)) => launch.arg(address),
                Argument::Int(value) => launch.arg(value),
                Argument::Float(value) => launch.arg(value),
            };
        }
        // SAFETY: the caller vouches for the arguments.
        let launched = unsafe { launch.launch(shape) };
        launched.map_err(|error| CudaError::driver(format!("starting {}", self.name), error))?;
        Ok(())
    }
}
