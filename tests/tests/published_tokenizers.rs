//! `DebertaTokenizer` on the byte-level vocabulary of DeBERTa v1, against what published tokenizers were
//! recorded to give; and vocabularies of mDeBERTa's size.

use std::fs;

use deberta_tests::{asset, fixture};
use serde_json::{Value, json};
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};

fn deberta_v1() -> Option<DebertaTokenizer> {
    let directory = asset("tokenizers/deberta-v1")?;
    Some(DebertaTokenizer::from_dir(directory).unwrap())
}

fn recording(model: &str) -> Option<Value> {
    let path = asset(&format!("expected/fib-tokenizers/models--{model}.json"))?;
    let recording: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(recording["datasets"].as_array().unwrap().len(), 37);
    Some(recording)
}

fn bare() -> EncodeOptions {
    EncodeOptions {
        add_special_tokens: false,
        ..EncodeOptions::default()
    }
}

/// Spaces before punctuation and English endings removed: what `transformers` did to decoded text by default
/// when the recording was made. Later versions leave byte-level text as it is, and so do we.
fn cleaned_up(text: &str) -> String {
    let rules = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    rules
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn deberta_base() {
    let (Some(tokenizer), Some(recording)) = (deberta_v1(), recording("microsoft--deberta-base"))
    else {
        return;
    };
    assert_eq!(tokenizer.vocab_size(), 50_265);
    for (token, id) in recording["special_tokens"].as_object().unwrap() {
        assert_eq!(json!(tokenizer.token_to_id(token)), *id, "{token}");
    }
    assert_eq!(tokenizer.mask_token_id(), Some(50_264));
    for case in recording["datasets"].as_array().unwrap() {
        let text = case["input"].as_str().unwrap();
        let full = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
        assert_eq!(json!(full.ids), case["ids"], "ids of {text:?}");
        let tokens = tokenizer.encode(text, &bare()).unwrap().tokens;
        assert_eq!(json!(tokens), case["tokens"], "tokens of {text:?}");
        let decoded = tokenizer.decode(&full.ids, true).unwrap();
        assert_eq!(
            json!(cleaned_up(&decoded)),
            case["decoded"],
            "decoding of {text:?}"
        );
    }
}

/// GPT-2's and RoBERTa's vocabularies have the same tokens but for the special ones.
#[test]
fn tokens_of_gpt_2_and_roberta() {
    let Some(tokenizer) = deberta_v1() else {
        return;
    };
    for model in ["gpt2", "roberta-base"] {
        let Some(recording) = recording(model) else {
            continue;
        };
        let mut compared = 0;
        for case in recording["datasets"].as_array().unwrap() {
            let text = case["input"].as_str().unwrap();
            // Specials in a text are cut out by whoever has them.
            if text.contains(['<', '[']) {
                continue;
            }
            let encoding = tokenizer.encode(text, &bare()).unwrap();
            assert_eq!(json!(encoding.tokens), case["tokens"], "{model}: {text:?}");
            let decoded = tokenizer.decode(&encoding.ids, true).unwrap();
            assert_eq!(decoded, text);
            compared += 1;
        }
        assert!(compared >= 30, "{model}: {compared} texts");
    }
}

/// The vocabulary of a tiny model in the place of mDeBERTa's, which has 250,101 pieces before the mask.
#[test]
fn the_mask_of_mdeberta() {
    let Some(recording) = recording("microsoft--mdeberta-v3-base") else {
        return;
    };
    let mask = 250_101;
    assert_eq!(recording["special_tokens"]["[MASK]"], mask);
    let mut pieces: Vec<Value> = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "▁", "▁a", "b"]
        .iter()
        .map(|piece| json!([piece, -1.0]))
        .collect();
    pieces.extend((pieces.len()..mask).map(|id| json!([format!("▁piece{id}"), -9.0])));
    let special = |id: usize, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"});
    let file = json!({
        "added_tokens": [
            special(0, "[PAD]"), special(1, "[CLS]"), special(2, "[SEP]"), special(3, "[UNK]"),
            special(mask, "[MASK]"),
        ],
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]},
            },
        },
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces},
    });
    let folder = std::env::temp_dir().join(format!("mdeberta-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tokenizer.json"), file.to_string()).unwrap();
    let tokenizer = DebertaTokenizer::from_dir(&folder);
    fs::remove_dir_all(&folder).unwrap();
    let tokenizer = tokenizer.unwrap();
    assert_eq!(tokenizer.mask_token_id(), Some(250_101));
    assert_eq!(tokenizer.vocab_size(), 250_102);
    let text = "a[MASK] piece250100";
    let encoding = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
    assert_eq!(encoding.ids, [1, 5, 250_101, 250_100, 2]);
    assert_eq!(encoding.offsets[1..4], [(0, 1), (1, 7), (8, 19)]);
    assert_eq!(
        tokenizer.decode(&[250_100, 250_101], false).unwrap(),
        "piece250100[MASK]"
    );
}

/// Where an `spm.model` comes alone, the files beside it say which id the mask has.
#[test]
fn the_mask_of_a_sentencepiece_model() {
    let model = fs::read(fixture("tokenizer/hf_spm.model")).unwrap();
    let mask = json!({"content": "[MASK]", "special": true});
    for (number, (file, content)) in [
        ("added_tokens.json", json!({"[MASK]": 250_101})),
        (
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {"250101": mask}}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = std::env::temp_dir().join(format!("mask-{number}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("spm.model"), &model).unwrap();
        fs::write(folder.join(file), content.to_string()).unwrap();
        let tokenizer = DebertaTokenizer::from_dir(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let tokenizer = tokenizer.unwrap();
        assert_eq!(tokenizer.mask_token_id(), Some(250_101), "{file}");
        let ids = tokenizer.encode("[MASK]", &bare()).unwrap().ids;
        assert_eq!(ids, [250_101]);
        assert_eq!(tokenizer.id_to_token(250_101), Some("[MASK]"));
    }
}
