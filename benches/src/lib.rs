//! What the benchmarks share. The benchmarks themselves lie in `benches/`, one file per family of kernels:
//!
//! ```text
//! cargo bench -p deberta-benches --bench linear
//! ```
//!
//! `cases` holds every kernel with operands; `rates` measures them beside the machine's limits; the binary `count` counts
//! their instructions.
//!
//! Threads are those of the global rayon pool: set `RAYON_NUM_THREADS`. `DEBERTA_ISA` forces an instruction set.

pub mod cases;
pub mod rates;

use deberta_kernels::{Isa, Precision, peak};
use std::path::PathBuf;

/// Reproducible numbers between -1 and 1.
pub fn numbers(count: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Prints what the arithmetic units of one core can do, in operations per second: the ceiling of the throughputs that
/// follow, per thread.
pub fn peaks() -> [(Precision, f64); 3] {
    let isa = Isa::from_env().expect("DEBERTA_ISA names a set of this processor");
    [Precision::F32, Precision::Bf16, Precision::Int8].map(|precision| {
        let peak = peak(isa, precision);
        let (name, rate) = (isa.name(), peak / 1e9);
        println!("peak of one core, {precision:?} with {name}: {rate:.0} Gop/s");
        (precision, peak)
    })
}

/// Where a file or folder of the assets is to be found: under `DEBERTA_ASSETS`.
pub fn asset(name: &str) -> PathBuf {
    let folder = std::env::var_os("DEBERTA_ASSETS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/assets")),
        PathBuf::from,
    );
    folder.join(name)
}
