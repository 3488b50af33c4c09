//! Makes vectors of texts, and compares them.
//!
//! ```text
//! cargo run --release --example embed -- "A good film." "A fine movie." "The train was late."
//! cargo run --release --example embed -- --model MODEL --json < lines.txt > vectors.jsonl
//! ```
//!
//! A public checkpoint that serves for search: one of sentence-transformers with a DeBERTa encoder. The sentiment model of
//! this repository shows how it works.

mod common;

use std::cell::RefCell;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::answers::{Show, answer_all};
use common::options::{Default, ModelOptions};
use common::report::{self, Failure};
use deberta_core::Pooling;
use deberta_core::tasks::{Control, Embedder, WindowOptions};
use serde_json::json;

/// Makes vectors of texts with a DeBERTa model.
#[derive(Parser)]
struct Options {
    /// The texts; none: lines of standard input
    texts: Vec<String>,
    /// How the vectors of tokens become one [default: as the model's directory says, else their mean]
    #[arg(long, value_enum)]
    pooling: Option<Pool>,
    /// Scale vectors to length one
    #[arg(long)]
    normalize: bool,
    /// Tokens of one window over a long text
    #[arg(long)]
    max_length: Option<usize>,
    /// Read one window of a long text and leave out the rest
    #[arg(long)]
    truncate: bool,
    /// One JSON object per text, with its vector
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pool {
    /// That of the first token
    Cls,
    /// Their mean
    Mean,
    /// The largest of each column
    Max,
}

fn main() -> ExitCode {
    report::end(run(Options::parse()))
}

fn run(options: Options) -> Result<(), Failure> {
    let folder = options.model.directory(Default::Shipped("sentiment"))?;
    let mut model =
        Embedder::load_with(folder, options.model.load())?.with_windows(&WindowOptions {
            max_length: options.max_length,
            truncate: options.truncate,
            ..WindowOptions::default()
        })?;
    if let Some(pool) = options.pooling {
        model = model.with_pooling(match pool {
            Pool::Cls => Pooling::Cls,
            Pool::Mean => Pooling::Mean,
            Pool::Max => Pooling::Max,
        });
    }
    if options.normalize {
        model = model.with_normalize(true);
    }
    let answer = |texts: &[String]| {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        model.embed_each(&texts, &Control::default())
    };
    // Texts are compared with the first of them.
    let first: RefCell<Option<Vec<f32>>> = RefCell::default();
    let show = Show {
        json: options.json,
        header: &["Cosine to the first", "Vector", "Text"],
        numbers: &[0],
        rows: &|text: &String, vector: &Vec<f32>| {
            let mut first = first.borrow_mut();
            let first = first.get_or_insert_with(|| vector.clone());
            let numbers: Vec<String> = vector.iter().take(4).map(|x| format!("{x:.3}")).collect();
            vec![vec![
                format!("{:.4}", cosine(first, vector)),
                format!("{}, … ({} numbers)", numbers.join(", "), vector.len()),
                common::shown(text),
            ]]
        },
        object: &|text, vector| json!({"text": text, "embedding": vector}),
        text: &|text| text,
    };
    answer_all(options.texts, Ok, answer, &show)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}
