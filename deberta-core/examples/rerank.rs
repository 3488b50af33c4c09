//! Ranks documents by how well they answer a query.
//!
//! ```text
//! cargo run --release --example rerank -- --model MODEL "Why does iron rust?" "Rust is a language." "Iron rusts in rain."
//! cargo run --release --example rerank -- --model MODEL --top-k 3 "Why does iron rust?" < documents.txt
//! ```
//!
//! A public checkpoint that serves: `mixedbread-ai/mxbai-rerank-base-v1`.

mod common;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use common::lines::Lines;
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::tasks::{Control, Progress, Reranker, ScoreFunction, WindowOptions};
use indicatif::ProgressBar;
use serde_json::json;

/// Ranks documents by how well they answer a query, with a DeBERTa cross-encoder.
#[derive(Parser)]
struct Options {
    /// The query
    query: String,
    /// The documents; none: lines of standard input
    documents: Vec<String>,
    /// Show so many documents
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Show logits instead of scores between zero and one
    #[arg(long)]
    raw: bool,
    /// Tokens of one window over a long document
    #[arg(long)]
    max_length: Option<usize>,
    /// Leave out the end of a long document instead of taking its best part
    #[arg(long)]
    truncate: bool,
    /// One JSON object per document, the best first
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

fn main() -> ExitCode {
    report::end(run(Options::parse()))
}

fn run(options: Options) -> Result<(), Failure> {
    let public = Default::Public("mixedbread-ai/mxbai-rerank-base-v1");
    let folder = options.model.directory(public)?;
    let mut model =
        Reranker::load_with(folder, options.model.load())?.with_windows(&WindowOptions {
            max_length: options.max_length,
            truncate: options.truncate,
            ..WindowOptions::default()
        })?;
    remark::unused(model.model());
    if options.raw {
        model = model.with_function(ScoreFunction::None);
    }
    let documents = match options.documents.is_empty() {
        true => lines()?,
        false => options.documents,
    };
    let pairs: Vec<(&str, &str)> = documents
        .iter()
        .map(|document| (options.query.as_str(), document.as_str()))
        .collect();
    let bar = match io::stderr().is_terminal() {
        true => ProgressBar::new(pairs.len() as u64),
        false => ProgressBar::hidden(),
    };
    let hear = |progress: Progress| bar.set_position(progress.done as u64);
    let scores = model.scores_each(&pairs, &Control::default().on_progress(&hear));
    bar.finish_and_clear();
    let (mut ranked, mut failed) = (Vec::new(), 0);
    for (index, score) in scores.into_iter().enumerate() {
        match score {
            Ok(score) => ranked.push((index, score)),
            Err(error) => {
                eprintln!("error: document {}: {error}", index + 1);
                failed += 1;
            }
        }
    }
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(options.top_k.map_or(usize::MAX, |k| k as usize));
    print(&ranked, &documents, options.json)?;
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} documents have no score").into()),
    }
}

/// The lines of standard input.
fn lines() -> Result<Vec<String>, Failure> {
    let mut lines = Lines::new();
    let mut all = Vec::new();
    loop {
        let portion = lines.portion(Ok)?;
        if portion.is_empty() {
            return Ok(all);
        }
        all.extend(portion);
    }
}

fn print(ranked: &[(usize, f32)], documents: &[String], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        for &(index, score) in ranked {
            let line = json!({"document": index + 1, "score": score, "text": documents[index]});
            writeln!(out, "{line}")?;
        }
        return out.flush();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["Score", "Document", "Text"]);
    for &(index, score) in ranked {
        let text = common::shown(&documents[index]);
        table.add_row([format!("{score:.4}"), (index + 1).to_string(), text]);
    }
    for number in 0..2 {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "{}", table.trim_fmt())?;
    out.flush()
}
