//! BERT's tokenizers against Hugging Face's: fixtures of `tests/reference/bert_fixtures.py`.

mod recorded;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use deberta_tests::fixture;
use proptest::prelude::*;
use recorded::{step, untrimmed};
use serde_json::{Map, Value, json};
use tokenizer_spm::hf::{EncodeOptions, HfTokenizer, Input, PadTo, Padding};

/// A file of the fixtures. A longer run of the script, in another folder, is compared with
/// `BERT_FIXTURES=FOLDER`.
fn read(name: &str) -> String {
    let folder = std::env::var_os("BERT_FIXTURES");
    let folder = folder.map_or_else(|| fixture("tokenizer/bert"), PathBuf::from);
    fs::read_to_string(folder.join(name)).unwrap()
}

fn lines(name: &str) -> Vec<Value> {
    let content = read(name);
    let lines = content.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A tokenizer.json with the vocabulary put in.
fn complete(config: &Value) -> Vec<u8> {
    let mut file = config["file"].clone();
    let name = config["vocab"].as_str().unwrap();
    if name == "byte_level" {
        let folder = fixture("tokenizer/byte_level");
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        file["model"]["vocab"] = serde_json::from_str(&read("vocab.json")).unwrap();
        let merges = read("merges.txt");
        let merges = merges.lines().filter(|line| !line.starts_with("#version"));
        file["model"]["merges"] = merges.collect();
    } else {
        let tokens = read(&format!("{name}.txt"));
        let numbered = tokens
            .lines()
            .zip(0..)
            .map(|(t, id)| (t.to_owned(), json!(id)));
        file["model"]["vocab"] = Value::Object(numbered.collect::<Map<_, _>>());
    }
    serde_json::to_vec(&file).unwrap()
}

/// The tokenizers of the fixtures, each with its name.
fn tokenizers() -> Vec<(String, HfTokenizer)> {
    let configs: Vec<Value> = serde_json::from_str(&read("configs.json")).unwrap();
    let tokenizer = |config: &Value| {
        let name = config["name"].as_str().unwrap().to_owned();
        let found = HfTokenizer::from_bytes(&complete(config));
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, found)
    };
    configs.iter().map(tokenizer).collect()
}

/// Spans in characters as spans in bytes.
fn bytes(text: &str, spans: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    places.push(text.len());
    let span = |&(start, end): &(usize, usize)| (places[start], places[end]);
    spans.iter().map(span).collect()
}

fn flat(spans: &[(usize, usize)]) -> Vec<usize> {
    spans
        .iter()
        .flat_map(|&(start, end)| [start, end])
        .collect()
}

#[test]
fn texts() {
    let tokenizers = tokenizers();
    let cases = lines("texts.jsonl");
    for case in &cases {
        let (name, tokenizer) = &tokenizers[case["config"].as_u64().unwrap() as usize];
        let text = case["text"].as_str().unwrap();
        let input = match case["pair"].as_str() {
            Some(pair) => Input::Pair(text, pair),
            None => Input::Single(text),
        };
        let found = tokenizer.encode(input, &untrimmed()).unwrap();
        assert_eq!(json!(found.ids), case["ids"], "{name}: ids of {text:?}");
        assert_eq!(
            json!(flat(&found.char_offsets)),
            case["offsets"],
            "{name}: offsets of {text:?}"
        );
        if case["pair"].is_null() {
            assert_eq!(
                found.offsets,
                bytes(text, &found.char_offsets),
                "{name}: {text:?}"
            );
        }
        assert_eq!(
            json!(tokenizer.decode(&found.ids, false).unwrap()),
            case["decoded"],
            "{name}: decoding of {text:?}"
        );
    }
    assert!(cases.len() >= 200, "{} texts", cases.len());
}

#[test]
fn every_combination_of_components() {
    let cases = lines("cases.jsonl");
    let refused = recorded::compare_all(&tokenizers(), &cases);
    assert!(cases.len() > 90, "{} cases", cases.len());
    assert!(refused < cases.len() / 4, "{refused} refused");
}

#[test]
fn every_code_point() {
    let expected: BTreeMap<String, String> =
        serde_json::from_str(&read("codepoints.json")).unwrap();
    assert_eq!(expected.len(), 6);
    for (name, expected) in expected {
        let mut normalizer = json!({
            "type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": false,
            "strip_accents": false, "lowercase": false,
        });
        let tokenizer = match name.as_str() {
            "BertPreTokenizer" => step(Value::Null, json!({"type": "BertPreTokenizer"})),
            "all" => {
                for key in ["clean_text", "handle_chinese_chars", "lowercase"] {
                    normalizer[key] = json!(true);
                }
                normalizer["strip_accents"] = Value::Null;
                step(normalizer, Value::Null)
            }
            key => {
                normalizer[key] = json!(true);
                step(normalizer, Value::Null)
            }
        };
        assert_eq!(
            recorded::parts_of_all_code_points(&tokenizer),
            expected,
            "{name} over all code points"
        );
    }
}

