//! What DeBERTa's operations on an NVIDIA GPU will stand on. The operations themselves are not there yet.
//!
//! Kernels are CUDA C++ (`kernels/*.cu`). Their PTX is part of this crate and is compiled for the GPU at hand by its
//! driver, so that a program needs nothing but the driver, and not even that to be built or to start. Without a GPU,
//! tests run on a driver whose device is emulated: see `emulator/build.sh`.
//!
//! * [`Gpu`]: a device, its stream, its memory and its kernels.
//! * [`Matrix`]: rows of numbers in the device's memory, in one of three [`Dtype`]s.
//!
//! Kernels are enqueued on the stream of their [`Gpu`]; only reading a result waits.

mod error;
mod gpu;
mod matrix;
mod memory;

pub use error::CudaError;
pub use gpu::{Gpu, Module};
pub use matrix::{Dtype, Matrix};
