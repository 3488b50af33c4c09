//! One weights file, whatever its format: where its tensors lie, and their numbers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dtype::Dtype;
use super::elements;
use super::info::Format;
use super::mmap::Mapping;
use super::spec::ElementKind;
use super::tensor::{CHUNK, Tensor};
use super::{header, torch};
use crate::Error;

/// Which program's files are expected; the contents decide between PyTorch's two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Safetensors,
    Torch,
}

/// What a file that was never fetched from Git's large file storage begins with.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A mapped file and where its tensors lie.
#[derive(Debug)]
pub(super) struct WeightsFile {
    path: PathBuf,
    mapping: Arc<Mapping>,
    format: Format,
    tensors: HashMap<String, Tensor>,
    int8: bool,
}

impl WeightsFile {
    pub(super) fn open(path: &Path, family: Family) -> Result<Self, Error> {
        Self::parse(path, Mapping::open(path)?, family)
    }

    pub(super) fn parse(path: &Path, mapping: Mapping, family: Family) -> Result<Self, Error> {
        let weights_file = |(expected, found)| Error::WeightsFile {
            file: path.to_owned(),
            expected,
            found,
        };
        let bytes = mapping.bytes();
        if bytes.starts_with(LFS_POINTER) {
            return Err(weights_file((
                "weights".to_owned(),
                "a Git LFS pointer; fetch the file itself with `git lfs pull`".to_owned(),
            )));
        }
        let (format, tensors, int8) = match family {
            Family::Safetensors => {
                let contents = header::parse(bytes).map_err(weights_file)?;
                (Format::Safetensors, contents.tensors, contents.int8)
            }
            Family::Torch => {
                let (format, tensors) =
                    torch::parse(bytes).map_err(|refusal| Error::TorchFile {
                        file: path.to_owned(),
                        position: refusal.position,
                        expected: refusal.expected,
                        found: refusal.found,
                    })?;
                (format, tensors, false)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            mapping: Arc::new(mapping),
            format,
            tensors,
            int8,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Whether the linear layers of the encoder are in 8 bits.
    pub(super) fn is_int8(&self) -> bool {
        self.int8
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

    /// A tensor whose elements are of this kind.
    pub(super) fn of_kind(&self, name: &str, kind: ElementKind) -> Result<&Tensor, Error> {
        match kind {
            ElementKind::Float => self.float(name),
            ElementKind::Int8 => self.int8(name),
        }
    }

    /// A tensor that is there.
    fn present(&self, name: &str) -> Result<&Tensor, Error> {
        self.tensor(name).ok_or_else(|| Error::Weights {
            file: self.path.clone(),
            missing: vec![name.to_owned()],
            misshapen: Vec::new(),
            unused: Vec::new(),
        })
    }

    /// A tensor whose elements are signed bytes.
    fn int8(&self, name: &str) -> Result<&Tensor, Error> {
        let tensor = self.present(name)?;
        if tensor.dtype != Dtype::I8 {
            return Err(Error::WeightsFile {
                file: self.path.clone(),
                expected: format!("tensor {name:?} of {}", Dtype::I8),
                found: tensor.dtype.to_string(),
            });
        }
        Ok(tensor)
    }

    /// A tensor whose elements are floating-point numbers.
    pub(super) fn float(&self, name: &str) -> Result<&Tensor, Error> {
        let tensor = self.present(name)?;
        if !tensor.dtype.is_float() {
            return Err(Error::Dtype {
                file: self.path.clone(),
                tensor: name.to_owned(),
                found: tensor.dtype.to_string(),
            });
        }
        self.check_size(name, tensor)?;
        Ok(tensor)
    }

    /// The elements of a tensor as f32 numbers, every one of them finite.
    pub(super) fn read_f32(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>), Error> {
        let tensor = self.float(name)?;
        let mut values = vec![0.0; tensor.len()];
        let mut filled = 0;
        self.chunks(tensor, |bytes| {
            let count = bytes.len() * 8 / tensor.dtype.bits();
            let into = &mut values[filled..filled + count];
            let place = elements::Place {
                file: &self.path,
                tensor: name,
                first: filled,
            };
            elements::widen_finite(tensor.dtype, bytes, into, place)?;
            filled += count;
            Ok(())
        })?;
        Ok((values, tensor.shape.clone()))
    }

    /// The elements of a tensor in row-major order, piece by piece.
    pub(super) fn chunks(
        &self,
        tensor: &Tensor,
        mut visit: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !tensor.is_contiguous() {
            return tensor.chunks(self.mapping.bytes(), visit);
        }
        // Not through the map: a page that is touched may bring megabytes of its neighbourhood into this process.
        // A whole number of elements, be they of less than a byte.
        let most = CHUNK / 8 * tensor.dtype.bits();
        let mut bytes = vec![0; most.min(tensor.range.len())];
        for start in tensor.range.clone().step_by(most) {
            let part = &mut bytes[..most.min(tensor.range.end - start)];
            self.mapping.read_at(start, part, &self.path)?;
            visit(part)?;
        }
        Ok(())
    }

    /// Refuses a tensor that is larger than its file: a view that repeats elements can be of any size, and
    /// reading it would take memory that no file pays for.
    pub(super) fn check_size(&self, name: &str, tensor: &Tensor) -> Result<(), Error> {
        let (size, file) = (tensor.dtype.bytes(tensor.len()), self.mapping.bytes().len());
        if size.is_some_and(|size| size <= file) {
            return Ok(());
        }
        Err(Error::WeightsFile {
            file: self.path.clone(),
            expected: format!("tensor {name:?} to be no larger than its file of {file} bytes"),
            found: format!("shape {:?} of {}", tensor.shape, tensor.dtype),
        })
    }
}
