//! Times whole forward passes of a checkpoint on random ids and prints one JSON line per shape.
//!
//! ```text
//! cargo run --release -p deberta-core --example bench -- --model DIR --shapes 1x128,8x128 --threads 2
//! ```
//!
//! A shape is batch x length; with `--ragged` the lengths of a batch run evenly from an eighth of it to all of it.

#[path = "common/model.rs"]
mod model;
#[path = "common/report.rs"]
mod report;

use clap::{Parser, ValueEnum};
use deberta_core::{Batch, HeadKind, LoadOptions, Model};
use report::Failure;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Times forward passes of a checkpoint.
#[derive(Parser)]
struct Arguments {
    /// A checkpoint directory in Hugging Face layout.
    #[arg(long)]
    model: PathBuf,
    /// Shapes, batch x length, separated by commas.
    #[arg(long, default_value = "1x128", value_delimiter = ',', value_parser = shape)]
    shapes: Vec<(usize, usize)>,
    /// The arithmetic.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
    /// Threads, by default all.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Seconds per shape.
    #[arg(long, default_value = "5", value_parser = seconds)]
    budget: Duration,
    /// Sequences of different lengths.
    #[arg(long)]
    ragged: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
}

/// Far more than any machine's memory lets pass at once.
const MOST_TOKENS: usize = 1 << 24;

fn shape(text: &str) -> Result<(usize, usize), String> {
    let (batch, length) = text
        .split_once('x')
        .ok_or("expected BATCHxLENGTH, such as 8x128")?;
    let number = |part: &str| match part.parse() {
        Ok(0) | Err(_) => Err(format!("expected a positive number, found {part:?}")),
        Ok(number) => Ok(number),
    };
    let (batch, length): (usize, usize) = (number(batch)?, number(length)?);
    match batch.checked_mul(length) {
        Some(..=MOST_TOKENS) => Ok((batch, length)),
        _ => Err(format!("expected at most {MOST_TOKENS} tokens")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|&seconds: &f64| seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a finite number above 0".to_owned())
}

/// Sequences of reproducible ids below `rows`.
fn batch(
    sequences: usize,
    length: usize,
    ragged: bool,
    rows: usize,
) -> Result<Batch, deberta_core::Error> {
    let mut state = 7_u64;
    let shortest = if ragged { length.div_ceil(8) } else { length };
    Batch::packed((0..sequences).map(|i| {
        let length = shortest + (length - shortest) * i / (sequences - 1).max(1);
        let ids: Vec<u32> = (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                ((state >> 33) % rows as u64) as u32
            })
            .collect();
        (ids, Vec::new())
    }))
}

fn main() -> ExitCode {
    report::end(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Precision::F32 = arguments.precision;
    let threads = match arguments.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism()?.get(),
    };
    let options = LoadOptions::default().threads(threads).head(HeadKind::Base);
    let model = Model::load(model::directory(&arguments.model)?, options)?;
    let name = arguments
        .model
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    for &(sequences, length) in &arguments.shapes {
        let batch = batch(sequences, length, arguments.ragged, model.vocabulary_rows())?;
        model.forward(&batch)?;
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < 3 || start.elapsed() < arguments.budget {
            let begin = Instant::now();
            std::hint::black_box(model.forward(&batch)?);
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let line = serde_json::json!({
            "system": "ours",
            "precision": "f32",
            "threads": threads,
            "model": name,
            "batch": sequences,
            "seq": length,
            "ragged": arguments.ragged,
            "median_ms": times[times.len() / 2],
            "min_ms": times[0],
            "runs": times.len(),
        });
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}
