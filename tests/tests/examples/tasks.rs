//! The examples of tasks that no model of this repository serves, on tiny random models.

use deberta_tests::workspace_root;
use serde_json::Value;

use super::{answer, fixture, objects, run};

/// What an example prints with a model of the fixtures.
fn with_model(name: &str, model: &str, arguments: &[&str], input: &str) -> String {
    let model = fixture(model);
    let arguments = [&["--model", &model], arguments].concat();
    answer(name, &arguments, input)
}

#[test]
fn zero_shot_scores_labels() {
    let model = "tasks/zero_shot_entailment_first";
    let arguments = [
        "--labels",
        "travel, the weather",
        "--json",
        "A fine day in London.",
        "A bank.",
    ];
    let lines = objects(&with_model("zero_shot", model, &arguments, ""));
    assert_eq!(lines.len(), 2);
    let labels = lines[0]["labels"].as_array().expect("labels");
    let sum: f64 = labels
        .iter()
        .filter_map(|label| label["score"].as_f64())
        .sum();
    assert!(labels.len() == 2 && (sum - 1.0).abs() < 1e-5, "{labels:?}");
    let table = with_model(
        "zero_shot",
        model,
        &["--labels", "travel,weather", "--multi-label"],
        "One line.\nAnother.\n",
    );
    assert!(
        table.contains("Label") && table.contains("weather") && table.contains("Another."),
        "{table}"
    );
}

#[test]
fn guard_shows_the_worst_part() {
    let long = "It was a lovely film. ".repeat(40);
    let arguments = [
        "--label",
        "negative",
        "--max-length",
        "32",
        "--json",
        &long,
        "Short.",
    ];
    let lines = objects(&with_model(
        "guard",
        "pipelines/text_softmax",
        &arguments,
        "",
    ));
    let segments = lines[0]["segments"].as_array().expect("segments");
    assert!(segments.len() > 5, "{}", segments.len());
    let most = segments
        .iter()
        .filter_map(|s| s["score"].as_f64())
        .fold(0.0, f64::max);
    assert_eq!(lines[0]["score"].as_f64(), Some(most));
    assert_eq!(lines[1]["segments"].as_array().map(Vec::len), Some(1));
    let output = run(
        "guard",
        &[
            "--model",
            &fixture("pipelines/text_softmax"),
            "--label",
            "evil",
            "x",
        ],
        "",
    );
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("expects one of negative, neutral, positive, found evil"),
        "{error}"
    );
}

#[test]
fn rerank_sorts_documents() {
    let model = "tasks/cross_encoder_sigmoid";
    let lines = objects(&with_model(
        "rerank",
        model,
        &["--json", "who", "Anna.", "A bank in Oslo.", "Tom met Li."],
        "",
    ));
    let scores: Vec<f64> = lines
        .iter()
        .filter_map(|line| line["score"].as_f64())
        .collect();
    assert!(
        scores.len() == 3 && scores.is_sorted_by(|a, b| a >= b),
        "{scores:?}"
    );
    let table = with_model(
        "rerank",
        model,
        &["--top-k", "1", "--raw", "who"],
        "Anna.\nA bank in Oslo.\n",
    );
    assert_eq!(table.lines().count(), 2, "{table}");
}

