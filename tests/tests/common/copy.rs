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
    /// Copies the fixture `case`; `name` tells this copy from others.
    pub fn new(case: &str, name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("deberta-model-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(fixture("models").join(case).join(file), folder.join(file)).unwrap();
        }
        Self(folder)
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Rewrites the tensors, which must be of f32, by name; `None` leaves one out.
    pub fn tensors(self, change: impl Fn(&str, Vec<f32>) -> Option<Vec<f32>>) -> Self {
        let path = self.0.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut changed = BTreeMap::new();
        for (name, view) in file.tensors() {
            assert_eq!(view.dtype(), Dtype::F32, "{name}");
            let bytes = view.data().as_chunks().0.iter();
            if let Some(values) = change(&name, bytes.map(|&b| f32::from_le_bytes(b)).collect()) {
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                changed.insert(name, (view.shape().to_vec(), bytes));
            }
        }
        let views = changed.iter().map(|(name, (shape, bytes))| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    /// Sets a key of `config.json`.
    pub fn config(self, key: &str, value: serde_json::Value) -> Self {
        let path = self.0.join("config.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        std::fs::write(path, config.to_string()).unwrap();
        self
    }

    pub fn load(&self) -> Result<Model, Error> {
        Model::load(&self.0, super::options())
    }
}

impl Drop for ModelCopy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
