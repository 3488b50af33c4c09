//! The two models that ship do what their cards say.

use deberta_core::tasks::Input;
use deberta_core::{TextClassifier, TokenClassifier};
use deberta_tests::{asset, workspace_root};

#[test]
fn the_sentiment_model_reaches_its_accuracy() {
    let Some(path) = asset("datasets/sst2/test.tsv") else {
        return;
    };
    let table = std::fs::read_to_string(path).unwrap();
    let rows: Vec<(&str, &str)> = table
        .lines()
        .skip(1)
        .map(|line| line.split_once('\t').expect("two columns"))
        .collect();
    assert_eq!(rows.len(), 872);
    let classifier = TextClassifier::load(workspace_root().join("models/sentiment")).unwrap();
    let inputs: Vec<Input<'_>> = rows.iter().map(|row| Input::Single(row.0.trim())).collect();
    let answers = classifier.classify_batch(&inputs).unwrap();
    let right = rows
        .iter()
        .zip(&answers)
        .filter(|(row, answer)| (row.1 == "1") == (answer.label == "POSITIVE"));
    let accuracy = right.count() as f64 / rows.len() as f64;
    assert!(accuracy >= 0.80, "accuracy {accuracy}");
}

#[test]
fn the_sentiment_model_answers_the_first_example() {
    let classifier = TextClassifier::load(workspace_root().join("models/sentiment")).unwrap();
    let answer = classifier.classify("This is a positive example.").unwrap();
    assert_eq!(answer.label, "POSITIVE");
    assert!(answer.score > 0.8, "{answer:?}");
    let answer = classifier
        .classify("I did not like this movie at all.")
        .unwrap();
    assert_eq!(answer.label, "NEGATIVE");
}

#[test]
fn the_ner_model_finds_three_entities_in_the_first_example() {
    let tagger = TokenClassifier::load(workspace_root().join("models/ner")).unwrap();
    let text = "John Doe works at Google in California.";
    let entities = tagger.entities(text).unwrap();
    let found: Vec<_> = entities
        .iter()
        .map(|e| (e.label.as_str(), &text[e.bytes.clone()]))
        .collect();
    assert_eq!(
        found,
        [
            ("PER", "John Doe"),
            ("ORG", "Google"),
            ("LOC", "California")
        ]
    );
    let plain = "the acting is good , but the story goes nowhere and takes its time to do so .";
    assert_eq!(tagger.entities(plain).unwrap(), []);
}
