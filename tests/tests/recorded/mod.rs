//! Encodings that Hugging Face's `tokenizers` made, beside ours. A case names a tokenizer, inputs, options and results.

use serde_json::{Value, json};
use tokenizer_spm::hf::{
    EncodeOptions, Encoding, HfTokenizer, Input, PadTo, Padding, Side, Truncation,
    TruncationStrategy,
};

/// As the reference gives offsets.
pub(crate) fn untrimmed() -> EncodeOptions {
    EncodeOptions {
        trim_offsets: false,
        ..EncodeOptions::default()
    }
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

/// Compares all cases with what these tokenizers make of them, and returns how many the reference refused.
pub(crate) fn compare_all(tokenizers: &[(String, HfTokenizer)], cases: &[Value]) -> usize {
    let mut refused = 0;
    for case in cases {
        let (name, tokenizer) = &tokenizers[case["config"].as_u64().unwrap() as usize];
        let inputs = case["inputs"].as_array().unwrap();
        let inputs: Vec<Input> = inputs
            .iter()
            .map(|input| match input[1].as_str() {
                Some(second) => Input::Pair(input[0].as_str().unwrap(), second),
                None => Input::Single(input[0].as_str().unwrap()),
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
            let both = json!([decode(true), decode(false)]);
            assert_eq!(both, *decoded, "decoding of {case}");
        }
    }
    refused
}

/// A tokenizer whose every character is known, to look at normalisation through its tokens.
pub(crate) fn step(normalizer: Value, pre_tokenizer: Value) -> HfTokenizer {
    let file = json!({
        "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0]]},
    });
    HfTokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap()
}

/// What a tokenizer without words makes of every code point, as a hash of its tokens.
pub(crate) fn parts_of_all_code_points(tokenizer: &HfTokenizer) -> String {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for block in (0..0x11_0000).step_by(0x100) {
        let codes = (block.max(1)..block + 0x100).filter_map(char::from_u32);
        let text: String = codes.map(|code| format!("a{code}\u{301}b")).collect();
        if text.is_empty() {
            continue;
        }
        // Unknown characters are joined, so there is one token for each part.
        let parts = tokenizer
            .encode(text.as_str(), &untrimmed())
            .unwrap()
            .tokens;
        for byte in parts.join("|").bytes().chain([b'\n']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
    }
    format!("{hash:016x}")
}
