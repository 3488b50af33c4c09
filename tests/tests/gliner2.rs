//! Entities and classes of any kind against the package `gliner2`: the same answers, scores within a bound.
//!
//! `tests/reference/make_gliner2_fixtures.py` made the fixtures.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use deberta_core::tasks::{Candidates, Control, Entity, Gliner2, LabelScore, Overlap};
use deberta_core::{Error, LoadOptions, Precision};
use deberta_tests::workspace_root;
use serde_json::Value;

const TOLERANCE: f64 = 1e-4;

fn folder(name: &str) -> PathBuf {
    workspace_root().join("tests/fixtures/gliner2").join(name)
}

fn json(name: &str) -> Value {
    let path = folder(name);
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).expect(name)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn strings(value: &Value) -> Vec<&str> {
    list(value).iter().map(string).collect()
}

fn cases() -> Vec<String> {
    let cases = json("cases.json");
    let names: Vec<String> = list(&cases["cases"])
        .iter()
        .map(|case| string(&case["name"]).to_owned())
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    names
}

/// The models of a case, one for each way to ask.
struct Models {
    name: String,
    loaded: BTreeMap<String, Gliner2>,
}

impl Models {
    fn of(name: &str) -> Self {
        let (name, loaded) = (name.to_owned(), BTreeMap::new());
        Self { name, loaded }
    }

    /// With the descriptions of a row of labels, and the options of a question.
    fn asked(&mut self, labels: &Value, options: &Value) -> &Gliner2 {
        let told = &labels["descriptions"];
        let (threshold, policy) = (&options["threshold"], &options["overlap_policy"]);
        let key = format!("{told} {threshold} {policy} {}", options["multi_label"]);
        self.loaded.entry(key).or_insert_with(|| {
            let overlap = match policy.as_str() {
                None => Overlap::Greedy,
                Some("flat") => Overlap::BestSum,
                Some("nested") => Overlap::Nested,
                Some("longest") => Overlap::Longest,
                Some("allow") => Overlap::All,
                Some(other) => panic!("{other}"),
            };
            let descriptions = told.as_object().expect("descriptions").iter();
            Gliner2::load(folder(&self.name))
                .unwrap_or_else(|e| panic!("{}: {e}", self.name))
                .with_threshold(threshold.as_f64().unwrap_or(0.5) as f32)
                .expect("between zero and one")
                .with_overlap(overlap)
                .with_multi_label(options["multi_label"].as_bool().unwrap_or(false))
                .with_descriptions(descriptions.map(|(label, text)| (label, string(text))))
        })
    }
}

/// The package's entities as they are given here: inside the text, in its order.
fn inside(text: &str, labels: &[&str], expected: &Value) -> Vec<(usize, usize, String, f64)> {
    // The full stop behind the text is none of it, nor is the white space before that.
    let length = text.trim_end().chars().count();
    let mut inside: Vec<(usize, usize, String, f64)> = Vec::new();
    for entity in list(expected) {
        let place = |key: &str| entity[key].as_u64().expect("a place") as usize;
        let (start, end) = (place("start"), place("end").min(length));
        let label = string(&entity["label"]);
        let known = inside
            .iter()
            .any(|(s, e, l, _)| (*s, *e, l.as_str()) == (start, end, label));
        // Of a span with it and one without the better one comes first.
        if start < length && !known {
            inside.push((start, end, label.to_owned(), number(&entity["score"])));
        }
    }
    let place = |label: &str| labels.iter().position(|&other| other == label);
    inside.sort_by_key(|(start, end, label, _)| (*start, *end, place(label)));
    inside
}

fn expect_entities(text: &str, labels: &[&str], found: &[Entity], expected: &Value, what: &str) {
    let expected = inside(text, labels, expected);
    let spans: Vec<_> = found
        .iter()
        .map(|e| (e.chars.start, e.chars.end, e.label.as_str()))
        .collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|(start, end, label, _)| (*start, *end, label.as_str()))
        .collect();
    assert_eq!(spans, wanted, "{what}");
    for (found, (.., score)) in found.iter().zip(&expected) {
        let off = (f64::from(found.score) - score).abs();
        assert!(off <= TOLERANCE, "{what}: {found:?} {score}");
        let part: String = text
            .chars()
            .skip(found.chars.start)
            .take(found.chars.len())
            .collect();
        assert_eq!(found.text, part, "{what}");
        assert_eq!(text.get(found.bytes.clone()), Some(part.as_str()), "{what}");
    }
}

