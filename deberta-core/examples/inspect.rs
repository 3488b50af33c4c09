//! What a checkpoint is, before it is used: as tables.
//!
//! ```text
//! cargo run --release -p deberta-core --example inspect -- DIR
//! ```

#[path = "common/report.rs"]
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use deberta_core::HeadKind;
use deberta_core::config::Family;
use deberta_core::inspect::{Inspection, inspect};
use report::Failure;

/// Tells what a model directory holds: family, sizes, parameters, memory, heads, labels, tokenizer, warnings.
#[derive(Parser)]
struct Options {
    /// The directory of the model
    dir: PathBuf,
    /// List every tensor too
    #[arg(long)]
    tensors: bool,
}

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let found = inspect(&options.dir)?;
    println!("{}", facts(&found).trim_fmt());
    println!("\n{}", memory(&found).trim_fmt());
    if options.tensors {
        println!("\n{}", tensors(&found).trim_fmt());
    }
    if !found.warnings.is_empty() {
        println!();
    }
    for warning in &found.warnings {
        println!("warning: {warning}");
    }
    Ok(())
}

/// One row per fact.
fn facts(found: &Inspection) -> Table {
    let (config, checkpoint) = (&found.config, &found.checkpoint);
    let mut table = table();
    let mut row = |name: &str, value: String| {
        table.add_row([name, &value]);
    };
    row("family", family(found));
    row(
        "sizes",
        format!(
            "layers {}, hidden {}, heads {} of {}, feed-forward {}",
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.head_size(),
            config.intermediate_size
        ),
    );
    row("attention", attention(found));
    row("vocabulary", format!("{} rows", found.vocabulary_rows));
    if let Some(decoder) = &found.decoder {
        row(
            "decoder",
            format!(
                "{}, layers {}, hidden {}, heads {} of {}, feed-forward {}, {} positions",
                decoder.family,
                decoder.num_hidden_layers,
                decoder.hidden_size,
                decoder.num_attention_heads,
                decoder.head_size(),
                decoder.intermediate_size,
                decoder.positions()
            ),
        );
    }
    let parameters = &found.parameters;
    row(
        "parameters",
        format!(
            "{} ({} embeddings, {} layers, {} {})",
            count(parameters.total()),
            count(parameters.embeddings),
            count(parameters.layers),
            count(parameters.heads + parameters.decoder),
            if found.decoder.is_some() {
                "decoder"
            } else {
                "heads"
            }
        ),
    );
    let files = checkpoint.files().len();
    row(
        "files",
        format!(
            "{}{}, {files} file{}, {}, tensors of {}",
            checkpoint.format(),
            if checkpoint.is_int8() { " in int8" } else { "" },
            if files == 1 { "" } else { "s" },
            size(checkpoint.total_bytes() as f64),
            types(found)
        ),
    );
    let prefix = checkpoint.prefix();
    row(
        "prefix",
        if prefix.is_empty() {
            "none".to_owned()
        } else {
            prefix.to_owned()
        },
    );
    if found.decoder.is_none() {
        row(
            "head",
            format!("{}{}", found.head, remark(found, found.head)),
        );
        let heads = found
            .heads
            .iter()
            .map(|&head| format!("{head}{}", remark(found, head)));
        row("heads with weights", list(heads));
    }
    let classifies = matches!(
        found.head,
        HeadKind::SequenceClassification | HeadKind::TokenClassification
    );
    if classifies {
        row("labels", list(config.labels.names().iter().cloned()));
        if let Some(problem) = config.problem_type {
            row("problem type", format!("{problem:?}"));
        }
    }
    match &found.tokenizer {
        Ok(tokenizer) => {
            let limit = tokenizer
                .model_max_length()
                .map_or("no limit".to_owned(), |n| format!("at most {n} tokens"));
            row(
                "tokenizer",
                format!("{} ids, {limit}", tokenizer.vocab_size()),
            );
        }
        Err(_) => row("tokenizer", "none".to_owned()),
    }
    if !found.unused.is_empty() {
        row(
            "unused tensors",
            format!(
                "{} parameters: {}",
                count(found.parameters.unused),
                list(found.unused.iter().cloned())
            ),
        );
    }
    table
}

