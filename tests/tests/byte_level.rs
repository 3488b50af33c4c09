//! Byte-level tokenizers, DeBERTa v1's kind, against Hugging Face's: fixtures of
//! `tests/reference/byte_level_fixtures.py`.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use deberta_tests::{asset, fixture};
use serde_json::{Value, json};
use tokenizer_spm::TokenizerError;
use tokenizer_spm::deberta::DebertaTokenizer;
use tokenizer_spm::hf::{
    EncodeOptions, Encoding, HfTokenizer, Input, Side, Truncation, TruncationStrategy,
};

fn file(name: &str) -> PathBuf {
    fixture("tokenizer/byte_level").join(name)
}

fn lines(name: &str) -> Vec<Value> {
    let content = fs::read_to_string(file(name)).unwrap();
    content
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn read_json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(file(name)).unwrap()).unwrap()
}

/// The merges of the small vocabulary, each with its tokens.
fn merges() -> Vec<(String, String)> {
    let content = fs::read_to_string(file("merges.txt")).unwrap();
    content
        .lines()
        .skip(1)
        .map(|line| {
            let (left, right) = line.split_once(' ').unwrap();
            (left.to_owned(), right.to_owned())
        })
        .collect()
}

/// The `tokenizer.json` that a version of `transformers` saves, with the small vocabulary put back.
fn saved_by(version: u32) -> Value {
    let mut content = read_json(&format!("transformers_{version}.json"));
    content["model"]["vocab"] = read_json("vocab.json");
    content["model"]["merges"] = json!(merges());
    content
}

fn read(content: &Value) -> Result<HfTokenizer, TokenizerError> {
    HfTokenizer::from_bytes(&serde_json::to_vec(content).unwrap())
}

/// The tokenizer of a folder with these files, removed in the end.
fn from_dir(name: &str, files: &[(&str, &[u8])]) -> Result<DebertaTokenizer, TokenizerError> {
    let folder = std::env::temp_dir().join(format!("byte-level-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (file, content) in files {
        fs::write(folder.join(file), content).unwrap();
    }
    let tokenizer = DebertaTokenizer::from_dir(&folder);
    fs::remove_dir_all(&folder).unwrap();
    tokenizer
}

/// The small vocabulary from `vocab.json` and `merges.txt`.
fn small() -> DebertaTokenizer {
    DebertaTokenizer::from_dir(fixture("tokenizer/byte_level")).unwrap()
}

fn untrimmed() -> EncodeOptions {
    EncodeOptions {
        trim_offsets: false,
        ..EncodeOptions::default()
    }
}

fn options(case: &Value) -> EncodeOptions {
    let truncation = case.get("truncation").map(|cut| Truncation {
        max_length: cut[0].as_u64().unwrap() as usize,
        stride: cut[1].as_u64().unwrap() as usize,
        strategy: match cut[2].as_str().unwrap() {
            "only_first" => TruncationStrategy::OnlyFirst,
            _ => TruncationStrategy::LongestFirst,
        },
        side: if cut[3] == "left" {
            Side::Left
        } else {
            Side::Right
        },
    });
    EncodeOptions {
        truncation,
        ..untrimmed()
    }
}

fn input(case: &Value) -> Input<'_> {
    let text = case["text"].as_str().unwrap();
    match case["pair"].as_str() {
        Some(pair) => Input::Pair(text, pair),
        None => Input::Single(text),
    }
}

/// Compares the columns that the recording has.
fn compare(found: &Encoding, expected: &Value, case: &Value) {
    for (key, column) in [
        ("ids", json!(found.ids)),
        ("tokens", json!(found.tokens)),
        ("offsets", json!(found.char_offsets)),
        ("type_ids", json!(found.type_ids)),
        ("special", json!(found.special_tokens_mask)),
        ("words", json!(found.word_ids)),
    ] {
        if let Some(expected) = expected.get(key) {
            assert_eq!(column, *expected, "{key} of {case}");
        }
    }
    // Bytes and characters tell of the same places.
    let texts = [
        case["text"].as_str().unwrap(),
        case["pair"].as_str().unwrap_or(""),
    ];
    for (index, &(start, end)) in found.offsets.iter().enumerate() {
        let Some(sequence) = found.sequence_ids[index] else {
            continue;
        };
        let text = texts[usize::from(sequence)];
        let characters = (text[..start].chars().count(), text[..end].chars().count());
        assert_eq!(
            characters, found.char_offsets[index],
            "token {index} of {case}"
        );
    }
    let windows = expected["overflowing"].as_array();
    assert_eq!(
        found.overflowing.len(),
        windows.map_or(0, Vec::len),
        "{case}"
    );
    for (found, expected) in found.overflowing.iter().zip(windows.into_iter().flatten()) {
        compare(found, expected, case);
    }
}

