//! Runs a model on token ids and writes its outputs, to be compared with any other implementation.
//!
//! ```text
//! cargo run --release -p deberta-core --example forward -- \
//!     --model DIR --input in.safetensors --output out.safetensors
//! ```
//!
//! Reads `input_ids` (`[B, L]`, or `[B, C, L]` for multiple choice, i64 or i32) and, where they are there,
//! `attention_mask` (also bool or u8) and `token_type_ids` of the same shape. Writes, in f32 and with zeros on masked
//! tokens:
//!
//! | tensor | shape | when |
//! |---|---|---|
//! | `last_hidden_state` | `[B, L, N]` (`[B·C, L, N]` for multiple choice) | always |
//! | `logits` | `[B, labels]`, `[B, C]`, `[B, L, labels]`, `[B, L, V]` or `[B, L]` | with a head: sequence, choice, token, masked, replaced |
//! | `start_logits`, `end_logits` | `[B, L]` | question answering |
//! | `sentence_embedding` | `[B, N]` | `--pooling` |
//! | `hidden_states.0` … `hidden_states.n` | `[B, L, N]` | `--hidden-states` |
//! | `attentions.0` … | `[B, H, L, L]` | `--attentions` |
//! | `scores.content_content.0`, `scores.content_position.0`, `scores.position_content.0` … | `[B, H, L, L]` | `--score-terms` |

#[path = "../common/atomic.rs"]
mod atomic;
#[path = "../common/input.rs"]
mod input;
#[path = "../common/load.rs"]
mod load;
#[path = "../common/model.rs"]
mod model;
mod outputs;
#[path = "../common/remark.rs"]
mod remark;
#[path = "../common/report.rs"]
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use deberta_core::{HeadKind, Model, Observe, Pooling};
use input::Input;
use load::Load;
use outputs::Outputs;
use report::Failure;

/// Runs a DeBERTa model on token ids.
#[derive(Parser)]
struct Options {
    /// A directory with a model in Hugging Face layout
    #[arg(long)]
    model: PathBuf,
    /// A safetensors file with input_ids and perhaps attention_mask and token_type_ids
    #[arg(long)]
    input: PathBuf,
    /// The safetensors file to write
    #[arg(long)]
    output: PathBuf,
    /// The head to run, by default the one that config.json names
    #[arg(long)]
    head: Option<HeadName>,
    /// Write the hidden states of every layer
    #[arg(long)]
    hidden_states: bool,
    /// Write the attention probabilities of every layer and head
    #[arg(long)]
    attentions: bool,
    /// Write the terms of the attention scores of every layer and head
    #[arg(long)]
    score_terms: bool,
    /// Write one vector per sequence
    #[arg(long)]
    pooling: Option<PoolingName>,
    /// Scale these vectors to Euclidean length one
    #[arg(long, requires = "pooling")]
    normalize: bool,
    #[command(flatten)]
    load: Load,
}

/// The heads by name.
#[derive(Clone, Copy, ValueEnum)]
enum HeadName {
    Base,
    Sequence,
    Token,
    Question,
    Choice,
    Masked,
    Replaced,
}

impl From<HeadName> for HeadKind {
    fn from(name: HeadName) -> Self {
        match name {
            HeadName::Base => Self::Base,
            HeadName::Sequence => Self::SequenceClassification,
            HeadName::Token => Self::TokenClassification,
            HeadName::Question => Self::QuestionAnswering,
            HeadName::Choice => Self::MultipleChoice,
            HeadName::Masked => Self::MaskedLm,
            HeadName::Replaced => Self::ReplacedTokenDetection,
        }
    }
}

/// The poolings by name.
#[derive(Clone, Copy, ValueEnum)]
enum PoolingName {
    Cls,
    Mean,
    Max,
}

impl From<PoolingName> for Pooling {
    fn from(name: PoolingName) -> Self {
        match name {
            PoolingName::Cls => Self::Cls,
            PoolingName::Mean => Self::Mean,
            PoolingName::Max => Self::Max,
        }
    }
}

/// Values of the largest matrix, hidden states or logits, of one forward pass.
const VALUES_AT_ONCE: usize = 1 << 24;

/// What is observed of pairs of tokens may take so much memory.
const MOST_BYTES: usize = 4_000_000_000;

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut load = options.load.options();
    if let Some(head) = options.head {
        load = load.head(head.into());
    }
    let input = Input::read(&options.input)?;
    let model = Model::load(model::directory(&options.model)?, load)?;
    // Whoever asks for hidden states has asked for no head.
    if options.head.is_none() || model.head() != HeadKind::Base {
        remark::unused(&model);
    }
    if model.head() == HeadKind::MultipleChoice && input.choices.is_none() {
        return Err(format!(
            "{}: input_ids: expected shape [B, C, L] for multiple choice, found {:?}",
            options.input.display(),
            input.ids.dim()
        )
        .into());
    }
    let mut observe = Observe::default();
    if options.hidden_states {
        observe = observe.hidden_states();
    }
    if options.score_terms {
        observe = observe.score_terms();
    }
    if options.attentions || options.score_terms {
        observe = observe.all_attention(model.config());
    }
    let pairs = observe.attention.len() * input.ids.nrows() * input.ids.ncols().pow(2);
    let panels = usize::from(options.attentions) + 3 * usize::from(options.score_terms);
    let bytes = pairs.saturating_mul(panels * size_of::<f32>());
    if bytes > MOST_BYTES {
        return Err(format!(
            "--attentions and --score-terms would take {:.1} GB: expected at most {:.1} GB (they grow with the square \
             of the length)",
            bytes as f64 / 1e9,
            MOST_BYTES as f64 / 1e9
        )
        .into());
    }
    let pooling = options.pooling.map(|p| (p.into(), options.normalize));

    let mut outputs = Outputs::new(&input, &model);
    let (rows, length) = input.ids.dim();
    let columns = match model.head() {
        HeadKind::MaskedLm => model.vocabulary_rows(),
        _ => model.config().hidden_size,
    };
    // Passes over some rows at a time give the same bits as one over all.
    let step = (VALUES_AT_ONCE / (length * columns).max(1)).max(1);
    for start in (0..rows).step_by(step) {
        let range = start..rows.min(start + step);
        let batch = input.batch(range.clone())?;
        let (output, observed) = model.observe(&batch, &observe)?;
        if let Some((pooling, normalize)) = pooling {
            outputs.vectors(range.start, &output.embeddings(&batch, pooling, normalize)?);
        }
        outputs.add(range.start, &batch, output)?;
        outputs.observe(range.start, &batch, observed, options.attentions)?;
    }
    atomic::write(&options.output, &outputs.into_safetensors()?)
}
