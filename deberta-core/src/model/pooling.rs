//! One vector per sequence, from the hidden states of its tokens.

use super::head::first_tokens;
use crate::{Batch, Error};
use ndarray::{Array2, ArrayView2, Axis, s};

/// How the vectors of a sequence's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// That of the first token, `[CLS]`.
    Cls,
    /// The mean over all tokens, special ones included.
    Mean,
    /// The largest value of each column over all tokens, special ones included.
    Max,
}

/// Below this, a length counts as this when a vector is divided by it (the `eps` of `torch.nn.functional.normalize`).
const SHORTEST: f64 = 1e-12;

/// Refuses a batch with a sequence from whose tokens no vector can be made.
pub(crate) fn check(batch: &Batch, pooling: Pooling) -> Result<(), Error> {
    if pooling == Pooling::Cls {
        return first_tokens(batch).map(drop);
    }
    match (0..batch.len()).find(|&index| batch.sequence(index).is_empty()) {
        None => Ok(()),
        Some(index) => Err(Error::Batch {
            what: format!("sequence {index}"),
            expected: "at least one token to pool".to_owned(),
            found: "none".to_owned(),
        }),
    }
}

/// Pools the packed rows `[T, N]` of a batch to `[B, N]`, optionally scaled to Euclidean length one.
pub(crate) fn pool(
    rows: ArrayView2<'_, f32>,
    batch: &Batch,
    pooling: Pooling,
    normalize: bool,
) -> Result<Array2<f32>, Error> {
    if rows.nrows() != batch.tokens() {
        return Err(Error::Batch {
            what: "rows to pool".to_owned(),
            expected: format!("{} (one per token)", batch.tokens()),
            found: rows.nrows().to_string(),
        });
    }
    check(batch, pooling)?;
    let mut pooled = if pooling == Pooling::Cls {
        rows.select(Axis(0), &first_tokens(batch)?)
    } else {
        let mut pooled = Array2::zeros((batch.len(), rows.ncols()));
        for (index, mut out) in pooled.outer_iter_mut().enumerate() {
            let tokens = rows.slice(s![batch.sequence(index), ..]);
            for (value, column) in out.iter_mut().zip(tokens.columns()) {
                *value = match pooling {
                    Pooling::Max => column.fold(f32::NEG_INFINITY, |a, &b| a.max(b)),
                    _ => {
                        let sum: f64 = column.iter().map(|&x| f64::from(x)).sum();
                        (sum / column.len() as f64) as f32
                    }
                };
            }
        }
        pooled
    };
    if normalize {
        for mut row in pooled.outer_iter_mut() {
            let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
            let length = squares.sqrt().max(SHORTEST);
            row.mapv_inplace(|x| (f64::from(x) / length) as f32);
        }
    }
    Ok(pooled)
}