#[test]
fn tokenizer_json_of_transformers_4_and_5() {
    for (version, count) in [(4, 131), (5, 81)] {
        let tokenizer = read(&saved_by(version)).unwrap();
        assert_eq!(
            tokenizer.vocab_size(),
            read_json("vocab.json").as_object().unwrap().len()
        );
        let cases = lines(&format!("transformers_{version}.jsonl"));
        assert_eq!(cases.len(), count);
        for case in &cases {
            let found = tokenizer.encode(input(case), &options(case)).unwrap();
            compare(&found, case, case);
            if let Some(expected) = case.get("decoded") {
                let decode = |skip| tokenizer.decode(&found.ids, skip).unwrap();
                assert_eq!(json!([decode(true), decode(false)]), *expected, "{case}");
            }
        }
    }
}

/// What lies in a published directory is read as version 4 reads it: version 5 puts two `[SEP]` between the
/// texts of a pair, and its mask does not take the space before it along.
#[test]
fn vocabulary_and_merges_behave_as_transformers_4() {
    let tokenizer = small();
    for case in lines("transformers_4.jsonl") {
        let found = tokenizer.encode(input(&case), &options(&case)).unwrap();
        compare(&found, &case, &case);
    }
    let slow = lines("slow.jsonl");
    assert_eq!(slow.len(), 55);
    for case in slow {
        let found = tokenizer.encode(input(&case), &untrimmed()).unwrap();
        assert_eq!(json!(found.ids), case["ids"], "ids of {case}");
        if let Some(expected) = case.get("type_ids") {
            assert_eq!(json!(found.type_ids), *expected, "type ids of {case}");
        }
        if let Some(expected) = case.get("tokens") {
            let inner = &found.ids[1..found.len() - 1];
            let tokens: Vec<_> = inner.iter().map(|&id| tokenizer.id_to_token(id)).collect();
            assert_eq!(json!(tokens), *expected, "tokens of {case}");
        }
        if let Some(expected) = case.get("decoded") {
            let decode = |skip| tokenizer.decode(&found.ids, skip).unwrap();
            assert_eq!(json!([decode(true), decode(false)]), *expected, "{case}");
        }
    }
}

#[test]
fn the_real_vocabulary() {
    let Some(directory) = asset("tokenizers/deberta-v1") else {
        return;
    };
    let tokenizer = DebertaTokenizer::from_dir(&directory).unwrap();
    let cases = lines("real.jsonl");
    assert_eq!(cases.len(), 155);
    for case in &cases {
        let found = tokenizer.encode(input(case), &untrimmed()).unwrap();
        compare(&found, case, case);
    }
    // Either file leads to both.
    for file in ["vocab.json", "merges.txt"] {
        let same = DebertaTokenizer::from_path(directory.join(file)).unwrap();
        let text = "Byte pairs [MASK]";
        let encode = |tokenizer: &DebertaTokenizer| tokenizer.encode(text, &untrimmed()).unwrap();
        assert_eq!(encode(&same), encode(&tokenizer));
    }
}

/// The file that a variant describes: the one of version 4 with parts of it replaced.
fn variant(change: &Value) -> Value {
    let mut content = saved_by(4);
    for (key, value) in change.as_object().unwrap() {
        match key.as_str() {
            "without" => {
                let unwanted = |token: &str| {
                    let specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"];
                    let mut parts = value.as_array().unwrap().iter();
                    !specials.contains(&token)
                        && parts.any(|part| token.contains(part.as_str().unwrap()))
                };
                let vocabulary = content["model"]["vocab"].as_object_mut().unwrap();
                vocabulary.retain(|token, _| !unwanted(token));
                let merges = merges();
                let kept = merges
                    .iter()
                    .filter(|(left, right)| !unwanted(&format!("{left}{right}")));
                content["model"]["merges"] = json!(kept.collect::<Vec<_>>());
            }
            "model" => {
                for (key, value) in value.as_object().unwrap() {
                    content["model"][key] = if value == "lines" {
                        let joined = |(left, right)| format!("{left} {right}");
                        json!(merges().into_iter().map(joined).collect::<Vec<_>>())
                    } else {
                        value.clone()
                    };
                }
            }
            key => content[key] = value.clone(),
        }
    }
    content
}

