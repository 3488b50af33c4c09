//! `DebertaTokenizer` against what the published DeBERTa-v3 tokenizers were recorded to give.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use deberta_tests::{asset, workspace_root};
use serde_json::{Value, json};
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions, Input, Padding, Side, Truncation};

/// The published models and the source of each one's vocabulary.
const PUBLISHED: [(&str, &str); 8] = [
    ("microsoft--deberta-v3-small", "spm.model"),
    ("microsoft--deberta-v3-base", "spm.model"),
    ("microsoft--deberta-v3-large", "spm.model"),
    ("MoritzLaurer--DeBERTa-v3-base-mnli-fever-anli", "spm.model"),
    (
        "MoritzLaurer--DeBERTa-v3-large-mnli-fever-anli-ling-wanli",
        "spm.model",
    ),
    (
        "OpenAssistant--reward-model-deberta-v3-large-v2",
        "spm.model",
    ),
    ("deepset--deberta-v3-large-squad2", "spm.model"),
    ("sileod--deberta-v3-base-tasksource-nli", "spm.model"),
];

fn vocabulary(name: &str) -> Option<PathBuf> {
    asset(&format!("tokenizers/deberta-v3/{name}"))
}

#[test]
fn published_models() {
    for (model, source) in PUBLISHED {
        let Some(recording) = asset(&format!("expected/fib-tokenizers/models--{model}.json"))
        else {
            continue;
        };
        let Some(source) = vocabulary(source) else {
            continue;
        };
        let recording: Value = serde_json::from_slice(&fs::read(recording).unwrap()).unwrap();
        let tokenizer = DebertaTokenizer::from_path(source).unwrap();
        for (token, id) in recording["special_tokens"].as_object().unwrap() {
            assert_eq!(json!(tokenizer.token_to_id(token)), *id, "{model}: {token}");
        }
        let cases = recording["datasets"].as_array().unwrap();
        assert_eq!(cases.len(), 37, "{model}");
        for case in cases {
            let text = case["input"].as_str().unwrap();
            let full = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
            assert_eq!(json!(full.ids), case["ids"], "{model}: ids of {text:?}");
            let bare = EncodeOptions {
                add_special_tokens: false,
                ..EncodeOptions::default()
            };
            let bare = tokenizer.encode(text, &bare).unwrap();
            assert_eq!(
                json!(bare.tokens),
                case["tokens"],
                "{model}: tokens of {text:?}"
            );
            let decoded = tokenizer.decode(&full.ids, true).unwrap();
            assert_eq!(
                json!(decoded),
                case["decoded"],
                "{model}: decoding of {text:?}"
            );
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    match std::env::var_os("HF_TOKENIZER_FIXTURES") {
        Some(folder) => PathBuf::from(folder).join(name),
        None => workspace_root().join("tests/fixtures/tokenizer").join(name),
    }
}

/// A folder with the small model of the fixtures and these files, removed in the end.
struct Checkpoint(PathBuf);

impl Checkpoint {
    fn new(name: &str, files: &[(&str, &Value)]) -> Self {
        let folder = std::env::temp_dir().join(format!("deberta-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(fixture("hf_spm.model"), folder.join("spm.model")).unwrap();
        for (file, content) in files {
            fs::write(folder.join(file), content.to_string()).unwrap();
        }
        Self(folder)
    }

    fn tokenizer(&self) -> DebertaTokenizer {
        DebertaTokenizer::from_dir(&self.0).unwrap()
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // What is left over in the folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bare() -> EncodeOptions {
    EncodeOptions {
        add_special_tokens: false,
        ..EncodeOptions::default()
    }
}

#[test]
fn the_slow_tokenizer_with_its_settings() {
    let recording = fs::read_to_string(fixture("hf_slow.jsonl")).unwrap();
    let mut count = 0;
    for (number, line) in recording.lines().enumerate() {
        let recording: Value = serde_json::from_str(line).unwrap();
        let config = &recording["config"];
        let name = format!("slow-{number}");
        let tokenizer = Checkpoint::new(&name, &[("tokenizer_config.json", config)]).tokenizer();
        for case in recording["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let full = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
            assert_eq!(
                json!(full.ids),
                case["ids"],
                "ids of {text:?} with {config}"
            );
            let tokens = tokenizer.encode(text, &bare()).unwrap().tokens;
            assert_eq!(
                json!(tokens),
                case["tokens"],
                "tokens of {text:?} with {config}"
            );
            let decode = |skip| tokenizer.decode(&full.ids, skip).unwrap();
            let decoded = json!([decode(true), decode(false)]);
            assert_eq!(
                decoded, case["decoded"],
                "decoding of {text:?} with {config}"
            );
            count += 1;
        }
    }
    assert!(count >= 16, "{count} texts");
}

#[test]
fn files_may_be_missing() {
    let tokenizer = Checkpoint::new("bare", &[]).tokenizer();
    assert_eq!(tokenizer.vocab_size(), 901);
    assert_eq!(
        [
            tokenizer.pad_token_id(),
            tokenizer.cls_token_id(),
            tokenizer.sep_token_id(),
            tokenizer.unk_token_id(),
            tokenizer.mask_token_id(),
        ],
        [Some(0), Some(1), Some(2), Some(3), Some(900)]
    );
    assert_eq!(tokenizer.id_to_token(900), Some("[MASK]"));
    assert_eq!(tokenizer.id_to_token(901), None);
    assert_eq!(tokenizer.model_max_length(), None);

    let empty = Checkpoint::new("empty", &[]);
    fs::remove_file(empty.0.join("spm.model")).unwrap();
    let error = DebertaTokenizer::from_dir(&empty.0)
        .unwrap_err()
        .to_string();
    assert!(
        [
            "tokenizer.json",
            "spm.model",
            "spiece.model",
            "vocab.json and merges.txt"
        ]
        .iter()
        .all(|name| error.contains(name)),
        "{error}"
    );
    let error = DebertaTokenizer::from_dir(empty.0.join("none"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("none"), "{error}");
}

#[test]
fn settings_come_from_the_files() {
    let config = json!({
        "model_max_length": 512, "truncation_side": "left", "padding_side": "left",
        "cls_token": "<cls>", "unk_token": null,
    });
    let map = json!({"mask_token": {"content": "<m>", "lstrip": true}, "sep_token": "[SEP]"});
    let added = json!({"<m>": 1000, "<cls>": 950, "word": 951});
    let tokenizer = Checkpoint::new(
        "settings",
        &[
            ("tokenizer_config.json", &config),
            ("special_tokens_map.json", &map),
            ("added_tokens.json", &added),
        ],
    )
    .tokenizer();
    assert_eq!(tokenizer.model_max_length(), Some(512));
    assert_eq!(
        (tokenizer.truncation_side(), tokenizer.padding_side()),
        (Side::Left, Side::Left)
    );
    assert_eq!(tokenizer.cls_token_id(), Some(950));
    assert_eq!(tokenizer.mask_token_id(), Some(1000));
    assert_eq!(tokenizer.unk_token_id(), None);
    let encoding = tokenizer
        .encode("a  <m> word", &EncodeOptions::default())
        .unwrap();
    assert_eq!(encoding.tokens, ["<cls>", "▁a", "<m>", "word", "[SEP]"]);
    assert_eq!(encoding.offsets, [(0, 0), (0, 1), (3, 6), (7, 11), (0, 0)]);
    assert_eq!(encoding.word_ids, [None, Some(0), Some(1), Some(2), None]);
    assert_eq!(tokenizer.decode(&encoding.ids, true).unwrap(), "a word");
}

#[test]
fn malformed_files_are_named() {
    for (file, content, expected) in [
        ("tokenizer_config.json", json!([]), "tokenizer_config.json"),
        (
            "tokenizer_config.json",
            json!({"model_max_length": -1}),
            "model_max_length",
        ),
        (
            "tokenizer_config.json",
            json!({"model_max_length": "no"}),
            "model_max_length",
        ),
        (
            "tokenizer_config.json",
            json!({"do_lower_case": 1}),
            "do_lower_case",
        ),
        (
            "tokenizer_config.json",
            json!({"padding_side": "up"}),
            "padding_side",
        ),
        (
            "tokenizer_config.json",
            json!({"cls_token": 7}),
            "cls_token",
        ),
        (
            "tokenizer_config.json",
            json!({"cls_token": null}),
            "cls_token",
        ),
        (
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {"x": {}}}),
            "no id",
        ),
        (
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {"5": {}}}),
            "content",
        ),
        (
            "special_tokens_map.json",
            json!({"additional_special_tokens": 1}),
            "additional",
        ),
        (
            "added_tokens.json",
            json!({"[MASK]": 5_000_000_000_u64}),
            "[MASK]",
        ),
        ("tokenizer.json", json!({}), "tokenizer.json"),
    ] {
        let checkpoint = Checkpoint::new("malformed", &[(file, &content)]);
        let error = DebertaTokenizer::from_dir(&checkpoint.0)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected) && error.contains(file),
            "{file} {content}: {error}"
        );
    }
}

