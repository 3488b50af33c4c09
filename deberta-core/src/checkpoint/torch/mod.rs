//! PyTorch's files: `torch.save` of a state dict, as a zip archive or in the older format without one.
//!
//! Both hold a pickle that says what the tensors are called and where they lie in which storage, and the
//! storages' raw bytes. We read the pickle with a machine that executes nothing ([`pickle`]), resolve the
//! storages to ranges of the mapped file ([`archive`], [`legacy`]) and find the tensors in the dictionary that
//! it built ([`state_dict`]). No tensor is read before it is asked for.
//!
//! The pickle inside an archive is checked against its CRC-32; the tensors' bytes are not, as that would
//! read all of them.

mod archive;
mod bytes;
mod legacy;
mod pickle;
mod state_dict;
mod zip;

use std::collections::HashMap;

use super::info::Format;
use super::tensor::Tensor;

/// Why a file is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) position: usize,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Refusal {
    fn new(position: usize, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            position,
            expected: expected.into(),
            found: found.into(),
        }
    }
}

const ZIP_SIGNATURE: &[u8] = b"PK";
/// The instruction that begins every pickle since protocol 2.
const PICKLE_SIGNATURE: u8 = 0x80;
/// Where tar archives have their signature.
const TAR_SIGNATURE: (usize, &[u8]) = (257, b"ustar");

/// The tensors of a file with these bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<(Format, HashMap<String, Tensor>), Refusal> {
    if bytes.starts_with(ZIP_SIGNATURE) {
        return Ok((Format::TorchZip, archive::parse(bytes)?));
    }
    if bytes.first() == Some(&PICKLE_SIGNATURE) {
        return Ok((Format::TorchLegacy, legacy::parse(bytes)?));
    }
    let (at, tar) = TAR_SIGNATURE;
    let found = if bytes.get(at..).is_some_and(|rest| rest.starts_with(tar)) {
        "a tar archive, the format before PyTorch 0.1.10; load and save it with PyTorch".to_owned()
    } else if bytes.get(8) == Some(&b'{') {
        "what looks like safetensors; name it model.safetensors".to_owned()
    } else {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]);
        format!("{} bytes that begin with {shown:?}", bytes.len())
    };
    Err(Refusal::new(0, "a file of torch.save", found))
}
