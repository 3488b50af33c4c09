//! Bytes of a file as f32 numbers.

use std::path::Path;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::Error;

/// The types of elements that weights may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// 32-bit IEEE.
    F32,
    /// 16-bit IEEE.
    F16,
    /// The upper half of a 32-bit IEEE number.
    Bf16,
}

impl FloatType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Elements that are converted at a time.
const CHUNK: usize = 1024;

/// Converts little-endian elements. The bytes need no alignment: a header may have any length.
pub(super) fn to_f32(bytes: &[u8], dtype: FloatType) -> Vec<f32> {
    match dtype {
        FloatType::F32 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect(),
        FloatType::F16 => widen(bytes, f16::from_le_bytes, |from, to| {
            from.convert_to_f32_slice(to)
        }),
        FloatType::Bf16 => widen(bytes, bf16::from_le_bytes, |from, to| {
            from.convert_to_f32_slice(to)
        }),
    }
}

/// Converts 16-bit elements a chunk at a time, so that the processor's own instructions apply.
fn widen<H: Copy + Default>(
    bytes: &[u8],
    read: impl Fn([u8; 2]) -> H,
    convert: impl Fn(&[H], &mut [f32]),
) -> Vec<f32> {
    let elements = bytes.as_chunks::<2>().0;
    let mut values = vec![0.0; elements.len()];
    let mut narrow = [H::default(); CHUNK];
    for (from, to) in elements.chunks(CHUNK).zip(values.chunks_mut(CHUNK)) {
        let narrow = &mut narrow[..from.len()];
        for (half, &bytes) in narrow.iter_mut().zip(from) {
            *half = read(bytes);
        }
        convert(narrow, to);
    }
    values
}

/// Refuses NaN and infinities.
pub(super) fn all_finite(values: &[f32], file: &Path, tensor: &str) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NonFinite {
            file: file.to_owned(),
            tensor: tensor.to_owned(),
            index,
            value: values[index],
        }),
    }
}
