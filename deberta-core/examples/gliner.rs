//! Finds entities of any kind.
//!
//! ```text
//! cargo run --release --example gliner -- --model MODEL --labels person,place "Ada Lovelace lived in London."
//! ```
//!
//! Public checkpoints that serve: `knowledgator/gliner-pii-base-v1.0`, and of GLiNER2 `fastino/gliner2-base-v1`.

mod common;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use common::answers::{Show, answer_all, score, span};
use common::model::resolve;
use common::options::{Default, ModelOptions};
use common::report::{self, Failure};
use deberta_core::Error;
use deberta_core::ResolveOptions;
use deberta_core::tasks::{Candidates, Control, Entity, Gliner, Gliner2, GlinerOptions, Overlap};
use serde_json::json;

/// Finds entities of any kind, with a model of GLiNER or GLiNER2 on a DeBERTa encoder.
#[derive(Parser)]
struct Options {
    /// The texts; none: lines of standard input
    texts: Vec<String>,
    /// The kinds of entities, with commas between them
    #[arg(long)]
    labels: String,
    /// The probability above which words are an entity
    #[arg(long, default_value_t = 0.5)]
    threshold: f32,
    /// Entities may lie inside others
    #[arg(long)]
    nested: bool,
    /// The same words may be of several kinds
    #[arg(long)]
    multi_label: bool,
    /// Leave out the words that the model does not read at once
    #[arg(long)]
    truncate: bool,
    /// The encoder's own tokenizer and configuration, where the checkpoint only names it: a directory, or a name on the hub
    #[arg(long)]
    encoder: Option<String>,
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
    let public = Default::Public("knowledgator/gliner-pii-base-v1.0");
    let folder = options.model.directory(public)?;
    if !folder.join("gliner_config.json").is_file() {
        return second(options, &folder);
    }
    let mut load = GlinerOptions::default().load(options.model.load());
    if let Some(encoder) = &options.encoder {
        load = load.encoder(resolve(
            Path::new(encoder),
            ResolveOptions::default().without_weights(),
        )?);
    }
    let model = Gliner::load_with(folder, load)?
        .with_threshold(options.threshold)?
        .with_nested(options.nested)
        .with_multi_label(options.multi_label)
        .with_truncation(options.truncate);
    find(options, |inputs| {
        model.entities_each(inputs, &Control::default())
    })
}

/// The same with a model of GLiNER2.
fn second(options: Options, folder: &Path) -> Result<(), Failure> {
    if options.multi_label || options.truncate || options.encoder.is_some() {
        let refused =
            "--multi-label, --truncate and --encoder are for models with a gliner_config.json";
        return Err(refused.into());
    }
    let model = Gliner2::load_with(folder, options.model.load())?
        .with_threshold(options.threshold)?
        .with_overlap(match options.nested {
            true => Overlap::Nested,
            false => Overlap::default(),
        });
    find(options, |inputs| {
        model.entities_each(inputs, &Control::default())
    })
}

/// Answers the texts and shows what was found.
fn find(
    options: Options,
    entities: impl Fn(&[Candidates<'_>]) -> Vec<Result<Vec<Entity>, Error>>,
) -> Result<(), Failure> {
    let labels = common::parts(&options.labels);
    let answer = |texts: &[String]| {
        let inputs: Vec<Candidates<'_>> = texts
            .iter()
            .map(|text| Candidates {
                text,
                labels: &labels,
            })
            .collect();
        entities(&inputs)
    };
    let show = Show {
        json: options.json,
        header: &["Label", "Score", "Bytes", "Entity", "Text"],
        numbers: &[1],
        rows: &|text: &String, entities: &Vec<Entity>| {
            let shown = |i: usize| {
                if i == 0 {
                    common::shown(text)
                } else {
                    String::new()
                }
            };
            if entities.is_empty() {
                let row = ["-", "", "", "(no entities)"].map(str::to_owned);
                return vec![row.into_iter().chain([shown(0)]).collect()];
            }
            let rows = entities.iter().enumerate().map(|(i, entity)| {
                let bytes = format!("{}..{}", entity.bytes.start, entity.bytes.end);
                let found = common::shown(&entity.text);
                vec![
                    entity.label.clone(),
                    score(entity.score),
                    bytes,
                    found,
                    shown(i),
                ]
            });
            rows.collect()
        },
        object: &|text, entities| {
            let entities = entities.iter().map(|entity| {
                json!({
                    "label": entity.label, "score": entity.score, "text": entity.text,
                    "bytes": span(&entity.bytes), "chars": span(&entity.chars),
                })
            });
            json!({"text": text, "entities": entities.collect::<Vec<_>>()})
        },
        text: &|text| text,
    };
    answer_all(options.texts, Ok, answer, &show)
}
