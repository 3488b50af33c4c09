//! Labels that the model was not trained on.

use deberta_core::Error;
use deberta_core::tasks::{Candidates, Control, LabelScore, WindowOptions, ZeroShotClassifier};
use serde_json::Value;

use super::{Case, cases, expect_near, folder, list, text, texts};

fn expect_scores(found: &[LabelScore], expected: &Value, labels: &[&str], what: &str) {
    let names: Vec<&str> = found.iter().map(|score| score.label.as_str()).collect();
    assert_eq!(names, texts(&expected["labels"]), "{what}");
    for (found, expected) in found.iter().zip(list(&expected["scores"])) {
        expect_near(found.score, expected, what);
        assert_eq!(labels[found.index], found.label, "{what}");
    }
}

fn load(case: &Case, row: &Value, multi_label: bool) -> ZeroShotClassifier {
    // Where the reference cuts the text off, so does this.
    let options = WindowOptions {
        truncate: case.name.ends_with("truncated"),
        ..WindowOptions::default()
    };
    ZeroShotClassifier::load(&case.folder)
        .and_then(|model| model.with_template(text(&row["template"])))
        .and_then(|model| model.with_windows(&options))
        .unwrap_or_else(|e| panic!("{}: {e}", case.name))
        .with_multi_label(multi_label)
}

#[test]
fn scores_are_those_of_the_pipeline() {
    let mut compared = 0;
    for case in cases("zero_shot", 6) {
        let rows = list(&case.expected["texts"]);
        for (key, multi_label) in [("single", false), ("multi", true)] {
            let mut templates: Vec<&Value> = Vec::new();
            for row in rows {
                if !templates.contains(&&row["template"]) {
                    templates.push(&row["template"]);
                }
            }
            for template in templates {
                let rows = rows.iter().filter(|row| row["template"] == *template);
                let rows: Vec<&Value> = rows.collect();
                let model = load(&case, rows[0], multi_label);
                // All at once, each with labels of its own.
                let labels: Vec<Vec<&str>> = rows.iter().map(|row| texts(&row["labels"])).collect();
                let inputs = rows.iter().zip(&labels);
                let inputs: Vec<Candidates<'_>> = inputs
                    .map(|(row, labels)| Candidates {
                        text: text(&row["text"]),
                        labels,
                    })
                    .collect();
                let found = model.classify_each(&inputs, &Control::default());
                for ((row, found), input) in rows.iter().zip(found).zip(&inputs) {
                    let what = format!("{}, {key}: {input:?}", case.name);
                    let found = found.expect(&what);
                    expect_scores(&found, &row[key], input.labels, &what);
                    let alone = model.classify(input.text, input.labels).expect(&what);
                    assert_eq!(alone, found, "{what}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn the_label_for_entailment_is_found_by_its_name() {
    for (name, expected) in [
        ("zero_shot_entailment_first", "entailment"),
        ("zero_shot_entailment_last", "entailment"),
        ("zero_shot_two_labels", "ENTAILMENT"),
    ] {
        let model = ZeroShotClassifier::load(folder(name)).expect(name);
        assert_eq!(model.entailment_label(), expected, "{name}");
    }
    let unnamed = ZeroShotClassifier::load(folder("zero_shot_unnamed")).expect("a model");
    assert!(
        !unnamed
            .entailment_label()
            .to_lowercase()
            .starts_with("entail")
    );
}

#[test]
fn a_text_without_labels_fails_alone() {
    let model = ZeroShotClassifier::load(folder("zero_shot_two_labels")).expect("a model");
    let input = |labels| Candidates {
        text: "A fine day.",
        labels,
    };
    let found = model.classify_each(
        &[input(&["a", "b"]), input(&[]), input(&["c"])],
        &Control::default(),
    );
    assert_eq!(found[0].as_ref().expect("labels").len(), 2);
    assert!(matches!(
        found[1],
        Err(Error::Argument { name: "labels", .. })
    ));
    assert_eq!(found[2].as_ref().expect("a label").len(), 1);
    assert!(
        model
            .classify_batch(&[], &["a"])
            .expect("nothing to do")
            .is_empty()
    );
}

#[test]
fn long_texts_are_read_to_the_end() {
    let model = ZeroShotClassifier::load(folder("zero_shot_two_labels")).expect("a model");
    let short = WindowOptions {
        max_length: Some(24),
        ..WindowOptions::default()
    };
    let model = model.with_windows(&short).expect("room");
    let text = "It was a fine day in London. ".repeat(20);
    let changed = format!("{text}Nobody was there.");
    let before = model
        .classify(&text, &["weather", "sport"])
        .expect("an answer");
    let after = model
        .classify(&changed, &["weather", "sport"])
        .expect("an answer");
    assert_ne!(before, after);
}
