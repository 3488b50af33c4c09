//! From any checkpoint to a clean directory: `config.json`, one `model.safetensors`, the tokenizer's files.
//!
//! ```no_run
//! use deberta_core::convert::{ConvertOptions, convert};
//!
//! let done = convert("deberta-base", "deberta-base-clean", &ConvertOptions::default(), |_| true)?;
//! println!("{} tensors, {} bytes", done.tensors, done.bytes);
//! # Ok::<(), deberta_core::Error>(())
//! ```
//!
//! The target directory appears whole or not at all: everything is written into a temporary directory beside it,
//! forced to the disk, and renamed. Tensors are streamed; none is in memory as a whole.
//!
//! # Eight bits
//!
//! [`ConvertOptions::int8`] does once what loading with [`Precision::Int8`](crate::Precision::Int8) does every time:
//! it rounds the linear layers of the encoder, fits their biases, and projects the position tables. A model loads from
//! such a file several times as fast and gives the bits that it would give loaded from the original, on any processor
//! those that it gives on the processor that converted. `format` in the file's metadata is `deberta-rs int8`, and
//! `version` is `2` (files of version 1 had smaller groups, and must be converted again):
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `….weight` of a linear layer | I8 | `[outputs, inputs]` | p, from -127 to 127 |
//! | `….weight_scale` | F32 | `[outputs, groups]` | s: a weight is s·p. A group is [`PackedWeights::quantized_group_size`](deberta_kernels::PackedWeights::quantized_group_size) inputs in a row |
//! | `….bias` (also `q_bias`, `k_bias`, `v_bias`) | F32 | `[outputs]` | with what rounding takes from the product of typical inputs |
//! | `….attention.self.position_keys`, `position_queries` | F32 | `[2·span, N]` | the relative table, projected for the layer; it and the projections are left out |
//!
//! All other tensors are as they would be without. Projected tables take two rows of f32 per slot and layer, against one
//! for all layers and two projections before: a file grows by that where the hidden size is below the number of slots, as
//! in the small models of this repository, whose layers shrink by less than that.

mod staging;
mod tensors;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::checkpoint::{Checkpoint, Dtype, INT8, INT8_VERSION, Scope};
use crate::model::{Layout, Quantized};
use crate::{Config, Error, HeadKind};
use staging::Staging;
use tensors::{Chosen, choose};

/// How to convert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConvertOptions {
    /// The type of floating-point tensors in the new file; `None`: as they are, f64 as f32.
    pub dtype: Option<WeightType>,
    /// Whether to round the linear layers of the encoder to 8 bits. `dtype` is then that of the other tensors.
    pub int8: bool,
}

impl ConvertOptions {
    /// Writes floating-point tensors as this type.
    pub fn dtype(self, dtype: WeightType) -> Self {
        Self {
            dtype: Some(dtype),
            ..self
        }
    }

    /// Rounds the linear layers of the encoder to 8 bits.
    pub fn int8(self) -> Self {
        Self { int8: true, ..self }
    }
}

/// The types that weights are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision. A weight beyond 65504 is an error.
    F16,
    /// The upper half of single precision.
    Bf16,
}

impl WeightType {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// The name in `torch_dtype`.
    fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

/// How far a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The tensor that comes next.
    pub tensor: &'a str,
    /// Bytes of tensors written.
    pub written: u64,
    /// Bytes of tensors in all.
    pub total: u64,
}

/// What a conversion wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// Tensors in the new file.
    pub tensors: usize,
    /// Bytes of the new file.
    pub bytes: u64,
    /// Tensors of the old files that are not in the new one, because others hold the same: position buffers, the
    /// output layer of a head whose words are tied, older names of tensors that are there under the newer one; in 8 bits
    /// what the position tables are made of.
    pub left_out: Vec<String>,
    /// Names of the other files written.
    pub files: Vec<String>,
}

/// The files of tokenizers, and what belongs to a model besides.
const COMPANIONS: [&str; 12] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spm.model",
    "spiece.model",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "gliner_config.json",
    "LICENSE",
    "README.md",
];