#[test]
fn variants_of_the_components() {
    let variants = read_json("variants.json");
    let mut tokenizer: Option<(String, HfTokenizer)> = None;
    let mut count = 0;
    for case in lines("variants.jsonl") {
        let name = case["variant"].as_str().unwrap();
        if tokenizer.as_ref().is_none_or(|(known, _)| known != name) {
            let read = read(&variant(&variants[name]));
            tokenizer = Some((
                name.to_owned(),
                read.unwrap_or_else(|error| panic!("{name}: {error}")),
            ));
        }
        let (_, tokenizer) = tokenizer.as_ref().unwrap();
        let found = tokenizer.encode(input(&case), &untrimmed()).unwrap();
        compare(&found, &case, &case);
        if let Some(expected) = case.get("decoded") {
            let decode = |skip| tokenizer.decode(&found.ids, skip).unwrap();
            assert_eq!(json!([decode(true), decode(false)]), *expected, "{case}");
        }
        count += 1;
    }
    assert_eq!(count, 871);
}

#[test]
fn trimmed_offsets_leave_spaces_out() {
    let text = " naïve  [MASK]\u{3000}日 😀";
    let encoding = small().encode(text, &EncodeOptions::default()).unwrap();
    let covered: Vec<&str> = encoding.offsets[1..encoding.len() - 1]
        .iter()
        .map(|&(start, end)| &text[start..end])
        .collect();
    for part in &covered {
        assert_eq!(part.trim(), *part);
    }
    // A token of some bytes of a character covers the character.
    assert_eq!(covered.concat().replace(['日', '😀'], ""), "naïve[MASK]");
    assert!(covered.contains(&"[MASK]") && covered.contains(&"日") && covered.contains(&"😀"));
}

#[test]
fn a_tokenizer_json_wins_over_other_files() {
    let content = serde_json::to_vec(&saved_by(5)).unwrap();
    let vocabulary = fs::read(file("vocab.json")).unwrap();
    let merges = fs::read(file("merges.txt")).unwrap();
    let both: [(&str, &[u8]); 3] = [
        ("tokenizer.json", &content),
        ("vocab.json", &vocabulary),
        ("merges.txt", &merges),
    ];
    let ids = |files: &[(&str, &[u8])]| {
        let tokenizer = from_dir("wins", files).unwrap();
        let pair = Input::Pair("a", "b");
        tokenizer
            .encode(pair, &EncodeOptions::default())
            .unwrap()
            .ids
            .len()
    };
    // Two [SEP] in the middle tell them apart.
    assert_eq!((ids(&both), ids(&both[1..])), (6, 5));
}

