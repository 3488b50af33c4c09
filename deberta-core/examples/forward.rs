//! Runs a model on token ids and writes its outputs, to be compared with any other implementation.
//!
//! ```text
//! cargo run --release -p deberta-core --example forward -- \
//!     --model DIR --input in.safetensors --output out.safetensors
//! ```
//!
//! Reads `input_ids` (`[B, L]`, i64 or i32) and, where they are there, `attention_mask` (also bool or
//! u8) and `token_type_ids` of the same shape. Writes `last_hidden_state` (`[B, L, N]`, f32, zeros on masked
//! rows) and the head's `logits` (`[B, labels]`, or `[B, L, labels]` of a token head), or
//! `start_logits` and `end_logits` (`[B, L]`).

#[path = "common/model.rs"]
mod model;
#[path = "common/report.rs"]
mod report;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use deberta_core::{Batch, HeadKind, LoadOptions, Model};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewD, Axis, s};
use report::Failure;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

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
    /// Threads to use, by default all
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// The one input that may be bytes, as PyTorch's masks of booleans are.
const MASK: &str = "attention_mask";

/// Tokens, masked ones included, of one forward pass.
const TOKENS_AT_ONCE: usize = 8192;

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut load = LoadOptions::default();
    if let Some(threads) = options.threads {
        load = load.threads(threads.into());
    }
    let bytes =
        fs::read(&options.input).map_err(|e| format!("{}: {e}", options.input.display()))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| format!("{}: {e}", options.input.display()))?;
    let read = |name| integers(&file, name, &options.input);
    let ids = read("input_ids")?
        .ok_or_else(|| format!("{}: no tensor input_ids", options.input.display()))?;
    let (mask, types) = (read(MASK)?, read("token_type_ids")?);
    let model = Model::load(model::directory(&options.model)?, load)?;

    let outputs = forward(&model, &ids, mask.as_ref(), types.as_ref())?;
    write(&options.output, &outputs)
}

/// A tensor `[B, L]` of the input, if it is there.
fn integers(
    file: &SafeTensors<'_>,
    name: &str,
    path: &Path,
) -> Result<Option<Array2<i64>>, Failure> {
    let Ok(tensor) = file.tensor(name) else {
        return Ok(None);
    };
    let refuse = |what: &str| format!("{}: {name}: expected {what}", path.display());
    let &[rows, columns] = tensor.shape() else {
        return Err(refuse(&format!("shape [B, L], found {:?}", tensor.shape())).into());
    };
    let values: Vec<i64> = match tensor.dtype() {
        Dtype::I64 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&b| i64::from_le_bytes(b))
            .collect(),
        Dtype::I32 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&b| i32::from_le_bytes(b).into())
            .collect(),
        // Whether they are 0 and 1 is checked as for a mask of integers.
        Dtype::BOOL | Dtype::U8 if name == MASK => {
            tensor.data().iter().map(|&byte| byte.into()).collect()
        }
        other if name == MASK => {
            return Err(refuse(&format!("I64, I32, BOOL or U8, found {other:?}")).into());
        }
        other => return Err(refuse(&format!("I64 or I32, found {other:?}")).into()),
    };
    Ok(Some(Array2::from_shape_vec((rows, columns), values)?))
}

/// The outputs by name. Passes over some rows at a time give the same bits as one over all.
fn forward(
    model: &Model,
    ids: &Array2<i64>,
    mask: Option<&Array2<i64>>,
    types: Option<&Array2<i64>>,
) -> Result<Vec<(&'static str, ndarray::ArrayD<f32>)>, Failure> {
    let (rows, length) = ids.dim();
    for (name, array) in [(MASK, mask), ("token_type_ids", types)] {
        if let Some(found) = array.map(Array2::dim).filter(|&dim| dim != (rows, length)) {
            return Err(format!("{name}: expected shape {:?}, found {found:?}", ids.dim()).into());
        }
    }
    let labels = match model.head() {
        HeadKind::QuestionAnswering => 2,
        _ => model.config().num_labels(),
    };
    let mut hidden = Array3::<f32>::zeros((rows, length, model.config().hidden_size));
    let mut sequence_logits = Array2::<f32>::zeros((rows, labels));
    let mut token_logits = Array3::<f32>::zeros((rows, length, labels));
    let step = (TOKENS_AT_ONCE / length.max(1)).max(1);
    for start in (0..rows).step_by(step) {
        let range = start..rows.min(start + step);
        let part = |array: &'_ Array2<i64>| array.slice(s![range.clone(), ..]).to_owned();
        let (mask, types) = (mask.map(part), types.map(part));
        let batch = Batch::from_padded(
            ids.slice(s![range.clone(), ..]),
            mask.as_ref().map(|mask| mask.view()),
            types.as_ref().map(|types| types.view()),
        )?;
        let output = model.forward(&batch)?;
        let padded = |rows: ArrayView2<'_, f32>| batch.scatter(rows, length);
        hidden
            .slice_mut(s![range.clone(), .., ..])
            .assign(&padded(output.last_hidden_state.view())?);
        match (output.logits, model.head()) {
            (None, _) => {}
            (Some(logits), HeadKind::SequenceClassification) => {
                sequence_logits.slice_mut(s![range, ..]).assign(&logits);
            }
            (Some(logits), _) => {
                token_logits
                    .slice_mut(s![range, .., ..])
                    .assign(&padded(logits.view())?);
            }
        }
    }
    let mut outputs = vec![("last_hidden_state", hidden.into_dyn())];
    match model.head() {
        HeadKind::SequenceClassification => outputs.push(("logits", sequence_logits.into_dyn())),
        HeadKind::TokenClassification => outputs.push(("logits", token_logits.into_dyn())),
        HeadKind::QuestionAnswering => {
            for (column, name) in ["start_logits", "end_logits"].into_iter().enumerate() {
                outputs.push((
                    name,
                    token_logits
                        .index_axis(Axis(2), column)
                        .to_owned()
                        .into_dyn(),
                ));
            }
        }
        _ => {}
    }
    Ok(outputs)
}

/// Writes beside the target and renames: whoever sees the file sees all of it.
fn write(path: &Path, outputs: &[(&'static str, ndarray::ArrayD<f32>)]) -> Result<(), Failure> {
    let bytes: Vec<Vec<u8>> = outputs
        .iter()
        .map(|(_, array)| little_endian(array.view()))
        .collect();
    let views = outputs
        .iter()
        .zip(&bytes)
        .map(|((name, array), bytes)| {
            Ok((
                *name,
                TensorView::new(Dtype::F32, array.shape().to_vec(), bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let file = serialize(views, None)?;
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut temporary = temporary_in(folder).map_err(failed)?;
    temporary.write_all(&file).map_err(failed)?;
    temporary.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// A temporary file with the permissions of an ordinary new file.
fn temporary_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    builder.tempfile_in(folder)
}

fn little_endian(array: ArrayViewD<'_, f32>) -> Vec<u8> {
    array.iter().flat_map(|value| value.to_le_bytes()).collect()
}
