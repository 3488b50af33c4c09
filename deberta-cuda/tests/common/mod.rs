//! What the tests share.
#![allow(dead_code)] // each test uses some of it

use deberta_cuda::{Contents, Dtype, Gpu, Matrix, Sequences, Shape};
use half::{bf16, f16};
use ndarray::{Array2, ArrayView2};

/// The first GPU, or `None` with a loud word; where `DEBERTA_REQUIRE_CUDA` is set, there must be one.
pub(crate) fn gpu() -> Option<Gpu> {
    match Gpu::new(0) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let required = std::env::var_os("DEBERTA_REQUIRE_CUDA").is_some();
            assert!(!required, "a GPU is required: {error}");
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

/// A fixed sequence of numbers that look random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// Between -1 and 1.
    pub(crate) fn number(&mut self) -> f32 {
        self.bits() as f32 / (1u64 << 31) as f32 - 1.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    /// About the normal distribution with this deviation.
    pub(crate) fn matrix(&mut self, rows: usize, columns: usize, deviation: f32) -> Array2<f32> {
        let mut normal = || (0..6).map(|_| self.number()).sum::<f32>() / 2.0_f32.sqrt();
        Array2::from_shape_fn((rows, columns), |_| normal() * deviation)
    }

    pub(crate) fn vector(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.number()).collect()
    }
}

/// What a type makes of a number.
pub(crate) fn rounded(values: &Array2<f32>, dtype: Dtype) -> Array2<f32> {
    values.mapv(|x| match dtype {
        Dtype::F32 => x,
        Dtype::F16 => f16::from_f32(x).to_f32(),
        Dtype::Bf16 => bf16::from_f32(x).to_f32(),
    })
}

/// Half the distance between neighbours of a type, relative: what rounding to it may change.
pub(crate) fn unit(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => f64::from(f32::EPSILON) / 2.0,
        Dtype::F16 => 2f64.powi(-11),
        Dtype::Bf16 => 2f64.powi(-8),
    }
}

/// A matrix on the device.
pub(crate) fn upload(gpu: &Gpu, values: &Array2<f32>, dtype: Dtype) -> Matrix {
    Matrix::from_f32(gpu, values.view(), dtype).unwrap()
}

/// Boundaries of sequences of these lengths.
pub(crate) fn bounds(lengths: &[usize]) -> Vec<usize> {
    let mut bounds = vec![0];
    bounds.extend(lengths.iter().scan(0, |sum, length| {
        *sum += length;
        Some(*sum)
    }));
    bounds
}

/// Sequences on the device, in memory of exactly their shape.
pub(crate) fn sequences(
    gpu: &Gpu,
    bounds: &[usize],
    positions: Option<&[u32]>,
    queries: usize,
) -> Sequences {
    let tokens = bounds[bounds.len() - 1];
    let shape = Shape::exact(tokens, bounds.len() - 1, positions.is_some());
    let mut sequences = Sequences::new(gpu, shape, queries).unwrap();
    let zeros = vec![0; tokens];
    let contents = Contents {
        ids: &zeros,
        type_ids: &zeros,
        bounds,
        positions,
    };
    sequences.write(gpu, contents).unwrap();
    sequences
}

/// Every number within `relative` of its size and `absolute` of what is expected. Returns the largest share of that.
pub(crate) fn compare(
    what: &str,
    found: ArrayView2<'_, f32>,
    expected: &[f64],
    relative: f64,
    absolute: f64,
) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}");
    let mut worst = 0.0_f64;
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let bound = relative * expected.abs() + absolute;
        let gap = (f64::from(found) - expected).abs();
        assert!(
            gap <= bound,
            "{what}: number {index} is {found}, expected {expected}, gap {gap:e}, bound {bound:e}"
        );
        worst = worst.max(gap / bound);
    }
    worst
}