#[test]
fn settings_beside_the_vocabulary() {
    let vocabulary = fs::read(file("vocab.json")).unwrap();
    let merges = fs::read(file("merges.txt")).unwrap();
    let tokenizer = |config: Value, added: Value| {
        let (config, added) = (config.to_string(), added.to_string());
        let files: [(&str, &[u8]); 4] = [
            ("vocab.json", &vocabulary),
            ("merges.txt", &merges),
            ("tokenizer_config.json", config.as_bytes()),
            ("added_tokens.json", added.as_bytes()),
        ];
        from_dir("settings", &files).unwrap()
    };
    let plain = small();
    let mask = plain.mask_token_id().unwrap();
    assert_eq!(mask as usize + 1, plain.vocab_size());
    assert_eq!(
        [
            plain.pad_token_id(),
            plain.cls_token_id(),
            plain.sep_token_id(),
            plain.unk_token_id()
        ],
        [Some(0), Some(1), Some(2), Some(3)]
    );

    // Flags of the mask, a space in front, a limit.
    let config = json!({
        "mask_token": {"content": "[MASK]", "lstrip": false, "normalized": true},
        "add_prefix_space": true, "model_max_length": 512, "do_lower_case": false, "vocab_type": "gpt2",
    });
    let changed = tokenizer(config, json!({}));
    assert_eq!(changed.model_max_length(), Some(512));
    let tokens = |tokenizer: &DebertaTokenizer| {
        let encoding = tokenizer
            .encode("to [MASK]", &EncodeOptions::default())
            .unwrap();
        let ids = encoding.ids.iter();
        let tokens: Vec<_> = ids
            .map(|&id| tokenizer.id_to_token(id).unwrap().to_owned())
            .collect();
        tokens.join("|")
    };
    assert_eq!(tokens(&plain), "[CLS]|t|o|[MASK]|[SEP]");
    assert_eq!(tokens(&changed), "[CLS]|Ġto|Ġ|[MASK]|[SEP]");

    // Ids that a file gives stand, and new tokens come after all of them.
    let config = json!({"mask_token": "<m>", "additional_special_tokens": ["<new>"]});
    let other = tokenizer(config, json!({"<m>": 250_101, "word": 5000}));
    assert_eq!(other.mask_token_id(), Some(250_101));
    assert_eq!(other.token_to_id("word"), Some(5000));
    assert_eq!(other.token_to_id("<new>"), Some(250_102));
    let encoding = other.encode("a <m>", &EncodeOptions::default()).unwrap();
    assert_eq!(encoding.ids[2..], [250_101, 2]);
    assert_eq!(other.id_to_token(250_101), Some("<m>"));
}

#[test]
fn damaged_files_are_named() {
    let good = br#"{"[PAD]":0,"[CLS]":1,"[SEP]":2,"[UNK]":3,"a":4,"b":5,"ab":6}"#;
    let fails = |vocabulary: Option<&[u8]>, merges: Option<&[u8]>, expected: &[&str]| {
        let mut files: Vec<(&str, &[u8])> = Vec::new();
        files.extend(vocabulary.map(|content| ("vocab.json", content)));
        files.extend(merges.map(|content| ("merges.txt", content)));
        let error = from_dir("damaged", &files).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "expected {part:?} in {error:?}");
        }
    };
    let vocabulary = |content: &[u8], expected: &[&str]| {
        fails(
            Some(content),
            Some(b"a b\n"),
            &[expected, &["vocab.json"]].concat(),
        );
    };
    vocabulary(b"", &["JSON", "line 1"]);
    vocabulary(b"[]", &["object of tokens"]);
    vocabulary(b"{}", &["at least one token"]);
    vocabulary(b"{\"a\":\n \"x\"}", &["line 2"]);
    vocabulary(b"{\"a\": -1}", &["JSON"]);
    vocabulary(b"{\"a\": 1.5}", &["JSON"]);
    vocabulary(b"{\"a\": 4294967296}", &["JSON"]);
    vocabulary(b"{\"a\": 4294967295}", &["ids below 2^31"]);
    vocabulary(b"{\"a\": 1, \"a\": 2}", &["\"a\" twice"]);
    vocabulary(b"{\"a\": 1, \"b\": 1}", &["\"a\" and \"b\" with id 1"]);
    vocabulary(b"{\"\xff\": 1}", &["JSON"]);
    vocabulary("[".repeat(1000).as_bytes(), &["JSON"]);

    let merges = |content: &[u8], expected: &[&str]| {
        fails(
            Some(good),
            Some(content),
            &[expected, &["merges.txt"]].concat(),
        );
    };
    merges(b"#version: 0.2\na b\nab\n", &["line 3", "\"ab\""]);
    merges(b"a b\na  b\n", &["line 2", "two tokens"]);
    merges(b"a b c\n", &["line 1"]);
    merges(b" a\n", &["line 1"]);
    merges(b"a b\n\na b\n", &["line 2", "an empty line"]);
    merges(b"#version: 0.2\nb a\n", &["line 2", "no \"ba\""]);
    merges(b"#version: 0.2\n\na b", &["line 2"]);
    merges(b"a x\n", &["line 1", "no \"x\""]);
    merges(b"a b\na \xff\n", &["line 2", "UTF-8", "byte 2"]);

    fails(Some(good), None, &["expected merges.txt beside vocab.json"]);
    fails(
        None,
        Some(b"a b\n"),
        &["expected vocab.json beside merges.txt"],
    );
    fails(
        None,
        None,
        &["tokenizer.json", "spm.model", "spiece.model", "merges.txt"],
    );

    // These are fine: holes among the ids, other line ends, empty lines in the end, no merges at all.
    let holes = br#"{"[PAD]":0,"[CLS]":10,"[SEP]":20,"[UNK]":30,"a":400,"b":50000,"ab":7}"#;
    for (content, ids) in [
        (&b"#version: 0.2\r\na b\r\n\r\n"[..], &[10, 7, 30, 20][..]),
        (b"a b", &[10, 7, 30, 20]),
        (b"", &[10, 400, 50000, 30, 20]),
    ] {
        let tokenizer = DebertaTokenizer::from_vocab_and_merges(holes, content).unwrap();
        let encoding = tokenizer.encode("ab?", &EncodeOptions::default()).unwrap();
        assert_eq!(encoding.ids, ids);
        assert_eq!(tokenizer.mask_token_id(), Some(50001));
        assert!(tokenizer.decode(&[8], false).is_err());
    }
}

