//! A fixture's model with something changed.

use deberta_core::{Error, Model};
use deberta_tests::fixture;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A copy of a model in a temporary folder.
pub struct ModelCopy(PathBuf);

impl ModelCopy {
    /// Copies the fixture `case` of the encoders; `name` tells this copy from others.
    pub fn new(case: &str, name: &str) -> Self {
        Self::of(&format!("models/{case}"), name)
    }

    /// Copies a folder of the fixtures.
    pub fn of(folder: &str, name: &str) -> Self {
        let copy =
            std::env::temp_dir().join(format!("deberta-model-{}-{name}", std::process::id()));
        copy_files(&fixture(folder), &copy);
        Self(copy)
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Rewrites the tensors of f32 by name; `None` leaves one out.
    pub fn tensors(self, change: impl Fn(&str, Vec<f32>) -> Option<Vec<f32>>) -> Self {
        let path = self.0.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut changed = BTreeMap::new();
        for (name, view) in file.tensors() {
            let (shape, dtype) = (view.shape().to_vec(), view.dtype());
            if dtype != Dtype::F32 {
                changed.insert(name, (dtype, shape, view.data().to_vec()));
                continue;
            }
            let bytes = view.data().as_chunks().0.iter();
            if let Some(values) = change(&name, bytes.map(|&b| f32::from_le_bytes(b)).collect()) {
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                changed.insert(name, (dtype, shape, bytes));
            }
        }
        let views = changed.iter().map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            (name.clone(), view.unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    /// Sets a key of `config.json`.
    pub fn config(self, key: &str, value: serde_json::Value) -> Self {
        self.json("config.json", |config| config[key] = value)
    }

    /// Changes a JSON file.
    pub fn json(self, file: &str, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let path = self.0.join(file);
        let mut json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut json);
        std::fs::write(path, json.to_string()).unwrap();
        self
    }

    pub fn load(&self) -> Result<Model, Error> {
        Model::load(&self.0, super::options())
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match path.is_dir() {
            true => copy_files(&path, &to),
            false => drop(std::fs::copy(path, to).unwrap()),
        }
    }
}

impl Drop for ModelCopy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
