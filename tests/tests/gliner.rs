//! Entities of any kind against the package `gliner`: the same entities, scores within a bound.
//!
//! `tests/reference/make_gliner_fixtures.py` made the fixtures.

use std::fs;
use std::path::PathBuf;

use deberta_core::Error;
use deberta_core::tasks::{Candidates, Control, Entity, Gliner};
use deberta_tests::workspace_root;
use serde_json::Value;

const TOLERANCE: f64 = 1e-4;

fn folder(name: &str) -> PathBuf {
    workspace_root().join("tests/fixtures/gliner").join(name)
}

fn json(name: &str) -> Value {
    let path = folder(name);
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).expect(name)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn strings(value: &Value) -> Vec<&str> {
    list(value)
        .iter()
        .map(|text| text.as_str().expect("a string"))
        .collect()
}

fn cases() -> Vec<String> {
    let cases = json("cases.json");
    let names: Vec<String> = list(&cases["cases"])
        .iter()
        .map(|case| case["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(names.len() >= 12, "{names:?}");
    names
}

/// The model as the row wants it.
fn asked(name: &str, row: &Value) -> Gliner {
    let threshold = row["threshold"].as_f64().expect("a threshold") as f32;
    Gliner::load(folder(name))
        .unwrap_or_else(|e| panic!("{name}: {e}"))
        .with_threshold(threshold)
        .expect("between zero and one")
        .with_nested(!row["flat_ner"].as_bool().expect("a flag"))
        .with_multi_label(row["multi_label"].as_bool().expect("a flag"))
        .with_truncation(true)
}

/// Labels whose answers are an accident of the reference: they shift what the others mean, and are refused here.
fn is_refused(labels: &[&str]) -> bool {
    labels
        .iter()
        .any(|label| label.trim().is_empty() || label.contains("<<ENT>>"))
}

fn expect_entities(text: &str, found: &[Entity], expected: &Value, what: &str) {
    let expected = list(expected);
    let spans: Vec<_> = found
        .iter()
        .map(|e| (e.chars.start, e.chars.end, e.label.as_str()))
        .collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|e| {
            let place = |key: &str| e[key].as_u64().expect("a place") as usize;
            (
                place("start"),
                place("end"),
                e["label"].as_str().expect("a label"),
            )
        })
        .collect();
    assert_eq!(spans, wanted, "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let score = expected["score"].as_f64().expect("a score");
        assert!(
            (f64::from(found.score) - score).abs() <= TOLERANCE,
            "{what}: {found:?} {score}"
        );
        assert_eq!(
            Some(found.text.as_str()),
            expected["text"].as_str(),
            "{what}"
        );
        assert_eq!(
            text.get(found.bytes.clone()),
            Some(found.text.as_str()),
            "{what}"
        );
    }
}

#[test]
fn entities_are_those_of_the_package() {
    let mut compared = 0;
    for name in cases() {
        let expected = json(&format!("{name}/expected.json"));
        let mut model: Option<(Value, Gliner)> = None;
        for row in list(&expected["texts"]) {
            let text = row["text"].as_str().expect("a text");
            let labels = strings(&row["labels"]);
            let what = format!("{name}: {text:?} {labels:?}");
            let key = Value::Array(vec![
                row["threshold"].clone(),
                row["flat_ner"].clone(),
                row["multi_label"].clone(),
            ]);
            if model.as_ref().is_none_or(|(known, _)| *known != key) {
                model = Some((key, asked(&name, row)));
            }
            let (_, gliner) = model.as_ref().expect("just loaded");
            let found = gliner.entities(text, &labels);
            if is_refused(&labels) {
                // Where the tokenizer does not know the marker, a label can be called so.
                let unknown = ["absent_tokens", "published"].contains(&name.as_str());
                let refused = matches!(found, Err(Error::Argument { name: "labels", .. }));
                assert!(
                    refused || (unknown && labels.contains(&"<<ENT>>")),
                    "{what}: {found:?}"
                );
                continue;
            }
            // Here the reference cuts off labels, and finds what it can with those that remain.
            if name == "short_tokenizer" && labels.len() > 3 && found.is_err() {
                let error = found.expect_err(&what).to_string();
                assert!(
                    error.contains("labels: expected fewer than 36 tokens"),
                    "{what}: {error}"
                );
                continue;
            }
            expect_entities(text, &found.expect(&what), &row["entities"], &what);
            compared += list(&row["entities"]).len();
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn a_batch_gives_the_same_entities_as_its_texts_alone() {
    let mut batches = 0;
    for name in cases() {
        for row in list(&json(&format!("{name}/expected.json"))["batches"]) {
            let gliner = asked(&name, row);
            let texts = strings(&row["texts"]);
            let of_text = |i: usize| match &list(&row["labels"])
                [i.min(list(&row["labels"]).len().saturating_sub(1))]
            {
                Value::Array(_) => strings(&list(&row["labels"])[i]),
                _ => strings(&row["labels"]),
            };
            let labels: Vec<Vec<&str>> = (0..texts.len()).map(of_text).collect();
            if labels.iter().any(|labels| is_refused(labels)) {
                continue;
            }
            let inputs: Vec<Candidates<'_>> = texts
                .iter()
                .zip(&labels)
                .map(|(&text, labels)| Candidates { text, labels })
                .collect();
            let found = gliner.entities_each(&inputs, &Control::default());
            for ((input, found), expected) in inputs.iter().zip(found).zip(list(&row["entities"])) {
                let what = format!("{name}: {input:?}");
                let found = found.expect(&what);
                expect_entities(input.text, &found, expected, &what);
                // To the last bit.
                assert_eq!(
                    gliner.entities(input.text, input.labels).expect(&what),
                    found,
                    "{what}"
                );
            }
            batches += 1;
        }
    }
    assert!(batches > 10, "{batches}");
}

#[test]
fn long_texts_are_read_through_windows() {
    // This model reads 12 words at once.
    let gliner = Gliner::load(folder("narrow"))
        .expect("a model")
        .with_threshold(0.3)
        .expect("a threshold");
    let sentence = "Blue River Bank opened an office in New York , and John Smith works at Acme . ";
    let text = sentence.repeat(30);
    let labels = ["person", "place", "company"];
    let entities = gliner.entities(&text, &labels).expect("entities");
    let last = entities.last().expect("an entity");
    assert!(
        last.bytes.start > text.len() - 2 * sentence.len(),
        "nothing at the end: {last:?}"
    );
    for pair in entities.windows(2) {
        assert!(pair[0].bytes.end <= pair[1].bytes.start, "{pair:?}");
    }
    for entity in &entities {
        assert_eq!(text.get(entity.bytes.clone()), Some(entity.text.as_str()));
    }
    // The beginning alone, as the reference reads it.
    let truncated = Gliner::load(folder("narrow"))
        .expect("a model")
        .with_truncation(true);
    let found = truncated.entities(&text, &labels).expect("entities");
    assert!(
        found.iter().all(|entity| entity.tokens.end <= 12),
        "{found:?}"
    );
}

#[test]
fn what_is_another_architecture_is_refused_by_name() {
    let copy = tempfile::tempdir().expect("a directory");
    for file in [
        "gliner_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        fs::copy(folder("base").join(file), copy.path().join(file)).expect("a copy");
    }
    let path = copy.path().join("gliner_config.json");
    let config = json("base/gliner_config.json");
    for (key, value) in [
        ("span_mode", Value::from("token_level")),
        ("labels_encoder", Value::from("BAAI/bge-small-en")),
        ("relations_layer", Value::from("dot")),
        ("words_splitter_type", Value::from("mecab")),
        ("subtoken_pooling", Value::from("median")),
        ("max_width", Value::from(0)),
        ("class_token_index", Value::from(-7)),
    ] {
        let mut changed = config.clone();
        changed[key] = value;
        fs::write(&path, changed.to_string()).expect("a file");
        match Gliner::load(copy.path()) {
            Err(Error::Config { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
    }
    // Weights that lack what the head needs.
    fs::write(&path, config.to_string()).expect("a file");
    fs::copy(folder("projection").join("gliner_config.json"), &path).expect("a copy");
    let error = Gliner::load(copy.path())
        .expect_err("another size")
        .to_string();
    assert!(
        error.contains("span_rep_layer") || error.contains("rnn.lstm"),
        "{error}"
    );
    fs::write(&path, "{}").expect("a file");
    assert!(Gliner::load(copy.path()).is_err());
    assert!(Gliner::load(folder("nowhere")).is_err());
}
