//! Making weights files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dim, TensorSpec};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

pub(crate) const WORDS: &str = "embeddings.word_embeddings.weight";

/// A fresh directory below the target folder.
pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "checkpoint-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).expect("a directory");
    path
}

pub(crate) struct Tensor(
    pub(crate) &'static str,
    pub(crate) Dtype,
    pub(crate) Vec<usize>,
    pub(crate) Vec<u8>,
);

pub(crate) fn f32s(name: &'static str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor(name, Dtype::F32, shape.to_vec(), bytes)
}

pub(crate) fn encode(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|Tensor(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).expect("a view"),
        )
    });
    serialize(views, None).expect("a file")
}

pub(crate) fn write(tensors: &[Tensor]) -> PathBuf {
    let folder = folder();
    fs::write(folder.join("model.safetensors"), encode(tensors)).expect("written");
    folder
}

pub(crate) fn words() -> TensorSpec {
    TensorSpec::encoder(WORDS, [Dim::Any, Dim::Exactly(2)])
}

/// A file with one header and any data, as a hostile writer would make it.
pub(crate) fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

pub(crate) fn open_bytes(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let folder = folder();
    fs::write(folder.join("model.safetensors"), bytes).expect("written");
    Checkpoint::open(folder)
}
