//! The tasks against what the reference's pipelines answered: labels and spans the same, scores within a bound.
//!
//! `tests/reference/make_pipeline_fixtures.py` made the fixtures.

use std::fs;
use std::path::{Path, PathBuf};

use deberta_core::tasks::{
    Aggregation, Classification, Entity, Input, ScoreFunction, TextClassifier, TokenClassifier,
};
use deberta_tests::workspace_root;
use serde_json::Value;

/// Scores pass through a softmax, which makes differences of logits smaller.
const TOLERANCE: f64 = 1e-5;

fn pipeline(name: &str) -> PathBuf {
    workspace_root().join("tests/fixtures/pipelines").join(name)
}

fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("expected a list, found {value}"))
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a string, found {value}"))
}

fn number(value: &Value) -> usize {
    let number = value
        .as_u64()
        .unwrap_or_else(|| panic!("expected a size, found {value}"));
    usize::try_from(number).expect("a size")
}

/// What a pipeline answered with one model.
struct Recording {
    name: String,
    model: PathBuf,
    texts: Vec<Value>,
}

/// The recordings of one kind: of tiny random models, and of the model that ships.
fn recordings(kind: &str) -> Vec<Recording> {
    let read = |name: &str, model: PathBuf, file: PathBuf| Recording {
        name: name.to_owned(),
        model,
        texts: list(&json(&file)["texts"]).to_vec(),
    };
    let all = json(&pipeline("cases.json"));
    let mut recordings: Vec<Recording> = list(&all["cases"])
        .iter()
        .filter(|case| case["task"] == kind)
        .map(|case| {
            let name = text(&case["name"]);
            let folder = pipeline(name);
            let file = folder.join("expected.json");
            read(name, folder, file)
        })
        .collect();
    assert!(
        recordings.len() >= 3,
        "only {} of kind {kind}",
        recordings.len()
    );
    let shipped: &[&str] = match kind {
        "text" => &["sentiment", "intent"],
        _ => &["ner"],
    };
    for name in shipped {
        let file = pipeline(&format!("shipped_{name}.json"));
        let model = workspace_root().join("models").join(name);
        recordings.push(read(name, model, file));
    }
    recordings
}

fn expect_labels(found: &[Classification], expected: &Value, what: &str) {
    let expected = list(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.label, text(&expected["label"]), "{what}");
        let score = expected["score"].as_f64().expect("a score");
        assert!(
            (f64::from(found.score) - score).abs() <= TOLERANCE,
            "{what}: {found:?} {score}"
        );
        assert_eq!(found.windows, 1, "{what}");
    }
}

#[test]
fn text_classification_is_that_of_the_pipeline() {
    for Recording {
        name,
        model,
        texts: rows,
    } in recordings("text")
    {
        let load = || TextClassifier::load(&model).expect(&name);
        let classifier = load();
        let inputs: Vec<Input<'_>> = rows
            .iter()
            .map(|row| match &row["pair"] {
                Value::Null => Input::Single(text(&row["text"])),
                pair => Input::Pair(text(&row["text"]), text(pair)),
            })
            .collect();
        // In one batch, so that order and independence are at stake too.
        let all = classifier.classify_all_batch(&inputs).expect(&name);
        for (row, found) in rows.iter().zip(&all) {
            let what = format!("{name}: {} {}", row["text"], row["pair"]);
            expect_labels(found, &row["answers"]["all"], &what);
        }
        for (row, &input) in rows.iter().zip(&inputs) {
            let what = format!("{name}: {} {}", row["text"], row["pair"]);
            let best = classifier.classify(input).expect(&what);
            expect_labels(
                &[best],
                &Value::Array(vec![row["answers"]["best"].clone()]),
                &what,
            );
            let two = classifier.top_k(input, 2).expect(&what);
            expect_labels(&two, &row["answers"]["top_2"], &what);
        }
        for (key, function) in [
            ("softmax", ScoreFunction::Softmax),
            ("sigmoid", ScoreFunction::Sigmoid),
            ("none", ScoreFunction::None),
        ] {
            let classifier = load().with_function(function);
            for (row, &input) in rows.iter().zip(&inputs) {
                let what = format!("{name}, {key}: {} {}", row["text"], row["pair"]);
                let found = classifier.classify_all(input).expect(&what);
                expect_labels(&found, &row["answers"][key], &what);
            }
        }
    }
}

const STRATEGIES: [(&str, Aggregation); 5] = [
    ("none", Aggregation::None),
    ("simple", Aggregation::Simple),
    ("first", Aggregation::First),
    ("average", Aggregation::Average),
    ("max", Aggregation::Max),
];