#[test]
fn entities_are_those_of_the_package() {
    let mut compared = 0;
    for name in cases() {
        let mut models = Models::of(&name);
        for row in list(&json(&format!("{name}/expected.json"))["texts"]) {
            let (text, labels) = (string(&row["text"]), strings(&row["labels"]));
            let what = format!("{name}: {text:?} {labels:?} {}", row["overlap_policy"]);
            let found = models.asked(row, row).entities(text, &labels).expect(&what);
            expect_entities(text, &labels, &found, &row["entities"], &what);
            compared += found.len();
        }
    }
    assert!(compared > 2000, "{compared}");
}

#[test]
fn a_batch_gives_the_same_entities_as_its_texts_alone() {
    let mut batches = 0;
    for name in cases() {
        let mut models = Models::of(&name);
        for row in list(&json(&format!("{name}/expected.json"))["batches"]) {
            let texts = strings(&row["texts"]);
            let told = list(&row["labels"]);
            let labels: Vec<Vec<&str>> = told.iter().map(|l| strings(&l["labels"])).collect();
            let inputs: Vec<Candidates<'_>> = texts
                .iter()
                .zip(&labels)
                .map(|(&text, labels)| Candidates { text, labels })
                .collect();
            let expected = list(&row["entities"]);
            for (i, input) in inputs.iter().enumerate() {
                // Texts whose labels are told the same are asked together.
                let gliner = models.asked(&told[i], row);
                let found = gliner.entities_each(&inputs, &Control::default());
                let what = format!("{name}: {input:?}");
                let found = found.into_iter().nth(i).expect(&what).expect(&what);
                expect_entities(input.text, input.labels, &found, &expected[i], &what);
                // To the last bit.
                let alone = gliner.entities(input.text, input.labels).expect(&what);
                assert_eq!(alone, found, "{what}");
            }
            batches += 1;
        }
    }
    assert!(batches >= 18, "{batches}");
}

/// What the package chooses of all scores.
fn chosen<'a>(ranked: &'a [LabelScore], answer: &Value) -> Vec<&'a LabelScore> {
    let threshold = answer["threshold"]
        .as_f64()
        .map_or(f32::INFINITY, |t| t as f32);
    let mut chosen: Vec<&LabelScore> = ranked.iter().filter(|s| s.score >= threshold).collect();
    if chosen.is_empty() {
        chosen.push(&ranked[0]);
    }
    chosen.sort_by_key(|score| score.index);
    chosen
}

