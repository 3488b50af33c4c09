//! Weights on disk: which files hold them, what their tensors are called, and how to read them.
//!
//! A [`Checkpoint`] is opened on a directory, asked once whether it holds everything that a model
//! needs ([`Checkpoint::verify`]) and then read tensor by tensor. The word embeddings, by far the
//! largest table and the one of which a forward pass touches a few rows, stay memory-mapped
//! ([`Checkpoint::table`]).
//!
//! # Formats
//!
//! safetensors, and PyTorch's `pytorch_model.bin` in both of its formats, each in one file or in several with
//! an index. Nothing of a PyTorch file is ever executed: see [`Error::TorchFile`] for what is refused. The
//! model that is built does not depend on the format. Elements are f64 (rounded to f32 when read), f32, f16
//! or bf16; tensors of other types are listed and cannot be read as weights.
//!
//! What a file says is checked against its size before it is believed: every tensor lies inside its file,
//! and none that is larger than its file is read. A safetensors file has no checksums, and of those in a
//! PyTorch archive only that of the description is checked, not those of the tensors, which would mean to
//! read everything.
//!
//! # Looking at and converting a checkpoint
//!
//! [`Checkpoint::tensors`] lists what there is; [`TensorInfo::copy_to`] streams the elements.

mod dtype;
mod elements;
mod file;
mod header;
mod index;
mod info;
mod mmap;
mod names;
mod rows;
mod spec;
mod table;
mod tensor;
mod torch;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::{Error, Misshapen};
use file::{Family, WeightsFile};
use mmap::Mapping;
use names::Naming;
use tensor::Tensor;

pub use deberta_kernels::Storage;
pub use dtype::Dtype;
pub(crate) use header::{INT8, INT8_VERSION};
#[cfg(feature = "hub")]
pub(crate) use index::weights_names;
pub use info::{Format, StorageId, TensorInfo};
pub use names::Scope;
pub(crate) use rows::MatrixReader;
pub use spec::{Dim, ElementKind, TensorSpec};
pub use table::MappedTable;

/// The weights files of a directory, mapped and indexed.
#[derive(Debug)]
pub struct Checkpoint {
    /// The single file or the index of a sharded one: what errors name.
    source: PathBuf,
    files: Vec<WeightsFile>,
    /// Tensor name to index in `files`.
    tensors: BTreeMap<String, usize>,
    is_sharded: bool,
    naming: Naming,
}

