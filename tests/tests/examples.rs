//! The examples as a new user runs them: what they print, what they refuse, and how they end.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use deberta_tests::{example, workspace_root};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

fn command(name: &str) -> Command {
    Command::new(example(name))
}

/// Runs an example with these bytes on its standard input.
fn run(example: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(example)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    // An example that ends before reading closes the pipe: no failure of the test.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("the example ends")
}

fn answer(example: &str, arguments: &[&str], input: &[u8]) -> String {
    let output = run(example, arguments, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What an example that must fail says.
fn refusal(example: &str, arguments: &[&str], input: &[u8]) -> String {
    let output = run(example, arguments, input);
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        output.status.code(),
        Some(1),
        "{example} {arguments:?}: {errors}"
    );
    assert!(
        errors.starts_with("error: ") && !errors.contains("panicked"),
        "{errors}"
    );
    errors
}

fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object per line"))
        .collect()
}

fn fixture(path: &str) -> String {
    let path = workspace_root().join("tests/fixtures").join(path);
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn folder(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&path).expect("a directory");
    path
}

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

/// What of the files a model does not use, and observations too large for any memory.
#[test]
fn forward_remarks_and_limits() {
    let output = folder("forward").join("remarks.safetensors");
    let run = |case: &str, more: &[&str]| {
        let model = fixture(&format!("models/{case}"));
        let input = format!("{model}/input.safetensors");
        let mut arguments = vec!["--model", &model, "--input", &input, "--output"];
        arguments.push(output.to_str().expect("UTF-8"));
        arguments.extend(more);
        let output = run("forward", &arguments, b"");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert_eq!(run("v3", &[]), "");
    let said = run("ignored_tensors", &[]);
    assert!(
        said.contains("no head") && said.contains("does not use"),
        "{said}"
    );
    assert_eq!(run("ignored_tensors", &["--head", "base"]), "");

    let long = folder("forward").join("long.safetensors");
    let bytes = vec![0; 40_000 * 8];
    let ids = TensorView::new(Dtype::I64, vec![1, 40_000], &bytes).expect("a view");
    fs::write(
        &long,
        serialize([("input_ids", ids)], None).expect("a file"),
    )
    .expect("written");
    let model = fixture("models/v3");
    let arguments = [
        "--model",
        &model,
        "--input",
        long.to_str().expect("UTF-8"),
        "--output",
        output.to_str().expect("UTF-8"),
        "--attentions",
    ];
    let said = refusal("forward", &arguments, b"");
    assert!(said.contains("38.4 GB"), "{said}");
}

/// A page with a drawing per head and term, whatever the text, and none for a head that is not there.
#[test]
fn attention_draws_a_page() {
    let page = folder("attention").join("page.html");
    let path = page.to_str().expect("UTF-8");
    answer(
        "attention",
        &["--layer", "1", "--output", path, "<b> & \"c\""],
        b"",
    );
    let html = fs::read_to_string(&page).expect("a page");
    // Six heads, attention and three terms.
    assert_eq!(html.matches("<svg").count(), 6 * 4);
    assert!(html.contains("&lt;b&gt; &amp; &quot;c&quot;") && !html.contains("<b>"));
    let said = refusal("attention", &["--layer", "9", "--output", path, "a"], b"");
    assert!(said.contains("layer below 4"), "{said}");
    let long = "word ".repeat(500);
    let said = refusal("attention", &["--output", path, &long], b"");
    assert!(said.contains("at most 128 tokens"), "{said}");
}

/// `forward` on a recorded case gives the reference's numbers, in the shapes that it promises.
#[test]
fn forward_writes_the_reference_s_numbers() {
    for (case, names) in [
        ("holes", &["last_hidden_state"][..]),
        ("head_16", &["last_hidden_state"]),
    ] {
        let model = fixture(&format!("models/{case}"));
        let (input, output) = (
            format!("{model}/input.safetensors"),
            folder("forward").join(format!("{case}.safetensors")),
        );
        let arguments = [
            "--model",
            &model,
            "--input",
            &input,
            "--output",
            output.to_str().expect("UTF-8"),
        ];
        answer("forward", &arguments, b"");
        let read = |path: &Path| fs::read(path).expect("a file");
        let (found, expected) = (
            read(&output),
            read(&Path::new(&model).join("expected.safetensors")),
        );
        let found = SafeTensors::deserialize(&found).expect("safetensors");
        let expected = SafeTensors::deserialize(&expected).expect("safetensors");
        for name in names {
            let (found, expected) = (
                found.tensor(name).expect(name),
                expected.tensor(name).expect(name),
            );
            assert_eq!(
                (found.shape(), found.dtype()),
                (expected.shape(), Dtype::F32),
                "{case}"
            );
            let numbers = |bytes: &[u8]| -> Vec<f32> {
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&b| f32::from_le_bytes(b))
                    .collect()
            };
            // Masked rows are zeros in both.
            for (a, b) in numbers(found.data()).iter().zip(numbers(expected.data())) {
                assert!((a - b).abs() < 1e-4, "{case}: {a} {b}");
            }
        }
    }
}

