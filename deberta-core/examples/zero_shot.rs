//! Classifies texts by labels that the model was not trained on.
//!
//! ```text
//! cargo run --release --example zero_shot -- --model MODEL --labels politics,sport,cooking "The election was close."
//! ```
//!
//! A public checkpoint that serves: `MoritzLaurer/deberta-v3-base-zeroshot-v2.0`.

mod common;

use std::process::ExitCode;

use clap::Parser;
use common::answers::{Show, answer_all, score};
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::tasks::{Candidates, Control, LabelScore, WindowOptions, ZeroShotClassifier};
use serde_json::json;

/// Classifies texts by any labels, with a DeBERTa model for natural language inference.
#[derive(Parser)]
struct Options {
    /// The texts; none: lines of standard input
    texts: Vec<String>,
    /// The labels, with commas between them
    #[arg(long)]
    labels: String,
    /// What a label is put into
    #[arg(long, default_value = "This example is {}.")]
    template: String,
    /// Whether a text may have several labels: each has a score of its own
    #[arg(long)]
    multi_label: bool,
    /// Show so many labels of each text
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Tokens of one window over a long text
    #[arg(long)]
    max_length: Option<usize>,
    /// Read one window of a long text and leave out the rest
    #[arg(long)]
    truncate: bool,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

fn main() -> ExitCode {
    report::end(run(Options::parse()))
}

fn run(options: Options) -> Result<(), Failure> {
    let labels = common::parts(&options.labels);
    if labels.is_empty() {
        return Err("--labels expects at least one label".into());
    }
    let public = Default::Public("MoritzLaurer/deberta-v3-base-zeroshot-v2.0");
    let folder = options.model.directory(public)?;
    let model = ZeroShotClassifier::load_with(folder, options.model.load())?
        .with_template(&options.template)?
        .with_multi_label(options.multi_label)
        .with_windows(&WindowOptions {
            max_length: options.max_length,
            truncate: options.truncate,
            ..WindowOptions::default()
        })?;
    remark::unused(model.model());
    let entailment = model.entailment_label();
    if !entailment.to_lowercase().starts_with("entail") {
        eprintln!(
            "note: no label of the model is called entailment; {entailment:?} is taken for it"
        );
    }
    let most = options.top_k.map_or(usize::MAX, |k| k as usize);
    let answer = |texts: &[String]| {
        let inputs: Vec<Candidates<'_>> = texts
            .iter()
            .map(|text| Candidates {
                text,
                labels: &labels,
            })
            .collect();
        model.classify_each(&inputs, &Control::default())
    };
    let show = Show {
        json: options.json,
        header: &["Label", "Score", "Text"],
        numbers: &[1],
        rows: &|text: &String, answer: &Vec<LabelScore>| {
            let rows = answer.iter().take(most).enumerate();
            rows.map(|(i, label)| {
                let text = if i == 0 {
                    common::shown(text)
                } else {
                    String::new()
                };
                vec![label.label.clone(), score(label.score), text]
            })
            .collect()
        },
        object: &|text, answer| {
            let labels = answer.iter().take(most);
            let labels: Vec<_> = labels
                .map(|label| json!({"label": label.label, "score": label.score}))
                .collect();
            json!({"text": text, "labels": labels})
        },
        text: &|text| text,
    };
    answer_all(options.texts, Ok, answer, &show)
}