#[test]
fn classes_are_those_of_the_package() {
    let mut compared = 0;
    for name in cases() {
        let mut models = Models::of(&name);
        for row in list(&json(&format!("{name}/expected.json"))["classes"]) {
            let (text, labels) = (string(&row["text"]), strings(&row["labels"]));
            let task = string(&row["task"]);
            let what = format!("{name}: {text:?} {task:?} {labels:?}");
            for answer in list(&row["answers"]) {
                let several = answer["multi_label"].as_bool().expect("a flag");
                let gliner = models.asked(row, answer);
                let ranked = gliner.classify(text, task, &labels).expect(&what);
                assert!(ranked.is_sorted_by(|a, b| a.score >= b.score), "{what}");
                let all = list(&row[if several { "multi" } else { "single" }]);
                assert_eq!(ranked.len(), all.len(), "{what}");
                for score in &ranked {
                    let off = (f64::from(score.score) - number(&all[score.index])).abs();
                    assert!(off <= TOLERANCE, "{what}: {score:?} {all:?}");
                    assert_eq!(score.label, labels[score.index], "{what}");
                }
                let found = chosen(&ranked, answer)
                    .into_iter()
                    .map(|s| s.label.as_str());
                let wanted = list(&answer["found"]).iter().map(|s| string(&s["label"]));
                assert!(found.eq(wanted), "{what}: {ranked:?} {answer}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 600, "{compared}");
}

#[test]
fn a_batch_gives_the_same_classes_as_its_texts_alone() {
    for name in cases() {
        let gliner = Gliner2::load(folder(&name)).expect(&name);
        let expected = json(&format!("{name}/expected.json"));
        let rows = list(&expected["classes"]).iter();
        let rows: Vec<&Value> = rows
            .filter(|row| string(&row["task"]) == "sentiment")
            .collect();
        let labels = strings(&rows[0]["labels"]);
        let texts: Vec<&str> = rows.iter().map(|row| string(&row["text"])).collect();
        let together = gliner
            .classify_batch(&texts, "sentiment", &labels)
            .expect(&name);
        for (text, together) in texts.iter().zip(together) {
            let alone = gliner.classify(text, "sentiment", &labels).expect(&name);
            assert_eq!(alone, together, "{name}: {text:?}");
        }
    }
}

/// Every span of a text, by asking for all that there are.
#[test]
fn words_and_logits_are_those_of_the_package() {
    let (mut texts, mut logits) = (0, 0);
    for name in cases() {
        for row in list(&json(&format!("{name}/expected.json"))["inner"]) {
            let (text, labels) = (string(&row["text"]), strings(&row["labels"]));
            let told = row["descriptions"]
                .as_object()
                .expect("descriptions")
                .iter();
            let gliner = Gliner2::load(folder(&name))
                .and_then(|gliner| gliner.with_threshold(0.0))
                .expect(&name)
                .with_overlap(Overlap::All)
                .with_descriptions(told.map(|(label, text)| (label, string(text))));
            let what = format!("{name}: {text:?} {labels:?}");
            let found = gliner.entities(text, &labels).expect(&what);
            if row["count"] == 0 {
                assert!(found.is_empty(), "{what}");
                continue;
            }
            let length = text.chars().count();
            let place = |value: &Value| value.as_u64().expect("a place") as usize;
            let words = list(&row["words"]).iter();
            let words: Vec<(usize, usize)> = words
                .map(|word| (place(&word[0]), place(&word[1]).min(length)))
                .filter(|word| word.0 < length)
                .collect();
            let of_one = found
                .iter()
                .filter(|e| e.tokens.len() == 1 && e.label == labels[0]);
            let of_one: Vec<_> = of_one.map(|e| (e.chars.start, e.chars.end)).collect();
            assert_eq!(of_one, words, "{what}");
            texts += 1;
            let Some(shape) = row["shape"].as_array() else {
                continue;
            };
            let (count, width) = (place(&shape[1]), place(&shape[2]));
            for entity in &found {
                let label = labels.iter().position(|&label| label == entity.label);
                let start =
                    label.expect("a label that was asked for") * count + entity.tokens.start;
                let at = start * width + entity.tokens.len() - 1;
                // Spans that end with the full stop behind the text are those that end before it, if better.
                if entity.tokens.end < words.len() || words.len() == count {
                    let score = 1.0 / (1.0 + (-number(&row["logits"][at])).exp());
                    let off = (f64::from(entity.score) - score).abs();
                    assert!(off <= TOLERANCE, "{what}: {entity:?} {score}");
                    logits += 1;
                }
            }
        }
    }
    assert!(texts > 70 && logits > 1000, "{texts} {logits}");
}

#[test]
fn windows_find_what_a_long_text_has() {
    let gliner = Gliner2::load(folder("lstm")).expect("lstm");
    let text = "Anna Smith works at Acme in Berlin. ".repeat(12);
    let labels = ["person", "place"];
    let whole = gliner.entities(&text, &labels).expect("whole");
    let classes = gliner.classify(&text, "topic", &labels).expect("whole");
    let gliner = gliner.with_window(30).expect("some words");
    let windows = gliner.entities(&text, &labels).expect("windows");
    // Other context, other scores; but entities from the beginning to the end.
    assert!(windows.len() > whole.len() / 4, "{windows:?}");
    let middle = windows.iter().filter(|e| e.bytes.start > text.len() / 2);
    assert!(middle.count() > 1, "{windows:?}");
    for entity in &windows {
        assert_eq!(text.get(entity.bytes.clone()), Some(entity.text.as_str()));
    }
    let merged = gliner.classify(&text, "topic", &labels).expect("windows");
    assert_eq!(merged.len(), classes.len());
    let sum: f32 = merged.iter().map(|score| score.score).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{merged:?}");
    // A window that holds the text, and the full stop behind it, changes nothing.
    let gliner = gliner.with_window(97).expect("enough words");
    assert_eq!(gliner.entities(&text, &labels).expect("one window"), whole);
}

#[test]
fn faults_are_refused_by_what_is_wrong() {
    let gliner = Gliner2::load(folder("lstm")).expect("lstm");
    for label in ["[E]", "a [SEP_TEXT] b", "[DESCRIPTION] x"] {
        let error = gliner
            .entities("Anna", &["person", label])
            .expect_err(label);
        assert!(error.to_string().contains(label), "{error}");
        assert!(matches!(error, Error::Argument { name: "labels", .. }));
    }
    for task in ["[L]", "a [DESCRIPTION] b: c"] {
        let error = gliner.classify("Anna", task, &["a"]).expect_err(task);
        assert!(
            matches!(error, Error::Argument { name: "task", .. }),
            "{error}"
        );
    }
    let error = gliner
        .classify("Anna", "topic", &[])
        .expect_err("no labels");
    assert!(matches!(error, Error::Argument { name: "labels", .. }));
    assert_eq!(gliner.entities("Anna", &[]).expect("no labels"), []);
    assert!(gliner.with_threshold(1.5).is_err());
    let gliner = Gliner2::load(folder("lstm")).expect("lstm");
    assert!(gliner.with_window(0).is_err());
}

/// A copy of a case with other values in its configuration.
fn changed(name: &str, key: &str, value: Value) -> Result<Gliner2, Error> {
    let copy = tempfile::tempdir().expect("a folder");
    fs::create_dir(copy.path().join("encoder_config")).expect("a folder");
    for file in [
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
        "encoder_config/config.json",
    ] {
        fs::copy(folder(name).join(file), copy.path().join(file)).expect(file);
    }
    let mut config = json(&format!("{name}/config.json"));
    config[key] = value;
    fs::write(copy.path().join("config.json"), config.to_string()).expect("config.json");
    Gliner2::load(copy.path())
}

#[test]
fn other_architectures_are_refused_by_name() {
    let faults = [
        ("architecture", "boundary"),
        ("counting_layer", "count_gru"),
        ("token_pooling", "last"),
        ("model_type", "deberta-v2"),
    ];
    for (key, value) in faults {
        match changed("lstm", key, value.into()) {
            Err(Error::Config { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
    }
    // The weights are those of another layer.
    let error = changed("lstm", "counting_layer", "count_lstm_v2".into()).expect_err("tensors");
    assert!(
        error.to_string().contains("count_embed.transformer"),
        "{error}"
    );
}

#[test]
fn an_encoder_of_sixteen_bits_finds_about_the_same() {
    let options = LoadOptions::default().precision(Precision::Bf16);
    let small = Gliner2::load_with(folder("moe"), options).expect("moe");
    let whole = Gliner2::load(folder("moe")).expect("moe");
    let text = "John Smith works at Acme in California.";
    let labels = ["person", "place", "company"];
    let classes = |gliner: &Gliner2| gliner.classify(text, "topic", &labels).expect("classes");
    let (one, other) = (classes(&small), classes(&whole));
    let score = |scores: &[LabelScore], i: usize| {
        let found = scores.iter().find(|score| score.index == i);
        found.expect("every label").score
    };
    for i in 0..labels.len() {
        assert!(
            (score(&one, i) - score(&other, i)).abs() < 0.1,
            "{one:?} {other:?}"
        );
    }
}
