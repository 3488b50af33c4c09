//! Loading and using a whole model: what is refused, and that one model serves many threads.

use deberta_core::{Batch, Error, HeadKind, LoadOptions, Model};
use deberta_tests::fixture;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A copy of a fixture's model in a temporary folder, with its tensors or its configuration changed.
struct Copy(PathBuf);

impl Copy {
    fn new(case: &str, name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("deberta-model-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(fixture("models").join(case).join(file), folder.join(file)).unwrap();
        }
        Self(folder)
    }

    /// Rewrites the f32 tensors by name; `None` leaves one out.
    fn tensors(self, change: impl Fn(&str, Vec<f32>) -> Option<Vec<f32>>) -> Self {
        let path = self.0.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut changed = BTreeMap::new();
        for (name, view) in file.tensors() {
            let values = view
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b))
                .collect();
            if let Some(values) = change(&name, values) {
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                changed.insert(name, (view.shape().to_vec(), bytes));
            }
        }
        let views = changed.iter().map(|(name, (shape, bytes))| {
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    fn config(self, key: &str, value: serde_json::Value) -> Self {
        let path = self.0.join("config.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        std::fs::write(path, config.to_string()).unwrap();
        self
    }

    fn load(&self) -> Result<Model, Error> {
        Model::load(&self.0, LoadOptions::default())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn batch(ids: &[u32]) -> Batch {
    Batch::packed([(ids, &[][..])]).unwrap()
}

#[test]
fn a_weight_that_is_no_number_is_refused_at_load() {
    for bad in [f32::NAN, f32::INFINITY] {
        let copy = Copy::new("v3", "nan-weight").tensors(|name, mut values| {
            if name.ends_with("layer.1.output.dense.weight") {
                values[7] = bad;
            }
            Some(values)
        });
        match copy.load() {
            Err(Error::NonFinite { tensor, index, .. }) => {
                assert!(tensor.ends_with("layer.1.output.dense.weight"), "{tensor}");
                assert_eq!(index, 7);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_gathered_row_that_holds_no_number_is_an_error() {
    let columns = load("v3").config().embedding_size;
    let copy = Copy::new("v3", "nan-row").tensors(|name, mut values| {
        if name.ends_with("word_embeddings.weight") {
            values[9 * columns + 3] = f32::NAN;
        }
        Some(values)
    });
    let model = copy.load().expect("the rows are not read at load");
    assert!(model.forward(&batch(&[1, 5, 2])).is_ok());
    match model.forward(&batch(&[1, 9, 2])) {
        Err(Error::NonFinite {
            tensor,
            index,
            value,
            ..
        }) => {
            assert!(tensor.ends_with("word_embeddings.weight"), "{tensor}");
            assert_eq!(index, 9 * columns + 3);
            assert!(value.is_nan());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_and_misshapen_tensors_are_listed() {
    let copy = Copy::new("v3", "missing").tensors(|name, values| {
        (!name.contains("layer.0.attention.self.key_proj")).then_some(values)
    });
    let copy = copy.config("intermediate_size", 7.into());
    match copy.load() {
        Err(Error::Weights {
            missing, misshapen, ..
        }) => {
            assert_eq!(missing.len(), 2, "{missing:?}");
            assert!(
                missing
                    .iter()
                    .all(|name| name.contains("layer.0.attention.self.key_proj"))
            );
            assert!(
                misshapen
                    .iter()
                    .any(|m| m.name.contains("intermediate.dense.weight"))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_family_is_refused_by_name() {
    let error = Copy::new("v3", "v1")
        .config("model_type", "deberta".into())
        .load()
        .unwrap_err();
    assert!(matches!(error, Error::UnsupportedModel { .. }), "{error}");
    assert!(error.to_string().contains("v1"), "{error}");
}

#[test]
fn a_head_that_the_weights_lack_is_refused() {
    let folder = fixture("models").join("v3");
    let options = LoadOptions::default().head(HeadKind::TokenClassification);
    match Model::load(&folder, options) {
        Err(Error::Weights { missing, .. }) => {
            assert!(missing.iter().any(|n| n.contains("classifier.weight")))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_and_folders_that_do_not_work_are_errors() {
    let folder = fixture("models").join("v3");
    let error = Model::load(&folder, LoadOptions::default().threads(0)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Argument {
                name: "threads",
                ..
            }
        ),
        "{error}"
    );
    let error = Model::load(Path::new("no/such/folder"), LoadOptions::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if path.ends_with("config.json")),
        "{error}"
    );
}

#[test]
fn one_model_serves_many_threads() {
    let model = load("v3");
    let texts: Vec<Vec<u32>> = (0..12)
        .map(|i| (0..=(i * 7) % 40).map(|t| t % 50).collect())
        .collect();
    let alone: Vec<_> = texts
        .iter()
        .map(|ids| model.forward(&batch(ids)).unwrap().last_hidden_state)
        .collect();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (model, texts, alone) = (&model, &texts, &alone);
            scope.spawn(move || {
                for turn in 0..24 {
                    let i = (turn * 5 + worker * 3) % texts.len();
                    let found = model.forward(&batch(&texts[i])).unwrap().last_hidden_state;
                    assert_eq!(found, alone[i]);
                }
            });
        }
    });
}

#[test]
fn models_are_send_and_sync() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&load("v3"));
}

fn load(case: &str) -> Model {
    Model::load(fixture("models").join(case), LoadOptions::default()).unwrap()
}
