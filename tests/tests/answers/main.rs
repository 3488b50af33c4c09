//! Tasks against what the reference's pipelines and sentence-transformers answered.
//!
//! `tests/reference/make_task_fixtures.py` and `make_question_fixtures.py` made the fixtures.

mod cross_encoder;
mod embed;
mod fill_mask;
mod question;
mod zero_shot;

use std::fs;
use std::path::PathBuf;

use deberta_tests::workspace_root;
use serde_json::Value;

/// Scores pass through a softmax or a sigmoid, which makes differences of logits smaller.
const TOLERANCE: f64 = 1e-5;

fn folder(name: &str) -> PathBuf {
    workspace_root().join("tests/fixtures/tasks").join(name)
}

fn json(name: &str) -> Value {
    let path = folder(name);
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).expect(name)
}

/// A model and what the reference answered with it.
struct Case {
    name: String,
    folder: PathBuf,
    expected: Value,
}

fn cases(task: &str, least: usize) -> Vec<Case> {
    let all = json("cases.json");
    let cases: Vec<Case> = list(&all["cases"])
        .iter()
        .filter(|case| case["task"] == task)
        .map(|case| {
            let name = text(&case["name"]).to_owned();
            Case {
                folder: folder(&name),
                expected: json(&format!("{name}/expected.json")),
                name,
            }
        })
        .collect();
    assert!(cases.len() >= least, "only {} of {task}", cases.len());
    cases
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

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("expected a number, found {value}"))
}

fn size(value: &Value) -> usize {
    let size = value.as_u64();
    let size = size.unwrap_or_else(|| panic!("expected a size, found {value}"));
    usize::try_from(size).expect("a size")
}

fn expect_near(found: f32, expected: &Value, what: &str) {
    let expected = number(expected);
    let gap = (f64::from(found) - expected).abs();
    assert!(gap <= TOLERANCE, "{what}: {found}, expected {expected}");
}
