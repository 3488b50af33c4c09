//! Linear layers: `x·Wᵀ` with weights packed beforehand and an [`Epilogue`].
//!
//! * [`pack`](self): the weights in panels, [`PackedWeights`], made once at load.
//! * `micro`: the register tile, which is all that depends on the instruction set.
//! * `linear`: how a product is cut into blocks for the caches and into tasks for the threads.
//! * `epilogue`: what happens to the sums: bias, activation, residual, LayerNorm.

mod epilogue;
mod linear;
pub(crate) mod micro;
pub(crate) mod pack;

pub use epilogue::Epilogue;
pub use linear::linear;
pub use pack::PackedWeights;
