//! The steps of a search: what the decoder is asked, and what ends the asking.

use ndarray::Array2;

use super::{Ended, GenerationOptions, NextToken, Watch};
use crate::Error;

/// A row that the decoder shall continue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// The row of the call before; the input in the first.
    pub(super) parent: usize,
    pub(super) token: u32,
    /// The input that it belongs to.
    pub(super) input: usize,
}

/// A decoder, and what it may still be asked.
pub(super) struct Steps<'d, 'w, D: ?Sized> {
    decoder: &'d mut D,
    pub(super) watch: Watch<'w>,
    /// Rows that may still be asked for.
    left: Option<usize>,
    /// Whether logits may be anything.
    any: bool,
}

impl<'d, 'w, D: NextToken + ?Sized> Steps<'d, 'w, D> {
    pub(super) fn new(decoder: &'d mut D, options: &GenerationOptions, watch: Watch<'w>) -> Self {
        Self {
            decoder,
            watch,
            left: options.token_budget,
            any: options.remove_invalid_values,
        }
    }

    /// The logits of what follows each row, or why there is no further step.
    pub(super) fn advance(&mut self, asks: &[Ask]) -> Result<Result<Array2<f32>, Ended>, Error> {
        if self.watch.is_cancelled() {
            return Ok(Err(Ended::Cancelled));
        }
        if let Some(left) = &mut self.left {
            match left.checked_sub(asks.len()) {
                Some(rest) => *left = rest,
                None => return Ok(Err(Ended::Budget)),
            }
        }
        let parents: Vec<usize> = asks.iter().map(|ask| ask.parent).collect();
        let tokens: Vec<u32> = asks.iter().map(|ask| ask.token).collect();
        let logits = self.decoder.advance(&parents, &tokens)?;
        let shape = (asks.len(), self.decoder.vocabulary());
        if logits.dim() != shape {
            return Err(Error::Batch {
                what: "logits of the next tokens".to_owned(),
                expected: format!("{shape:?}"),
                found: format!("{:?}", logits.dim()),
            });
        }
        if !self.any {
            for (row, ask) in logits.rows().into_iter().zip(asks) {
                // A NaN is not below anything. Without a way out halfway the loop has vector instructions.
                let numbers = row
                    .iter()
                    .fold(true, |all, &logit| all & (logit < f32::INFINITY));
                if !numbers || row.iter().all(|&logit| logit == f32::NEG_INFINITY) {
                    return Err(Error::NotFiniteOutput { input: ask.input });
                }
            }
        }
        Ok(Ok(logits))
    }
}
