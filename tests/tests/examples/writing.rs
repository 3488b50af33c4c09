//! `generate`, from token ids, and `summarize`, from texts.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

use super::{answer, fixture, folder, objects, refusal, run};

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(path)).expect(path)).expect(path)
}

/// Writes rows of integers as tensors `[B, L]`.
fn write(path: &Path, tensors: &[(&str, &Value)]) {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, rows)| {
            let rows = rows.as_array().expect("rows");
            let columns = rows[0].as_array().expect("a row").len();
            let numbers = rows.iter().flat_map(|row| row.as_array().expect("a row"));
            let bytes = numbers.flat_map(|x| x.as_i64().expect("an integer").to_le_bytes());
            (*name, vec![rows.len(), columns], bytes.collect::<Vec<u8>>())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::I64, shape.clone(), bytes);
        (*name, view.expect("a view"))
    });
    fs::write(path, serialize(views, None).expect("a file")).expect("written");
}

/// The reference's keyword arguments as those of a command line; lists are written with commas.
fn arguments(options: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(ids) => {
            let ids: Vec<String> = ids.iter().map(Value::to_string).collect();
            ids.join(",")
        }
        other => other.to_string(),
    };
    let mut arguments = Vec::new();
    for (name, value) in options.as_object().expect("options") {
        let flag = format!("--{}", name.replace('_', "-"));
        match (name.as_str(), value) {
            ("bad_words_ids", Value::Array(words)) => {
                arguments.extend(words.iter().flat_map(|word| [flag.clone(), text(word)]));
            }
            _ => arguments.extend([flag, text(value)]),
        }
    }
    arguments
}

/// Every recorded search of the first model of each kind, as a user would ask for it.
#[test]
fn generate_writes_the_reference_s_tokens() {
    let here = folder("generate");
    let (input, output) = (here.join("in.safetensors"), here.join("out.safetensors"));
    let cases = json("generation/cases.json");
    let generations = cases["generations"].as_array().expect("a list").iter();
    let mut compared = 0;
    for case in generations.filter(|case| {
        ["bert", "roberta", "gpt2"]
            .iter()
            .any(|m| case["model"] == *m)
    }) {
        let mut tensors = vec![("input_ids", &case["input_ids"])];
        for name in ["attention_mask", "token_type_ids"] {
            tensors.extend(case.get(name).map(|rows| (name, rows)));
        }
        write(&input, &tensors);
        let model = fixture(&format!(
            "generation/{}",
            case["model"].as_str().expect("a name")
        ));
        let mut given = vec!["--model".to_owned(), model];
        for (name, path) in [("--input", &input), ("--output", &output)] {
            given.extend([name.to_owned(), path.to_str().expect("UTF-8").to_owned()]);
        }
        given.extend(arguments(&case["options"]));
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        assert_eq!(answer("generate", &given, b""), "");

        let bytes = fs::read(&output).expect("an output");
        let found = SafeTensors::deserialize(&bytes).expect("safetensors");
        let sequences = found.tensor("sequences").expect("sequences");
        let expected = case["sequences"].as_array().expect("rows");
        let columns = expected[0].as_array().expect("a row").len();
        assert_eq!(
            (sequences.dtype(), sequences.shape()),
            (Dtype::I64, &[expected.len(), columns][..])
        );
        let ids: Vec<i64> = sequences
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&b| i64::from_le_bytes(b))
            .collect();
        let rows = expected
            .iter()
            .flat_map(|row| row.as_array().expect("a row"));
        let rows: Vec<i64> = rows.map(|id| id.as_i64().expect("an id")).collect();
        assert_eq!(ids, rows, "{given:?}");
        let scores = case["scores"].as_array();
        assert_eq!(
            found.tensor("sequences_scores").is_ok(),
            scores.is_some(),
            "{given:?}"
        );
        if let Some(expected) = scores {
            let scores = found.tensor("sequences_scores").expect("scores");
            assert_eq!(
                (scores.dtype(), scores.shape()),
                (Dtype::F32, &[expected.len()][..])
            );
            let numbers = scores
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b));
            for (a, b) in numbers.zip(expected) {
                let b = b.as_f64().expect("a score");
                assert!(
                    (f64::from(a) - b).abs() <= 1e-4 * b.abs().max(1.0),
                    "{given:?}: {a} {b}"
                );
            }
        }
        compared += 1;
    }
    assert!(compared >= 30, "{compared}");
}

