//! The bytes of a tensor as f32 numbers, every one of them finite.

use std::path::Path;

use deberta_kernels::Storage;

use crate::Error;

/// Widens little-endian elements and refuses NaN and infinities.
pub(super) fn finite(
    bytes: &[u8],
    storage: Storage,
    file: &Path,
    tensor: &str,
) -> Result<Vec<f32>, Error> {
    let mut values = vec![0.0; bytes.len() / storage.size()];
    storage.widen(bytes, &mut values)?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => Err(Error::NonFinite {
            file: file.to_owned(),
            tensor: tensor.to_owned(),
            index,
            value: values[index],
        }),
    }
}
