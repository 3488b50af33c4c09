//! `DebertaTokenizer` against what the published DeBERTa-v3 tokenizers were recorded to give.

use std::fs;
use std::path::PathBuf;

use deberta_tests::asset;
use serde_json::{Value, json};
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};

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
