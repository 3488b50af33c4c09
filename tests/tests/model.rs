//! Loading and using a whole model: what is refused, and that one model serves many threads.

mod common;

use common::copy::ModelCopy;
use common::options;
use deberta_core::{Batch, Error, HeadKind, LoadOptions, Model};
use deberta_tests::fixture;
use std::path::Path;

fn batch(ids: &[u32]) -> Batch {
    Batch::packed([(ids, &[][..])]).unwrap()
}

#[test]
fn a_weight_that_is_no_number_is_refused_at_load() {
    for bad in [f32::NAN, f32::INFINITY] {
        let copy = ModelCopy::new("v3", "nan-weight").tensors(|name, mut values| {
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
    let copy = ModelCopy::new("v3", "nan-row").tensors(|name, mut values| {
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
    let copy = ModelCopy::new("v3", "missing").tensors(|name, values| {
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
    for name in ["bert", "roberta", "deberta-v4"] {
        let copy = ModelCopy::new("v3", name).config("model_type", name.into());
        let error = copy.load().unwrap_err();
        assert!(matches!(error, Error::UnsupportedModel { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
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
    Model::load(fixture("models").join(case), options()).unwrap()
}

#[test]
fn logits_of_some_tokens_are_those_of_all_to_the_last_bit() {
    for name in [
        "masked_v2_microsoft_absolute",
        "enhanced_v2_conv",
        "question",
    ] {
        let model = common::case(name).load();
        let batch = Batch::packed([(vec![1, 5, 7, 2], vec![]), (vec![1, 9, 2], vec![])]).unwrap();
        let all = model.logits(&batch).unwrap().expect("a head");
        let tokens = [6, 0, 2, 2];
        let some = model.logits_at(&batch, &tokens).unwrap();
        for (row, &token) in some.outer_iter().zip(&tokens) {
            assert_eq!(row, all.row(token), "{name}, token {token}");
        }
        assert_eq!(model.logits_at(&batch, &[]).unwrap().nrows(), 0);
        match model.logits_at(&batch, &[1, 7]) {
            Err(Error::Argument {
                name: "tokens",
                expected,
                found,
            }) => {
                assert_eq!((expected.as_str(), found.as_str()), ("below 7", "7"));
            }
            other => panic!("{other:?}"),
        }
    }
    let per_sequence = common::case("sequence_two_labels").load();
    assert!(matches!(
        per_sequence.logits_at(&batch(&[1, 5, 2]), &[0]),
        Err(Error::Argument { name: "tokens", .. })
    ));
}
