//! Which files of a directory hold the weights.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::file::WeightsFile;
use crate::Error;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Files of other formats that a directory may hold instead, for the message.
const OTHERS: &[&str] = &[
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
    "model.onnx",
];

/// The files of a checkpoint and the file of each tensor.
pub(super) struct Located {
    pub(super) source: PathBuf,
    pub(super) files: Vec<WeightsFile>,
    pub(super) tensors: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn locate(folder: &Path) -> Result<Located, Error> {
    // Tells a missing or unreadable directory from an empty one.
    std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    if exists(&single) {
        let file = WeightsFile::open(&single)?;
        let tensors = file.names().map(|name| (name.clone(), 0)).collect();
        return Ok(Located {
            source: single,
            files: vec![file],
            tensors,
        });
    }
    if exists(&index) {
        return sharded(folder, index);
    }
    let other = OTHERS.iter().find(|name| exists(&folder.join(name)));
    let reason = match other {
        Some(name) => format!(
            "expected {SINGLE} or {INDEX}, found {name}, which is not read yet; save the model with \
             transformers' save_pretrained to get {SINGLE}"
        ),
        None => format!("expected {SINGLE} or {INDEX}, found neither"),
    };
    Err(Error::NoWeights {
        folder: folder.to_owned(),
        reason,
    })
}

/// Whether there is an entry of that name, be it a link to nothing: that is an error to report.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn sharded(folder: &Path, source: PathBuf) -> Result<Located, Error> {
    let json = std::fs::read(&source).map_err(Error::io(&source))?;
    let index: ShardIndex = serde_json::from_slice(&json).map_err(|error| Error::Json {
        file: source.clone(),
        source: error,
    })?;
    let mut files: Vec<WeightsFile> = Vec::new();
    let mut opened: HashMap<&str, usize> = HashMap::new();
    let mut tensors = BTreeMap::new();
    for (tensor, shard) in &index.weight_map {
        let number = match opened.get(shard.as_str()) {
            Some(&number) => number,
            None => {
                if !is_plain_name(shard) {
                    return Err(Error::WeightsFile {
                        file: source,
                        expected: "names of files in the same directory".to_owned(),
                        found: format!("{shard:?} for tensor {tensor:?}"),
                    });
                }
                files.push(WeightsFile::open(&folder.join(shard))?);
                opened.insert(shard, files.len() - 1);
                files.len() - 1
            }
        };
        if files[number].tensor(tensor).is_none() {
            return Err(Error::WeightsFile {
                file: files[number].path().to_owned(),
                expected: format!("tensor {tensor:?}, as {INDEX} says"),
                found: "no such tensor".to_owned(),
            });
        }
        tensors.insert(tensor.clone(), number);
    }
    Ok(Located {
        source,
        files,
        tensors,
    })
}

/// Whether a name stays in the directory it is joined to, on any system.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let single = matches!(components.next(), Some(Component::Normal(_)));
    single && components.next().is_none() && !name.contains(['/', '\\', ':', '\0'])
}
