//! SentencePiece models against what the C++ library (0.2.3) recorded for them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use deberta_tests::asset;
use serde::Deserialize;
use tokenizer_spm::SentencePiece;

/// One line of `expected/sentencepiece-cpp`.
#[derive(Deserialize)]
struct Expected {
    text: String,
    normalized: String,
    ids: Vec<u32>,
    pieces: Vec<String>,
    decoded: String,
    spans: Vec<(usize, usize)>,
}

fn load(model: &str) -> Option<SentencePiece> {
    let path = asset(model)?;
    Some(SentencePiece::from_file(path).unwrap_or_else(|error| panic!("{error}")))
}

/// Where the model lies that a file of expectations was recorded with.
fn model_of(expectations: &str) -> String {
    match expectations {
        "deberta-v3" => "tokenizers/deberta-v3/spm.model".to_owned(),
        "albert-v1" => "tokenizers/albert-v1/spiece.model".to_owned(),
        "mistral01" => "tokenizers/mistral/mistral01.model".to_owned(),
        google if google.starts_with("google_") => {
            format!("tokenizers/google/{}.model", &google["google_".len()..])
        }
        generated => format!("tokenizers/generated/{generated}.model"),
    }
}

fn files_in(folder: &str, extension: &str) -> Vec<PathBuf> {
    let Some(folder) = asset(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "no .{extension} file in {}",
        folder.display()
    );
    files
}

#[test]
fn agrees_with_the_reference_library_on_every_recorded_text() {
    for file in files_in("expected/sentencepiece-cpp", "jsonl") {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let model = load(&model_of(&name)).unwrap();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let expected: Expected = serde_json::from_str(line).unwrap();
            let text = expected.text.as_str();
            assert_eq!(
                model.normalize(text),
                expected.normalized,
                "{name}: {text:?}"
            );

            let pieces = model.encode(text);
            let ids: Vec<_> = pieces.iter().map(|piece| piece.id).collect();
            let texts: Vec<_> = pieces.iter().map(|piece| piece.piece.as_str()).collect();
            let spans: Vec<_> = pieces
                .iter()
                .map(|piece| (piece.start, piece.end))
                .collect();
            assert_eq!(texts, expected.pieces, "{name}: {text:?}");
            assert_eq!(ids, expected.ids, "{name}: {text:?}");
            assert_eq!(spans, expected.spans, "{name}: {text:?}");
            assert_eq!(model.encode_ids(text), expected.ids, "{name}: {text:?}");
            let tokens = model.encode_tokens(text);
            assert!(
                tokens.iter().map(|token| token.id).eq(ids.iter().copied()),
                "{name}: {text:?}"
            );
            assert!(
                tokens
                    .iter()
                    .map(|token| (token.start, token.end))
                    .eq(spans.iter().copied()),
                "{name}: {text:?}"
            );

            assert_eq!(
                model.decode(&ids).unwrap(),
                expected.decoded,
                "{name}: {text:?}"
            );
        }
    }
}

/// The map inside a model, code point by code point: `expected/normalizer` lists those that change.
fn check_every_code_point(expectations: &str, model: &str) {
    let (Some(file), Some(model)) = (asset(expectations), load(model)) else {
        return;
    };
    let mut changed: HashMap<u32, String> = HashMap::new();
    for line in std::fs::read_to_string(&file).unwrap().lines() {
        let (from, to) = line.split_once('\t').unwrap();
        let code_point = |hex: &str| u32::from_str_radix(hex, 16).unwrap();
        let to = to
            .split_whitespace()
            .map(|hex| char::from_u32(code_point(hex)).unwrap());
        changed.insert(code_point(from), to.collect());
    }
    assert!(
        changed.len() > 4000,
        "{} lists only {}",
        file.display(),
        changed.len()
    );
    for character in '\0'..=char::MAX {
        // Between two digits, so that no space is at an end and nothing composes with a neighbour.
        let mut expected = String::from("\u{2581}0");
        let to = changed
            .get(&u32::from(character))
            .cloned()
            .unwrap_or(character.into());
        for part in to.chars() {
            // Runs of spaces collapse.
            match part {
                ' ' if expected.ends_with('\u{2581}') => {}
                ' ' => expected.push('\u{2581}'),
                other => expected.push(other),
            }
        }
        expected.push('0');
        let text = format!("0{character}0");
        assert_eq!(
            model.normalize(&text),
            expected,
            "U+{:04X}",
            u32::from(character)
        );
    }
}

#[test]
fn every_code_point_is_normalised_as_the_reference_does() {
    for (expectations, model) in [
        (
            "deberta-v3_model_charsmap",
            "tokenizers/deberta-v3/spm.model",
        ),
        ("nfkc", "tokenizers/generated/char_nfkc.model"),
        ("nfkc_cf", "tokenizers/generated/uni_nfkc_cf.model"),
        ("nmt_nfkc", "tokenizers/generated/bpe_nmt_nfkc.model"),
        ("nmt_nfkc_cf", "tokenizers/generated/uni_nmt_nfkc_cf.model"),
    ] {
        check_every_code_point(&format!("expected/normalizer/{expectations}.tsv"), model);
    }
}

#[test]
fn a_megabyte_without_a_space_takes_well_under_a_second() {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut letter = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        char::from(b'a' + (random % 26) as u8)
    };
    let texts = [
        ("one letter", "a".repeat(1_000_000)),
        ("random letters", (0..1_000_000).map(|_| letter()).collect()),
        ("exclamation marks", "!".repeat(1_000_000)),
        ("emoji", "😀".repeat(250_000)),
        ("spaces", " ".repeat(1_000_000)),
        ("Chinese", "人".repeat(333_333)),
    ];
    for model in files_in("expected/sentencepiece-cpp", "jsonl") {
        let name = model.file_stem().unwrap().to_string_lossy().into_owned();
        let model = load(&model_of(&name)).unwrap();
        for (what, text) in &texts {
            let start = Instant::now();
            let tokens = model.encode_tokens(text);
            let elapsed = start.elapsed();
            println!("{name}: {what}: {} tokens in {elapsed:?}", tokens.len());
            assert!(
                elapsed < Duration::from_secs(1),
                "{name}: {what} took {elapsed:?}"
            );
        }
    }
}
