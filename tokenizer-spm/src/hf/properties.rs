//! What holds for any input, and for any file.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{EncodeOptions, Encoding, HfTokenizer, Input, Truncation};

fn token(content: &str, flag: &str) -> Value {
    let mut token = json!({
        "id": 0, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    });
    token[flag] = json!(true);
    token
}

/// A file with something of everything.
fn file() -> Value {
    let pieces = [
        "[UNK]", "▁", "a", "b", "e", "ab", "▁a", "é", "!", "▁b", "<0xC3>", "<0xA9>",
    ];
    let vocabulary: Vec<Value> = pieces
        .iter()
        .zip(0..)
        .map(|(piece, id)| json!([piece, -f64::from(id)]))
        .collect();
    json!({
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 4}, "direction": "Left", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "[UNK]"},
        "added_tokens": [token("[UNK]", "special"), token("<l>", "lstrip"), token("<r>", "rstrip"),
                         token("A b", "normalized"), token("cat", "single_word")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Strip", "strip_left": true, "strip_right": true},
            {"type": "Nmt"}, {"type": "NFKC"}, {"type": "Lowercase"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Punctuation", "behavior": "Isolated"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "s", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"s": {"id": "s", "ids": [0], "tokens": ["[UNK]"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": true},
    })
}

fn read(file: &Value) -> Result<HfTokenizer, crate::TokenizerError> {
    HfTokenizer::from_bytes(&serde_json::to_vec(file).unwrap())
}

fn tokenizers() -> Vec<HfTokenizer> {
    let mut files = vec![file(); 3];
    files[1]["normalizer"] = json!({"type": "NFD"});
    files[1]["pre_tokenizer"] = Value::Null;
    files[2]["normalizer"] = json!({"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": ""}, "content": "b"},
    ]});
    files.iter().map(|file| read(file).unwrap()).collect()
}

/// Text in which something happens.
fn text() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "ab", "é", "e\u{301}", " ", "  ", "\n", "▁", "!", "<l>", "<r>", "A b", "a B", "cat", "[UNK]",
            "\u{200b}", "\u{301}", "ﬁ", "İ", "\u{344}\u{316}", "👩\u{200d}👧", "\u{3000}",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(atom, 0..24).prop_map(|atoms| atoms.concat())
}

fn check(encoding: &Encoding, texts: &[&str], trimmed: bool) {
    let length = encoding.len();
    assert!(
        [
            encoding.tokens.len(),
            encoding.type_ids.len(),
            encoding.attention_mask.len(),
            encoding.special_tokens_mask.len(),
            encoding.word_ids.len(),
            encoding.sequence_ids.len(),
            encoding.offsets.len(),
            encoding.char_offsets.len(),
        ]
        .iter()
        .all(|&column| column == length)
    );
    let mut before = vec![0; texts.len()];
    for index in 0..length {
        let (start, end) = encoding.offsets[index];
        let Some(sequence) = encoding.sequence_ids[index] else {
            assert_eq!((start, end), (0, 0));
            continue;
        };
        let text = texts[usize::from(sequence)];
        let covered = text
            .get(start..end)
            .expect("a span lies between characters of the text");
        assert!(start >= before[usize::from(sequence)], "spans are in order");
        before[usize::from(sequence)] = start;
        if trimmed {
            assert_eq!(covered, covered.trim());
        }
        let characters = |byte: usize| text[..byte].chars().count();
        assert_eq!(
            encoding.char_offsets[index],
            (characters(start), characters(end))
        );
    }
}

proptest! {
    #[test]
    fn spans_lie_in_the_text(first in text(), second in text(), max_length in 1_usize..9) {
        for tokenizer in tokenizers() {
            for trim_offsets in [false, true] {
                let options = EncodeOptions { trim_offsets, ..EncodeOptions::default() };
                let single = tokenizer.encode(&first, &options).unwrap();
                check(&single, &[&first], trim_offsets);
                tokenizer.decode(&single.ids, false).unwrap();
                let truncation = Some(Truncation { max_length, ..Truncation::default() });
                let options = EncodeOptions { truncation, ..options };
                let pair = tokenizer.encode(Input::Pair(&first, &second), &options).unwrap();
                prop_assert!(pair.len() <= max_length);
                for window in std::iter::once(&pair).chain(&pair.overflowing) {
                    check(window, &[&first, &second], trim_offsets);
                }
            }
        }
    }

    #[test]
    fn damaged_files_are_errors_or_work(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        text in text(),
    ) {
        let mut bytes = serde_json::to_vec(&file()).unwrap();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(tokenizer) = HfTokenizer::from_bytes(&bytes) {
            // Whether it encodes depends on what the file has become; it must not panic.
            if let Ok(encoding) = tokenizer.encode(&text, &EncodeOptions::default()) {
                let _ = tokenizer.decode(&encoding.ids, false);
            }
        }
    }
}