impl Checkpoint {
    /// Opens the first of `model.safetensors`, `model.safetensors.index.json`, `pytorch_model.bin` and
    /// `pytorch_model.bin.index.json` that the directory holds; an index with the shards that it lists.
    ///
    /// # Errors
    /// Where there is none, a file is truncated or corrupt or holds more than tensors, the index names files
    /// outside the directory, or the encoder cannot be found among the names.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(index::locate(folder.as_ref())?)
    }

    /// A checkpoint of one file that is in memory. A name that ends in `.safetensors` tells the format, any
    /// other is that of a PyTorch file. For tests: a directory is what users have.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    #[doc(hidden)]
    pub fn from_bytes(name: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self, Error> {
        let path = name.as_ref();
        let family = match path.extension() {
            Some(extension) if extension == "safetensors" => Family::Safetensors,
            _ => Family::Torch,
        };
        let file = WeightsFile::parse(path, Mapping::memory(bytes), family)?;
        Self::new(index::single(file))
    }

    /// The tensors that the index of a sharded checkpoint lists, and the file of each. For tests.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    #[doc(hidden)]
    pub fn parse_index(
        name: impl AsRef<Path>,
        json: &[u8],
    ) -> Result<BTreeMap<String, String>, Error> {
        index::parse(json, name.as_ref())
    }

    fn new(located: index::Located) -> Result<Self, Error> {
        let index::Located {
            source,
            files,
            tensors,
            is_sharded,
        } = located;
        let naming = Naming::detect(&source, tensors.keys())?;
        Ok(Self {
            source,
            files,
            tensors,
            is_sharded,
            naming,
        })
    }

    /// The format of the files.
    pub fn format(&self) -> Format {
        // There is a file, as the encoder was found. Shards are written by one program.
        self.files
            .first()
            .map_or(Format::Safetensors, WeightsFile::format)
    }

    /// Whether an index lists the files.
    pub fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    /// Whether the linear layers of the encoder are in 8 bits: files that [`convert`](crate::convert) has written so.
    pub fn is_int8(&self) -> bool {
        self.files.iter().any(WeightsFile::is_int8)
    }

    /// Gives back the memory of what has been read through maps of the files, which will not be read again soon.
    pub(crate) fn release(&self) {
        for file in &self.files {
            file.mapping().release();
        }
    }

    /// The files that hold the tensors, without the index.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(WeightsFile::path)
    }

    /// The size of these files in bytes.
    pub fn total_bytes(&self) -> u64 {
        let sizes = self
            .files
            .iter()
            .map(|file| file.mapping().bytes().len() as u64);
        sizes.sum()
    }

    /// Every tensor, in the order of the names in the files.
    ///
    /// ```no_run
    /// use deberta_core::checkpoint::{Checkpoint, Dtype};
    ///
    /// let checkpoint = Checkpoint::open("models/deberta-base")?;
    /// for tensor in checkpoint.tensors() {
    ///     println!("{} {} {:?}", tensor.name(), tensor.dtype(), tensor.shape());
    ///     if tensor.dtype().is_float() {
    ///         tensor.copy_to(&mut std::io::sink(), Dtype::F16)?;
    ///     }
    /// }
    /// # Ok::<(), deberta_core::Error>(())
    /// ```
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.tensors.iter().filter_map(|(name, &file_number)| {
            let file = self.files.get(file_number)?;
            let (scope, canonical) = self.naming.canonical(name);
            let is_shadowed = self.resolve(scope, &canonical) != Some(name);
            Some(TensorInfo {
                name,
                scope,
                canonical,
                is_shadowed,
                file_number,
                file,
                tensor: file.tensor(name)?,
            })
        })
    }

    /// The groups of two or more tensors that are the same elements of the same file, such as an output layer
    /// tied to the word embeddings. Names as in the files.
    pub fn tied(&self) -> Vec<Vec<&str>> {
        let mut groups: HashMap<(usize, usize), Vec<Vec<TensorInfo<'_>>>> = HashMap::new();
        for tensor in self.tensors().filter(|t| t.storage().is_some()) {
            let place = (tensor.file_number, tensor.tensor.range.start);
            let groups = groups.entry(place).or_default();
            let same = |group: &&mut Vec<TensorInfo<'_>>| {
                group.first().is_some_and(|t| t.tensor == tensor.tensor)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(tensor),
                None => groups.push(vec![tensor]),
            }
        }
        let mut tied: Vec<Vec<&str>> = groups
            .into_values()
            .flatten()
            .filter(|group| group.len() > 1)
            .map(|group| group.iter().map(TensorInfo::name).collect())
            .collect();
        tied.sort();
        tied
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
    /// [`Error::Weights`] with everything that is missing, misshapen or unused, [`Error::Dtype`] where a tensor has
    /// elements that are no floating-point numbers, [`Error::WeightsFile`] where it has others than signed bytes and
    /// should not.
    pub fn verify(&self, specs: &[TensorSpec]) -> Result<Vec<String>, Error> {
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        let mut unused: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| !names::is_constant(name))
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
            for spec in specs {
                let (file, name) = self.locate(spec)?;
                file.of_kind(name, spec.elements)?;
            }
            return Ok(unused);
        }
        Err(self.unfit(missing, misshapen, unused))
    }

    /// Reads a tensor as f32, in row-major order, with its shape.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is missing or misshapen, [`Error::Dtype`] where its elements are no
    /// floating-point numbers, [`Error::NonFinite`] where one of them is NaN or infinite,
    /// [`Error::TooLarge`] where an f64 number is beyond the largest f32.
    pub fn read_f32(&self, spec: &TensorSpec) -> Result<(Vec<f32>, Vec<usize>), Error> {
        let (file, name) = self.locate(spec)?;
        file.read_f32(name)
    }

    /// A matrix to be read a few rows at a time.
    ///
    /// # Errors
    /// As [`Checkpoint::read_f32`], but for those about single elements.
    pub(crate) fn reader(&self, spec: &TensorSpec) -> Result<MatrixReader<'_>, Error> {
        let (file, name) = self.locate(spec)?;
        let tensor = file.of_kind(name, spec.elements)?;
        match tensor.shape.as_slice() {
            &[rows, columns] => MatrixReader::new(file, name, tensor, [rows, columns]),
            _ => Err(self.unfit(
                Vec::new(),
                vec![self.not_a_matrix(name, tensor)],
                Vec::new(),
            )),
        }
    }

    /// A matrix that stays memory-mapped where its file allows ([`MappedTable`]). Its values are not checked.
    ///
    /// # Errors
    /// As [`Checkpoint::read_f32`], without the check of the values.
    pub fn table(&self, spec: &TensorSpec) -> Result<MappedTable, Error> {
        let (file, name) = self.locate(spec)?;
        let tensor = file.float(name)?;
        let &[rows, columns] = tensor.shape.as_slice() else {
            let misshapen = self.not_a_matrix(name, tensor);
            return Err(self.unfit(Vec::new(), vec![misshapen], Vec::new()));
        };
        MappedTable::new(file, name, tensor, [rows, columns])
    }

    /// The report about a tensor that has not two dimensions.
    fn not_a_matrix(&self, name: &str, tensor: &Tensor) -> Misshapen {
        Misshapen {
            name: name.to_owned(),
            expected: vec![None; 2],
            found: tensor.shape.clone(),
        }
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