#[test]
fn windows_lose_nothing() {
    let tokenizer = Checkpoint::new("windows", &[]).tokenizer();
    let text = "It is a truth universally acknowledged, that a single man in possession of a good \
                fortune, must be in want of a wife. 生 😀";
    let whole = tokenizer.encode(text, &bare()).unwrap();
    assert_eq!(whole.dropped, 0);
    for side in [Side::Left, Side::Right] {
        let options = EncodeOptions {
            truncation: Some(Truncation {
                max_length: 12,
                stride: 3,
                side,
                ..Default::default()
            }),
            padding: Some(Padding {
                multiple_of: Some(8),
                ..Default::default()
            }),
            ..EncodeOptions::default()
        };
        let main = tokenizer.encode(text, &options).unwrap();
        assert_eq!(main.dropped, whole.len() - 10);
        let mut seen = vec![false; whole.len()];
        for window in std::iter::once(&main).chain(&main.overflowing) {
            assert_eq!(window.len(), 16);
            let inside = window
                .special_tokens_mask
                .iter()
                .filter(|&&special| special == 0)
                .count();
            assert_eq!(
                window.attention_mask.iter().sum::<u32>() as usize,
                inside + 2
            );
            assert_eq!(window.dropped, whole.len() - inside);
            let start = (0..=whole.len() - inside)
                .find(|&start| {
                    whole.ids[start..start + inside] == window.ids[1..1 + inside]
                        && whole.offsets[start..start + inside] == window.offsets[1..1 + inside]
                })
                .expect("a window is a part of the text");
            seen[start..start + inside].fill(true);
            let dressed = tokenizer.with_special_tokens(&whole.slice(start..start + inside), None);
            assert_eq!(dressed.ids[..], window.ids[..inside + 2]);
            assert_eq!(dressed.sequence_ids[..], window.sequence_ids[..inside + 2]);
        }
        assert!(seen.iter().all(|&seen| seen), "{side:?}");
        let without = EncodeOptions {
            overflowing: false,
            ..options
        };
        let without = tokenizer.encode(text, &without).unwrap();
        assert_eq!((without.ids, without.overflowing.len()), (main.ids, 0));
    }
}

