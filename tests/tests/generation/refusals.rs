//! What is refused, and how.

use super::common::Input;
use super::common::copy::ModelCopy;
use super::{folder, load};
use deberta_core::{Batch, Config, EncoderDecoder, Error, LoadOptions};
use serde_json::{Value, json};

fn refusal(copy: &ModelCopy) -> Error {
    EncoderDecoder::load(copy.folder(), LoadOptions::default()).expect_err("a refusal")
}

/// A copy of a model whose decoder has another value for a key.
fn with_decoder(model: &str, name: &str, key: &str, value: Value) -> ModelCopy {
    let copy = ModelCopy::of(&format!("generation/{model}"), name);
    copy.json("config.json", |config| config["decoder"][key] = value)
}

#[test]
fn a_deberta_decoder_is_refused_with_a_hint() {
    for kind in ["deberta", "deberta-v2"] {
        let error = refusal(&with_decoder("bert", kind, "model_type", kind.into()));
        let said = error.to_string();
        assert!(matches!(error, Error::UnsupportedModel { .. }), "{error:?}");
        for part in [kind, "no causal mode", "bert, roberta and gpt2"] {
            assert!(said.contains(part), "{said}");
        }
    }
    let said = refusal(&with_decoder("bert", "t5", "model_type", "t5".into())).to_string();
    assert!(
        said.contains("t5") && said.contains("bert, roberta and gpt2"),
        "{said}"
    );
}

#[test]
fn what_a_decoder_cannot_be_names_the_key() {
    for (model, key, value, expected) in [
        (
            "bert",
            "add_cross_attention",
            json!(false),
            "attends to an encoder",
        ),
        ("bert", "is_decoder", json!(false), "attends to an encoder"),
        (
            "roberta",
            "add_cross_attention",
            Value::Null,
            "found nothing",
        ),
        ("roberta", "is_decoder", Value::Null, "found nothing"),
        ("gpt2", "add_cross_attention", Value::Null, "found nothing"),
        (
            "gpt2",
            "add_cross_attention",
            json!(false),
            "attends to an encoder",
        ),
        ("bert", "num_attention_heads", json!(5), "divisor"),
        ("gpt2", "n_head", json!(5), "divisor"),
        ("bert", "hidden_act", json!("wavy"), "wavy"),
        (
            "bert",
            "position_embedding_type",
            json!("relative_key"),
            "absolute",
        ),
        ("bert", "cross_attention_hidden_size", json!(17), "nothing"),
        ("gpt2", "n_layer", json!(-1), "-1"),
        ("roberta", "max_position_embeddings", json!(1), "more than"),
        ("bert", "vocab_size", json!("many"), "many"),
    ] {
        let error = refusal(&with_decoder(
            model,
            &format!("key-{key}-{model}-{}", value.is_null()),
            key,
            value,
        ));
        let said = error.to_string();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        assert!(
            said.contains(&format!("decoder.{key}")) && said.contains(expected),
            "{said}"
        );
    }
    let copy = ModelCopy::of("generation/bert", "no-decoder");
    let said = refusal(&copy.config("decoder", Value::Null)).to_string();
    assert!(
        said.contains("\"decoder\"") && said.contains("an object"),
        "{said}"
    );
    let copy = ModelCopy::of("generation/bert", "encoder");
    let copy = copy.json("config.json", |config| {
        config["encoder"]["model_type"] = "bert".into()
    });
    let said = refusal(&copy).to_string();
    assert!(said.contains("bert") && said.contains("deberta"), "{said}");
}

#[test]
fn each_kind_of_model_says_who_loads_the_other() {
    let said = Config::from_file(folder("bert").join("config.json"))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("encoder-decoder") && said.contains("EncoderDecoder"),
        "{said}"
    );
    let copy = ModelCopy::new("v3", "no-encoder-decoder");
    let said = refusal(&copy).to_string();
    assert!(
        said.contains("deberta-v2") && said.contains("encoder-decoder"),
        "{said}"
    );
}

