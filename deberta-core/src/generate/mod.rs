//! Sequences of tokens, one token after the other: greedy, beam and sampled search, as `generate` of transformers does
//! them.
//!
//! A search knows nothing of models. What it asks for the logits of the next token is a [`NextToken`]: a decoder with a
//! cache, whose rows are hypotheses.
//!
//! | `num_beams` | `do_sample` | the next token of a sequence is | reference |
//! |---|---|---|---|
//! | 1 | no | the best | `_sample` |
//! | 1 | yes | drawn | `_sample` |
//! | more | no | one of those that make the best sequences so far | `_beam_search` |
//! | more | yes | one of those that were drawn, sequences and tokens together | `_beam_search` |
//!
//! ```text
//! logits [rows, V] ─ log softmax (beams) ─ processors ─ the best or draws ─► hypotheses ─► rows of the next step
//! ```
//!
//! ```
//! use deberta_core::Error;
//! use deberta_core::generate::{Ended, GenerationOptions, NextToken, generate};
//! use ndarray::Array2;
//!
//! /// After each token comes the next higher one.
//! struct Counts;
//!
//! impl NextToken for Counts {
//!     fn vocabulary(&self) -> usize {
//!         10
//!     }
//!
//!     fn advance(&mut self, _: &[usize], tokens: &[u32]) -> Result<Array2<f32>, Error> {
//!         let next = |(row, token)| if token == tokens[row] as usize + 1 { 1.0 } else { 0.0 };
//!         Ok(Array2::from_shape_fn((tokens.len(), 10), next))
//!     }
//! }
//!
//! let options = GenerationOptions::default().decoder_start_token_id(4).eos_token_id([7]);
//! let answers = generate(&mut Counts, 1, &options)?;
//! assert_eq!(answers[0].sequences[0].tokens, [4, 5, 6, 7]);
//! assert_eq!(answers[0].sequences[0].ended, Ended::Eos);
//! # Ok::<(), Error>(())
//! ```
//!
//! # What is exact
//!
//! Greedy and beam search choose the reference's tokens, input by input: an input's sequences do not depend on its batch.
//! Equal scores are the only exception. Where the reference leaves to `torch.topk` which of them come first, here it is
//! the earlier hypothesis, then the lower token; a kept finished hypothesis goes before a new one. Samples come from the
//! reference's distributions, by a random generator of our own.

mod beam;
mod check;
mod maths;
mod options;
mod processors;
mod random;
mod read;
mod sample;
mod step;
mod watch;

use ndarray::Array2;

pub use options::{EarlyStopping, GenerationOptions};
pub use watch::{Decided, Watch};

use crate::Error;
use processors::Processors;
use step::Steps;

/// A decoder with a cache. Its rows are hypotheses.
pub trait NextToken {
    /// The number of tokens, V.
    fn vocabulary(&self) -> usize;

    /// Row r of this call continues row `parents[r]` of the call before, or input `parents[r]` in the first call, with
    /// `tokens[r]`. The logits of what follows: [rows, V].
    ///
    /// Any parent may have any number of continuations, none too: what belongs to it can be dropped then. What a row
    /// costs should not depend on the others.
    ///
    /// # Errors
    /// Whatever keeps the decoder from an answer. It ends the search.
    fn advance(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Array2<f32>, Error>;
}

/// Why a sequence has no more tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Its last token is one of `eos_token_id`.
    Eos,
    /// It has the greatest length.
    Length,
    /// Another step would have taken more than `token_budget`.
    Budget,
    /// The caller ended the search.
    Cancelled,
}

/// A sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Its tokens: the start token, and those that were chosen. No padding.
    pub tokens: Vec<u32>,
    /// Of a beam search: the sum of its log probabilities, processed, over the number of new tokens to the power of
    /// `length_penalty` (`sequences_scores` of the reference). Where there are not so many hypotheses, because a search
    /// ended before its first step or other continuations are banned, it is -1e9 or a like number over the length, and
    /// the tokens mean nothing.
    pub score: Option<f32>,
    /// Why it ended.
    pub ended: Ended,
}

/// What a search found for an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// `num_return_sequences` of them; those of a beam search best first.
    pub sequences: Vec<Sequence>,
}

