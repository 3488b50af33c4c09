//! Finds words for the masks in texts.
//!
//! ```text
//! cargo run --release --example fill_mask -- --model MODEL "The capital of France is [MASK]."
//! ```
//!
//! A public checkpoint that serves: `microsoft/deberta-base`. (The v3 models are discriminators and know no words for masks.)

mod common;

use std::process::ExitCode;

use clap::Parser;
use common::answers::{Show, answer_all, score};
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::tasks::{Control, FillMask, Filled};
use serde_json::json;

/// Finds words for the masks in texts, with a DeBERTa model.
#[derive(Parser)]
struct Options {
    /// The texts, with [MASK] where a word is missing; none: lines of standard input
    texts: Vec<String>,
    /// Show so many words for each mask
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// The only words to choose from, with commas between them
    #[arg(long)]
    targets: Option<String>,
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
    let folder = options
        .model
        .directory(Default::Public("microsoft/deberta-base"))?;
    let mut model =
        FillMask::load_with(folder, options.model.load())?.with_top_k(options.top_k as usize);
    remark::unused(model.model());
    if let Some(doubt) = model.doubt() {
        eprintln!("note: {doubt}");
    }
    if let Some(targets) = &options.targets {
        model = model.with_targets(&common::parts(targets))?;
        eprintln!(
            "note: choosing among the tokens {}",
            model.targets().join(" ")
        );
    }
    let answer = |texts: &[String]| {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        model.fill_each(&texts, &Control::default())
    };
    let show = Show {
        json: options.json,
        header: &["Mask", "Score", "Word", "Text"],
        numbers: &[0, 1],
        rows: &|_: &String, masks: &Vec<Vec<Filled>>| {
            let words = masks.iter().enumerate().flat_map(|(i, words)| {
                words.iter().map(move |word| {
                    let text = common::shown(&word.sequence);
                    vec![
                        (i + 1).to_string(),
                        score(word.score),
                        word.text.clone(),
                        text,
                    ]
                })
            });
            words.collect()
        },
        object: &|text, masks| {
            let word = |word: &Filled| {
                json!({
                    "token": word.token, "word": word.text, "score": word.score, "sequence": word.sequence,
                })
            };
            let masks = masks.iter();
            let masks: Vec<Vec<_>> = masks
                .map(|words| words.iter().map(word).collect())
                .collect();
            json!({"text": text, "masks": masks})
        },
        text: &|text| text,
    };
    answer_all(options.texts, Ok, answer, &show)
}
