//! One safetensors file: its header, distrusted, and its tensors.
//!
//! The format: eight bytes with the header's length n (little endian), n bytes of JSON that give
//! each tensor's type, shape and byte range, and the tensors' bytes, in any order but without holes.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::mmap::Mapping;
use crate::Error;
use deberta_kernels::Storage;

const LENGTH_BYTES: usize = 8;
/// The limit of the reference implementation.
const MAX_HEADER: usize = 100_000_000;

/// A mapped file and where its tensors lie.
#[derive(Debug)]
pub(super) struct WeightsFile {
    path: PathBuf,
    mapping: Arc<Mapping>,
    tensors: HashMap<String, Tensor>,
}

/// Where a tensor lies in the file. The range is inside it and fits shape and type.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    dtype: Dtype,
    range: Range<usize>,
}

/// A tensor of floating-point numbers.
pub(super) struct FloatTensor<'a> {
    pub(super) dtype: Storage,
    pub(super) shape: &'a [usize],
    pub(super) bytes: &'a [u8],
    pub(super) range: Range<usize>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    _metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: HashMap<String, TensorInfo>,
}

impl WeightsFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mapping = Mapping::open(path)?;
        let tensors = parse(mapping.bytes()).map_err(|(expected, found)| Error::WeightsFile {
            file: path.to_owned(),
            expected,
            found,
        })?;
        Ok(Self {
            path: path.to_owned(),
            mapping: Arc::new(mapping),
            tensors,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    pub(super) fn float_tensor(&self, name: &str) -> Result<FloatTensor<'_>, Error> {
        let missing = || Error::Weights {
            file: self.path.clone(),
            missing: vec![name.to_owned()],
            misshapen: Vec::new(),
            unused: Vec::new(),
        };
        let tensor = self.tensor(name).ok_or_else(missing)?;
        let dtype = match tensor.dtype {
            Dtype::F32 => Storage::F32,
            Dtype::F16 => Storage::F16,
            Dtype::BF16 => Storage::Bf16,
            other => {
                return Err(Error::Dtype {
                    file: self.path.clone(),
                    tensor: name.to_owned(),
                    found: format!("{other:?}"),
                });
            }
        };
        let bytes = self
            .mapping
            .bytes()
            .get(tensor.range.clone())
            .ok_or_else(missing)?;
        Ok(FloatTensor {
            dtype,
            shape: &tensor.shape,
            bytes,
            range: tensor.range.clone(),
        })
    }
}

/// What the format asks for, and what the file has instead.
type Refusal = (String, String);

fn parse(bytes: &[u8]) -> Result<HashMap<String, Tensor>, Refusal> {
    let size = bytes.len();
    let truncated = |needed: usize, what: &str| {
        (
            format!("at least {needed} bytes ({what})"),
            format!("{size} bytes: the file is truncated"),
        )
    };
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

    let data_start = LENGTH_BYTES + header_len;
    let data_len = rest.len() - header_len;
    let mut entries: Vec<_> = header.tensors.into_iter().collect();
    entries.sort_by(|a, b| (a.1.data_offsets, &a.0).cmp(&(b.1.data_offsets, &b.0)));
    let mut tensors = HashMap::with_capacity(entries.len());
    let mut covered = 0;
    for (name, info) in entries {
        let (start, end) = info.data_offsets;
        let found = || format!("tensor {name:?} at bytes {start}..{end}");
        let needed = byte_size(&info).ok_or_else(|| {
            let expected = format!("shapes of addressable size for tensor {name:?}");
            (expected, format!("{:?} of {:?}", info.shape, info.dtype))
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
            let (shape, dtype) = (&info.shape, info.dtype);
            return Err((
                format!("{needed} bytes for shape {shape:?} of {dtype:?}"),
                found(),
            ));
        }
        covered = end;
        let range = data_start + start..data_start + end;
        tensors.insert(
            name,
            Tensor {
                shape: info.shape,
                dtype: info.dtype,
                range,
            },
        );
    }
    if covered != data_len {
        return Err((
            format!("{covered} bytes of data, as the header says"),
            data_len.to_string(),
        ));
    }
    Ok(tensors)
}

/// The bytes that shape and type ask for, `None` where no memory could hold them.
fn byte_size(info: &TensorInfo) -> Option<usize> {
    let elements = info
        .shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))?;
    let bits = elements.checked_mul(info.dtype.bitsize())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}
