//! `attention`, `bench`, and what all of them say to `--help`.

use std::fs;
use std::thread;

use super::{answer, fixture, folder, objects, refusal, run};

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
