//! Forward passes over any number of inputs in bounded memory.

use std::ops::Range;

use ndarray::Array2;

use super::Input;
use super::control::{Control, Portion};
use crate::{Batch, Error, Model};

/// Tokens of one forward pass. Enough to fill the matrix products, little enough that the widest
/// intermediate (tokens × feed-forward width) of the largest published model stays near 100 MB.
pub(super) const TOKENS_AT_ONCE: usize = 4096;

/// Texts, and bytes of them, that are tokenized and held at a time.
const TEXTS_AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Ids and type ids of one sequence.
pub(super) type Sequence = (Vec<u32>, Vec<u32>);

/// Bytes of an input's text.
pub(super) fn bytes(input: &Input<'_>) -> usize {
    match input {
        Input::Single(text) => text.len(),
        Input::Pair(first, second) => first.len() + second.len(),
    }
}

/// Answers inputs portion by portion, in their order. Inputs behind a cancelled portion are cancelled too.
pub(super) fn in_portions<I, T>(
    inputs: &[I],
    size: impl Fn(&I) -> usize,
    control: &Control<'_>,
    mut answer: impl FnMut(&[I], Portion<'_>) -> Vec<Result<T, Error>>,
) -> Vec<Result<T, Error>> {
    let mut answers = Vec::with_capacity(inputs.len());
    let total = inputs.len();
    for range in portions(inputs.iter().map(size)) {
        if control.is_cancelled() {
            break;
        }
        let count = range.len();
        let portion = Portion {
            control,
            first: range.start,
            count,
            total,
        };
        let mut some = answer(&inputs[range], portion);
        some.resize_with(count, || Err(Error::Cancelled));
        let failed = some.iter().any(Result::is_err);
        answers.extend(some);
        if failed && control.ends_at_error() {
            return answers;
        }
        portion.report(1, 1);
    }
    answers.resize_with(total, || Err(Error::Cancelled));
    answers
}

/// All answers, or the first error that is not the consequence of another.
pub(super) fn all<T>(answers: Vec<Result<T, Error>>) -> Result<Vec<T>, Error> {
    let mut good = Vec::with_capacity(answers.len());
    let mut cancelled = None;
    for answer in answers {
        match answer {
            Ok(answer) => good.push(answer),
            Err(error @ Error::Cancelled) => cancelled = Some(error),
            Err(error) => return Err(error),
        }
    }
    cancelled.map_or(Ok(good), Err)
}

/// The answer to a batch of one.
pub(super) fn only<T>(answers: Vec<Result<T, Error>>) -> Result<T, Error> {
    // There is one answer per input.
    answers.into_iter().next().unwrap_or(Err(Error::Cancelled))
}

/// Works on what went well so far, whose indices `answer` is told, and puts the errors back in their places.
pub(super) fn of_the_good<T, R>(
    results: Vec<Result<T, Error>>,
    answer: impl FnOnce(&[T], &[usize]) -> Vec<Result<R, Error>>,
) -> Vec<Result<R, Error>> {
    let (mut good, mut which) = (Vec::with_capacity(results.len()), Vec::new());
    let mut places = Vec::with_capacity(results.len());
    for (i, result) in results.into_iter().enumerate() {
        places.push(match result {
            Ok(value) => {
                good.push(value);
                which.push(i);
                None
            }
            Err(error) => Some(error),
        });
    }
    let mut answers = answer(&good, &which).into_iter();
    let mut next = || answers.next().unwrap_or(Err(Error::Cancelled));
    places
        .into_iter()
        .map(|error| error.map_or_else(&mut next, Err))
        .collect()
}

/// Cuts a list of texts of these sizes in bytes into portions. A text of any size is a portion at least.
fn portions(sizes: impl ExactSizeIterator<Item = usize>) -> Vec<Range<usize>> {
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

/// The sequences of a portion.
pub(super) struct Sequences<'a> {
    pub(super) portion: Portion<'a>,
    /// What each of them costs: its tokens, or more where they are dear. A pass is bounded by [`TOKENS_AT_ONCE`].
    pub(super) costs: &'a [usize],
}

impl Sequences<'_> {
    /// Runs passes over the sequences and hands what comes of each to `each`: the result of its pass with its place in
    /// the batch, or what went wrong.
    ///
    /// Sequences are sorted by cost, equal ones by index, so that passes have similar work for all threads; a sequence
    /// is built (`build`) when its turn comes. A pass that fails is taken apart, so that only those fail that must.
    pub(super) fn run<R>(
        &self,
        mut build: impl FnMut(usize) -> Sequence,
        mut forward: impl FnMut(&Batch, &[usize]) -> Result<R, Error>,
        mut each: impl FnMut(usize, Result<(&R, &Batch, usize), Error>),
    ) {
        let mut order: Vec<usize> = (0..self.costs.len()).collect();
        order.sort_by_key(|&i| (self.costs[i], i));
        let whole = self
            .costs
            .iter()
            .fold(0, |sum: usize, &cost| sum.saturating_add(cost));
        let mut done = 0usize;
        let control = self.portion.control;
        let mut failed = false;
        for pass in passes(&order, self.costs) {
            if control.is_cancelled() || (failed && control.ends_at_error()) {
                pass.iter().for_each(|&i| each(i, Err(Error::Cancelled)));
                continue;
            }
            let mut run = |pass: &[usize]| {
                let batch = Batch::packed(pass.iter().map(|&i| build(i)))?;
                let result = forward(&batch, pass)?;
                Ok::<_, Error>((batch, result))
            };
            match run(pass) {
                Ok((batch, result)) => {
                    for (row, &i) in pass.iter().enumerate() {
                        each(i, Ok((&result, &batch, row)));
                    }
                }
                Err(error) if pass.len() == 1 || control.ends_at_error() => {
                    failed = true;
                    each(pass[0], Err(error));
                    pass[1..]
                        .iter()
                        .for_each(|&i| each(i, Err(Error::Cancelled)));
                }
                Err(_) => {
                    for &i in pass {
                        match run(&[i]) {
                            Ok((batch, result)) => each(i, Ok((&result, &batch, 0))),
                            Err(error) => each(i, Err(error)),
                        }
                    }
                }
            }
            done += pass.iter().map(|&i| self.costs[i]).sum::<usize>();
            self.portion.report(done, whole);
        }
    }
}