#[test]
fn generate_refuses_what_it_cannot_do_and_writes_nothing() {
    let model = fixture("generation/bert");
    let here = folder("generate-refused");
    let (input, output) = (here.join("in.safetensors"), here.join("out.safetensors"));
    write(&input, &[("input_ids", &serde_json::json!([[1, 5, 2]]))]);
    let (input, output) = (
        input.to_str().expect("UTF-8"),
        output.to_str().expect("UTF-8"),
    );
    let with = |more: &[&'static str]| {
        let mut all = vec!["--model", &model, "--input", input, "--output", output];
        all.extend(more);
        refusal("generate", &all, b"")
    };
    for (more, parts) in [
        (
            &["--max-new-tokens", "100000"][..],
            &["max_new_tokens", "100000"][..],
        ),
        (&["--num-beams", "0"], &["num_beams", "from 1 to 65536"]),
        (
            &["--num-beams", "2", "--num-return-sequences", "3"],
            &["num_return_sequences"],
        ),
        (
            &["--decoder-start-token-id", "100000"],
            &["decoder_start_token_id", "100000"],
        ),
        (&["--repetition-penalty", "0"], &["repetition_penalty"]),
        (
            &["--do-sample", "--num-beams", "1", "--top-p", "1.5"],
            &["top_p", "1.5"],
        ),
    ] {
        let said = with(more);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    for wrong in [
        ["--early-stopping", "perhaps"],
        ["--bad-words-ids", "1,x"],
        ["--num-beams", "-1"],
    ] {
        let mut all = vec!["--model", &model, "--input", input, "--output", output];
        all.extend(wrong);
        assert_eq!(
            run("generate", &all, b"").status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
    let encoder = fixture("models/v3");
    let said = refusal(
        "generate",
        &["--model", &encoder, "--input", input, "--output", output],
        b"",
    );
    assert!(said.contains("encoder-decoder"), "{said}");
    assert!(
        !Path::new(output).exists(),
        "nothing is written where nothing was computed"
    );
    let timed = answer(
        "generate",
        &[
            "--model", &model, "--input", input, "--output", output, "--repeat", "2",
        ],
        b"",
    );
    assert_eq!(
        objects(&timed)[0]["seconds"]
            .as_array()
            .expect("seconds")
            .len(),
        2
    );
}

#[test]
fn summarize_prints_the_reference_s_summaries() {
    for name in ["bert", "roberta", "gpt2"] {
        let model = fixture(&format!("summaries/{name}"));
        let expected = json(&format!("summaries/{name}/expected.json"));
        for row in expected["summaries"]
            .as_array()
            .expect("a list")
            .iter()
            .take(6)
        {
            let mut given = vec!["--model".to_owned(), model.clone()];
            given.extend(arguments(&row["options"]));
            let text = row["text"].as_str().expect("a text");
            let summary = row["summary"].as_str().expect("a summary").trim();
            let plain: Vec<&str> = given.iter().map(String::as_str).collect();
            assert_eq!(answer("summarize", &plain, text), format!("{summary}\n"));
            let told = [&plain[..], &["--json"]].concat();
            let told = &objects(&answer("summarize", &told, text))[0];
            assert_eq!(told["summary"], summary);
            assert_eq!(told["parts"], 1);
            assert_eq!(told["characters"], text.chars().count());
            assert_eq!(
                told["score"].is_number(),
                row["options"].get("num_beams").is_some()
            );
            assert!(
                told["ended"] == "eos" || told["ended"] == "length",
                "{told}"
            );
        }
    }
}

#[test]
fn summarize_s_files_and_long_texts() {
    let model = fixture("summaries/bert");
    let here = folder("summarize");
    let texts = [
        "Anna works in Berlin.",
        "It was slow, but the ending was lovely!",
    ];
    let paths: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let path = here.join(format!("{i}.txt"));
            fs::write(&path, text).expect("written");
            path.to_str().expect("UTF-8").to_owned()
        })
        .collect();
    let two = ["--model", &model, "--json", &paths[0], &paths[1]];
    let answers = objects(&answer("summarize", &two, b""));
    for ((found, path), text) in answers.iter().zip(&paths).zip(texts) {
        assert_eq!(found["source"], path.as_str());
        let alone = &objects(&answer("summarize", &["--model", &model, "--json"], text))[0];
        assert_eq!(found["summary"], alone["summary"]);
    }
    // One that is not there costs the other nothing, but is a failure.
    let output = run(
        "summarize",
        &["--model", &model, "--json", "no-such-file", &paths[1]],
        b"",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file"));

    let long = "Anna Smith works at Acme in Berlin. ".repeat(20);
    let short = [
        "--model",
        &model,
        "--max-input",
        "40",
        "--max-new-tokens",
        "4",
    ];
    let said = refusal("summarize", &short, &long);
    assert!(
        said.contains("at most 38 tokens") && said.contains("--long"),
        "{said}"
    );
    let with = |long_texts: &'static str| {
        let options = [&short[..], &["--json", "--long", long_texts]].concat();
        objects(&answer("summarize", &options, &long)).remove(0)
    };
    assert!(with("combine")["parts"].as_u64().expect("parts") > 3);
    assert_eq!(with("truncate")["parts"], 1);
}

#[test]
fn summarize_s_errors() {
    let model = fixture("summaries/bert");
    let said = refusal("summarize", &["--model", &model], b"fine\n\xff\xfe\n");
    assert!(
        said.contains("standard input") && said.contains("UTF-8"),
        "{said}"
    );
    let said = refusal("summarize", &["--model", &model], b"");
    assert!(said.contains("no tokens"), "{said}");
    let said = refusal("summarize", &["--model", "no/such/model"], b"a");
    assert!(said.contains("no/such/model"), "{said}");
    let encoder = fixture("models/v3");
    let said = refusal("summarize", &["--model", &encoder], b"a");
    assert!(said.contains("encoder-decoder"), "{said}");
}
