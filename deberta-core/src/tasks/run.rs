//! Forward passes over any number of sequences in bounded memory.

use std::ops::Range;

use ndarray::{ArrayView2, s};

use super::Input;
use crate::{Batch, Error, Model};

/// Tokens of one forward pass. Enough to fill the matrix products, little enough that the widest
/// intermediate (tokens × feed-forward width) of the largest published model stays near 100 MB.
const TOKENS_AT_ONCE: usize = 4096;

/// Texts, and bytes of them, that are tokenized and held at a time.
const TEXTS_AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Ids and type ids of one sequence.
pub(super) type Sequence = (Vec<u32>, Vec<u32>);

/// What the rows of a model's logits belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    PerSequence,
    PerToken,
}

/// Bytes of an input's text.
pub(super) fn bytes(input: &Input<'_>) -> usize {
    match input {
        Input::Single(text) => text.len(),
        Input::Pair(first, second) => first.len() + second.len(),
    }
}

/// Cuts a list of texts of these sizes in bytes into portions. A text of any size is a portion at least.
pub(super) fn portions(sizes: impl ExactSizeIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut portions = Vec::new();
    let count = sizes.len();
    let (mut start, mut bytes) = (0, 0usize);
    for (i, size) in sizes.enumerate() {
        let full = i - start == TEXTS_AT_ONCE || bytes.saturating_add(size) > BYTES_AT_ONCE;
        if full && i > start {
            portions.push(start..i);
            (start, bytes) = (i, 0);
        }
        bytes = bytes.saturating_add(size);
    }
    if start < count {
        portions.push(start..count);
    }
    portions
}

/// Runs the model over sequences of these lengths and hands each one's logits to `each`.
///
/// Sequences are sorted by length, equal ones by index, so that passes have similar work for all
/// threads; a sequence is built (`build`) when its turn comes.
pub(super) fn logits(
    model: &Model,
    lengths: &[usize],
    rows: Rows,
    mut build: impl FnMut(usize) -> Sequence,
    mut each: impl FnMut(usize, ArrayView2<'_, f32>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| (lengths[i], i));
    for pass in passes(&order, lengths) {
        let batch = Batch::packed(pass.iter().map(|&i| build(i)))?;
        let logits = model.logits(&batch)?;
        let logits = logits.ok_or_else(|| Error::Head {
            expected: "classification".to_owned(),
            found: "no logits".to_owned(),
        })?;
        for (row, &i) in pass.iter().enumerate() {
            let range = match rows {
                Rows::PerSequence => row..row + 1,
                Rows::PerToken => batch.sequence(row),
            };
            each(i, logits.slice(s![range, ..]))?;
        }
    }
    Ok(())
}

/// Cuts the order into passes of bounded size, each with at least one sequence.
fn passes<'a>(order: &'a [usize], lengths: &[usize]) -> Vec<&'a [usize]> {
    let mut passes = Vec::new();
    let (mut start, mut tokens) = (0, 0usize);
    for (at, &i) in order.iter().enumerate() {
        if at > start && tokens.saturating_add(lengths[i]) > TOKENS_AT_ONCE {
            passes.push(&order[start..at]);
            (start, tokens) = (at, 0);
        }
        tokens = tokens.saturating_add(lengths[i]);
    }
    if start < order.len() {
        passes.push(&order[start..]);
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_cover_the_list() {
        let cut = |sizes: &[usize]| portions(sizes.iter().copied());
        assert_eq!(cut(&[]), [] as [Range<usize>; 0]);
        assert_eq!(cut(&[usize::MAX, usize::MAX]), [0..1, 1..2]);
        assert_eq!(cut(&[BYTES_AT_ONCE, 0, 1, 0]), [0..2, 2..4]);
        let many = cut(&vec![1; 2 * TEXTS_AT_ONCE + 1]);
        assert_eq!(
            many.iter().map(Range::len).collect::<Vec<_>>(),
            [TEXTS_AT_ONCE, TEXTS_AT_ONCE, 1]
        );
    }

    #[test]
    fn passes_stay_within_the_budget() {
        let lengths = [1, TOKENS_AT_ONCE + 1, TOKENS_AT_ONCE - 1, 1];
        assert_eq!(passes(&[0, 3, 2, 1], &lengths), [&[0, 3][..], &[2], &[1]]);
        assert_eq!(passes(&[0, 2], &lengths), [&[0, 2][..]]);
        assert!(passes(&[], &lengths).is_empty());
    }
}