fn family(found: &Inspection) -> String {
    let config = &found.config;
    let name = match config.family {
        Family::V1 if found.interleaved => "DeBERTa v1",
        Family::V1 => "DeBERTa v1 under Microsoft's names",
        _ if config.conv.is_some() => "DeBERTa v2",
        _ if found.vocabulary_rows > 200_000 => "mDeBERTa v3",
        _ => "DeBERTa v3",
    };
    format!("{name} (model_type {})", config.family)
}

fn attention(found: &Inspection) -> String {
    let config = &found.config;
    let terms = config.pos_att_type;
    let mut parts = vec!["content"];
    if config.relative_attention {
        parts.extend(terms.c2p.then_some("content-to-position"));
        parts.extend(terms.p2c.then_some("position-to-content"));
    }
    let mut text = parts.join(" + ");
    if parts.len() > 1 {
        match config.position_buckets.filter(|_| !found.interleaved) {
            Some(buckets) => text += &format!(", {buckets} buckets"),
            None => text += &format!(", {} distances", config.max_relative_positions),
        }
    }
    if config.position_biased_input {
        text += &format!(", at most {} positions", config.max_position_embeddings);
    }
    if config.talking_head && found.interleaved {
        text += ", talking heads";
    }
    text
}

/// A remark behind the masked-language-model head.
fn remark(found: &Inspection, head: HeadKind) -> &'static str {
    match head {
        HeadKind::MaskedLm if found.enhanced_mask_decoder => " (with the enhanced mask decoder)",
        _ => "",
    }
}

/// The element types, each with its share.
fn types(found: &Inspection) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for tensor in found.checkpoint.tensors() {
        *counts.entry(tensor.dtype().name()).or_default() += 1;
    }
    list(counts.into_keys().map(str::to_owned))
}

/// What the weights take, by precision.
fn memory(found: &Inspection) -> Table {
    let mut table = table();
    table.set_header([
        "held as",
        match found.decoder {
            Some(_) => "layers and decoder",
            None => "layers and heads",
        },
        "position tables",
        "embeddings",
        "together",
    ]);
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let parameters = &found.parameters;
    let forms = [("f32", 4.0), ("f16, bf16", 2.0), ("int8", 1.0)];
    // What is rounded to 8 bits is held in no other way.
    let first = if found.checkpoint.is_int8() { 2 } else { 0 };
    for &(name, bytes) in &forms[first..] {
        let of = |values: usize, bytes: f64| values as f64 * bytes;
        // A decoder has 16 bits where the encoder has 8.
        let decoder = of(parameters.decoder, f64::max(bytes, 2.0));
        let parts = [
            of(parameters.layers + parameters.heads, bytes) + decoder,
            of(found.position_values, bytes),
            of(parameters.embeddings, bytes),
        ];
        let mut row = vec![name.to_owned()];
        row.extend(parts.map(size));
        row.push(size(parts.iter().sum()));
        table.add_row(row);
    }
    table
}

/// One row per tensor.
fn tensors(found: &Inspection) -> Table {
    let mut table = table();
    table.set_header(["tensor", "type", "shape"]);
    for tensor in found.checkpoint.tensors() {
        table.add_row([
            tensor.name(),
            tensor.dtype().name(),
            &format!("{:?}", tensor.shape()),
        ]);
    }
    table
}

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn count(values: usize) -> String {
    match values {
        0..1_000 => values.to_string(),
        1_000..1_000_000 => format!("{:.1} k", values as f64 / 1e3),
        _ => format!("{:.1} M", values as f64 / 1e6),
    }
}

fn size(bytes: f64) -> String {
    if bytes < 1e6 {
        format!("{:.1} kB", bytes / 1e3)
    } else {
        format!("{:.1} MB", bytes / 1e6)
    }
}

/// The first items of a list.
fn list(items: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 12;
    let items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(SHOWN);
    let mut text = items[..items.len() - more].join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}
