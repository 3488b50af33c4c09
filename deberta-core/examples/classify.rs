//! Classifies texts, or pairs of texts.
//!
//! ```text
//! cargo run --release --example classify -- "This is a positive example."
//! cargo run --release --example classify -- --model path/to/model --json < lines.txt
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
use deberta_core::tasks::{
    Classification, Input, ScoreFunction, TextClassifier, WindowMerge, WindowOptions,
};
use serde::Serialize;

/// Classifies texts with a DeBERTa model.
#[derive(Parser)]
struct Options {
    /// The texts; none: lines of standard input
    texts: Vec<String>,
    /// Take texts two by two: arguments in turn, or both texts of a line with a tab between
    ///
    /// Where both texts are longer than half a window, every window of one is read beside every
    /// window of the other: the work grows with the product of their lengths.
    #[arg(long)]
    pair: bool,
    /// Show so many labels of each text
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Show all labels of each text
    #[arg(long, conflicts_with = "top_k")]
    all: bool,
    /// Leave out labels with a lower score
    #[arg(long, value_name = "SCORE")]
    threshold: Option<f32>,
    /// From logits to scores, if not as the model's configuration says
    #[arg(long, value_enum)]
    function: Option<Function>,
    /// Tokens of one window over a long text
    #[arg(long)]
    max_length: Option<usize>,
    /// Tokens that neighbouring windows share
    #[arg(long)]
    overlap: Option<usize>,
    /// Read one window of a long text and leave out the rest
    #[arg(long, conflicts_with_all = ["overlap", "merge"])]
    truncate: bool,
    /// How the windows of a long text are merged
    #[arg(long, value_enum, default_value = "mean")]
    merge: Merge,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Function {
    /// Scores of all labels that add up to 1
    Softmax,
    /// A score between 0 and 1 for each label by itself
    Sigmoid,
    /// The logits as they are
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum Merge {
    /// The mean of their logits, by the share of the text that each adds
    Mean,
    /// The largest logit of each label: whether some window has it
    Max,
}

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let folder = options.model.directory(Default::Shipped("sentiment"))?;
    let mut classifier =
        TextClassifier::load_with(folder, options.model.load())?.with_windows(&WindowOptions {
            max_length: options.max_length,
            overlap: options.overlap,
            merge: Some(match options.merge {
                Merge::Mean => WindowMerge::Mean,
                Merge::Max => WindowMerge::Max,
            }),
            truncate: options.truncate,
        })?;
    remark::unused(classifier.model());
    if let Some(function) = options.function {
        classifier = classifier.with_function(match function {
            Function::Softmax => ScoreFunction::Softmax,
            Function::Sigmoid => ScoreFunction::Sigmoid,
            Function::None => ScoreFunction::None,
        });
    }

    if !options.texts.is_empty() {
        let inputs = inputs_of_arguments(options)?;
        let answers = answer(&classifier, &inputs, options)?;
        return Ok(print(&inputs, &answers, options, true)?);
    }
    let mut lines = Lines::new();
    let mut first = true;
    loop {
        let portion = lines.portion(|line| {
            if options.pair {
                pair_of_line(line)
            } else {
                Ok((line, None))
            }
        })?;
        if portion.is_empty() {
            return Ok(());
        }
        let inputs: Vec<Input<'_>> = portion
            .iter()
            .map(|(text, second)| match second {
                Some(second) => Input::Pair(text, second),
                None => Input::Single(text),
            })
            .collect();
        let answers = answer(&classifier, &inputs, options)?;
        lines.answered(|| print(&inputs, &answers, options, first))?;
        first = false;
    }
}

fn inputs_of_arguments(options: &Options) -> Result<Vec<Input<'_>>, Failure> {
    if !options.pair {
        return Ok(options.texts.iter().map(Input::from).collect());
    }
    let (pairs, rest) = options.texts.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!(
            "--pair takes texts two by two, found {}",
            options.texts.len()
        )
        .into());
    }
    Ok(pairs
        .iter()
        .map(|[first, second]| Input::Pair(first, second))
        .collect())
}

fn pair_of_line(line: String) -> Result<(String, Option<String>), String> {
    line.split_once('\t')
        .filter(|(_, rest)| !rest.contains('\t'))
        .map(|(first, second)| (first.to_owned(), Some(second.to_owned())))
        .ok_or_else(|| "--pair expects two texts with a tab between them".to_owned())
}

fn answer(
    classifier: &TextClassifier,
    inputs: &[Input<'_>],
    options: &Options,
) -> Result<Vec<Vec<Classification>>, Failure> {
    let count = if options.all {
        u32::MAX
    } else {
        options.top_k.unwrap_or(1)
    };
    let mut answers = classifier.top_k_batch(inputs, usize::try_from(count)?)?;
    if let Some(threshold) = options.threshold {
        for labels in &mut answers {
            labels.retain(|label| label.score >= threshold);
        }
    }
    Ok(answers)
}

/// What `--json` writes of one input.
#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_pair: Option<&'a str>,
    /// `null` where no label has the score that is asked for.
    label: Option<&'a str>,
    score: Option<f32>,
    windows: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<Score<'a>>>,
}

#[derive(Serialize)]
struct Score<'a> {
    label: &'a str,
    score: f32,
}

fn line<'a>(input: &Input<'a>, labels: &'a [Classification], options: &Options) -> Line<'a> {
    let (text, text_pair) = match *input {
        Input::Single(text) => (text, None),
        Input::Pair(first, second) => (first, Some(second)),
    };
    let score = |c: &'a Classification| Score {
        label: &c.label,
        score: c.score,
    };
    let several = options.all || options.top_k.is_some();
    Line {
        text,
        text_pair,
        label: labels.first().map(|best| best.label.as_str()),
        score: labels.first().map(|best| best.score),
        windows: labels.first().map(|best| best.windows),
        labels: several.then(|| labels.iter().map(score).collect()),
    }
}

fn print(
    inputs: &[Input<'_>],
    answers: &[Vec<Classification>],
    options: &Options,
    first: bool,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        for (input, labels) in inputs.iter().zip(answers) {
            writeln!(
                out,
                "{}",
                serde_json::to_string(&line(input, labels, options))?
            )?;
        }
        return out.flush();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if first {
        table.set_header(["Label", "Score", "Text", ""]);
    }
    for (input, labels) in inputs.iter().zip(answers) {
        let mut text = match input {
            Input::Single(text) => common::shown(text),
            Input::Pair(first, second) => {
                format!("{} | {}", common::shown(first), common::shown(second))
            }
        };
        if labels.is_empty() {
            table.add_row(["-".to_owned(), String::new(), text, String::new()]);
            continue;
        }
        for (i, c) in labels.iter().enumerate() {
            let note = match c.windows {
                windows if i == 0 && windows > 1 => format!("({windows} windows)"),
                _ => String::new(),
            };
            // A text stands in the row of its best label.
            let text = std::mem::take(&mut text);
            table.add_row([c.label.clone(), format!("{:.4}", c.score), text, note]);
        }
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    out.flush()
}
