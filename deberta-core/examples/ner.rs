//! Finds names in texts.
//!
//! ```text
//! cargo run --release --example ner -- "John Doe works at Google in California."
//! cargo run --release --example ner -- --model path/to/model --json < lines.txt
//! ```

mod common;

use std::cell::Cell;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::answers::{Show, answer_all, score, span};
use common::options::{Default, ModelOptions};
use common::remark;
use common::report::{self, Failure};
use deberta_core::tasks::{Aggregation, Control, Entity, TokenClassifier, WindowOptions};
use serde_json::json;

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

    let answers = |numbered: &[Numbered]| {
        let texts: Vec<&str> = numbered.iter().map(|(_, text)| text.as_str()).collect();
        tagger.entities_each(&texts, &Control::default())
    };
    // Several texts are told apart by their number.
    let several = options.texts.len() != 1;
    let show = Show {
        json: options.json,
        header: match several {
            true => &["Line", "Label", "Score", "Text", "Bytes"],
            false => &["Label", "Score", "Text", "Bytes"],
        },
        numbers: &[usize::from(several) + 1],
        rows: &|(number, _): &Numbered, entities: &Vec<Entity>| {
            let line = several.then(|| number.to_string());
            let in_line = |row: [String; 4]| line.clone().into_iter().chain(row).collect();
            if entities.is_empty() {
                return vec![in_line(["-", "", "(no entities)", ""].map(str::to_owned))];
            }
            let rows = entities.iter().map(|entity| {
                let bytes = format!("{}..{}", entity.bytes.start, entity.bytes.end);
                let text = common::shown(&entity.text);
                in_line([entity.label.clone(), score(entity.score), text, bytes])
            });
            rows.collect()
        },
        object: &|(_, text), entities| {
            let entities = entities.iter().map(|entity| {
                json!({
                    "label": entity.label, "score": entity.score, "text": entity.text,
                    "bytes": span(&entity.bytes), "chars": span(&entity.chars),
                })
            });
            json!({"text": text, "entities": entities.collect::<Vec<_>>()})
        },
        text: &|(_, text)| text,
    };
    let number = Cell::new(0);
    let numbered = |text: String| {
        number.set(number.get() + 1);
        (number.get(), text)
    };
    let given = options.texts.iter().cloned().map(numbered).collect();
    answer_all(given, |line| Ok(numbered(line)), answers, &show)
}

/// A text and which it is, counted from 1.
type Numbered = (usize, String);