#[test]
fn sections_that_ask_for_truncation_and_padding_wait_to_be_asked() {
    let tokenizer = read(&file()).unwrap();
    let encoding = tokenizer
        .encode("aaaaaaaaa", &EncodeOptions::default())
        .unwrap();
    assert_eq!(encoding.len(), 11);
    assert_eq!(tokenizer.truncation().unwrap().max_length, 8);
    let options = EncodeOptions {
        truncation: tokenizer.truncation().cloned(),
        ..EncodeOptions::default()
    };
    let encoding = tokenizer.encode("aaaaaaaaa", &options).unwrap();
    assert_eq!(
        (encoding.len(), encoding.dropped, encoding.overflowing.len()),
        (8, 3, 1)
    );
    assert!(tokenizer.padding().is_some());
}

/// Sets what lies at `path` in the file.
fn with(path: &[&str], value: Value) -> Value {
    let mut file = file();
    let mut at = &mut file;
    for key in path {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[*key],
        };
    }
    *at = value;
    file
}

#[test]
fn hostile_files_are_refused_by_name() {
    let normalizer = |value| with(&["normalizer"], value);
    let regex = |expression: &str| json!({"type": "Replace", "pattern": {"Regex": expression}, "content": ""});
    let byte_level =
        || json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false});
    let mut nested = json!({"type": "NFC"});
    for _ in 0..200 {
        nested = json!({"type": "Sequence", "normalizers": [nested]});
    }
    for (file, expected) in [
        (json!(null), "JSON"),
        (json!([]), "JSON"),
        (with(&["version"], json!("2.0")), "version"),
        (with(&["model"], json!(null)), "JSON"),
        (
            with(&["model", "type"], json!("WordLevel")),
            "model.type: WordLevel",
        ),
        (with(&["model", "type"], json!("BPE")), "object of tokens"),
        (with(&["model", "vocab"], json!({"a": 1})), "list of pieces"),
        (with(&["model", "vocab"], json!([])), "vocab"),
        (with(&["model", "vocab", "1"], json!(["x"])), "JSON"),
        (with(&["model", "vocab", "1"], json!(["x", null])), "JSON"),
        (with(&["model", "vocab", "1"], json!(["a", -1.0])), "differ"),
        (with(&["model", "unk_id"], json!(12)), "unk_id"),
        (with(&["model", "unk_id"], json!(-1)), "JSON"),
        (with(&["model", "unk_id"], json!(1e300)), "JSON"),
        (with(&["model", "byte_fallback"], json!("yes")), "JSON"),
        (
            with(&["added_tokens"], json!([{"id": 1, "content": "x"}])),
            "JSON",
        ),
        (
            with(&["added_tokens", "0", "id"], json!(5_000_000_000_u64)),
            "JSON",
        ),
        (
            with(&["added_tokens"], json!([token("\n", "normalized")])),
            "added token \"\\n\"",
        ),
        (
            normalizer(json!({"type": "ByteLevel"})),
            "normalizer: ByteLevel",
        ),
        (normalizer(json!({"type": 7})), "normalizer"),
        (normalizer(json!("NFC")), "normalizer"),
        (
            normalizer(json!({"type": "Strip", "strip_left": 1, "strip_right": true})),
            "normalizer",
        ),
        (normalizer(json!({"type": "Sequence"})), "normalizers"),
        (normalizer(nested), "JSON"),
        (normalizer(regex("(")), "unclosed"),
        (normalizer(regex("(?=x)")), "(?="),
        (normalizer(regex("(((x{1000}){1000}){1000})")), "size limit"),
        (
            normalizer(json!({"type": "Prepend", "prepend": 1})),
            "prepend",
        ),
        (
            normalizer(json!({"type": "Precompiled"})),
            "precompiled_charsmap",
        ),
        (
            normalizer(json!({"type": "Precompiled", "precompiled_charsmap": "%"})),
            "base64",
        ),
        (
            normalizer(json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
            "charsmap",
        ),
        (
            with(&["pre_tokenizer"], json!({"type": "ByteLevel"})),
            "pre_tokenizer: missing field",
        ),
        (
            with(
                &["pre_tokenizer"],
                json!({"type": "Sequence", "pretokenizers": [byte_level(), byte_level()]}),
            ),
            "ByteLevel twice",
        ),
        (
            with(
                &["pre_tokenizer", "pretokenizers", "0", "behavior"],
                json!("Glued"),
            ),
            "[0]",
        ),
        (
            with(
                &["pre_tokenizer", "pretokenizers", "1", "replacement"],
                json!("__"),
            ),
            "[1]",
        ),
        (
            with(
                &["pre_tokenizer", "pretokenizers", "1", "add_prefix_space"],
                json!(false),
            ),
            "[1]",
        ),
        (
            with(&["post_processor"], json!({"type": "BertProcessing"})),
            "post_processor: missing field `sep`",
        ),
        (
            with(&["post_processor", "special_tokens"], json!({})),
            "special token \"s\"",
        ),
        (
            with(&["post_processor", "special_tokens", "s", "ids"], json!([])),
            "0 ids",
        ),
        (
            with(
                &["post_processor", "single", "0", "SpecialToken", "type_id"],
                json!(-1),
            ),
            "post_processor",
        ),
        (
            with(
                &["post_processor", "single", "1", "Sequence", "id"],
                json!("B"),
            ),
            "second text",
        ),
        (with(&["decoder"], json!({"type": "CTC"})), "decoder: CTC"),
        (
            with(&["decoder", "decoders", "2", "start"], json!(-1)),
            "decoders[2]",
        ),
        (
            with(&["truncation", "max_length"], json!(1e300)),
            "truncation",
        ),
        (with(&["padding", "direction"], json!("Up")), "padding"),
    ] {
        let error = read(&file).expect_err(expected).to_string();
        assert!(
            error.contains(expected),
            "expected {expected:?} in {error:?}"
        );
    }
    assert!(HfTokenizer::from_bytes(b"{\"model\": {\"vocab\": [[\"a\", NaN]]}}").is_err());
    assert!(HfTokenizer::from_bytes(b"{\"model\": {\"vocab\": [[\"a\", 1e999]]}}").is_err());
    assert!(HfTokenizer::from_bytes(b"\xff").is_err());
    assert!(HfTokenizer::from_bytes(b"").is_err());
}

