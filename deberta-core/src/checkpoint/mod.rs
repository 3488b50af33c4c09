//! Weights on disk: which files hold them, what their tensors are called, and how to read them.
//!
//! A [`Checkpoint`] is opened on a directory, asked once whether it holds everything that a model
//! needs ([`Checkpoint::verify`]) and then read tensor by tensor. The word embeddings, by far the
//! largest table and the one of which a forward pass touches a few rows, stay memory-mapped
//! ([`Checkpoint::table`]).

mod file;
mod index;
mod mmap;
mod names;
mod read;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Misshapen};
use file::WeightsFile;
use names::Naming;

pub use deberta_kernels::Storage;
pub use names::Scope;
pub use table::MappedTable;

/// What a model needs of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The canonical name: relative to the encoder (`encoder.layer.0.output.dense.weight`) or, for a
    /// head's tensor, absolute (`classifier.weight`).
    pub name: String,
    /// What the name is relative to.
    pub scope: Scope,
    /// The shape.
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// A tensor of the encoder.
    pub fn encoder(name: impl Into<String>, shape: impl Into<Vec<Dim>>) -> Self {
        Self {
            name: name.into(),
            scope: Scope::Encoder,
            shape: shape.into(),
        }
    }

    /// A tensor of a head.
    pub fn head(name: impl Into<String>, shape: impl Into<Vec<Dim>>) -> Self {
        Self {
            name: name.into(),
            scope: Scope::Head,
            shape: shape.into(),
        }
    }
}

/// One entry of a shape that a model needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// This size and no other.
    Exactly(usize),
    /// Whatever the file has, such as the number of vocabulary rows.
    Any,
}

/// The weights files of a directory, mapped and indexed.
#[derive(Debug)]
pub struct Checkpoint {
    /// The single file or the index of a sharded one: what errors name.
    source: PathBuf,
    files: Vec<WeightsFile>,
    /// Tensor name to index in `files`.
    tensors: BTreeMap<String, usize>,
    naming: Naming,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// Where there is neither, a file is truncated or corrupt, the index names files outside the
    /// directory, or the encoder cannot be found among the names.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let index::Located {
            source,
            files,
            tensors,
        } = index::locate(folder.as_ref())?;
        let naming = Naming::detect(&source, tensors.keys())?;
        Ok(Self {
            source,
            files,
            tensors,
            naming,
        })
    }

    /// What precedes the encoder's tensor names in the files, such as `deberta.`.
    pub fn prefix(&self) -> &str {
        self.naming.prefix()
    }

    /// The weights file, or the index of a sharded one.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Whether a tensor is there, in whatever shape and under any of its names.
    pub fn contains(&self, scope: Scope, name: &str) -> bool {
        self.resolve(scope, name).is_some()
    }

    /// The shape of a tensor.
    pub fn shape(&self, scope: Scope, name: &str) -> Option<&[usize]> {
        let name = self.resolve(scope, name)?;
        Some(&self.files[self.tensors[name]].tensor(name)?.shape)
    }

    /// Checks that every tensor of `specs` is there in the right shape. Returns the names of those in
    /// the files that no spec asks for.
    ///
    /// # Errors
    /// [`Error::Weights`] with everything that is missing, misshapen or unused.
    pub fn verify(&self, specs: &[TensorSpec]) -> Result<Vec<String>, Error> {
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        let mut unused: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| !names::is_position_ids(name))
            .collect();
        for spec in specs {
            let Some(name) = self.resolve(spec.scope, &spec.name) else {
                missing.push(self.naming.expected(spec.scope, &spec.name));
                continue;
            };
            if let Ok(index) = unused.binary_search(&name) {
                unused.remove(index);
            }
            misshapen.extend(self.misshapen(spec, name));
        }
        let unused = unused.into_iter().map(str::to_owned).collect();
        if missing.is_empty() && misshapen.is_empty() {
            return Ok(unused);
        }
        Err(self.unfit(missing, misshapen, unused))
    }

    /// Reads a tensor as f32, in row-major order, with its shape.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or misshapen, [`Error::Dtype`] where its elements are no
    /// floating-point numbers, [`Error::NonFinite`] where one of them is NaN or infinite.
    pub fn read_f32(&self, spec: &TensorSpec) -> Result<(Vec<f32>, Vec<usize>), Error> {
        let (file, name) = self.locate(spec)?;
        let tensor = file.float_tensor(name)?;
        let values = read::finite(tensor.bytes, tensor.dtype, file.path(), name)?;
        Ok((values, tensor.shape.to_vec()))
    }

    /// A matrix that stays memory-mapped. Its values are not read, and so not checked.
    ///
    /// # Errors
    /// As [`Checkpoint::read_f32`], without the check of the values.
    pub fn table(&self, spec: &TensorSpec) -> Result<MappedTable, Error> {
        let (file, name) = self.locate(spec)?;
        let tensor = file.float_tensor(name)?;
        let &[rows, columns] = tensor.shape else {
            let misshapen = Misshapen {
                name: name.to_owned(),
                expected: vec![None; 2],
                found: tensor.shape.to_vec(),
            };
            return Err(self.unfit(Vec::new(), vec![misshapen], Vec::new()));
        };
        Ok(MappedTable::new(file, name, rows, columns, &tensor))
    }

    /// The file and the name of a tensor that is there in the right shape.
    fn locate(&self, spec: &TensorSpec) -> Result<(&WeightsFile, &str), Error> {
        let Some(name) = self.resolve(spec.scope, &spec.name) else {
            let missing = vec![self.naming.expected(spec.scope, &spec.name)];
            return Err(self.unfit(missing, Vec::new(), Vec::new()));
        };
        match self.misshapen(spec, name) {
            Some(misshapen) => Err(self.unfit(Vec::new(), vec![misshapen], Vec::new())),
            None => Ok((&self.files[self.tensors[name]], name)),
        }
    }

    /// The report about the tensor `name`, unless its shape is the one that `spec` asks for.
    fn misshapen(&self, spec: &TensorSpec, name: &str) -> Option<Misshapen> {
        let found = self.shape(spec.scope, &spec.name).unwrap_or_default();
        let fits = found.len() == spec.shape.len()
            && found
                .iter()
                .zip(&spec.shape)
                .all(|(&n, dim)| dim.size().is_none_or(|size| size == n));
        (!fits).then(|| Misshapen {
            name: name.to_owned(),
            expected: spec.shape.iter().map(|dim| dim.size()).collect(),
            found: found.to_vec(),
        })
    }

    /// The name in the files of the tensor with this canonical name.
    fn resolve(&self, scope: Scope, name: &str) -> Option<&str> {
        self.naming
            .candidates(scope, name)
            .find_map(|candidate| self.tensors.get_key_value(&candidate))
            .map(|(name, _)| name.as_str())
    }

    fn unfit(&self, missing: Vec<String>, misshapen: Vec<Misshapen>, unused: Vec<String>) -> Error {
        Error::Weights {
            file: self.source.clone(),
            missing,
            misshapen,
            unused,
        }
    }
}

impl Dim {
    fn size(self) -> Option<usize> {
        match self {
            Self::Exactly(size) => Some(size),
            Self::Any => None,
        }
    }
}