#[test]
fn damaged_models_in_a_tokenizer_json_are_named() {
    let with = |key: &str, value: Value| {
        let mut content = saved_by(4);
        content["model"][key] = value;
        read(&content)
    };
    for (key, value, expected) in [
        ("dropout", json!(0.1), "model.dropout"),
        (
            "continuing_subword_prefix",
            json!("##"),
            "model.continuing_subword_prefix",
        ),
        (
            "end_of_word_suffix",
            json!("</w>"),
            "model.end_of_word_suffix",
        ),
        ("byte_fallback", json!(true), "model.byte_fallback"),
        ("unk_token", json!("none"), "unk_token"),
        (
            "merges",
            json!([["a", "b"], ["a", "日"]]),
            "model.merges[1]",
        ),
        ("merges", json!(["a b c"]), "model.merges[0]"),
        ("merges", json!([["h", "e"], ["", "he"]]), "model.merges[1]"),
        ("merges", json!([1]), "JSON"),
        ("merges", json!({}), "JSON"),
        ("vocab", json!([["a", 0.0]]), "object of tokens"),
        ("type", json!("WordLevel"), "model.type: WordLevel"),
    ] {
        let error = with(key, value.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{key} {value}: {error}");
    }
    // A dropout of none, and no type, as old files have it.
    assert!(with("dropout", json!(0.0)).is_ok());
    assert!(with("type", Value::Null).is_ok());
    let mut without = variant(&json!({"without": ["e"]}));
    without["model"]["unk_token"] = Value::Null;
    let error = read(&without)
        .unwrap()
        .encode("be", &untrimmed())
        .unwrap_err();
    assert!(error.to_string().contains("none for 'e'"), "{error}");
}

#[test]
fn long_lines_take_little_time() {
    let Some(directory) = asset("tokenizers/deberta-v1") else {
        return;
    };
    let tokenizer = DebertaTokenizer::from_dir(directory).unwrap();
    let mut state = 1_u64;
    let mut letters = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + (state >> 33) as u8 % 26)
    };
    let random: String = (0..1_000_000).map(|_| letters()).collect();
    for line in [
        "a".repeat(1_000_000),
        random,
        "!".repeat(1_000_000),
        "ab".repeat(500_000),
        "😀".repeat(250_000),
        "日".repeat(333_333),
        "a ".repeat(500_000),
        " ".repeat(1_000_000),
        "\u{3000}".repeat(333_333),
        "'".repeat(1_000_000),
        "'s".repeat(500_000),
        "e\u{301}".repeat(333_333),
        "[MASK".repeat(200_000),
        " [MASK]".repeat(142_857),
    ] {
        let start = Instant::now();
        let encoding = tokenizer.encode(&line, &EncodeOptions::default()).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let first: String = line.chars().take(3).collect();
        eprintln!("{first:?}...: {} tokens, {seconds:.3} s", encoding.len());
        // Quadratic time would be hours.
        assert!(seconds < 10.0, "{first:?}... took {seconds} s");
        let decoded = tokenizer.decode(&encoding.ids, true).unwrap();
        if !line.contains("[MASK]") {
            assert!(decoded == line, "{first:?}... does not come back");
        }
    }
}