/// Searches sequences for each of a number of inputs, which the decoder knows by their index.
///
/// # Errors
/// [`Error::Argument`] for an option that this call cannot use, [`Error::NotFiniteOutput`] for logits of an input that are
/// NaN or infinitely high, or of which none can be drawn, [`Error::Batch`] for logits of another shape, [`Error::Isa`] where
/// `DEBERTA_ISA` names instructions that this processor has not, and what the decoder refuses. Any of them ends the whole
/// call.
pub fn generate<D: NextToken + ?Sized>(
    decoder: &mut D,
    inputs: usize,
    options: &GenerationOptions,
) -> Result<Vec<Generated>, Error> {
    generate_watched(decoder, inputs, options, Watch::default())
}

/// As [`generate`], with somebody who hears of tokens as they are decided and may end the search.
///
/// ```
/// # use deberta_core::Error;
/// # use deberta_core::generate::{Decided, GenerationOptions, NextToken, Watch, generate_watched};
/// # struct Zeros;
/// # impl NextToken for Zeros {
/// #     fn vocabulary(&self) -> usize { 3 }
/// #     fn advance(&mut self, _: &[usize], tokens: &[u32]) -> Result<ndarray::Array2<f32>, Error> {
/// #         Ok(ndarray::Array2::zeros((tokens.len(), 3)))
/// #     }
/// # }
/// # let mut decoder = Zeros;
/// let mut told = Vec::new();
/// let mut hear = |decided: Decided<'_>| told.extend_from_slice(decided.tokens);
/// let options = GenerationOptions::default().decoder_start_token_id(1).max_new_tokens(3);
/// let watch = Watch::default().on_tokens(&mut hear);
/// let answers = generate_watched(&mut decoder, 1, &options, watch)?;
/// assert_eq!(answers[0].sequences[0].tokens, told);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As [`generate`].
pub fn generate_watched<D: NextToken + ?Sized>(
    decoder: &mut D,
    inputs: usize,
    options: &GenerationOptions,
    watch: Watch<'_>,
) -> Result<Vec<Generated>, Error> {
    options.check(decoder.vocabulary())?;
    let start = options.start(decoder.vocabulary())?;
    let processors = Processors::new(options)?;
    let steps = Steps::new(decoder, options, watch);
    match options.is_beam_search() {
        true => beam::search(steps, inputs, start, options, &processors),
        false => sample::search(steps, inputs, start, options, &processors),
    }
}

/// What a search makes of the scores of the token that follows `tokens`, which begin with the start token: logits, or
/// their log softmax where there are beams. Banned tokens have negative infinity.
///
/// For decoders that are searched in another way than [`generate`] does.
///
/// # Errors
/// [`Error::Argument`] for an option that cannot be used, [`Error::Isa`] as [`generate`].
pub fn process(
    options: &GenerationOptions,
    tokens: &[u32],
    scores: &mut [f32],
) -> Result<(), Error> {
    options.check(scores.len())?;
    Processors::new(options)?.apply(tokens, scores);
    Ok(())
}

/// All sequences as rows of equal length, input by input, filled up as the reference fills them: with `pad_token_id`, or
/// the first of `eos_token_id` where there is none; in beam search also where `pad_token_id` is 0. -1 where neither is
/// given; in beam search, where there is no `eos_token_id`.
#[must_use]
pub fn padded(answers: &[Generated], options: &GenerationOptions) -> Array2<i64> {
    let sequences: Vec<&[u32]> = answers
        .iter()
        .flat_map(|answer| &answer.sequences)
        .map(|sequence| &*sequence.tokens)
        .collect();
    let end = options.eos_token_id.first().copied();
    let fill = match options.is_beam_search() {
        true => end.and(options.pad_token_id.filter(|&id| id != 0).or(end)),
        false => options.pad_token_id.or(end),
    };
    let width = sequences.iter().map(|tokens| tokens.len()).max();
    Array2::from_shape_fn((sequences.len(), width.unwrap_or(0)), |(row, i)| {
        let token = sequences[row].get(i).copied().or(fill);
        token.map_or(-1, i64::from)
    })
}
