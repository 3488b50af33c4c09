//! Instruction sets as values.
//!
//! Possessing an [`Isa`] proves that this processor can run it: the only ways to get one ask the
//! processor. A kernel is written once, generic over [`Simd`]; [`Isa::dispatch`] runs it with the
//! compiler allowed to use the instructions of that set. (Matrix products have a dispatch of their own, in
//! `gemm::dot`, for what only they need.) `cache` tells how large caches are.
//!
//! `DEBERTA_ISA=portable|generic|avx2|avx512|avx512-vnni|avx512-bf16|avx512-amx` forces a narrower set, for tests and for measuring.

pub(crate) mod cache;
mod portable;
mod simd;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

pub use portable::Portable;
pub use simd::{Operation, Simd};

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;

use crate::IsaError;

/// An instruction set that this processor has.
///
/// ```
/// use deberta_kernels::Isa;
/// let best = Isa::detect();
/// assert!(Isa::available().contains(&best));
/// assert!(Isa::from_name("mmx").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust: the compiler's baseline vectors and our own blocked matrix product.
    Portable(Portable),
    /// Plain Rust with `matrixmultiply` for matrix products: what a processor gets for which we
    /// have no micro-kernel (NEON, x86-64 without AVX2).
    Generic(Portable),
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// 512-bit vectors (AVX-512 F, BW, DQ, VL), with the extensions for int8 (VNNI), bf16 (BF16) and tiles of both (AMX)
    /// where processor and system have them.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Isa {
    /// The instruction sets that this processor has, best first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Avx512::all().into_iter().map(Self::Avx512));
            all.extend(Avx2::new().map(Self::Avx2));
        }
        all.push(Self::Generic(Portable));
        all.push(Self::Portable(Portable));
        all
    }

    /// The best instruction set of this processor.
    pub fn detect() -> Self {
        Self::available()[0]
    }

    /// The set that `DEBERTA_ISA` names, or the best one where the variable is unset or empty.
    ///
    /// # Errors
    /// [`IsaError`] if the variable holds an unknown name or a set that this processor lacks.
    pub fn from_env() -> Result<Self, IsaError> {
        match std::env::var_os("DEBERTA_ISA") {
            Some(name) if !name.is_empty() => Self::from_name(&name.to_string_lossy()),
            _ => Ok(Self::detect()),
        }
    }

    /// The set with this name.
    ///
    /// # Errors
    /// [`IsaError`] if the name is unknown or this processor lacks the set.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        const KNOWN: [&str; 7] = [
            "portable",
            "generic",
            "avx2",
            "avx512",
            "avx512-vnni",
            "avx512-bf16",
            "avx512-amx",
        ];
        if !KNOWN.contains(&name) {
            return Err(IsaError::Unknown { name: name.into() });
        }
        let available = Self::available();
        available
            .iter()
            .copied()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| {
                let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
                IsaError::Unsupported {
                    name: name.into(),
                    available: names.join(", "),
                }
            })
    }

    /// The set without tiles of AMX, for products too small for them: that of attention.
    pub fn without_tiles(self) -> Self {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Self::Avx512(simd.without_tiles()),
            other => other,
        }
    }

    /// The name by which `DEBERTA_ISA` knows the set.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
            Self::Generic(_) => "generic",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.name(),
        }
    }

    /// Runs an operation with the vectors of this instruction set.
    pub fn dispatch<O: Operation>(self, operation: O) -> O::Output {
        match self {
            Self::Portable(simd) | Self::Generic(simd) => operation.run(simd),
            // SAFETY: the value proves that the processor has AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => unsafe { run_avx2(simd, operation) },
            // SAFETY: the value proves that the processor has these AVX-512 extensions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => unsafe { run_avx512(simd, operation) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<O: Operation>(simd: Avx2, operation: O) -> O::Output {
    operation.run(simd)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn run_avx512<O: Operation>(simd: Avx512, operation: O) -> O::Output {
    operation.run(simd)
}
