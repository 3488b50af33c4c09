//! Linear layers: `x·Wᵀ` with weights packed beforehand and an [`Epilogue`].
//!
//! * `weights`: the weights in panels, [`PackedWeights`], made once at load; `pack`: from rows to panels; `quantize`: those
//!   of 8 bits.
//! * `rows`: the activations in the form that the precision asks for, [`RoundedRows`].
//! * `dot`: sums of products, which is all that depends on precision and instruction set.
//! * `tile`: the register tile over them, and how tiles cover a block; `amx`: the same where registers are tiles.
//! * `cut`: how an output is cut into tasks for the threads; `linear`: what a task does, from sums to finished rows.
//! * `epilogue`: what happens to the sums: bias, activation, residual, LayerNorm.
//! * `target`: where sums are written; `peak`: the ceiling of all that.
//! * `transposed`: the product by `matrixmultiply`, for processors without a tile of ours.

#[cfg(target_arch = "x86_64")]
mod amx;
mod cut;
pub(crate) mod dot;
mod epilogue;
mod linear;
mod pack;
mod peak;
mod quantize;
mod rows;
mod target;
mod tile;
mod transposed;
mod weights;

pub use epilogue::Epilogue;
pub use linear::{linear, linear_of_rounded, linear_rounded};
pub use peak::peak;
pub use rows::RoundedRows;
pub(crate) use target::Target;
pub use weights::{PackedWeights, Precision};
