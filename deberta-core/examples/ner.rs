//! Finds names in texts.
//!
//! ```text
//! cargo run --release --example ner -- "John Doe works at Google in California."
//! cargo run --release --example ner -- --model path/to/model --json < lines.txt
//! ```

mod common;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use common::lines::Lines;
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::tasks::{Aggregation, Entity, TokenClassifier, WindowOptions};
use serde::Serialize;

/// Finds names in texts with a DeBERTa model.
#[derive(Parser)]
struct Options {
    /// The texts; none: lines of standard input
    texts: Vec<String>,
    /// How the labels of tokens become entities
    #[arg(long, value_enum, default_value = "simple")]
    aggregation: Grouping,
    /// A label to leave out, by default O (may be given several times)
    #[arg(long, value_name = "LABEL")]
    ignore: Vec<String>,
    /// Tokens of one window over a long text
    #[arg(long)]
    max_length: Option<usize>,
    /// Tokens that neighbouring windows share
    #[arg(long)]
    overlap: Option<usize>,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Grouping {
    /// Each token with its own label
    None,
    /// Neighbours with the same tag together
    Simple,
    /// Words by their first token
    First,
    /// Words by the mean of their tokens
    Average,
    /// Words by their surest token
    Max,
}

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let folder = options.model.directory(Default::Shipped("ner"))?;
    let mut tagger = TokenClassifier::load_with(folder, options.model.load())?
        .with_windows(&WindowOptions {
            max_length: options.max_length,
            overlap: options.overlap,
            ..WindowOptions::default()
        })?
        .with_aggregation(match options.aggregation {
            Grouping::None => Aggregation::None,
            Grouping::Simple => Aggregation::Simple,
            Grouping::First => Aggregation::First,
            Grouping::Average => Aggregation::Average,
            Grouping::Max => Aggregation::Max,
        });
    remark::unused(tagger.model());
    if !options.ignore.is_empty() {
        tagger = tagger.with_ignored_labels(options.ignore.iter().map(String::as_str));
    }

    if !options.texts.is_empty() {
        let texts: Vec<&str> = options.texts.iter().map(String::as_str).collect();
        let answers = tagger.entities_batch(&texts)?;
        return Ok(print(&texts, &answers, 1, options)?);
    }
    let mut lines = Lines::new();
    let mut number = 1;
    loop {
        let portion = lines.portion(Ok)?;
        if portion.is_empty() {
            return Ok(());
        }
        let texts: Vec<&str> = portion.iter().map(String::as_str).collect();
        let answers = tagger.entities_batch(&texts)?;
        lines.answered(|| print(&texts, &answers, number, options))?;
        number += texts.len();
    }
}

/// What `--json` writes of one text.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    entities: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    label: &'a str,
    score: f32,
    text: &'a str,
    bytes: [usize; 2],
    chars: [usize; 2],
}

impl<'a> From<&'a Entity> for Found<'a> {
    fn from(entity: &'a Entity) -> Self {
        Self {
            label: &entity.label,
            score: entity.score,
            text: &entity.text,
            bytes: [entity.bytes.start, entity.bytes.end],
            chars: [entity.chars.start, entity.chars.end],
        }
    }
}

fn print(
    texts: &[&str],
    answers: &[Vec<Entity>],
    number: usize,
    options: &Options,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        for (text, entities) in texts.iter().zip(answers) {
            let entities = entities.iter().map(Found::from).collect();
            writeln!(out, "{}", serde_json::to_string(&Line { text, entities })?)?;
        }
        return out.flush();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Several texts are told apart by their number; the header stands once.
    let several = texts.len() > 1 || options.texts.is_empty();
    if number == 1 {
        let header = ["Label", "Score", "Text", "Bytes"].map(str::to_owned);
        table.set_header(several.then(|| "Line".to_owned()).into_iter().chain(header));
    }
    for (i, entities) in answers.iter().enumerate() {
        let line = several.then(|| (number + i).to_string());
        if entities.is_empty() {
            let row = ["-", "", "(no entities)", ""].map(str::to_owned);
            table.add_row(line.clone().into_iter().chain(row));
        }
        for e in entities {
            let span = format!("{}..{}", e.bytes.start, e.bytes.end);
            let row = [
                e.label.clone(),
                format!("{:.4}", e.score),
                common::shown(&e.text),
                span,
            ];
            table.add_row(line.clone().into_iter().chain(row));
        }
    }
    if let Some(column) = table.column_mut(usize::from(several) + 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    out.flush()
}