#[test]
fn a_text_cannot_grow_without_bounds() {
    let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let mut file = with(
        &["normalizer"],
        json!({"type": "Sequence", "normalizers": vec![double; 60]}),
    );
    file["added_tokens"] = json!([]);
    let tokenizer = read(&file).unwrap();
    let error = tokenizer
        .encode("a", &EncodeOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("normalisation"), "{error}");
    assert!(tokenizer.encode("b", &EncodeOptions::default()).is_ok());
}

#[test]
fn impossible_options_are_errors() {
    let tokenizer = read(&file()).unwrap();
    let truncated = |max_length, stride| EncodeOptions {
        truncation: Some(Truncation {
            max_length,
            stride,
            ..Truncation::default()
        }),
        ..EncodeOptions::default()
    };
    assert!(tokenizer.encode("a", &truncated(0, 0)).is_err());
    assert!(tokenizer.encode("a", &truncated(3, 2)).is_err());
    assert!(
        tokenizer
            .encode("a", &truncated(usize::MAX, usize::MAX))
            .is_err()
    );
    // All pairs of windows of two long texts would fill the memory.
    let long = "a ".repeat(20_000);
    let error = tokenizer
        .encode(Input::Pair(&long, &long), &truncated(8, 0))
        .unwrap_err();
    assert!(error.to_string().contains("windows"), "{error}");
    let options = EncodeOptions {
        overflowing: false,
        ..truncated(8, 0)
    };
    let pair = tokenizer
        .encode(Input::Pair(&long, &long), &options)
        .unwrap();
    assert_eq!((pair.len(), pair.overflowing.len()), (8, 0));
    // Padding needs a token for it, and this vocabulary has none.
    let padded = EncodeOptions {
        padding: Some(Default::default()),
        ..EncodeOptions::default()
    };
    assert!(
        tokenizer
            .encode("a", &padded)
            .unwrap_err()
            .to_string()
            .contains("[PAD]")
    );
    assert!(
        tokenizer
            .decode(&[99], false)
            .unwrap_err()
            .to_string()
            .contains("99")
    );
}
