//! `HfTokenizer` against Hugging Face's `tokenizers`.

use std::fs;
use std::path::PathBuf;

use deberta_tests::{asset, workspace_root};
use serde_json::{Value, json};
use tokenizer_spm::hf::{
    EncodeOptions, Encoding, HfTokenizer, Input, PadTo, Padding, Side, Truncation,
    TruncationStrategy,
};

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

fn side(value: &Value) -> Side {
    if value == "left" {
        Side::Left
    } else {
        Side::Right
    }
}

fn options(case: &Value) -> EncodeOptions {
    let number = |value: &Value| value.as_u64().map(|number| number as usize);
    EncodeOptions {
        add_special_tokens: case["specials"].as_bool().unwrap(),
        truncation: case.get("truncation").map(|truncation| Truncation {
            max_length: number(&truncation[0]).unwrap(),
            stride: number(&truncation[1]).unwrap(),
            strategy: match truncation[2].as_str().unwrap() {
                "only_first" => TruncationStrategy::OnlyFirst,
                "only_second" => TruncationStrategy::OnlySecond,
                _ => TruncationStrategy::LongestFirst,
            },
            side: side(&truncation[3]),
        }),
        padding: case.get("padding").map(|padding| Padding {
            to: number(&padding[0]).map_or(PadTo::Longest, PadTo::Fixed),
            multiple_of: number(&padding[1]),
            side: side(&padding[2]),
        }),
        ..untrimmed()
    }
}

fn compare(found: &Encoding, expected: &Value, case: &Value) {
    let columns = [
        ("ids", json!(found.ids)),
        ("tokens", json!(found.tokens)),
        ("type_ids", json!(found.type_ids)),
        ("offsets", json!(found.char_offsets)),
        ("words", json!(found.word_ids)),
        ("special", json!(found.special_tokens_mask)),
        ("attention", json!(found.attention_mask)),
        ("sequences", json!(found.sequence_ids)),
    ];
    for (name, column) in columns {
        if let Some(expected) = expected.get(name) {
            assert_eq!(column, *expected, "{name} of {case}");
        }
    }
    let windows = expected.get("overflowing").and_then(Value::as_array);
    let windows = windows.map(Vec::as_slice).unwrap_or_default();
    assert_eq!(found.overflowing.len(), windows.len(), "windows of {case}");
    for (found, expected) in found.overflowing.iter().zip(windows) {
        compare(found, expected, case);
    }
}

#[test]
fn every_combination_of_components() {
    let tokenizers = fixture_tokenizers();
    let cases = lines("hf_cases.jsonl");
    let mut refused = 0;
    for case in &cases {
        let (name, tokenizer) = &tokenizers[case["config"].as_u64().unwrap() as usize];
        let text = |text: &Value| text.as_str().unwrap().to_owned();
        let texts: Vec<(String, Option<String>)> = case["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|input| (text(&input[0]), input.get(1).map(text)))
            .collect();
        let inputs: Vec<Input> = texts
            .iter()
            .map(|(first, second)| match second {
                Some(second) => Input::Pair(first, second),
                None => Input::Single(first),
            })
            .collect();
        let case = &{
            let mut case = case.clone();
            case["name"] = json!(name);
            case
        };
        let found = tokenizer.encode_batch(&inputs, &options(case));
        if case.get("error").is_some() {
            assert!(found.is_err(), "{case} was accepted");
            refused += 1;
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{error}: {case}"));
        for (found, expected) in found.iter().zip(case["out"].as_array().unwrap()) {
            compare(found, expected, case);
        }
        if let Some(decoded) = case.get("decoded") {
            let decode = |skip| tokenizer.decode(&found[0].ids, skip).unwrap();
            assert_eq!(
                json!([decode(true), decode(false)]),
                *decoded,
                "decoding of {case}"
            );
        }
    }
    assert!(cases.len() > 200, "{} cases", cases.len());
    assert!(
        refused > 0 && refused < cases.len() / 4,
        "{refused} refused"
    );
}

/// A tokenizer whose every character is known, to look at normalisation through its tokens.
fn step(normalizer: Value, pre_tokenizer: Value) -> HfTokenizer {
    let file = json!({
        "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0]]},
    });
    HfTokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap()
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
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        for block in (0..0x11_0000).step_by(0x100) {
            let codes = (block.max(1)..block + 0x100).filter_map(char::from_u32);
            let text: String = codes.map(|code| format!("a{code}\u{301}b")).collect();
            if text.is_empty() {
                continue;
            }
            // Unknown characters are joined, so there is one token for each part.
            let parts = tokenizer.encode(&text, &untrimmed()).unwrap().tokens;
            for byte in parts.join("|").bytes().chain([b'\n']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
            }
        }
        assert_eq!(
            json!(format!("{hash:016x}")),
            *expected,
            "{name} over all code points"
        );
    }
}
