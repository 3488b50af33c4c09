//! What the kernel tests share: reproducible numbers, and the instruction sets to test.
#![allow(dead_code)] // each test file uses its part

pub(crate) mod attention;
pub(crate) mod plain;

use deberta_kernels::Isa;

/// Every instruction set of this processor, or the one that `DEBERTA_ISA` forces.
pub(crate) fn isas() -> Vec<Isa> {
    match std::env::var("DEBERTA_ISA") {
        Ok(name) if !name.is_empty() => {
            vec![Isa::from_env().expect("DEBERTA_ISA names a set of this processor")]
        }
        _ => Isa::available(),
    }
}

/// A small generator of reproducible, roughly normal numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform on [0, 1).
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// The sum of twelve uniform numbers, centred: mean 0, variance 1.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    pub(crate) fn normals(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.normal() * scale).collect()
    }
}

/// Asserts that every value is within `tolerance · (1 + |expected|)` of the oracle's.
#[track_caller]
pub(crate) fn assert_close(
    found: impl IntoIterator<Item = f32>,
    expected: &[f64],
    tolerance: f64,
    what: &str,
) {
    let found: Vec<f32> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(f) - e).abs();
        assert!(
            error <= tolerance * (1.0 + e.abs()),
            "{what}: value {i} is {f}, expected {e}"
        );
    }
}

/// A pool with this many threads.
pub(crate) fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool")
}