/// Writes the model in `source` to the new directory `target`.
///
/// Encoder tensors are called `deberta.…`, heads' tensors as the reference calls them, LayerNorm parameters `weight`
/// and `bias`; `vocab_size` becomes the number of rows of the word table, so that `transformers` loads the directory
/// too, unless its linear layers are in 8 bits. `progress` is called before every tensor and may end the conversion by returning false.
///
/// # Errors
/// [`Error::TargetExists`] where `target` is a file or a directory with something in it, [`Error::Cancelled`] where
/// `progress` said so, [`Error::Argument`] where a file in 8 bits is to be written as another type; else as [`Checkpoint::open`], [`Checkpoint::verify`] for the encoder, [`Config::from_file`], and
/// [`TensorInfo::copy_checked`](crate::checkpoint::TensorInfo::copy_checked). After an error there is no target, and nothing is left beside it. A process that is
/// killed leaves its temporary directory, which the next conversion to the same target removes.
pub fn convert(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &ConvertOptions,
    progress: impl FnMut(Progress<'_>) -> bool,
) -> Result<Converted, Error> {
    let (source, target) = (source.as_ref(), target.as_ref());
    refuse_occupied(target)?;
    let config = Config::from_file(source.join("config.json"))?;
    let checkpoint = Checkpoint::open(source)?;
    // What no model could be loaded from is not worth a directory.
    let layout = Layout::new(&config, &checkpoint, HeadKind::Base)?;
    checkpoint.verify(&layout.tensors)?;
    if let (true, Some(dtype)) = (checkpoint.is_int8(), options.dtype) {
        return Err(Error::Argument {
            name: "dtype",
            expected: format!("none, as {} is in 8 bits", checkpoint.source().display()),
            found: format!("{dtype:?}"),
        });
    }
    let int8 = options.int8 || checkpoint.is_int8();
    let quantized = match options.int8 && !checkpoint.is_int8() {
        true => Some(Quantized::new(&checkpoint, &config, &layout)?),
        false => None,
    };
    let (tensors, left_out) = choose(&checkpoint, &config, options, quantized.as_ref());

    let (parent, name) = split(target)?;
    fs::create_dir_all(&parent).map_err(Error::io(&parent))?;
    let staging = Staging::new(&parent, &name).map_err(Error::io(&parent))?;
    let weights = staging.path().join("model.safetensors");
    let bytes = write_weights(&weights, &tensors, int8, progress)?;
    let mut files = vec!["config.json".to_owned()];
    write_config(source, staging.path(), &checkpoint, options)?;
    for file in COMPANIONS {
        let (from, to) = (source.join(file), staging.path().join(file));
        if from.is_file() {
            fs::copy(&from, &to).map_err(Error::io(&from))?;
            sync(&to)?;
            files.push(file.to_owned());
        }
    }
    refuse_occupied(target)?;
    staging.rename(target)?;
    sync(&parent)?;
    Ok(Converted {
        tensors: tensors.len(),
        bytes,
        left_out,
        files,
    })
}

/// A target must not be there, or be an empty directory.
fn refuse_occupied(target: &Path) -> Result<(), Error> {
    let Ok(metadata) = target.symlink_metadata() else {
        return Ok(());
    };
    let empty = metadata.is_dir()
        && fs::read_dir(target)
            .map_err(Error::io(target))?
            .next()
            .is_none();
    if empty {
        return Ok(());
    }
    Err(Error::TargetExists {
        path: target.to_owned(),
    })
}

/// The directory that the target is in, and its own name.
fn split(target: &Path) -> Result<(PathBuf, String), Error> {
    let absolute = std::path::absolute(target).map_err(Error::io(target))?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), name.to_string_lossy().into_owned())),
        _ => Err(Error::TargetExists {
            path: target.to_owned(),
        }),
    }
}

/// Streams the tensors into a safetensors file; returns its size.
fn write_weights(
    path: &Path,
    tensors: &[Chosen<'_>],
    int8: bool,
    mut progress: impl FnMut(Progress<'_>) -> bool,
) -> Result<u64, Error> {
    let mut header = Map::new();
    // transformers asks for the first mark, and refuses the second, as it should.
    let metadata = match int8 {
        false => json!({"format": "pt"}),
        true => json!({"format": INT8, "version": INT8_VERSION}),
    };
    header.insert("__metadata__".to_owned(), metadata);
    let mut total = 0;
    for chosen in tensors {
        let end = total + chosen.bytes();
        header.insert(
            chosen.name.clone(),
            json!({
                "dtype": chosen.dtype.name(),
                "shape": chosen.shape,
                "data_offsets": [total, end],
            }),
        );
        total = end;
    }
    let mut header = Value::Object(header).to_string();
    // Data begins at a multiple of eight.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));

    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(Error::io(path))?);
    let mut begin = (header.len() as u64).to_le_bytes().to_vec();
    begin.extend_from_slice(header.as_bytes());
    file.write_all(&begin).map_err(Error::io(path))?;
    let mut written = 0;
    for chosen in tensors {
        let tensor = chosen.name.as_str();
        if !progress(Progress {
            tensor,
            written,
            total,
        }) {
            return Err(Error::Cancelled);
        }
        chosen.write(&mut file).map_err(|error| match error {
            Error::Output { source, .. } => Error::io(path)(source),
            other => other,
        })?;
        written += chosen.bytes();
    }
    let file = file
        .into_inner()
        .map_err(|e| Error::io(path)(e.into_error()))?;
    file.sync_all().map_err(Error::io(path))?;
    Ok(begin.len() as u64 + total)
}

/// Writes the configuration with what the conversion has changed.
fn write_config(
    source: &Path,
    target: &Path,
    checkpoint: &Checkpoint,
    options: &ConvertOptions,
) -> Result<(), Error> {
    let path = source.join("config.json");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut config: Map<String, Value> =
        serde_json::from_str(text).map_err(|source| Error::Json { file: path, source })?;
    let words = checkpoint.shape(Scope::Encoder, "embeddings.word_embeddings.weight");
    if let Some(&rows) = words.and_then(<[usize]>::first) {
        config.insert("vocab_size".to_owned(), rows.into());
    }
    if let Some(dtype) = options.dtype {
        config.remove("dtype");
        config.insert("torch_dtype".to_owned(), dtype.torch_name().into());
    }
    let path = target.join("config.json");
    fs::write(&path, format!("{:#}\n", Value::Object(config))).map_err(Error::io(&path))?;
    sync(&path)
}

/// Forces a file or a directory to the disk.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    // Elsewhere a directory cannot be opened, and a rename needs no help.
    if cfg!(unix) || path.is_file() {
        let file = File::open(path).map_err(Error::io(path))?;
        file.sync_all().map_err(Error::io(path))?;
    }
    Ok(())
}
