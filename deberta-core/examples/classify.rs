//! Classifies texts, or pairs of texts.
//!
//! ```text
//! cargo run --release --example classify -- "This is a positive example."
//! cargo run --release --example classify -- --model path/to/model --json < lines.txt
//! ```

mod common;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::answers::{Show, answer_all, score};
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::Error;
use deberta_core::tasks::{
    Classification, Control, Input, ScoreFunction, TextClassifier, WindowMerge, WindowOptions,
};
use serde_json::{Value, json};

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

    let answers = |asked: &[Asked]| {
        let inputs: Vec<Input<'_>> = asked
            .iter()
            .map(|(text, second)| match second {
                Some(second) => Input::Pair(text, second),
                None => Input::Single(text),
            })
            .collect();
        answer(&classifier, &inputs, options)
    };
    let show = Show {
        json: options.json,
        header: &["Label", "Score", "Text", ""],
        numbers: &[1],
        rows: &|asked, labels: &Vec<Classification>| rows(asked, labels),
        object: &|asked, labels| object(asked, labels, options),
        text: &|(text, _)| text,
    };
    let parse = |line| match options.pair {
        true => pair_of_line(line),
        false => Ok((line, None)),
    };
    answer_all(given(options)?, parse, answers, &show)
}

/// A text, and the second of a pair.
type Asked = (String, Option<String>);

/// The texts of the command line.
fn given(options: &Options) -> Result<Vec<Asked>, Failure> {
    if !options.pair {
        let texts = options.texts.iter();
        return Ok(texts.map(|text| (text.clone(), None)).collect());
    }
    let (pairs, rest) = options.texts.as_chunks::<2>();
    if !rest.is_empty() {
        let count = options.texts.len();
        return Err(format!("--pair takes texts two by two, found {count}").into());
    }
    let pairs = pairs.iter();
    Ok(pairs
        .map(|[first, second]| (first.clone(), Some(second.clone())))
        .collect())
}

fn pair_of_line(line: String) -> Result<Asked, String> {
    line.split_once('\t')
        .filter(|(_, rest)| !rest.contains('\t'))
        .map(|(first, second)| (first.to_owned(), Some(second.to_owned())))
        .ok_or_else(|| "--pair expects two texts with a tab between them".to_owned())
}

fn answer(
    classifier: &TextClassifier,
    inputs: &[Input<'_>],
    options: &Options,
) -> Vec<Result<Vec<Classification>, Error>> {
    let count = match options.all {
        true => usize::MAX,
        false => options.top_k.map_or(1, |k| k as usize),
    };
    let mut answers = classifier.top_k_each(inputs, count, &Control::default());
    if let Some(threshold) = options.threshold {
        for labels in answers.iter_mut().flatten() {
            labels.retain(|label| label.score >= threshold);
        }
    }
    answers
}

/// What `--json` writes of one input.
fn object((text, second): &Asked, labels: &[Classification], options: &Options) -> Value {
    // `null` where no label has the score that is asked for.
    let best = labels.first();
    let mut object = json!({
        "text": text, "label": best.map(|best| &best.label), "score": best.map(|best| best.score),
        "windows": best.map(|best| best.windows),
    });
    if let Some(second) = second {
        object["text_pair"] = json!(second);
    }
    if options.all || options.top_k.is_some() {
        let labels = labels.iter();
        object["labels"] = labels
            .map(|label| json!({"label": label.label, "score": label.score}))
            .collect();
    }
    object
}

fn rows((text, second): &Asked, labels: &[Classification]) -> Vec<Vec<String>> {
    let mut text = match second {
        None => common::shown(text),
        Some(second) => format!("{} | {}", common::shown(text), common::shown(second)),
    };
    if labels.is_empty() {
        return vec![vec!["-".to_owned(), String::new(), text, String::new()]];
    }
    let rows = labels.iter().enumerate().map(|(i, label)| {
        let note = match label.windows {
            windows if i == 0 && windows > 1 => format!("({windows} windows)"),
            _ => String::new(),
        };
        // A text stands in the row of its best label.
        let text = std::mem::take(&mut text);
        vec![label.label.clone(), score(label.score), text, note]
    });
    rows.collect()
}
