//! Writes sequences with an encoder-decoder model and token ids, to be compared with any other implementation.
//!
//! ```text
//! cargo run --release -p deberta-core --example generate -- \
//!     --model DIR --input in.safetensors --output out.safetensors --num-beams 4 --max-new-tokens 64
//! ```
//!
//! Reads `input_ids` (`[B, L]`, i64 or i32) and, where they are there, `attention_mask` (also bool or u8) and
//! `token_type_ids` of the same shape. Writes, with R sequences per input:
//!
//! | tensor | shape | when |
//! |---|---|---|
//! | `sequences` | `[B·R, T]`, i64, padded as `generate` of transformers pads | always |
//! | `sequences_scores` | `[B·R]`, f32 | with beams |
//!
//! Options that are not given are those of the model's `generation_config.json`. With `--repeat N` the inputs are worked
//! on N times, and the seconds of each time are printed as one line of JSON. `--precision bf16` and `int8` are for the
//! encoder; the decoder's weights are bf16 then.

#[path = "common/atomic.rs"]
mod atomic;
#[path = "common/generation.rs"]
mod generation;
#[path = "common/input.rs"]
mod input;
#[path = "common/load.rs"]
mod load;
#[path = "common/model.rs"]
mod model;
#[path = "common/report.rs"]
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use deberta_core::EncoderDecoder;
use deberta_core::generate::{Generated, GenerationOptions, padded};
use generation::Generation;
use input::Input;
use load::Load;
use report::Failure;
use safetensors::tensor::{Dtype, TensorView, serialize};

/// Writes sequences with a DeBERTa encoder and its decoder.
#[derive(Parser)]
struct Options {
    /// A directory with an encoder-decoder model in Hugging Face layout
    #[arg(long)]
    model: PathBuf,
    /// A safetensors file with input_ids and perhaps attention_mask and token_type_ids
    #[arg(long)]
    input: PathBuf,
    /// The safetensors file to write
    #[arg(long)]
    output: PathBuf,
    #[command(flatten)]
    generation: Generation,
    /// Sequences per input
    #[arg(long)]
    num_return_sequences: Option<usize>,
    /// Do it so many times and print how many seconds each took
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    #[command(flatten)]
    load: Load,
}

/// Tokens that are read together, but for a single input that has more.
const TOKENS_AT_ONCE: usize = 4096;

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let input = Input::read(&options.input)?;
    if let Some(choices) = input.choices {
        return Err(format!("input_ids: expected shape [B, L], found [B, {choices}, L]").into());
    }
    let model = EncoderDecoder::load(model::directory(&options.model)?, options.load.options())?;
    let mut chosen = options.generation.over(model.options().clone());
    if let Some(count) = options.num_return_sequences {
        chosen.num_return_sequences = count;
    }

    let mut seconds = Vec::new();
    let mut generated = Vec::new();
    for _ in 0..options.repeat.unwrap_or(1) {
        let start = Instant::now();
        generated = generate(&model, &input, &chosen)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    if options.repeat.is_some() {
        println!("{}", serde_json::json!({"seconds": seconds}));
    }
    atomic::write(&options.output, &tensors(&generated, &chosen)?)
}

/// The sequences of all inputs.
fn generate(
    model: &EncoderDecoder,
    input: &Input,
    options: &GenerationOptions,
) -> Result<Vec<Generated>, Failure> {
    let inputs = input.ids.nrows();
    // Sequences do not depend on which others are written with them; a budget does.
    let step = match options.token_budget {
        Some(_) => inputs.max(1),
        None => model
            .inputs_at_once(options)
            .min(TOKENS_AT_ONCE / input.ids.ncols().max(1))
            .max(1),
    };
    let mut generated = Vec::new();
    for start in (0..inputs).step_by(step) {
        let batch = input.batch(start..inputs.min(start + step))?;
        generated.extend(model.generate(&batch, options)?);
    }
    Ok(generated)
}

/// Everything to write, as the bytes of a safetensors file.
fn tensors(generated: &[Generated], options: &GenerationOptions) -> Result<Vec<u8>, Failure> {
    let bytes = |ids: &i64| ids.to_le_bytes();
    let sequences = padded(generated, options);
    let (rows, length) = sequences.dim();
    let sequences: Vec<u8> = sequences.iter().flat_map(bytes).collect();
    let found = generated.iter().flat_map(|found| &found.sequences);
    let scores: Option<Vec<f32>> = found.map(|sequence| sequence.score).collect();
    let scores = scores.map(|scores| scores.iter().flat_map(|x| x.to_le_bytes()).collect());
    let scores: Option<Vec<u8>> = scores.filter(|_| options.num_beams > 1);
    let mut views = vec![(
        "sequences",
        TensorView::new(Dtype::I64, vec![rows, length], &sequences)?,
    )];
    if let Some(scores) = &scores {
        let view = TensorView::new(Dtype::F32, vec![rows], scores)?;
        views.push(("sequences_scores", view));
    }
    Ok(serialize(views, None)?)
}
