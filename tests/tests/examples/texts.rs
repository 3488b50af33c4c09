//! `classify` and `ner`, from arguments and lines.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{answer, command, fixture, folder, objects, refusal, run};

#[test]
fn the_readme_s_sentiment() {
    let table = answer("classify", &["This is a positive example."], b"");
    assert!(
        table.contains("POSITIVE") && table.contains("This is a positive example."),
        "{table}"
    );
    let lines = b"This is a positive example.\nA terrible, boring mess.\n";
    let answers = objects(&answer("classify", &["--json"], lines));
    let labels: Vec<_> = answers.iter().map(|answer| &answer["label"]).collect();
    assert_eq!(labels, ["POSITIVE", "NEGATIVE"]);
    assert!(
        answers
            .iter()
            .all(|answer| answer["score"].as_f64().expect("a score") > 0.5)
    );
}

#[test]
fn the_readme_s_names() {
    let text = "John Doe works at Google in California.";
    let table = answer("ner", &[text], b"");
    assert!(
        ["John Doe", "Google", "California"]
            .iter()
            .all(|name| table.contains(name)),
        "{table}"
    );
    let answers = objects(&answer("ner", &["--json", text], b""));
    let found: Vec<(&str, &str)> = answers[0]["entities"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| {
            (
                e["label"].as_str().expect("a label"),
                e["text"].as_str().expect("a text"),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("PER", "John Doe"),
            ("ORG", "Google"),
            ("LOC", "California")
        ]
    );
    assert_eq!(
        answers[0]["entities"][1]["bytes"],
        serde_json::json!([18, 24])
    );
}

#[test]
fn lines_of_standard_input_are_answered_in_order() {
    let model = fixture("pipelines/text_softmax");
    let lines: String = (0..600).map(|i| format!("line {i}\r\n")).collect();
    let found = objects(&answer(
        "classify",
        &["--model", &model, "--json"],
        lines.as_bytes(),
    ));
    assert_eq!(found.len(), 600);
    let texts = found
        .iter()
        .map(|line| line["text"].as_str().expect("a text").to_owned());
    assert!(texts.eq((0..600).map(|i| format!("line {i}"))));
    // A line without an end, empty lines, and a mark before the first.
    let found = objects(&answer(
        "classify",
        &["--model", &model, "--json"],
        "\u{feff}a\n\nb".as_bytes(),
    ));
    let texts: Vec<_> = found.iter().map(|line| &line["text"]).collect();
    assert_eq!(texts, ["a", "", "b"]);
    assert_eq!(answer("classify", &["--model", &model], b""), "");
}

#[test]
fn classify_s_options() {
    let model = fixture("pipelines/text_softmax");
    let run = |arguments: &[&str], input: &str| {
        let arguments = [&["--model", &model, "--json"], arguments].concat();
        objects(&answer("classify", &arguments, input.as_bytes()))
    };
    assert_eq!(
        run(&["--all", "a"], "")[0]["labels"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(
        run(&["--top-k", "2", "a"], "")[0]["labels"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let pair = run(&["--pair", "a", "b", "c", "d"], "");
    assert_eq!((pair.len(), &pair[1]["text_pair"]), (2, &Value::from("d")));
    assert_eq!(run(&["--pair"], "a\tb\nc\td\n"), pair);
    let long = "word ".repeat(20_000);
    assert!(run(&[], &long)[0]["windows"].as_u64().expect("a number") > 40);
    assert_eq!(
        run(&["--threads", "1", "a"], ""),
        run(&["--threads", "3", "a"], "")
    );
    let raw = run(&["--all", "--function", "none", "a"], "");
    assert_ne!(raw[0]["score"], run(&["a"], "")[0]["score"]);
}

#[test]
fn ner_s_options() {
    let model = fixture("pipelines/token_bio");
    let text = "Maria lives in London";
    let count = |aggregation: &str| {
        let arguments = [
            "--model",
            &model,
            "--json",
            "--aggregation",
            aggregation,
            text,
        ];
        objects(&answer("ner", &arguments, b""))[0]["entities"]
            .as_array()
            .map(Vec::len)
    };
    assert!(count("none") >= count("simple"));
    let table = answer("ner", &["--model", &model, text, ""], b"");
    assert!(table.contains("(no entities)"), "{table}");
}

#[test]
fn errors_say_what_and_where() {
    let model = fixture("pipelines/text_softmax");
    let said = refusal("classify", &["--model", &model], b"fine\n\xff\xfe\n");
    assert!(said.contains("line 2") && said.contains("UTF-8"), "{said}");
    let said = refusal("classify", &["--model", &model, "--pair"], b"a\tb\nalone\n");
    assert!(said.contains("line 2") && said.contains("tab"), "{said}");
    let said = refusal(
        "classify",
        &["--model", &model, "--pair", "a", "b", "c"],
        b"",
    );
    assert!(said.contains("two by two"), "{said}");
    let said = refusal("ner", &["--model", &model, "a"], b"");
    assert!(said.contains("token classification"), "{said}");
    let said = refusal("classify", &["--model", "no/such/model", "a"], b"");
    assert!(
        said.contains("no/such/model") && said.contains("because: "),
        "{said}"
    );
    let file = format!("{model}/config.json");
    for example in ["classify", "ner"] {
        let said = refusal(example, &["--model", &file, "a"], b"");
        assert!(
            said.contains("expects a directory") && said.contains(&file),
            "{said}"
        );
    }
    // Wrong usage is clap's to report.
    assert_eq!(
        run("classify", &["--top-k", "0", "a"], b"").status.code(),
        Some(2)
    );
}

/// The lines before a bad one are answered.
#[test]
fn a_bad_line_costs_no_other_its_answer() {
    let model = fixture("pipelines/text_softmax");
    let tagger = fixture("pipelines/token_bio");
    let cases: [(&str, &[&str], &[u8]); 3] = [
        ("classify", &["--model", &model], b"a\nb\n\xff\xfe\nc\n"),
        (
            "classify",
            &["--model", &model, "--pair"],
            b"a\tx\nb\ty\nalone\nc\tz\n",
        ),
        ("ner", &["--model", &tagger], b"a\nb\n\xff\xfe\nc\n"),
    ];
    for (example, arguments, input) in cases {
        let output = run(example, &[arguments, &["--json"]].concat(), input);
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{example}: {errors}");
        assert!(errors.contains("line 3"), "{example}: {errors}");
        let answers = objects(&String::from_utf8(output.stdout).expect("UTF-8"));
        let texts: Vec<_> = answers.iter().map(|answer| &answer["text"]).collect();
        assert_eq!(texts, ["a", "b"], "{example} {arguments:?}");
    }
}

/// What has arrived is answered before more is waited for, be it a part of the next line.
#[test]
fn a_slow_pipe_is_answered_at_once() {
    let model = fixture("pipelines/text_softmax");
    let mut child = command("classify")
        .args(["--model", &model, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut input = child.stdin.take().expect("piped");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in output.lines() {
            sender.send(line.expect("UTF-8")).expect("a receiver");
        }
    });
    for (written, text) in [("one\ntw", "one"), ("o\n", "two")] {
        input.write_all(written.as_bytes()).expect("written");
        // The pipe stays open: an example that waited for its end would not answer.
        let answer = receiver.recv_timeout(Duration::from_secs(60));
        let answer = answer.inspect_err(|_| child.kill().expect("killed"));
        assert_eq!(objects(&answer.expect("an answer"))[0]["text"], text);
    }
    drop(input);
    assert!(child.wait().expect("the example ends").success());
    reader.join().expect("read");
}

/// One's own directory, as it goes wrong.
#[test]
fn damaged_model_directories() {
    let source = PathBuf::from(fixture("pipelines/text_softmax"));
    let own = folder("own");
    let path = own.to_str().expect("UTF-8");
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        fs::copy(source.join(file), own.join(file)).expect("copied");
    }
    answer("classify", &["--model", path, "a"], b"");
    let weights = fs::read(own.join("model.safetensors")).expect("weights");
    fs::write(own.join("model.safetensors"), &weights[..weights.len() / 2]).expect("written");
    let said = refusal("classify", &["--model", path, "a"], b"");
    assert!(
        said.contains("model.safetensors") && said.contains("truncated"),
        "{said}"
    );
    fs::remove_file(own.join("model.safetensors")).expect("removed");
    let said = refusal("classify", &["--model", path, "a"], b"");
    assert!(said.contains("expected one of model.safetensors"), "{said}");
    fs::write(own.join("model.safetensors"), weights).expect("written");
    fs::rename(own.join("tokenizer.json"), own.join("x")).expect("renamed");
    let said = refusal("classify", &["--model", path, "a"], b"");
    assert!(said.contains("tokenizer"), "{said}");
    fs::rename(own.join("x"), own.join("tokenizer.json")).expect("renamed");
    fs::write(own.join("config.json"), r#"{"model_type": "deberta"}"#).expect("written");
    let said = refusal("classify", &["--model", path, "a"], b"");
    assert!(said.contains("tensors do not fit"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let model = fixture("pipelines/text_softmax");
    let mut child = command("classify")
        .args(["--model", &model, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    drop(child.stdout.take());
    let mut input = child.stdin.take().expect("piped");
    let writer = thread::spawn(move || {
        let _ = input.write_all("a line\n".repeat(5000).as_bytes());
    });
    let output = child.wait_with_output().expect("the example ends");
    writer.join().expect("written");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}
