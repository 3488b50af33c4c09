//! The header of a safetensors file, distrusted.
//!
//! The format: eight bytes with the header's length n (little endian), n bytes of JSON that give
//! each tensor's type, shape and byte range, and the tensors' bytes, in any order but without holes.

use std::collections::HashMap;

use ::safetensors::Dtype as Stored;
use ::safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::dtype::Dtype;
use super::tensor::{self, Tensor};

const LENGTH_BYTES: usize = 8;
/// The limit of the reference implementation.
const MAX_HEADER: usize = 100_000_000;

/// What the format asks for, and what the file has instead.
type Refusal = (String, String);

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: HashMap<String, TensorInfo>,
}

/// What a file holds.
pub(super) struct Contents {
    pub(super) tensors: HashMap<String, Tensor>,
    /// Whether the linear layers of the encoder are in 8 bits, as [`INT8`] says.
    pub(super) int8: bool,
}

/// The `format` in the metadata of a file whose linear layers are in 8 bits. Other programs know it as none of theirs,
/// and refuse the file instead of taking the integers for weights.
pub(crate) const INT8: &str = "deberta-rs int8";
/// The `version` beside it.
pub(crate) const INT8_VERSION: &str = "2";

/// The tensors of a file with these bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Contents, Refusal> {
    let size = bytes.len();
    let truncated = |needed: usize, what: &str| {
        (
            format!("at least {needed} bytes ({what})"),
            format!("{size} bytes: the file is truncated"),
        )
    };
    // A zip archive, or a pickle of protocol 2 or later; the same bytes may begin a length, but then JSON follows.
    let pickle = bytes.first() == Some(&0x80) && bytes.get(1).is_some_and(|version| *version <= 5);
    if (bytes.starts_with(b"PK\x03\x04") || pickle) && bytes.get(8) != Some(&b'{') {
        let found = "what looks like a file of torch.save; name it pytorch_model.bin";
        return Err(("a safetensors file".to_owned(), found.to_owned()));
    }
    let (length, rest) = bytes
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or_else(|| truncated(LENGTH_BYTES, "the header's length"))?;
    let length = u64::from_le_bytes(*length);
    let header_len = usize::try_from(length)
        .ok()
        .filter(|&n| n <= MAX_HEADER)
        .ok_or_else(|| {
            let expected = format!("a safetensors header of at most {MAX_HEADER} bytes");
            (expected, format!("a header length of {length}"))
        })?;
    let header = rest
        .get(..header_len)
        .ok_or_else(|| truncated(LENGTH_BYTES + header_len, "the header"))?;
    let header: Header = serde_json::from_slice(header)
        .map_err(|e| ("a safetensors header in JSON".to_owned(), e.to_string()))?;

    let metadata = header.metadata.unwrap_or_default();
    let entry = |key| metadata.get(key).map(String::as_str);
    let int8 = entry("format") == Some(INT8);
    if int8 && entry("version") != Some(INT8_VERSION) {
        return Err((
            format!("version {INT8_VERSION} of the format {INT8:?}"),
            match entry("version") {
                Some(version) => format!("version {version:?}: convert the original again"),
                None => "no version".to_owned(),
            },
        ));
    }

    let data_start = LENGTH_BYTES + header_len;
    let data_len = rest.len() - header_len;
    let mut entries: Vec<_> = header.tensors.into_iter().collect();
    entries.sort_by(|a, b| (a.1.data_offsets, &a.0).cmp(&(b.1.data_offsets, &b.0)));
    let mut tensors = HashMap::with_capacity(entries.len());
    let mut covered = 0;
    for (name, info) in entries {
        let (start, end) = info.data_offsets;
        let dtype = dtype(info.dtype);
        let found = || format!("tensor {name:?} at bytes {start}..{end}");
        let needed = tensor::elements(&info.shape)
            .and_then(|n| dtype.bytes(n))
            .ok_or_else(|| {
                let expected = format!("shapes of addressable size for tensor {name:?}");
                (expected, format!("{:?} of {dtype}", info.shape))
            })?;
        if start != covered || end < start {
            return Err((
                format!("the next tensor to begin at byte {covered}"),
                found(),
            ));
        }
        if end > data_len {
            return Err((
                format!("the data to reach byte {end} (tensor {name:?})"),
                format!("{data_len} bytes of data: the file is truncated"),
            ));
        }
        if end - start != needed {
            let shape = &info.shape;
            return Err((
                format!("{needed} bytes for shape {shape:?} of {dtype}"),
                found(),
            ));
        }
        covered = end;
        let range = data_start + start..data_start + end;
        tensors.insert(name, Tensor::contiguous(dtype, info.shape, range));
    }
    if covered != data_len {
        return Err((
            format!("{covered} bytes of data, as the header says"),
            data_len.to_string(),
        ));
    }
    Ok(Contents { tensors, int8 })
}

fn dtype(stored: Stored) -> Dtype {
    let other = |name| Dtype::Other {
        name,
        bits: stored.bitsize(),
    };
    match stored {
        Stored::F64 => Dtype::F64,
        Stored::F32 => Dtype::F32,
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::BF16,
        Stored::I64 => Dtype::I64,
        Stored::I32 => Dtype::I32,
        Stored::I16 => Dtype::I16,
        Stored::I8 => Dtype::I8,
        Stored::U64 => Dtype::U64,
        Stored::U32 => Dtype::U32,
        Stored::U16 => Dtype::U16,
        Stored::U8 => Dtype::U8,
        Stored::BOOL => Dtype::Bool,
        Stored::C64 => other("C64"),
        Stored::F4 => other("F4"),
        Stored::F6_E2M3 => other("F6_E2M3"),
        Stored::F6_E3M2 => other("F6_E3M2"),
        Stored::F8_E4M3 => other("F8_E4M3"),
        Stored::F8_E5M2 => other("F8_E5M2"),
        Stored::F8_E8M0 => other("F8_E8M0"),
        Stored::F8_E4M3FNUZ => other("F8_E4M3FNUZ"),
        Stored::F8_E5M2FNUZ => other("F8_E5M2FNUZ"),
        // The list is open; a type of a later version is no weight that this crate reads.
        _ => other("of a type that is not known"),
    }
}
