//! What can go wrong on a GPU, and before one is found.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;
use thiserror::Error;

/// Why an operation did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no NVIDIA driver.
    #[error("no NVIDIA driver: the library libcuda (nvcuda on Windows) cannot be loaded")]
    NoDriver,
    /// The driver is older than the embedded PTX.
    #[error("the NVIDIA driver is too old: expected one for CUDA {}.{} or later, found CUDA {}.{}",
        needed / 1000, needed % 1000 / 10, found / 1000, found % 1000 / 10)]
    OldDriver {
        /// The earliest version that will do, `1000·major + 10·minor`.
        needed: i32,
        /// The driver's version.
        found: i32,
    },
    /// There is no such device.
    #[error("no CUDA device {ordinal}: found {count} device(s)")]
    NoDevice {
        /// The device that was asked for, counted from 0.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device lacks the instructions that the kernels are written in.
    #[error(
        "{name} has compute capability {}.{}, expected 8.0 (Ampere) or later",
        found.0, found.1
    )]
    OldDevice {
        /// The device's name.
        name: String,
        /// Its compute capability.
        found: (i32, i32),
    },
    /// The device's memory does not suffice.
    #[error("out of device memory: expected {wanted} bytes, found {free} free of {total}")]
    OutOfMemory {
        /// Bytes that were asked for.
        wanted: usize,
        /// Bytes that are free.
        free: usize,
        /// Bytes that the device has.
        total: usize,
    },
    /// Memory was asked of the driver while work is recorded, for a recording could not keep it.
    #[error(
        "memory cannot be allocated while a graph is recorded: expected {wanted} bytes that wait for use"
    )]
    Recording {
        /// Bytes that were asked for.
        wanted: usize,
    },
    /// A matrix or vector has another shape than the operation needs.
    #[error("{argument}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The argument's name.
        argument: &'static str,
        /// The shape that the other arguments ask for.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// An argument has a value that the operation does not define.
    #[error("{argument}: expected {expected}, found {found}")]
    Argument {
        /// The argument's name.
        argument: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The driver refused for another reason.
    #[error("the NVIDIA driver refused ({name}) while {doing}")]
    Driver {
        /// What was being done.
        doing: String,
        /// The driver's name for the reason.
        name: String,
    },
}

impl CudaError {
    /// A refusal of the driver.
    pub(crate) fn driver(doing: impl Into<String>, error: DriverError) -> Self {
        Self::Driver {
            doing: doing.into(),
            name: format!("{:?}", error.0),
        }
    }
}

/// Whether the driver says that memory does not suffice.
pub(crate) fn is_out_of_memory(error: DriverError) -> bool {
    error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
}