#[test]
fn batches_are_in_order_and_padded_together() {
    let tokenizer = Checkpoint::new("batches", &[]).tokenizer();
    let texts: Vec<String> = (0..200).map(|n| "word ".repeat(n % 17)).collect();
    let inputs: Vec<Input> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| {
            if n % 3 == 0 {
                Input::Pair(text, "x")
            } else {
                Input::Single(text)
            }
        })
        .collect();
    let options = EncodeOptions {
        padding: Some(Padding::default()),
        ..EncodeOptions::default()
    };
    let batch = tokenizer.encode_batch(&inputs, &options).unwrap();
    let longest = batch
        .iter()
        .map(|encoding| encoding.attention_mask.iter().sum::<u32>())
        .max();
    for (encoding, &input) in batch.iter().zip(&inputs) {
        assert_eq!(encoding.len(), longest.unwrap() as usize);
        let alone = tokenizer.encode(input, &EncodeOptions::default()).unwrap();
        assert_eq!(encoding.slice(0..alone.len()).ids, alone.ids);
        assert!(encoding.ids[alone.len()..].iter().all(|&id| id == 0));
    }
    assert!(
        tokenizer
            .encode_batch::<Input>(&[], &options)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn both_sources_of_the_real_vocabulary() {
    let (Some(spm), Some(json)) = (vocabulary("spm.model"), vocabulary("tokenizer.json")) else {
        return;
    };
    let spm = DebertaTokenizer::from_path(spm).unwrap();
    let json = DebertaTokenizer::from_path(json).unwrap();
    assert_eq!((spm.vocab_size(), json.vocab_size()), (128_001, 128_001));
    let text = "  DeBERTa, [MASK] of Google\u{a0}naïve\n";
    for options in [EncodeOptions::default(), bare()] {
        let (spm, json) = (
            spm.encode(text, &options).unwrap(),
            json.encode(text, &options).unwrap(),
        );
        assert_eq!(spm.ids, json.ids);
        assert_eq!(spm.offsets, json.offsets);
        assert_eq!(spm.char_offsets, json.char_offsets);
    }
    // A rare character is bytes in one and unknown in the other; either has the whole span.
    let spm = spm.encode("a 谛 b", &bare()).unwrap();
    assert_eq!(spm.tokens, ["▁a", "▁", "<0xE8>", "<0xB0>", "<0x9B>", "▁b"]);
    assert_eq!(
        spm.offsets,
        [(0, 1), (2, 2), (2, 5), (2, 5), (2, 5), (6, 7)]
    );
    let json = json.encode("a 谛 b", &bare()).unwrap();
    assert_eq!(json.ids, [266, 507, 3, 2165]);
}

#[test]
fn long_lines_take_linear_time() {
    let Some(spm) = vocabulary("spm.model") else {
        return;
    };
    let Some(json) = vocabulary("tokenizer.json") else {
        return;
    };
    let mut state = 1_u64;
    let mut letters = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + (state >> 33) as u8 % 26)
    };
    let random: String = (0..1_000_000).map(|_| letters()).collect();
    let lines = [
        "a".repeat(1_000_000),
        random,
        "!".repeat(1_000_000),
        "😀".repeat(250_000),
        "a ".repeat(500_000),
        " ".repeat(1_000_000),
        "e\u{301}".repeat(333_333),
        "\u{301}".repeat(500_000),
        "🇩🇪".repeat(125_000),
        "[MASK".repeat(200_000),
        "[MASK]".repeat(166_666),
    ];
    for source in [spm, json] {
        let tokenizer = DebertaTokenizer::from_path(&source).unwrap();
        for line in &lines {
            let start = Instant::now();
            let encoding = tokenizer.encode(line, &EncodeOptions::default()).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let first: String = line.chars().take(3).collect();
            eprintln!("{first:?}...: {} tokens, {seconds:.3} s", encoding.len());
            // Quadratic time would be hours.
            assert!(
                seconds < 10.0,
                "{first:?}... took {seconds} s with {}",
                source.display()
            );
        }
    }
}