/// A directory with a `vocab.txt` and other files.
fn directory(vocabulary: &[u8], files: &Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("vocab.txt"), vocabulary).unwrap();
    for (name, content) in files.as_object().unwrap() {
        fs::write(directory.path().join(name), content.to_string()).unwrap();
    }
    directory
}

#[test]
fn directories_with_a_vocab_txt() {
    let directories: Vec<Value> = serde_json::from_str(&read("directories.json")).unwrap();
    assert_eq!(directories.len(), 9);
    for expected in &directories {
        let name = expected["name"].as_str().unwrap();
        let vocabulary = read(&format!("{}.txt", expected["vocab"].as_str().unwrap()));
        let directory = directory(vocabulary.as_bytes(), &expected["files"]);
        let tokenizer = HfTokenizer::from_vocab_txt(directory.path())
            .unwrap_or_else(|error| panic!("{name}: {error}"));

        let added: Vec<Value> = tokenizer
            .added_tokens()
            .into_iter()
            .map(|(id, token)| {
                json!({
                    "id": id, "content": token.content, "single_word": token.single_word,
                    "lstrip": token.lstrip, "rstrip": token.rstrip,
                    "normalized": token.normalized, "special": token.special,
                })
            })
            .collect();
        assert_eq!(
            json!(added),
            expected["added_tokens"],
            "{name}: added tokens"
        );

        for case in expected["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let found = tokenizer.encode(text, &untrimmed()).unwrap();
            assert_eq!(json!(found.ids), case["ids"], "{name}: ids of {text:?}");
            assert_eq!(
                json!(found.char_offsets),
                case["offsets"],
                "{name}: offsets of {text:?}"
            );
            let decode = |skip| tokenizer.decode(&found.ids, skip).unwrap();
            assert_eq!(
                json!([decode(true), decode(false)]),
                case["decoded"],
                "{name}: decoding of {text:?}"
            );
        }
        let padded = EncodeOptions {
            padding: Some(Padding {
                to: PadTo::Fixed(14),
                ..Padding::default()
            }),
            ..untrimmed()
        };
        let pair = tokenizer.encode(("a cat", "the dog"), &padded).unwrap();
        assert_eq!(
            json!({"ids": pair.ids, "type_ids": pair.type_ids}),
            expected["padded_pair"],
            "{name}"
        );
    }
}

/// What is said of a directory.
fn refusal(vocabulary: &[u8], files: Value) -> String {
    let directory = directory(vocabulary, &files);
    let error = HfTokenizer::from_vocab_txt(directory.path()).expect_err(&files.to_string());
    error.to_string()
}

const SMALL: &[u8] = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n";

#[test]
fn settings_that_are_not_followed_are_refused_by_name() {
    for (key, value) in [
        ("do_basic_tokenize", json!(false)),
        ("do_split_on_punc", json!(false)),
        ("clean_text", json!(false)),
        ("split_special_tokens", json!(true)),
        ("never_split", json!(["a"])),
        ("wordpieces_prefix", json!("@@")),
        ("tokenizer_class", json!("BertJapaneseTokenizer")),
        ("tokenizer_class", json!("PreTrainedTokenizerFast")),
        ("tokenizer_class", json!(1)),
        ("image_token", json!("<image>")),
        ("extra_special_tokens", json!({"image_token": "<image>"})),
        ("cls_token", Value::Null),
        ("sep_token", Value::Null),
        ("unk_token", Value::Null),
        ("do_lower_case", Value::Null),
        ("do_lower_case", json!("yes")),
        ("strip_accents", json!(0)),
        ("tokenize_chinese_chars", json!([])),
        ("clean_up_tokenization_spaces", json!("")),
        ("padding_side", json!("top")),
        ("model_max_length", json!(-1)),
        ("additional_special_tokens", json!("<a>")),
        ("added_tokens_decoder", json!([])),
        ("mask_token", json!(7)),
    ] {
        let message = refusal(SMALL, json!({"tokenizer_config.json": {key: value}}));
        assert!(message.contains(key), "{key}: {message}");
        assert!(message.contains("tokenizer_config.json"), "{message}");
    }
    let both = json!({"additional_special_tokens": ["<a>"], "extra_special_tokens": ["<b>"]});
    let message = refusal(SMALL, json!({ "tokenizer_config.json": both }));
    assert!(message.contains("extra_special_tokens"), "{message}");
    let map = json!({"special_tokens_map.json": {"image_token": "<image>"}});
    let message = refusal(SMALL, map);
    assert!(message.contains("special_tokens_map.json") && message.contains("image_token"));
}

