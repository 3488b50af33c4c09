//! What a checkpoint holds, for programs that show or convert it.

use std::fmt;
use std::io::Write;
use std::path::Path;

use super::dtype::Dtype;
use super::elements;
use super::file::WeightsFile;
use super::names::{self, Scope};
use super::tensor::Tensor;
use crate::Error;

/// The format of a weights file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// `torch.save` since PyTorch 1.6: a zip archive.
    TorchZip,
    /// `torch.save` of older versions: pickles and raw data, one after the other.
    TorchLegacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "pytorch zip",
            Self::TorchLegacy => "pytorch legacy",
        })
    }
}

/// A tensor of a checkpoint: what the files say of it, and its elements.
#[derive(Debug, Clone)]
pub struct TensorInfo<'a> {
    pub(super) name: &'a str,
    pub(super) scope: Scope,
    pub(super) canonical: String,
    pub(super) is_shadowed: bool,
    pub(super) file_number: usize,
    pub(super) file: &'a WeightsFile,
    pub(super) tensor: &'a Tensor,
}

/// Bytes of a file that tensors may share. Tensors with equal ids lie in the same ones, be it as the same
/// elements ([`super::Checkpoint::tied`]) or as different views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageId {
    file: usize,
    start: usize,
}

impl<'a> TensorInfo<'a> {
    /// The name in the file.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What the canonical name is relative to.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The name as [`super::TensorSpec`] has it: without the prefix, LayerNorm's `gamma` and `beta` as
    /// `weight` and `bias`.
    pub fn canonical_name(&self) -> &str {
        &self.canonical
    }

    /// Whether another tensor of the checkpoint has the same canonical name and is the one that is read, such
    /// as `LayerNorm.weight` beside `LayerNorm.gamma`.
    pub fn is_shadowed(&self) -> bool {
        self.is_shadowed
    }

    /// Whether it is a constant that old versions of `transformers` saved and nobody reads: positions, 0, 1, 2, ..., or
    /// GPT-2's causal mask.
    pub fn is_constant(&self) -> bool {
        names::is_constant(self.name)
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.tensor.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &'a [usize] {
        &self.tensor.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.tensor.len()
    }

    /// The file that holds it.
    pub fn file(&self) -> &'a Path {
        self.file.path()
    }

    /// The bytes that it may share with others, `None` where it has no elements.
    pub fn storage(&self) -> Option<StorageId> {
        (!self.tensor.range.is_empty()).then_some(StorageId {
            file: self.file_number,
            start: self.tensor.storage.start,
        })
    }

    /// As [`TensorInfo::copy_to`], and refuses NaN and infinities even where floats are copied as they are.
    ///
    /// # Errors
    /// As [`TensorInfo::copy_to`].
    pub fn copy_checked(
        &self,
        out: &mut (impl Write + ?Sized),
        target: Dtype,
    ) -> Result<(), Error> {
        if self.tensor.dtype == target && target.is_float() {
            let mut place = self.place();
            let mut values = Vec::new();
            self.file.float(self.name)?;
            self.file.chunks(self.tensor, |bytes| {
                values.resize(bytes.len() * 8 / target.bits(), 0.0);
                elements::widen_finite(target, bytes, &mut values, place)?;
                place.first += values.len();
                Ok(())
            })?;
        }
        self.copy_to(out, target)
    }

    /// Where the elements come from, for errors.
    fn place(&self) -> elements::Place<'a> {
        elements::Place {
            file: self.file.path(),
            tensor: self.name,
            first: 0,
        }
    }

    /// Writes the elements as `target`, little endian, in row-major order, a bounded number at a time.
    ///
    /// With the tensor's own type they are copied as they are, whatever they are. Otherwise both types must be
    /// floating-point; numbers are rounded to the nearest (from F64 by way of F32), and every one is
    /// checked.
    ///
    /// # Errors
    /// [`Error::Output`] where writing fails, [`Error::Dtype`] where the elements are no floating-point
    /// numbers, [`Error::Argument`] where the target is no such type, [`Error::NonFinite`] for a NaN or an
    /// infinity and [`Error::TooLarge`] for a number beyond the target's largest,
    /// [`Error::WeightsFile`] where the tensor repeats elements and is larger than its file.
    pub fn copy_to(&self, out: &mut (impl Write + ?Sized), target: Dtype) -> Result<(), Error> {
        let from = self.tensor.dtype;
        if from == target {
            self.file.check_size(self.name, self.tensor)?;
        } else {
            self.file.float(self.name)?;
        }
        let mut write = |bytes: &[u8]| {
            out.write_all(bytes).map_err(|source| Error::Output {
                tensor: self.name.to_owned(),
                source,
            })
        };
        let mut place = self.place();
        let mut converted = Vec::new();
        self.file.chunks(self.tensor, |bytes| {
            if from == target {
                return write(bytes);
            }
            converted.clear();
            elements::convert((from, target), bytes, &mut converted, place)?;
            place.first += bytes.len() * 8 / from.bits();
            write(&converted)
        })
    }
}
