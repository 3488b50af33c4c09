//! PyTorch's files, as PyTorch wrote them (`make_checkpoint_fixtures.py`), give PyTorch's tensors.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use deberta_core::checkpoint::{
    Checkpoint, Dim, Dtype, ElementKind, Format, TensorInfo, TensorSpec,
};
use deberta_core::{Batch, LoadOptions, Model};
use deberta_tests::fixture;
use safetensors::SafeTensors;

use crate::files::WORDS;

fn case(name: &str) -> PathBuf {
    fixture("checkpoints").join(name)
}

/// The cases with expected tensors, and the format of each.
const CASES: [(&str, Format); 17] = [
    ("types", Format::TorchZip),
    ("types_legacy", Format::TorchLegacy),
    ("views", Format::TorchZip),
    ("views_legacy", Format::TorchLegacy),
    ("module", Format::TorchZip),
    ("module_legacy", Format::TorchLegacy),
    ("protocol_3", Format::TorchZip),
    ("protocol_4", Format::TorchZip),
    ("protocol_5", Format::TorchZip),
    ("protocol_3_legacy", Format::TorchLegacy),
    ("protocol_4_legacy", Format::TorchLegacy),
    ("protocol_5_legacy", Format::TorchLegacy),
    ("training", Format::TorchZip),
    ("training_legacy", Format::TorchLegacy),
    ("training_protocol_5", Format::TorchZip),
    ("storage_views", Format::TorchLegacy),
    ("sharded", Format::TorchZip),
];

/// The elements as they are.
pub(crate) fn copy(tensor: &TensorInfo<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    tensor.copy_to(&mut bytes, tensor.dtype()).expect("copied");
    bytes
}

#[test]
fn every_tensor_of_every_case() {
    let folders = fs::read_dir(fixture("checkpoints")).expect("fixtures");
    let models = folders
        .flatten()
        .filter(|entry| entry.path().join("config.json").exists());
    assert_eq!(models.count(), 2);
    let folders = fs::read_dir(fixture("checkpoints")).expect("fixtures");
    assert_eq!(folders.count(), CASES.len() + 2, "every case is listed");
    for (name, format) in CASES {
        let checkpoint = Checkpoint::open(case(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(checkpoint.format(), format, "{name}");
        assert_eq!(checkpoint.is_sharded(), name == "sharded");
        let bytes = fs::read(case(name).join("expected.safetensors")).expect("expected");
        let expected = SafeTensors::deserialize(&bytes).expect("expected");
        let expected: BTreeMap<_, _> = expected.tensors().into_iter().collect();
        let found: BTreeMap<_, _> = checkpoint
            .tensors()
            .map(|t| (t.name().to_owned(), t))
            .collect();
        let names = |keys: Vec<&String>| format!("{keys:?}");
        assert_eq!(
            names(found.keys().collect()),
            names(expected.keys().collect()),
            "{name}"
        );
        for (tensor, view) in &expected {
            let info = &found[tensor];
            assert_eq!(
                info.dtype().name(),
                view.dtype().to_string(),
                "{name} {tensor}"
            );
            assert_eq!(info.shape(), view.shape(), "{name} {tensor}");
            assert!(copy(info) == view.data(), "{name} {tensor}");
        }
    }
}

#[test]
fn floats_are_read_as_f32_and_integers_are_no_weights() {
    for name in ["types", "types_legacy"] {
        let checkpoint = Checkpoint::open(case(name)).expect(name);
        for info in checkpoint.tensors().collect::<Vec<_>>() {
            let shape: Vec<Dim> = info.shape().iter().map(|&n| Dim::Exactly(n)).collect();
            let spec = TensorSpec {
                elements: ElementKind::Float,
                name: info.canonical_name().to_owned(),
                scope: info.scope(),
                shape,
            };
            let read = checkpoint.read_f32(&spec);
            if !info.dtype().is_float() {
                let error = read.expect_err(info.name());
                assert!(
                    matches!(error, deberta_core::Error::Dtype { .. }),
                    "{error}"
                );
                assert!(checkpoint.table(&spec).is_err());
                continue;
            }
            let (values, _) = read.expect("floating-point numbers");
            let mut widened = Vec::new();
            info.copy_to(&mut widened, Dtype::F32).expect("copied");
            let bits: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert!(bits == widened, "{}", info.name());
            let table = checkpoint.table(&spec).expect("a matrix");
            let width = table.columns();
            for row in 0..table.rows() {
                let from = row * width;
                assert_eq!(
                    table.row(row).expect("finite").expect("a row"),
                    values[from..from + width],
                    "{}",
                    info.name()
                );
            }
        }
    }
}

#[test]
fn tied_weights_are_the_same_bytes() {
    for name in ["views", "views_legacy", "protocol_5"] {
        let checkpoint = Checkpoint::open(case(name)).expect(name);
        let prefixed = "deberta.embeddings.word_embeddings.weight";
        assert_eq!(
            checkpoint.tied(),
            [[
                "deberta.embeddings.word_embeddings.weight",
                "lm_head.decoder.weight"
            ]],
            "{name}"
        );
        let storage = |name: &str| {
            let tensor = checkpoint.tensors().find(|t| t.name() == name);
            tensor.expect(name).storage()
        };
        for view in [
            "lm_head.decoder.weight",
            "lm_head.rows",
            "transposed",
            "columns",
        ] {
            assert_eq!(storage(view), storage(prefixed), "{name} {view}");
        }
        assert_eq!(storage("offset"), storage("every_other"));
        assert_ne!(storage("offset"), storage(prefixed));
        assert_eq!(storage("empty"), None);
    }
}

#[test]
fn a_transposed_table_is_copied_in_order() {
    let checkpoint = Checkpoint::open(case("views")).expect("views");
    let head = |name| TensorSpec::head(name, [Dim::Any, Dim::Any]);
    let words = TensorSpec::encoder(WORDS, [Dim::Exactly(5), Dim::Exactly(4)]);
    let (words, _) = checkpoint.read_f32(&words).expect("words");
    let table = checkpoint.table(&head("transposed")).expect("a table");
    drop(checkpoint);
    assert_eq!((table.rows(), table.columns()), (4, 5));
    for row in 0..4 {
        let expected: Vec<f32> = (0..5).map(|column| words[column * 4 + row]).collect();
        assert_eq!(table.row(row).expect("finite"), Some(expected));
    }
}

/// The same model in three formats: the same bits.
#[test]
fn models_load_from_either_format_with_the_same_bits() {
    let ids: Vec<u32> = (0..17).map(|i| 1 + i * 3 % 50).collect();
    let batch = Batch::packed([(ids.as_slice(), &[][..])]).expect("a batch");
    let forward = |folder: PathBuf| {
        let model = Model::load(&folder, LoadOptions::default())
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let output = model.forward(&batch).expect("an output");
        let hidden = output.last_hidden_state;
        hidden.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
    };
    let expected = forward(fixture("models").join("v3"));
    for name in ["model_zip", "model_legacy"] {
        assert!(forward(case(name)) == expected, "{name}");
    }
}