/// What of an entity is compared: label, score, and span in characters.
type Found = (String, f64, usize, usize);

fn expected_entities(answer: &Value) -> Vec<Found> {
    list(answer)
        .iter()
        .map(|entity| {
            let label = entity.get("entity_group").unwrap_or(&entity["entity"]);
            let score = entity["score"].as_f64().expect("a score");
            let span = &entity["trimmed"];
            (
                text(label).to_owned(),
                score,
                number(&span[0]),
                number(&span[1]),
            )
        })
        .collect()
}

fn expect_entities(text: &str, found: &[Entity], expected: &[Found], what: &str) {
    let spans = |entities: &[Found]| -> Vec<(String, usize, usize)> {
        entities
            .iter()
            .map(|(label, _, start, end)| (label.clone(), *start, *end))
            .collect()
    };
    let found_spans: Vec<Found> = found
        .iter()
        .map(|e| (e.label.clone(), e.score.into(), e.chars.start, e.chars.end))
        .collect();
    assert_eq!(spans(&found_spans), spans(expected), "{what}");
    for (entity, (_, score, ..)) in found.iter().zip(expected) {
        assert!(
            (f64::from(entity.score) - score).abs() <= TOLERANCE,
            "{what}: {entity:?} {score}"
        );
        assert_eq!(
            text.get(entity.bytes.clone()),
            Some(entity.text.as_str()),
            "{what}"
        );
        let characters = text[..entity.bytes.start].chars().count();
        assert_eq!(entity.chars.start, characters, "{what}");
        assert_eq!(entity.chars.len(), entity.text.chars().count(), "{what}");
    }
}

#[test]
fn token_classification_is_that_of_the_pipeline() {
    for Recording {
        name,
        model,
        texts: rows,
    } in recordings("token")
    {
        let texts: Vec<&str> = rows.iter().map(|row| text(&row["text"])).collect();
        for (key, aggregation) in STRATEGIES {
            // The reference splits BIOES entities at every E- and S-; the test below states our rule.
            if name == "token_bioes" && aggregation != Aggregation::None {
                continue;
            }
            let tagger = TokenClassifier::load(&model)
                .expect(&name)
                .with_aggregation(aggregation);
            let all = tagger.entities_batch(&texts).expect(&name);
            for ((row, found), &text) in rows.iter().zip(&all).zip(&texts) {
                let what = format!("{name}, {key}: {text:?}");
                expect_entities(text, found, &expected_entities(&row["answers"][key]), &what);
                assert_eq!(&tagger.entities(text).expect(&what), found, "{what}");
            }
        }
    }
}

/// From the reference's labels per token: `B-` and `S-` begin an entity, `E-` and `S-` end it.
#[test]
fn bioes_entities_end_where_their_labels_say() {
    let folder = pipeline("token_bioes");
    let tagger = TokenClassifier::load(&folder).expect("a model");
    let mut longest = 0;
    for row in list(&json(&folder.join("expected.json"))["texts"]) {
        let text = text(&row["text"]);
        let tokens = list(&row["answers"]["none"]);
        let mut expected: Vec<(String, usize, usize)> = Vec::new();
        let mut open: Option<(String, usize)> = None;
        for token in tokens {
            let label = token["entity"].as_str().expect("a label");
            let (prefix, tag) = label.split_once('-').expect("a prefix");
            // Tokens that are not there had the label O: a gap in the indices ends what is open.
            let index = number(&token["index"]);
            let (start, end) = (number(&token["start"]), number(&token["end"]));
            let joins = open
                .as_ref()
                .is_some_and(|(last, next)| last == tag && *next == index);
            match expected
                .last_mut()
                .filter(|_| joins && matches!(prefix, "I" | "E"))
            {
                Some(entity) => entity.2 = end,
                None => expected.push((tag.to_owned(), start, end)),
            }
            open = matches!(prefix, "B" | "I").then(|| (tag.to_owned(), index + 1));
        }
        let characters: Vec<char> = text.chars().collect();
        for (_, start, end) in &mut expected {
            let part = &characters[*start..*end];
            let inked = |c: &char| !c.is_whitespace();
            *start = part
                .iter()
                .position(inked)
                .map_or(*end, |left| *start + left);
            *end -= part.iter().rev().position(inked).unwrap_or(0);
        }
        let found: Vec<(String, usize, usize)> = tagger
            .entities(text)
            .expect(text)
            .into_iter()
            .inspect(|entity| longest = longest.max(entity.tokens.len()))
            .map(|entity| (entity.label, entity.chars.start, entity.chars.end))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }
    assert!(
        longest >= 3,
        "no entity of more than two tokens in these texts"
    );
}
