//! The small models under `tests/fixtures/tokenizer`, against what the C++ library recorded for them
//! (`tests/reference/sentencepiece_fixtures.py`), and properties that hold for any text.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;
use tokenizer_spm::{PieceType, SentencePiece, TokenizerError};

const MODELS: [&str; 5] = ["unigram", "bpe", "char", "word", "suffix"];

fn fixture(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "tests",
        "fixtures",
        "tokenizer",
        name,
    ]
    .iter()
    .collect()
}

fn load(name: &str) -> SentencePiece {
    SentencePiece::from_file(fixture(&format!("{name}.model"))).unwrap()
}

#[test]
fn every_recorded_line_comes_out_the_same() {
    for name in MODELS {
        let model = load(name);
        let lines = std::fs::read_to_string(fixture(&format!("{name}.jsonl"))).unwrap();
        assert!(lines.lines().count() > 100);
        for line in lines.lines() {
            let expected: Value = serde_json::from_str(line).unwrap();
            let numbers = |value: &Value| -> Vec<u32> {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| id.as_u64().unwrap() as u32)
                    .collect()
            };
            let ids = numbers(&expected["ids"]);
            assert_eq!(
                model.decode(&ids).unwrap(),
                expected["decoded"],
                "{name}: {line}"
            );
            let Some(text) = expected["text"].as_str() else {
                continue;
            };
            assert_eq!(
                model.normalize(text),
                expected["normalized"],
                "{name}: {line}"
            );
            assert_eq!(model.encode_ids(text), ids, "{name}: {line}");
            let pieces = model.encode(text);
            assert!(
                pieces.iter().map(|piece| piece.id).eq(ids),
                "{name}: {line}"
            );
            let texts = expected["pieces"]
                .as_array()
                .unwrap()
                .iter()
                .map(|piece| piece.as_str());
            assert!(
                pieces
                    .iter()
                    .map(|piece| Some(piece.piece.as_str()))
                    .eq(texts),
                "{name}: {pieces:?} {line}"
            );
            let spans = expected["spans"].as_array().unwrap().iter().map(numbers);
            assert!(
                pieces
                    .iter()
                    .map(|piece| vec![piece.start as u32, piece.end as u32])
                    .eq(spans),
                "{name}: {pieces:?} {line}"
            );
        }
    }
}

#[test]
fn the_vocabulary_can_be_looked_up() {
    let model = load("unigram");
    assert_eq!(model.id_to_piece(3), Some("[UNK]"));
    assert_eq!(model.piece_to_id("[MASK]"), Some(4));
    assert_eq!(model.piece_to_id("no such piece"), None);
    assert_eq!(
        (
            model.pad_id(),
            model.bos_id(),
            model.eos_id(),
            model.unk_id()
        ),
        (Some(0), Some(1), Some(2), 3)
    );
    assert_eq!(model.piece_type(0), Some(PieceType::Control));
    assert_eq!(model.piece_type(3), Some(PieceType::Unknown));
    assert_eq!(model.piece_type(4), Some(PieceType::UserDefined));
    assert_eq!(
        model.piece_type(model.piece_to_id("<0x0A>").unwrap()),
        Some(PieceType::Byte)
    );
    assert!(model.has_byte_fallback());
    let size = model.vocab_size() as u32;
    for id in 0..size {
        assert_eq!(model.piece_to_id(model.id_to_piece(id).unwrap()), Some(id));
        assert!(model.score(id).is_some());
    }
    assert_eq!(
        (
            model.id_to_piece(size),
            model.piece_type(size),
            model.score(size)
        ),
        (None, None, None)
    );

    let model = load("char");
    assert_eq!(
        (model.unk_id(), model.bos_id(), model.eos_id()),
        (0, Some(1), Some(2))
    );
    assert_eq!(model.pad_id(), None);
    assert!(!model.has_byte_fallback());
}

#[test]
fn an_id_outside_the_vocabulary_is_an_error() {
    for name in MODELS {
        let model = load(name);
        for id in [model.vocab_size() as u32, u32::MAX] {
            let error = model.decode(&[5, id]).unwrap_err();
            assert!(matches!(error, TokenizerError::IdOutOfRange { id: found, .. } if found == id));
        }
    }
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.model");
    let error = SentencePiece::from_file(&path).unwrap_err();
    assert!(matches!(error, TokenizerError::Io { .. }));
    assert!(error.to_string().contains("broken.model"), "{error}");
    std::fs::write(&path, "{\"not\": \"a protobuf\"}").unwrap();
    let error = SentencePiece::from_file(&path).unwrap_err();
    assert!(error.to_string().contains("broken.model"), "{error}");
}

#[test]
fn a_truncated_model_never_panics() {
    for name in MODELS {
        let bytes = std::fs::read(fixture(&format!("{name}.model"))).unwrap();
        let whole = SentencePiece::from_bytes(&bytes).unwrap().vocab_size();
        for length in 0..bytes.len() {
            if let Ok(model) = SentencePiece::from_bytes(&bytes[..length]) {
                // Cut exactly between two fields: what is left must be a model of its own.
                assert!(model.vocab_size() <= whole);
                exercise(&model, "some <sep>text é 😀");
            }
        }
    }
}

/// Everything that can be done with a text, and what must hold of it whatever the model.
fn exercise(model: &SentencePiece, text: &str) {
    let pieces = model.encode(text);
    let mut end = 0;
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            assert_eq!(piece.start, end, "{text:?}: {pieces:?}");
        }
        assert!(
            piece.start <= piece.end && piece.end <= text.len(),
            "{text:?}: {pieces:?}"
        );
        assert!(text.is_char_boundary(piece.start) && text.is_char_boundary(piece.end));
        assert!((piece.id as usize) < model.vocab_size());
        end = piece.end;
    }
    let ids = model.encode_ids(text);
    assert!(
        pieces.iter().map(|piece| piece.id).eq(ids.iter().copied()),
        "{text:?}"
    );
    let tokens = model.encode_tokens(text);
    assert!(
        tokens
            .iter()
            .map(|token| (token.id, token.start, token.end))
            .eq(pieces
                .iter()
                .map(|piece| (piece.id, piece.start, piece.end))),
        "{text:?}"
    );
    model.decode(&ids).unwrap();
}

/// Text made to hit the models' rules: spaces, symbols, composing characters, and anything else.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        proptest::sample::select(vec![
            " ",
            "  ",
            "\t",
            "\u{3000}",
            "\u{2581}",
            "\u{200b}",
            "[MASK]",
            "<sep>",
            "<sep><sep>",
            "a b",
            "<s>",
            "<unk>",
            "<0x41>",
            "e\u{301}",
            "ﬁ",
            "½",
            "か\u{3099}",
            "License",
            "the",
            "\0",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[a-z]{1,8}",
        "\\PC{0,4}",
    ];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_covered_in_order(text in texts()) {
        for name in MODELS {
            exercise(&load(name), &text);
        }
    }

    #[test]
    fn any_ids_decode(ids in proptest::collection::vec(0u32..700, 0..20)) {
        for name in MODELS {
            let model = load(name);
            let in_range = ids.iter().all(|&id| (id as usize) < model.vocab_size());
            prop_assert_eq!(model.decode(&ids).is_ok(), in_range);
        }
    }

    #[test]
    fn a_damaged_model_never_panics(
        name in proptest::sample::select(MODELS.to_vec()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        text in texts(),
    ) {
        let mut bytes = std::fs::read(fixture(&format!("{name}.model"))).unwrap();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(model) = SentencePiece::from_bytes(&bytes) {
            exercise(&model, &text);
        }
    }
}
