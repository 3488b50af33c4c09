//! `HfTokenizer` against Hugging Face's `tokenizers`.

mod recorded;

use std::fs;
use std::path::PathBuf;

use deberta_tests::{asset, workspace_root};
use recorded::{step, untrimmed};
use serde_json::{Value, json};
use tokenizer_spm::hf::{HfTokenizer, Input};

/// The real vocabulary in the shape that version 4 of `transformers` writes.
fn version_4() -> Option<Vec<u8>> {
    Some(fs::read(asset("tokenizers/deberta-v3/tokenizer.json")?).unwrap())
}

/// The same vocabulary in the shape of version 5: that file comes without its vocabulary.
fn version_5() -> Option<Vec<u8>> {
    let head = asset("tokenizers/deberta-v3/tokenizer_transformers5_head.json")?;
    let mut head: Value = serde_json::from_slice(&fs::read(head).unwrap()).unwrap();
    let mut full: Value = serde_json::from_slice(&version_4()?).unwrap();
    head["model"]["vocab"] = full["model"]["vocab"].take();
    Some(serde_json::to_vec(&head).unwrap())
}

/// Compares ids, type ids and character offsets with every line of a recording.
fn compare_with_recording(tokenizer: &HfTokenizer, recording: &str) {
    let Some(recording) = asset(recording) else {
        return;
    };
    let recording = fs::read_to_string(recording).unwrap();
    let mut count = 0;
    for line in recording.split('\n').filter(|line| !line.is_empty()) {
        let expected: Value = serde_json::from_str(line).unwrap();
        let text = expected["text"].as_str().unwrap();
        let input = match expected["pair"].as_str() {
            Some(pair) => Input::Pair(text, pair),
            None => Input::Single(text),
        };
        let found = tokenizer.encode(input, &untrimmed()).unwrap();
        assert_eq!(json!(found.ids), expected["ids"], "ids of {text:?}");
        assert_eq!(
            json!(found.char_offsets),
            expected["offsets"],
            "offsets of {text:?}"
        );
        if !expected["type_ids"].is_null() {
            assert_eq!(
                json!(found.type_ids),
                expected["type_ids"],
                "type ids of {text:?}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 244, "lines of the recording");
}

#[test]
fn the_shape_of_transformers_4() {
    let Some(file) = version_4() else { return };
    let tokenizer = HfTokenizer::from_bytes(&file).unwrap();
    assert_eq!(tokenizer.vocab_size(), 128_001);
    compare_with_recording(&tokenizer, "expected/hf-fast-v4/deberta-v3.jsonl");
}

#[test]
fn the_shape_of_transformers_5() {
    let Some(file) = version_5() else { return };
    let tokenizer = HfTokenizer::from_bytes(&file).unwrap();
    compare_with_recording(&tokenizer, "expected/hf-fast-v5/deberta-v3.jsonl");
}

/// Fixtures of `tests/reference/hf_tokenizer_fixtures.py`. A longer run of that script, in another
/// folder, is compared with `HF_TOKENIZER_FIXTURES=FOLDER`.
fn fixture(name: &str) -> PathBuf {
    match std::env::var_os("HF_TOKENIZER_FIXTURES") {
        Some(folder) => PathBuf::from(folder).join(name),
        None => workspace_root().join("tests/fixtures/tokenizer").join(name),
    }
}

fn lines(name: &str) -> Vec<Value> {
    let content = fs::read_to_string(fixture(name)).unwrap();
    content
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The tokenizers of the fixtures, by number, each with its name.
fn fixture_tokenizers() -> Vec<(String, HfTokenizer)> {
    let content: Value =
        serde_json::from_slice(&fs::read(fixture("hf_configs.json")).unwrap()).unwrap();
    let read = |config: &Value| {
        let mut file = config["file"].clone();
        file["model"]["vocab"] = content["vocab"].clone();
        let name = config["name"].as_str().unwrap().to_owned();
        let tokenizer = HfTokenizer::from_bytes(&serde_json::to_vec(&file).unwrap());
        (
            name.clone(),
            tokenizer.unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    };
    content["configs"]
        .as_array()
        .unwrap()
        .iter()
        .map(read)
        .collect()
}

#[test]
fn every_combination_of_components() {
    let cases = lines("hf_cases.jsonl");
    let refused = recorded::compare_all(&fixture_tokenizers(), &cases);
    assert!(cases.len() > 200, "{} cases", cases.len());
    assert!(
        refused > 0 && refused < cases.len() / 4,
        "{refused} refused"
    );
}

#[test]
fn every_code_point() {
    let expected: Value =
        serde_json::from_slice(&fs::read(fixture("hf_codepoints.json")).unwrap()).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let tokenizer = match name.as_str() {
            "Punctuation" => step(Value::Null, json!({"type": "Punctuation"})),
            "space" | "word" => step(
                json!({
                    "type": "Replace",
                    "pattern": {"Regex": format!("\\{}", &name[..1])},
                    "content": "_",
                }),
                Value::Null,
            ),
            name => step(json!({ "type": name }), Value::Null),
        };
        assert_eq!(
            json!(recorded::parts_of_all_code_points(&tokenizer)),
            *expected,
            "{name} over all code points"
        );
    }
}
