//! How well documents answer a query.

use deberta_core::Error;
use deberta_core::tasks::{Input, Reranker, ScoreFunction, TextClassifier, WindowOptions};

use super::{Case, cases, expect_near, folder, list, size, text, texts};

/// Texts are cut off where sentence-transformers cuts them, after 64 tokens in these models.
fn truncated() -> WindowOptions {
    WindowOptions {
        max_length: Some(64),
        truncate: true,
        ..WindowOptions::default()
    }
}

fn load(case: &Case) -> Reranker {
    Reranker::load(&case.folder)
        .and_then(|model| model.with_windows(&truncated()))
        .unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn scores_are_those_of_sentence_transformers() {
    let mut compared = 0;
    for case in cases("cross_encoder", 5) {
        let rows = list(&case.expected["pairs"]);
        let pairs: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| (text(&row["pair"][0]), text(&row["pair"][1])))
            .collect();
        if rows[0]["default"].is_array() {
            // Several labels are a classifier's.
            assert!(matches!(
                Reranker::load(&case.folder),
                Err(Error::Head { .. })
            ));
            let model = TextClassifier::load(&case.folder).expect(&case.name);
            let model = model.with_windows(&truncated()).expect("room");
            // A classifier takes an empty second text for none, as the pipelines do.
            let full = rows
                .iter()
                .zip(&pairs)
                .filter(|(_, pair)| !pair.1.is_empty());
            for (row, &(first, second)) in full {
                let found = model
                    .classify_all(Input::Pair(first, second))
                    .expect(&case.name);
                for label in found {
                    expect_near(label.score, &row["softmax"][label.index], &case.name);
                    compared += 1;
                }
            }
            continue;
        }
        for (key, function) in [
            ("default", None),
            ("identity", Some(ScoreFunction::None)),
            ("sigmoid", Some(ScoreFunction::Sigmoid)),
        ] {
            let mut model = load(&case);
            if let Some(function) = function {
                model = model.with_function(function);
            }
            let found = model.scores(&pairs).expect(&case.name);
            for ((row, found), pair) in rows.iter().zip(found).zip(&pairs) {
                let what = format!("{}, {key}: {pair:?}", case.name);
                expect_near(found, &row[key], &what);
                assert_eq!(model.scores(&[*pair]).expect(&what), [found], "{what}");
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn rankings_are_those_of_sentence_transformers() {
    let mut compared = 0;
    for case in cases("cross_encoder", 5) {
        for row in list(&case.expected["ranks"]) {
            let (query, documents) = (text(&row["query"]), texts(&row["documents"]));
            for (key, k) in [("all", usize::MAX), ("top_2", 2), ("identity", usize::MAX)] {
                let what = format!("{}, {key}: {query:?}", case.name);
                let mut model = load(&case);
                if key == "identity" {
                    model = model.with_function(ScoreFunction::None);
                }
                let found = model.rank_top(query, &documents, k).expect(&what);
                let expected = list(&row[key]);
                let order: Vec<usize> = found.iter().map(|ranked| ranked.index).collect();
                let wanted: Vec<usize> = expected.iter().map(|r| size(&r["corpus_id"])).collect();
                assert_eq!(order, wanted, "{what}");
                for (found, expected) in found.iter().zip(expected) {
                    expect_near(found.score, &expected["score"], &what);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn a_long_document_is_as_good_as_its_best_window() {
    let model = Reranker::load(folder("cross_encoder_sigmoid")).expect("a model");
    let windows = WindowOptions {
        max_length: Some(24),
        ..WindowOptions::default()
    };
    let model = model
        .with_windows(&windows)
        .expect("room")
        .with_function(ScoreFunction::None);
    let document = "The bank opened an office. It was slow. Anna met Tom in London. ".repeat(6);
    let whole = model.scores(&[("who", &document)]).expect("a score")[0];
    let shorter = model.scores(&[("who", &document[..100])]).expect("a score")[0];
    assert!(whole >= shorter - 1e-3, "{whole} {shorter}");
    assert!(model.rank("who", &[]).expect("nothing to do").is_empty());
}