#[test]
fn damaged_directories_are_refused() {
    let message = |vocabulary: &[u8]| refusal(vocabulary, json!({}));
    let twice = message(b"[UNK]\na\nb\na\n");
    assert!(
        twice.contains("vocab.txt, line 4") && twice.contains("line 2"),
        "{twice}"
    );
    let spaces = message(b"[UNK]\na\na \r\n");
    assert!(spaces.contains("line 3"), "{spaces}");
    let bytes = message(b"[UNK]\na\n\xE3\x81\n");
    assert!(
        bytes.contains("line 3") && bytes.contains("UTF-8"),
        "{bytes}"
    );
    let unknown = message(b"[PAD]\na\n");
    assert!(
        unknown.contains("vocab.txt") && unknown.contains("[UNK]"),
        "{unknown}"
    );
    assert!(message(b"").contains("vocab.txt"));

    let folder = directory(SMALL, &json!({}));
    fs::write(folder.path().join("tokenizer_config.json"), "{\"do_lower").unwrap();
    let error = HfTokenizer::from_vocab_txt(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("tokenizer_config.json"),
        "{error}"
    );
    fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    fs::write(folder.path().join("added_tokens.json"), "{\"a\": -1}").unwrap();
    assert!(HfTokenizer::from_vocab_txt(folder.path()).is_err());
    fs::remove_file(folder.path().join("added_tokens.json")).unwrap();
    assert!(HfTokenizer::from_vocab_txt(folder.path()).is_ok());
    fs::remove_file(folder.path().join("vocab.txt")).unwrap();
    let error = HfTokenizer::from_vocab_txt(folder.path()).unwrap_err();
    assert!(error.to_string().contains("vocab.txt"), "{error}");
}

/// A small file, to be damaged.
fn small() -> Value {
    json!({
        "version": "1.0", "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1],
                           "trim_offsets": true, "add_prefix_space": false},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}},
    })
}

#[test]
fn files_with_something_missing_are_refused_by_name() {
    let error = |file: &Value| {
        let bytes = serde_json::to_vec(file).unwrap();
        HfTokenizer::from_bytes(&bytes).unwrap_err().to_string()
    };
    assert!(HfTokenizer::from_bytes(&serde_json::to_vec(&small()).unwrap()).is_ok());
    for (component, keys) in [
        (
            "normalizer",
            &["clean_text", "handle_chinese_chars", "lowercase"][..],
        ),
        (
            "post_processor",
            &["sep", "cls", "trim_offsets", "add_prefix_space"],
        ),
        ("decoder", &["prefix", "cleanup"]),
        (
            "model",
            &[
                "unk_token",
                "continuing_subword_prefix",
                "max_input_chars_per_word",
            ],
        ),
    ] {
        for key in keys {
            let mut file = small();
            file[component].as_object_mut().unwrap().remove(*key);
            let message = error(&file);
            assert!(
                message.contains(component) && message.contains(key),
                "{message}"
            );
        }
    }
    for (component, key, value, named) in [
        ("normalizer", "strip_accents", json!("no"), "normalizer"),
        (
            "post_processor",
            "type",
            json!("BertProcessor"),
            "BertProcessor",
        ),
        (
            "post_processor",
            "sep",
            json!(["[SEP]", -2]),
            "post_processor",
        ),
        ("decoder", "type", json!("WordPieces"), "WordPieces"),
        ("model", "type", json!("WordLevel"), "WordLevel"),
        ("model", "unk_token", json!("?"), "unk_token"),
        ("model", "vocab", json!({"[UNK]": 0, "a": 0}), "id 0"),
        ("model", "vocab", json!([["[UNK]", 0.0]]), "vocab"),
    ] {
        let mut file = small();
        file[component][key] = value;
        let message = error(&file);
        assert!(message.contains(named), "{message}");
    }
    let mut twice = small();
    let level = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true});
    twice["post_processor"] =
        json!({"type": "Sequence", "processors": [level, twice["post_processor"]]});
    assert!(
        error(&twice).contains("post_processor"),
        "{}",
        error(&twice)
    );

    let text = small().to_string();
    for end in 0..text.len() {
        assert!(HfTokenizer::from_bytes(&text.as_bytes()[..end]).is_err());
    }
    let twice = text.replace("\"##b\":4", "\"a\":4");
    assert!(HfTokenizer::from_bytes(twice.as_bytes()).is_err());
}

