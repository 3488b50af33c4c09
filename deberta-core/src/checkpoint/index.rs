//! Which files of a directory hold the weights.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::file::{Family, WeightsFile};
use crate::Error;

/// The names of weights files, the preferred first: whether it is an index, and what it holds or lists.
const KNOWN: [(&str, bool, Family); 4] = [
    ("model.safetensors", false, Family::Safetensors),
    ("model.safetensors.index.json", true, Family::Safetensors),
    ("pytorch_model.bin", false, Family::Torch),
    ("pytorch_model.bin.index.json", true, Family::Torch),
];

/// The names of weights files, the preferred first, and whether it is an index.
#[cfg(feature = "hub")]
pub(crate) fn weights_names() -> impl Iterator<Item = (&'static str, bool)> {
    KNOWN.iter().map(|&(name, is_index, _)| (name, is_index))
}

/// Files of other formats that a directory may hold instead, for the message.
const OTHERS: &[&str] = &[
    "tf_model.h5",
    "flax_model.msgpack",
    "model.onnx",
    "onnx/model.onnx",
    "model.ckpt.index",
    "rust_model.ot",
    "adapter_model.safetensors",
    "adapter_model.bin",
];

/// The files of a checkpoint and the file of each tensor.
pub(super) struct Located {
    pub(super) source: PathBuf,
    pub(super) files: Vec<WeightsFile>,
    pub(super) tensors: BTreeMap<String, usize>,
    pub(super) is_sharded: bool,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn locate(folder: &Path) -> Result<Located, Error> {
    // Tells a missing or unreadable directory from an empty one.
    std::fs::read_dir(folder).map_err(Error::io(folder))?;
    for (name, is_index, family) in KNOWN {
        let path = folder.join(name);
        if exists(&path) {
            return match is_index {
                true => sharded(folder, path, family),
                false => Ok(single(WeightsFile::open(&path, family)?)),
            };
        }
    }
    let names = KNOWN.map(|(name, ..)| name).join(", ");
    let other = OTHERS.iter().find(|name| exists(&folder.join(name)));
    let reason = match other {
        Some(name) => format!(
            "expected one of {names}, found {name}, which is not read; load the model with transformers \
             and save it with save_pretrained to get model.safetensors"
        ),
        None => format!("expected one of {names}, found none"),
    };
    Err(Error::NoWeights {
        folder: folder.to_owned(),
        reason,
    })
}

/// The checkpoint that is one file.
pub(super) fn single(file: WeightsFile) -> Located {
    Located {
        source: file.path().to_owned(),
        tensors: file.names().map(|name| (name.clone(), 0)).collect(),
        files: vec![file],
        is_sharded: false,
    }
}

/// Whether there is an entry of that name, be it a link to nothing: that is an error to report.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The tensors that an index lists, and the file of each.
pub(super) fn parse(json: &[u8], source: &Path) -> Result<BTreeMap<String, String>, Error> {
    let index: ShardIndex = serde_json::from_slice(json).map_err(|error| Error::Json {
        file: source.to_owned(),
        source: error,
    })?;
    let stray = index
        .weight_map
        .iter()
        .find(|(_, shard)| !is_plain_name(shard));
    if let Some((tensor, shard)) = stray {
        return Err(Error::WeightsFile {
            file: source.to_owned(),
            expected: "names of files in the same directory".to_owned(),
            found: format!("{shard:?} for tensor {tensor:?}"),
        });
    }
    Ok(index.weight_map)
}

fn sharded(folder: &Path, source: PathBuf, family: Family) -> Result<Located, Error> {
    let json = std::fs::read(&source).map_err(Error::io(&source))?;
    let index = parse(&json, &source)?;
    let mut files: Vec<WeightsFile> = Vec::new();
    let mut opened: HashMap<&str, usize> = HashMap::new();
    let mut tensors = BTreeMap::new();
    for (tensor, shard) in &index {
        let number = match opened.get(shard.as_str()) {
            Some(&number) => number,
            None => {
                files.push(WeightsFile::open(&folder.join(shard), family)?);
                opened.insert(shard, files.len() - 1);
                files.len() - 1
            }
        };
        if files[number].tensor(tensor).is_none() {
            return Err(Error::WeightsFile {
                file: files[number].path().to_owned(),
                expected: format!("tensor {tensor:?}, as {} says", source.display()),
                found: "no such tensor".to_owned(),
            });
        }
        tensors.insert(tensor.clone(), number);
    }
    Ok(Located {
        source,
        files,
        tensors,
        is_sharded: true,
    })
}

/// Whether a name stays in the directory it is joined to, on any system.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let single = matches!(components.next(), Some(Component::Normal(_)));
    single && components.next().is_none() && !name.contains(['/', '\\', ':', '\0'])
}