#[test]
fn weights_that_are_missing_misshapen_or_no_numbers_are_named() {
    let copy = ModelCopy::of("generation/bert", "missing");
    let copy = copy.tensors(|name, values| {
        (!name.contains("decoder.bert.encoder.layer.1.crossattention.self.key")).then_some(values)
    });
    match refusal(&copy) {
        Error::Weights {
            missing, unused, ..
        } => {
            assert!(unused.is_empty(), "the encoder uses the others: {unused:?}");
            assert_eq!(missing.len(), 2, "{missing:?}");
            assert!(
                missing
                    .iter()
                    .all(|name| name.contains("crossattention.self.key"))
            );
        }
        other => panic!("{other:?}"),
    }
    let error = refusal(&with_decoder(
        "bert",
        "inner",
        "intermediate_size",
        json!(7),
    ));
    assert!(
        matches!(&error, Error::Weights { misshapen, .. } if !misshapen.is_empty()),
        "{error:?}"
    );
    let copy = ModelCopy::of("generation/gpt2", "nan").tensors(|name, mut values| {
        if name.ends_with("h.1.crossattention.c_attn.weight") {
            values[3] = f32::NAN;
        }
        Some(values)
    });
    match refusal(&copy) {
        Error::NonFinite { tensor, index, .. } => {
            assert!(tensor.ends_with("crossattention.c_attn.weight"), "{tensor}");
            assert_eq!(index, 3);
        }
        other => panic!("{other:?}"),
    }
    let copy = ModelCopy::of("generation/roberta", "truncated");
    let path = copy.folder().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let said = refusal(&copy).to_string();
    assert!(said.contains("model.safetensors"), "{said}");
}

#[test]
fn options_that_the_model_cannot_follow_are_refused() {
    let model = load("bert");
    let batch = Input::read(&folder("bert")).batch();
    let most = model.max_length();
    let refused = |options: &_| match model.generate(&batch, options) {
        Err(Error::Argument {
            name,
            expected,
            found,
        }) => (name, expected, found),
        other => panic!("{other:?}"),
    };
    let options = model.options().clone();
    // As many as there are positions, and one that is written and not read.
    let longest = options
        .clone()
        .num_beams(1)
        .eos_token_id([])
        .max_new_tokens(most - 1);
    let written = model.generate(&batch, &longest).expect("as long as can be");
    assert!(
        written
            .iter()
            .all(|found| found.sequences[0].tokens.len() == most)
    );
    let (name, expected, found) = refused(&options.clone().max_new_tokens(most));
    assert_eq!((name, found), ("max_new_tokens", most.to_string()));
    assert!(expected.contains(&(most - 1).to_string()), "{expected}");
    let mut long = options.clone().max_length(most + 1);
    long.max_new_tokens = None;
    assert_eq!(refused(&long).0, "max_length");
    let rows = model.vocabulary_rows() as u32;
    assert_eq!(
        refused(&options.clone().decoder_start_token_id(rows)).0,
        "decoder_start_token_id"
    );
    for beams in [0, 100_000_000_000] {
        assert_eq!(refused(&options.clone().num_beams(beams)).0, "num_beams");
    }
    assert_eq!(
        refused(&options.num_beams(1).num_return_sequences(3)).0,
        "num_return_sequences"
    );
}

#[test]
fn sequences_that_cannot_be_read_or_scored_are_refused() {
    let model = load("bert");
    let refused = |result: Result<_, Error>| match result {
        Err(error @ (Error::Batch { .. } | Error::IdOutOfRange { .. })) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("no refusal"),
    };
    let types: &[u32] = &[];
    let empty = Batch::packed([(&[1, 5][..], types), (&[][..], types)]).unwrap();
    let said = refused(model.generate(&empty, model.options()).map(|_| ()));
    assert!(said.contains("sequence 1"), "{said}");
    let batch = Batch::packed([(&[1, 5, 2][..], types)]).unwrap();
    let rows = model.vocabulary_rows() as u32;
    for (sequences, part) in [
        (vec![], "1 sequences"),
        (vec![vec![1, rows]], "an id below"),
        (vec![vec![1; model.max_length()]], "positions"),
    ] {
        let said = refused(model.logits(&batch, &sequences).map(|_| ()));
        assert!(said.contains(part), "{said}");
    }
    let outside = Batch::packed([(&[1, 1_000_000][..], types)]).unwrap();
    let said = refused(model.generate(&outside, model.options()).map(|_| ()));
    assert!(said.contains("1000000"), "{said}");
}
