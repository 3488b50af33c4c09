//! Times whole forward passes of a checkpoint on random ids and prints one JSON line per shape.
//!
//! ```text
//! cargo run --release -p deberta-core --example bench -- --model DIR --shapes 1x128,8x128 --threads 2
//! ```
//!
//! A shape is batch x length; with `--ragged` the lengths of a batch are drawn uniformly from 8 to the given one.
//! `--profile` prints instead where the time goes, stage by stage, and how near each comes to what the processor can
//! do. `--once` stops after the first output and prints its first number: for measuring a cold start.

#[path = "common/model.rs"]
mod model;
#[path = "common/report.rs"]
mod report;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use deberta_core::{Batch, Device, HeadKind, LoadOptions, Model, Precision, Stage};
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
    /// The arithmetic [default: int8 if the files are, else f32]
    #[arg(long)]
    precision: Option<Precision>,
    /// What the model runs on: cpu, cuda or cuda:N (with the feature `cuda`)
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Threads [default: RAYON_NUM_THREADS, else all].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    /// Seconds per shape.
    #[arg(long, default_value = "5", value_parser = seconds)]
    budget: Duration,
    /// Sequences of different lengths.
    #[arg(long)]
    ragged: bool,
    /// Prints the time of each stage as a table.
    #[arg(long, conflicts_with = "once")]
    profile: bool,
    /// Stops after the first output of the first shape.
    #[arg(long)]
    once: bool,
}

/// With more, activations of a base model take ten gigabytes and more: memory would run out in the midst of it.
const MOST_TOKENS: usize = 1 << 18;
/// More threads take minutes to start and gain nothing.
const MOST_THREADS: i64 = 1024;

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

/// Reproducible numbers.
struct Random(u64);

impl Random {
    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) % end.max(1) as u64) as usize
    }
}

/// The length of the shortest sequence of a ragged batch.
const SHORTEST: usize = 8;

/// Sequences of reproducible ids below `rows`.
fn batch(
    sequences: usize,
    length: usize,
    ragged: bool,
    rows: usize,
) -> Result<Batch, deberta_core::Error> {
    let mut random = Random(7);
    let lengths: Vec<usize> = (0..sequences)
        .map(|_| match ragged {
            true => SHORTEST.min(length) + random.below(length - SHORTEST.min(length) + 1),
            false => length,
        })
        .collect();
    Batch::packed(lengths.into_iter().map(|length| {
        let ids: Vec<u32> = (0..length).map(|_| random.below(rows) as u32).collect();
        (ids, Vec::new())
    }))
}

fn main() -> ExitCode {
    report::end(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let threads = match arguments.threads {
        Some(threads) => threads.into(),
        None => rayon::current_num_threads(),
    };
    let mut options = LoadOptions::default().threads(threads).head(HeadKind::Base);
    options.precision = arguments.precision;
    options.device = arguments.device;
    let model = Model::load(model::directory(&arguments.model)?, options)?;
    let name = arguments
        .model
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    for &(sequences, length) in &arguments.shapes {
        let batch = batch(sequences, length, arguments.ragged, model.vocabulary_rows())?;
        let first = model.forward(&batch)?;
        if arguments.once {
            let number = first.last_hidden_state.first().copied().unwrap_or(f32::NAN);
            writeln!(io::stdout(), "first {number}")?;
            return Ok(());
        }
        if arguments.profile {
            profile(&model, &batch, arguments, threads)?;
            continue;
        }
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
            "device": model.device().to_string(),
            "precision": model.precision().to_string(),
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

/// Prints the median time of every stage, its share, and the rate of its matrix products.
fn profile(
    model: &Model,
    batch: &Batch,
    arguments: &Arguments,
    threads: usize,
) -> Result<(), Failure> {
    let start = Instant::now();
    let mut profiles = Vec::new();
    while profiles.len() < 3 || start.elapsed() < arguments.budget {
        profiles.push(model.profile(batch)?.1);
    }
    let peaks = match model.device() {
        Device::Cpu => Some(Peaks::measure(model.precision(), threads)?),
        _ => None,
    };
    let median = |stage| {
        let mut times: Vec<f64> = profiles
            .iter()
            .map(|p| p.time(stage).as_secs_f64())
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let total: f64 = Stage::ALL.into_iter().map(median).sum();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["stage", "ms", "share", "Gop/s", "of peak"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for stage in Stage::ALL {
        let (seconds, work) = (median(stage), profiles[0].operations(stage));
        if seconds * 1e6 < 1.0 {
            continue;
        }
        let (mut rate, mut fraction) = (String::new(), String::new());
        if work > 0.0 {
            rate = format!("{:.0}", work / seconds / 1e9);
            if let Some(peaks) = &peaks {
                fraction = format!("{:.0} %", 100.0 * work / seconds / peaks.of(stage));
            }
        }
        table.add_row([
            stage.to_string(),
            format!("{:.3}", seconds * 1e3),
            format!("{:.1} %", 100.0 * seconds / total),
            rate,
            fraction,
        ]);
    }
    let all: f64 = Stage::ALL
        .into_iter()
        .map(|stage| profiles[0].operations(stage))
        .sum();
    table.add_row([
        "all".to_owned(),
        format!("{:.3}", total * 1e3),
        String::new(),
        format!("{:.0}", all / total / 1e9),
        String::new(),
    ]);
    let by = match &peaks {
        None => format!("on {}", model.device()),
        Some(peaks) => format!(
            "with {}, {threads} threads; peak {:.0} Gop/s, in f32 {:.0}",
            peaks.isa,
            peaks.linear / 1e9,
            peaks.single / 1e9
        ),
    };
    writeln!(
        io::stdout(),
        "{} tokens in {} sequences, {} {by}\n{table}\n",
        batch.ids().len(),
        batch.len(),
        model.precision(),
    )?;
    Ok(())
}

/// What the processor can do, in operations per second.
struct Peaks {
    isa: &'static str,
    linear: f64,
    attention: f64,
    single: f64,
}

impl Peaks {
    fn measure(precision: Precision, threads: usize) -> Result<Self, Failure> {
        use deberta_kernels::{Isa, Precision as Arithmetic, peak};
        let isa = Isa::from_env()?;
        let all = |isa, arithmetic| peak(isa, arithmetic) * threads as f64;
        let single = all(isa, Arithmetic::F32);
        // Attention is computed in f32 where the layers are in int8, and never on tiles.
        let (linear, attention) = match precision {
            Precision::Bf16 => (
                all(isa, Arithmetic::Bf16),
                all(isa.without_tiles(), Arithmetic::Bf16),
            ),
            Precision::Int8 => (all(isa, Arithmetic::Int8), single),
            _ => (single, single),
        };
        Ok(Self {
            isa: isa.name(),
            linear,
            attention,
            single,
        })
    }

    fn of(&self, stage: Stage) -> f64 {
        match stage {
            Stage::Attention => self.attention,
            Stage::Convolution => self.single,
            _ => self.linear,
        }
    }
}