#[test]
fn forward_refuses_what_it_cannot_run() {
    let model = fixture("models/head_16");
    let here = folder("refused");
    let (input, output) = (here.join("in.safetensors"), here.join("out.safetensors"));
    let arguments = [
        "--model",
        &model,
        "--input",
        input.to_str().expect("UTF-8"),
        "--output",
        output.to_str().expect("UTF-8"),
    ];
    let write = |tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]| {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (
                *name,
                TensorView::new(*dtype, shape.clone(), bytes).expect("a view"),
            )
        });
        fs::write(&input, serialize(views, None).expect("a file")).expect("written");
    };
    let ids = |values: &[i64]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let said = refusal("forward", &arguments, b"");
    assert!(said.contains("in.safetensors"), "{said}");
    write(&[("ids", Dtype::I64, vec![1, 2], ids(&[1, 2]))]);
    assert!(refusal("forward", &arguments, b"").contains("input_ids"));
    write(&[("input_ids", Dtype::I64, vec![2], ids(&[1, 2]))]);
    assert!(refusal("forward", &arguments, b"").contains("[B, L]"));
    write(&[("input_ids", Dtype::F32, vec![1, 2], vec![0; 8])]);
    assert!(refusal("forward", &arguments, b"").contains("F32"));
    write(&[("input_ids", Dtype::I64, vec![1, 2], ids(&[1, -2]))]);
    assert!(refusal("forward", &arguments, b"").contains("-2"));
    write(&[("input_ids", Dtype::I64, vec![1, 2], ids(&[1, 1_000_000]))]);
    assert!(refusal("forward", &arguments, b"").contains("1000000"));
    write(&[
        ("input_ids", Dtype::I64, vec![1, 2], ids(&[1, 2])),
        ("attention_mask", Dtype::I64, vec![2, 1], ids(&[1, 1])),
    ]);
    assert!(refusal("forward", &arguments, b"").contains("attention_mask"));
    assert!(
        !output.exists(),
        "nothing is written where nothing was computed"
    );
    for (dtype, bytes, found) in [
        (Dtype::U8, vec![1, 2], "2"),
        (Dtype::F32, vec![0; 8], "F32"),
    ] {
        write(&[
            ("input_ids", Dtype::I64, vec![1, 2], ids(&[1, 2])),
            ("attention_mask", dtype, vec![1, 2], bytes),
        ]);
        let said = refusal("forward", &arguments, b"");
        assert!(
            said.contains("attention_mask") && said.contains(found),
            "{said}"
        );
    }
    write(&[("input_ids", Dtype::BOOL, vec![1, 2], vec![1, 1])]);
    assert!(refusal("forward", &arguments, b"").contains("BOOL"));
    assert!(
        !output.exists(),
        "nothing is written where nothing was computed"
    );
    // 32-bit ids are as good.
    write(&[(
        "input_ids",
        Dtype::I32,
        vec![1, 2],
        vec![1, 0, 0, 0, 2, 0, 0, 0],
    )]);
    answer("forward", &arguments, b"");
    assert!(output.exists());
    // So is a mask of booleans or bytes; and it masks.
    let outputs = |dtype, mask: Vec<u8>| {
        write(&[
            ("input_ids", Dtype::I64, vec![1, 3], ids(&[1, 5, 2])),
            ("attention_mask", dtype, vec![1, 3], mask),
        ]);
        answer("forward", &arguments, b"");
        fs::read(&output).expect("the outputs")
    };
    let expected = outputs(Dtype::I64, ids(&[1, 0, 1]));
    assert_eq!(outputs(Dtype::BOOL, vec![1, 0, 1]), expected);
    assert_eq!(outputs(Dtype::U8, vec![1, 0, 1]), expected);
    assert_ne!(outputs(Dtype::BOOL, vec![1, 1, 1]), expected);
}

/// The interface that measuring scripts rely on.
#[test]
fn bench_s_lines_and_refusals() {
    let model = fixture("models/head_16");
    let bench = |arguments: &[&str]| {
        let arguments = [&["--model", &model, "--shapes", "1x4,2x4"], arguments].concat();
        objects(&answer("bench", &arguments, b""))
    };
    let found = bench(&["--budget", "0.01", "--precision", "f32", "--threads", "1"]);
    assert_eq!(found.len(), 2);
    for (line, batch) in found.iter().zip([1, 2]) {
        let text = |key: &str| line[key].as_str().expect("a text");
        let number = |key: &str| line[key].as_u64().expect("a number");
        assert_eq!(
            ["system", "precision", "model"].map(text),
            ["ours", "f32", "head_16"]
        );
        assert_eq!(["threads", "batch", "seq"].map(number), [1, batch, 4]);
        assert_eq!(line["ragged"], false);
        assert!(number("runs") >= 3);
        let times = ["min_ms", "median_ms"].map(|key| line[key].as_f64().expect("a number"));
        assert!(0.0 < times[0] && times[0] <= times[1], "{times:?}");
    }
    let all = thread::available_parallelism().expect("a number").get();
    assert_eq!(bench(&["--budget", "0.01"])[0]["threads"], all);

    for budget in ["-1", "0", "nan", "inf", "1e300", "soon"] {
        let output = run(
            "bench",
            &["--model", &model, &format!("--budget={budget}")],
            b"",
        );
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{budget}: {errors}");
        assert!(errors.contains("above 0"), "{budget}: {errors}");
    }
    let shape = ["--model", &model, "--shapes", "1x99999999999999999"];
    assert_eq!(run("bench", &shape, b"").status.code(), Some(2));
    let said = refusal("bench", &["--model", "no/such/model"], b"");
    assert!(
        said.contains("no/such/model") && said.contains("because: "),
        "{said}"
    );
}

/// A path of the build says nothing to a user.
#[test]
fn help_names_no_path_of_the_build() {
    for example in ["classify", "ner"] {
        let help = answer(example, &["--help"], b"");
        assert!(help.contains("of this repository]"), "{help}");
        assert!(!help.contains("/models"), "{help}");
    }
}
