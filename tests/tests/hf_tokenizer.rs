//! `HfTokenizer` against Hugging Face's `tokenizers`.

use std::fs;

use deberta_tests::asset;
use serde_json::{Value, json};
use tokenizer_spm::hf::{EncodeOptions, HfTokenizer, Input};

fn untrimmed() -> EncodeOptions {
    EncodeOptions {
        trim_offsets: false,
        ..EncodeOptions::default()
    }
}

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
