//! Writes a model of any format as a clean safetensors directory.
//!
//! ```text
//! cargo run --release -p deberta-core --example convert -- DIR OUT [--dtype f16] [--precision int8]
//! ```

#[path = "common/report.rs"]
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, ValueEnum};
use deberta_core::convert::{ConvertOptions, WeightType, convert};
use indicatif::{ProgressBar, ProgressStyle};
use report::Failure;

/// Writes a model as a clean safetensors directory: config.json, model.safetensors, the tokenizer's files.
///
/// Reads safetensors and pytorch_model.bin, single and sharded. OUT appears whole or not at all; what an interrupted run
/// has written is removed, and what a killed one has left is removed by the next.
#[derive(Parser)]
struct Options {
    /// The directory of the model
    dir: PathBuf,
    /// The directory to write: a new or an empty one
    out: PathBuf,
    /// The type of the weights, by default what they are
    #[arg(long)]
    dtype: Option<DtypeName>,
    /// Round the linear layers of the encoder: the model then loads at once in this precision, and in no other
    #[arg(long)]
    precision: Option<PrecisionName>,
}

/// What linear layers can be rounded to.
#[derive(Clone, Copy, ValueEnum)]
enum PrecisionName {
    Int8,
}

/// The types by name.
#[derive(Clone, Copy, ValueEnum)]
enum DtypeName {
    F32,
    F16,
    Bf16,
}

impl From<DtypeName> for WeightType {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F32 => Self::F32,
            DtypeName::F16 => Self::F16,
            DtypeName::Bf16 => Self::Bf16,
        }
    }
}

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    // An interrupt ends the conversion between two tensors, so that it can clean up behind itself.
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;

    let mut how = ConvertOptions::default();
    if let Some(dtype) = options.dtype {
        how = how.dtype(dtype.into());
    }
    if let Some(PrecisionName::Int8) = options.precision {
        how = how.int8();
    }
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} · {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let done = convert(&options.dir, &options.out, &how, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.written);
        bar.set_message(progress.tensor.to_owned());
        !interrupted.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    let done = done?;
    println!(
        "{}: {} tensors in model.safetensors ({:.1} MB), {}",
        options.out.display(),
        done.tensors,
        done.bytes as f64 / 1e6,
        done.files.join(", ")
    );
    if !done.left_out.is_empty() {
        println!(
            "left out, because others hold the same: {}",
            done.left_out.join(", ")
        );
    }
    Ok(())
}