/// Runs passes over the windows of texts, `counts` of each: what `answer` makes of them, text by text and window by window.
/// Texts and windows are told by their numbers; `length` says how many tokens a window has.
pub(super) fn over_windows<R, T>(
    portion: Portion<'_>,
    counts: &[usize],
    length: impl Fn(usize, usize) -> usize,
    mut build: impl FnMut(usize, usize) -> Sequence,
    mut forward: impl FnMut(&Batch) -> Result<R, Error>,
    mut answer: impl FnMut(usize, usize, (&R, &Batch, usize)) -> Result<T, Error>,
) -> Vec<Result<Vec<T>, Error>> {
    let jobs: Vec<(usize, usize)> = counts
        .iter()
        .enumerate()
        .flat_map(|(text, &count)| (0..count).map(move |window| (text, window)))
        .collect();
    let costs: Vec<usize> = jobs
        .iter()
        .map(|&(text, window)| length(text, window))
        .collect();
    let sequences = Sequences {
        portion,
        costs: &costs,
    };
    let mut answers: Vec<Option<Result<T, Error>>> = Vec::new();
    answers.resize_with(jobs.len(), || None);
    sequences.run(
        |job| build(jobs[job].0, jobs[job].1),
        |batch, _| forward(batch),
        |job, result| {
            let (text, window) = jobs[job];
            answers[job] = Some(result.and_then(|passed| answer(text, window, passed)));
        },
    );
    let mut answers = answers.into_iter().flatten();
    counts
        .iter()
        .map(|&count| all(answers.by_ref().take(count).collect()))
        .collect()
}

/// The logits of a batch, by a model that has a head.
pub(super) fn logits_of(model: &Model, batch: &Batch) -> Result<Array2<f32>, Error> {
    model.logits(batch)?.ok_or_else(|| Error::Head {
        expected: "a task".to_owned(),
        found: "no logits".to_owned(),
    })
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