#[test]
fn a_file_without_a_model_type_is_known_by_its_keys() {
    let mut file = small();
    file["model"].as_object_mut().unwrap().remove("type");
    let tokenizer = HfTokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap();
    assert_eq!(
        tokenizer.encode("ab", &untrimmed()).unwrap().ids,
        [1, 3, 4, 2]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spans_are_whole_characters_of_the_text(
        text in "([a-zA-Z ]{0,8}|\\PC|\\p{Mn}|\\p{Han}|\\p{C}|[\\[\\]#]{0,3}|\\[MASK\\]|<l>|the ){0,12}",
        pair in "\\PC{0,12}",
        skip in any::<bool>(),
    ) {
        thread_local! {
            static TOKENIZERS: Vec<(String, HfTokenizer)> = tokenizers();
        }
        TOKENIZERS.with(|tokenizers| {
            for (name, tokenizer) in tokenizers {
                for options in [untrimmed(), EncodeOptions::default()] {
                    let found = tokenizer.encode((text.as_str(), pair.as_str()), &options).unwrap();
                    for (&(start, end), sequence) in found.offsets.iter().zip(&found.sequence_ids) {
                        let Some(sequence) = *sequence else { continue };
                        let text = if sequence == 0 { &text } else { &pair };
                        prop_assert!(text.get(start..end).is_some(), "{}: {}..{}", name, start, end);
                    }
                    tokenizer.decode(&found.ids, skip).unwrap();
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_file_makes_it_panic(
        at in prop::sample::select(vec!["normalizer", "post_processor", "decoder", "model", "pre_tokenizer"]),
        key in "type|prefix|cleanup|unk_token|continuing_subword_prefix|max_input_chars_per_word|vocab|sep|cls|strip_accents",
        value in prop::sample::select(vec![
            json!(null), json!(0), json!(-1), json!(1e300), json!(""), json!("##"), json!([]), json!({}),
            json!(["[SEP]", 9]), json!({"a": 4_000_000_000_u32}), json!({"": 0, "[UNK]": 1, "##": 2}),
            json!("WordPiece"), json!(u64::MAX),
        ]),
        text in "[ab#\\[\\]MASK ]{0,20}|\\PC{0,10}",
    ) {
        let mut file = small();
        file[at][key] = value;
        if let Ok(tokenizer) = HfTokenizer::from_bytes(&serde_json::to_vec(&file).unwrap())
            && let Ok(found) = tokenizer.encode(text.as_str(), &untrimmed())
        {
            let _ = tokenizer.decode(&found.ids, false);
        }
    }
}

/// Time must not grow out of proportion: words without end, and tokens that almost fit.
#[test]
fn long_words_take_linear_time() {
    let mut file = small();
    file["model"]["max_input_chars_per_word"] = json!(u64::MAX);
    file["model"]["vocab"]["##".to_owned() + &"b".repeat(1000) + "c"] = json!(5);
    let tokenizer = HfTokenizer::from_bytes(&serde_json::to_vec(&file).unwrap()).unwrap();
    let text = "a".to_owned() + &"b".repeat(100_000);
    let start = std::time::Instant::now();
    let found = tokenizer.encode(text.as_str(), &untrimmed()).unwrap();
    assert_eq!(found.len(), 100_003);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn a_vocabulary_is_read_as_the_reference_reads_lines() {
    let read = |vocabulary: &[u8]| {
        let directory = directory(vocabulary, &json!({}));
        HfTokenizer::from_vocab_txt(directory.path()).unwrap()
    };
    // Without a last line feed, with carriage returns, with an empty line, which counts.
    let tokenizer = read(b"[UNK]\r\na\t \n\n[CLS]\n[SEP]\n\xEF\xBB\xBFb");
    assert_eq!(tokenizer.token_to_id("a"), Some(1));
    assert_eq!(tokenizer.id_to_token(2), Some(""));
    assert_eq!(tokenizer.token_to_id("\u{FEFF}b"), Some(5));
    // What is not in the vocabulary is added behind it, in the reference's order.
    assert_eq!(tokenizer.token_to_id("[PAD]"), Some(6));
    assert_eq!(tokenizer.token_to_id("[MASK]"), Some(7));
    assert_eq!(tokenizer.vocab_size(), 8);
}
