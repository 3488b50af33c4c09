//! Token ids from a safetensors file.

use std::fs;
use std::ops::Range;
use std::path::Path;

use deberta_core::Batch;
use ndarray::{Array2, s};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use super::report::Failure;

/// The one input that may be bytes, as PyTorch's masks of booleans are.
const MASK: &str = "attention_mask";

/// Padded sequences.
pub(crate) struct Input {
    /// `[B, L]`, or `[B·C, L]` where there are choices.
    pub(crate) ids: Array2<i64>,
    mask: Option<Array2<i64>>,
    types: Option<Array2<i64>>,
    /// The choices of each question, C, if the ids came as `[B, C, L]`.
    pub(crate) choices: Option<usize>,
}

impl Input {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file =
            SafeTensors::deserialize(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        let Rows { rows: ids, shape } = integers(&file, "input_ids", path)?
            .ok_or_else(|| format!("{}: no tensor input_ids", path.display()))?;
        let like_ids = |name| -> Result<Option<Array2<i64>>, Failure> {
            let Some(found) = integers(&file, name, path)? else {
                return Ok(None);
            };
            if found.shape != shape {
                let found = found.shape;
                return Err(format!("{name}: expected shape {shape:?}, found {found:?}").into());
            }
            Ok(Some(found.rows))
        };
        Ok(Self {
            mask: like_ids(MASK)?,
            types: like_ids("token_type_ids")?,
            choices: (shape.len() == 3).then(|| shape[1]),
            ids,
        })
    }

    /// Some of the rows.
    pub(crate) fn batch(&self, rows: Range<usize>) -> Result<Batch, Failure> {
        let part = |array: &Array2<i64>| array.slice(s![rows.clone(), ..]).to_owned();
        let (mask, types) = (self.mask.as_ref().map(part), self.types.as_ref().map(part));
        Ok(Batch::from_padded(
            self.ids.slice(s![rows.clone(), ..]),
            mask.as_ref().map(|mask| mask.view()),
            types.as_ref().map(|types| types.view()),
        )?)
    }
}

/// A tensor `[B, L]` or `[B, C, L]` as rows of L, and its shape.
struct Rows {
    rows: Array2<i64>,
    shape: Vec<usize>,
}

/// A tensor of the input, if it is there.
fn integers(file: &SafeTensors<'_>, name: &str, path: &Path) -> Result<Option<Rows>, Failure> {
    let Ok(tensor) = file.tensor(name) else {
        return Ok(None);
    };
    let refuse = |what: &str| format!("{}: {name}: expected {what}", path.display());
    let (rows, columns) = match *tensor.shape() {
        [rows, columns] => (rows, columns),
        [questions, choices, columns] => (questions * choices, columns),
        ref other => {
            return Err(refuse(&format!("shape [B, L] or [B, C, L], found {other:?}")).into());
        }
    };
    let values: Vec<i64> = match tensor.dtype() {
        Dtype::I64 => numbers(tensor.data(), i64::from_le_bytes),
        Dtype::I32 => numbers(tensor.data(), |bytes| i32::from_le_bytes(bytes).into()),
        // Whether they are 0 and 1 is checked as for a mask of integers.
        Dtype::BOOL | Dtype::U8 if name == MASK => numbers(tensor.data(), |[byte]| byte.into()),
        other if name == MASK => {
            return Err(refuse(&format!("I64, I32, BOOL or U8, found {other:?}")).into());
        }
        other => return Err(refuse(&format!("I64 or I32, found {other:?}")).into()),
    };
    Ok(Some(Rows {
        rows: Array2::from_shape_vec((rows, columns), values)?,
        shape: tensor.shape().to_vec(),
    }))
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> i64) -> Vec<i64> {
    bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
}
