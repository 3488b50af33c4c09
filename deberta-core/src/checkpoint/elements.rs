//! Elements from one type to another, by way of f32.

use std::path::Path;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::dtype::Dtype;
use super::tensor::CHUNK;
use crate::Error;

/// Where elements come from, for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) tensor: &'a str,
    /// The number of the first element.
    pub(super) first: usize,
}

/// Widens (f64: rounds) little-endian floating-point elements; `out` has one place for each.
pub(super) fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> Result<(), Error> {
    match dtype.storage() {
        Some(storage) => storage.widen(bytes, out)?,
        // The callers have made sure that it is the one float that kernels do not read.
        None => {
            for (value, b) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f64::from_le_bytes(*b) as f32;
            }
        }
    }
    Ok(())
}

/// As [`widen`], and refuses NaN, infinities, and numbers that f32 cannot hold.
pub(super) fn widen_finite(
    dtype: Dtype,
    bytes: &[u8],
    out: &mut [f32],
    place: Place<'_>,
) -> Result<(), Error> {
    widen(dtype, bytes, out)?;
    let Err(error) = check_finite(out, place) else {
        return Ok(());
    };
    if dtype == Dtype::F64 {
        let wide = bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
        let rounded = wide.enumerate().zip(&*out).find(|(_, f)| !f.is_finite());
        if let Some(((index, value), _)) = rounded
            && value.is_finite()
        {
            return Err(too_large(place, index, value, Dtype::F32));
        }
    }
    Err(error)
}

/// Refuses NaN and infinities.
pub(super) fn check_finite(values: &[f32], place: Place<'_>) -> Result<(), Error> {
    // Without a way out of the loop it becomes vectors.
    if values.iter().fold(true, |all, v| all & v.is_finite()) {
        return Ok(());
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NonFinite {
            file: place.file.to_owned(),
            tensor: place.tensor.to_owned(),
            index: place.first + index,
            value: values[index],
        }),
    }
}

/// Elements of `from` as elements of `to`, both floating-point types, appended to `out`.
pub(super) fn convert(
    (from, to): (Dtype, Dtype),
    bytes: &[u8],
    out: &mut Vec<u8>,
    place: Place<'_>,
) -> Result<(), Error> {
    let mut values = vec![0.0; (bytes.len() * 8 / from.bits()).min(CHUNK)];
    widen_finite(from, bytes, &mut values, place)?;
    match to {
        Dtype::F64 => out.extend(values.iter().flat_map(|&v| f64::from(v).to_le_bytes())),
        Dtype::F32 => out.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        Dtype::F16 => {
            let mut narrow = vec![f16::ZERO; values.len()];
            narrow.convert_from_f32_slice(&values);
            check_narrow(&narrow, |v| v.is_finite(), &values, to, place)?;
            out.extend(narrow.iter().flat_map(|v| v.to_le_bytes()));
        }
        Dtype::BF16 => {
            let mut narrow = vec![bf16::ZERO; values.len()];
            narrow.convert_from_f32_slice(&values);
            check_narrow(&narrow, |v| v.is_finite(), &values, to, place)?;
            out.extend(narrow.iter().flat_map(|v| v.to_le_bytes()));
        }
        other => {
            return Err(Error::Argument {
                name: "target",
                expected: "F64, F32, F16, BF16 or the tensor's own type".to_owned(),
                found: other.to_string(),
            });
        }
    }
    Ok(())
}

/// Refuses numbers that became infinite by rounding.
fn check_narrow<H: Copy>(
    narrow: &[H],
    is_finite: impl Fn(H) -> bool,
    values: &[f32],
    to: Dtype,
    place: Place<'_>,
) -> Result<(), Error> {
    match narrow.iter().position(|&value| !is_finite(value)) {
        None => Ok(()),
        Some(index) => Err(too_large(place, index, f64::from(values[index]), to)),
    }
}

fn too_large(place: Place<'_>, index: usize, value: f64, target: Dtype) -> Error {
    Error::TooLarge {
        file: place.file.to_owned(),
        tensor: place.tensor.to_owned(),
        index: place.first + index,
        value,
        target: target.name(),
    }
}
