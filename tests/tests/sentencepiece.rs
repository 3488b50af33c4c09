//! SentencePiece models against what the C++ library (0.2.3) recorded for them.

use std::path::PathBuf;

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