#[test]
fn question_answers_from_arguments_and_lines() {
    let model = "tasks/question";
    let text = "Anna Smith works at Acme in Oslo.";
    let arguments = [
        "--question",
        "Where does Anna work?",
        "--top-k",
        "2",
        "--json",
        text,
    ];
    let lines = objects(&with_model("question", model, &arguments, ""));
    let answers = lines[0]["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), 2);
    let bytes: Vec<usize> = serde_json::from_value(answers[0]["bytes"].clone()).expect("a span");
    assert_eq!(Some(&text[bytes[0]..bytes[1]]), answers[0]["text"].as_str());
    let table = with_model(
        "question",
        model,
        &["--no-answer", "--top-k", "50"],
        &format!("Where?\t{text}\n"),
    );
    assert!(
        table.contains("(none)") && table.contains("Answer"),
        "{table}"
    );
    let output = run("question", &["--model", &fixture(model)], "no tab here\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("with a tab between them"));
}

#[test]
fn fill_mask_reports_an_input_without_a_mask_in_its_place() {
    let model = fixture("tasks/fill_mask_legacy");
    let output = run(
        "fill_mask",
        &["--model", &model, "--top-k", "3", "--json"],
        "A [MASK] day.\nNo mask.\nIn [MASK].\n",
    );
    assert_eq!(output.status.code(), Some(1));
    let lines = objects(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert_eq!(lines[0]["masks"][0].as_array().map(Vec::len), Some(3));
    assert!(
        lines[1]["error"]
            .as_str()
            .expect("an error")
            .contains("expected a mask"),
        "{:?}",
        lines[1]
    );
    assert_eq!(lines[2]["masks"][0].as_array().map(Vec::len), Some(3));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("an input has no answer"), "{errors}");
    let table = with_model(
        "fill_mask",
        "tasks/fill_mask_microsoft",
        &["A [MASK] day."],
        "",
    );
    assert!(table.contains("Word"), "{table}");
}

#[test]
fn embed_compares_with_the_first_text() {
    let table = with_model("embed", "tasks/embed_mean", &["A bank.", "A bank."], "");
    assert_eq!(table.matches("1.0000").count(), 2, "{table}");
    let lines = objects(&with_model(
        "embed",
        "tasks/embed_cls_and_mean",
        &["--json"],
        "A bank.\n",
    ));
    assert_eq!(lines[0]["embedding"].as_array().map(Vec::len), Some(32));
    // Without a model, the one of this repository.
    let output = run("embed", &["--json", "A film."], "");
    let lines = objects(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert!(
        lines[0]["embedding"]
            .as_array()
            .is_some_and(|vector| vector.len() > 32)
    );
}

#[test]
fn gliner_finds_entities() {
    let text = "John Smith works at Acme in California.";
    let arguments = ["--labels", "person,place,company", "--json", text];
    let lines = objects(&with_model("gliner", "gliner/base", &arguments, ""));
    let entities = lines[0]["entities"].as_array().expect("entities");
    assert_eq!(entities.len(), 3);
    assert_eq!(entities[2]["text"], "works at Acme in California.");
    // The other architecture is told by its files.
    let lines = objects(&with_model("gliner", "gliner2/lstm", &arguments, ""));
    assert!(lines[0]["entities"].is_array());
    let output = run(
        "gliner",
        &[
            "--model",
            &fixture("gliner2/lstm"),
            "--labels",
            "a",
            "--truncate",
            "x",
        ],
        "",
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("gliner_config.json"));
    let encoder = fixture("gliner/published/encoder");
    let table = with_model(
        "gliner",
        "gliner/published",
        &[
            "--labels",
            "person",
            "--encoder",
            &encoder,
            "--threshold",
            "0.99",
            "a",
        ],
        "",
    );
    assert!(table.contains("(no entities)"), "{table}");
}

#[test]
fn a_task_without_a_model_names_one() {
    for (name, arguments, public) in [
        ("zero_shot", &["--labels", "a", "x"][..], "MoritzLaurer/"),
        ("guard", &["x"], "protectai/"),
        ("rerank", &["x", "y"], "mixedbread-ai/"),
        ("question", &["--question", "x", "y"], "deepset/"),
        ("fill_mask", &["x"], "microsoft/"),
        ("gliner", &["--labels", "a", "x"], "knowledgator/"),
    ] {
        let output = run(name, arguments, "");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}");
        assert!(
            errors.contains("--model") && errors.contains(public),
            "{name}: {errors}"
        );
    }
    // A name that is no directory: without the hub, it is said how to get one.
    let output = run("guard", &["--model", "organisation/name", "x"], "");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("organisation/name"), "{errors}");
}

#[test]
fn classify_leaves_out_what_is_not_sure() {
    let model = workspace_root().join("models/intent");
    let model = model.to_str().expect("a path in UTF-8");
    let arguments = ["--model", model, "--threshold", "0.5", "--top-k", "5"];
    let texts = ["My card has not arrived yet.", "help"];
    let table = run("classify", &[&arguments[..], &texts].concat(), "");
    let table = String::from_utf8(table.stdout).expect("UTF-8");
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    assert!(
        lines[1].starts_with("card_arrival") && lines[2].starts_with("- "),
        "{table}"
    );
    let lines = run(
        "classify",
        &[&arguments[..], &["--json"], &texts].concat(),
        "",
    );
    let lines = objects(&String::from_utf8(lines.stdout).expect("UTF-8"));
    assert_eq!(lines[0]["labels"].as_array().map(Vec::len), Some(1));
    assert!(lines[1]["label"].is_null() && lines[1]["labels"] == Value::Array(Vec::new()));
}
