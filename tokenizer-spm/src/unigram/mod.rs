//! The Unigram model: of all ways to cut a text into pieces, the one with the greatest total score.
//!
//! A text and the vocabulary make a lattice: an edge from position `i` to position `j` wherever the
//! bytes between them are a piece, weighted with the piece's score (a log probability). The best path
//! is found by one pass from left to right ([`viterbi`]): the best path to `j` is the best path to some
//! `i` and one more edge.
//!
//! Where no piece covers the single character at a position, an edge for an unknown character does,
//! with a score below that of every piece, so that there is always a path.
//!
//! Exactness rests on three details that implementations must share: the *precision* in which scores
//! are summed, the *order* in which they are (from the start of the text), and *ties* (the edge with
//! the earliest start stays).
//!
//! Most text is made of words seen before, and no piece reaches from one word into the next: [`words`]
//! cuts a text there, and the [`cache`] remembers what became of a word, next to how far the sum of the
//! scores before it may lie from zero for that to stay true ([`margin`]).

mod cache;
mod margin;
#[cfg(test)]
mod tests;
mod viterbi;
mod words;

use std::ops::{Add, Sub};

use crate::TokenizerError;
use crate::double_array::DoubleArray;
use cache::WordCache;
pub(crate) use viterbi::Lattice;
pub(crate) use words::{PADDING, Words};

/// The number type in which scores are kept and added: `f32` in SentencePiece, `f64` in Hugging Face's
/// tokenizers. Long texts have near ties that come out differently.
pub(crate) trait Precision:
    Copy + Default + PartialOrd + Into<f64> + Add<Output = Self> + Sub<Output = Self>
{
    /// How far from zero the score of a path may get before all scores are shifted back to zero.
    /// SentencePiece does this because an `f32` this large has few digits left for the differences
    /// that matter.
    const RECENTRE_BEYOND: Option<f64>;

    /// The greatest relative error of one addition.
    const ROUNDING: f64;

    /// Rounds to this type.
    fn round(score: f64) -> Self;
}

impl Precision for f32 {
    const RECENTRE_BEYOND: Option<f64> = Some(100_000.0);
    const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

    fn round(score: f64) -> Self {
        score as f32
    }
}

impl Precision for f64 {
    const RECENTRE_BEYOND: Option<f64> = None;
    const ROUNDING: f64 = f64::EPSILON / 2.0;

    fn round(score: f64) -> Self {
        score
    }
}

/// How far below the lowest score of a piece the score of an unknown character lies.
pub(crate) const UNKNOWN_PENALTY: f64 = 10.0;

/// A piece that text can be cut into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) piece: &'a str,
    pub(crate) id: u32,
    pub(crate) score: f64,
}

/// A piece found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The piece's id; for an unknown character the id given for unknowns.
    pub(crate) id: u32,
    /// Where it starts, in bytes of the text.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

/// A vocabulary with scores.
#[derive(Debug, Clone)]
pub(crate) struct Unigram<S> {
    /// Ids, and the scores with them.
    trie: DoubleArray<S>,
    /// By id.
    scores: Vec<S>,
    unknown_id: u32,
    unknown_score: S,
    /// The greatest distance of a score from zero.
    greatest: f64,
    /// The highest score, 0 if all are negative, as log probabilities are.
    highest: f64,
    cache: WordCache,
}

impl<S: Precision> Unigram<S> {
    /// A model that cuts text into `candidates`, and into single characters with id `unknown_id` and
    /// score `unknown_score` where no candidate is just that character.
    ///
    /// Leave out the pieces that must never be found in text. Of equal pieces the last counts; an empty
    /// piece is never found.
    pub(crate) fn new(
        candidates: &[Candidate<'_>],
        unknown_id: u32,
        unknown_score: f64,
    ) -> Result<Self, TokenizerError> {
        if let Some(bad) = candidates
            .iter()
            .find(|candidate| !candidate.score.is_finite())
        {
            return Err(TokenizerError::InvalidModel {
                what: format!("score of piece {} {:?}", bad.id, bad.piece),
                expected: "a finite number",
                found: bad.score.to_string(),
            });
        }
        let mut keys: Vec<(&[u8], u32)> = candidates
            .iter()
            .filter(|candidate| !candidate.piece.is_empty())
            .map(|candidate| (candidate.piece.as_bytes(), candidate.id))
            .collect();
        // A stable sort keeps equal pieces in order; `dedup_by` hands over the later of two first.
        keys.sort_by(|a, b| a.0.cmp(b.0));
        keys.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        let trie = DoubleArray::build(&keys)?;
        let size = candidates
            .iter()
            .map(|candidate| candidate.id as usize + 1)
            .max()
            .unwrap_or(0);
        let mut scores = vec![S::default(); size];
        let unknown_score = S::round(unknown_score);
        let mut greatest = unknown_score.into().abs();
        let mut highest = unknown_score.into().max(0.0);
        for candidate in candidates {
            let score = S::round(candidate.score);
            scores[candidate.id as usize] = score;
            greatest = greatest.max(score.into().abs());
            highest = highest.max(score.into());
        }
        Ok(Self {
            trie: trie.with_payload(|id| scores[id as usize]),
            scores,
            unknown_id,
            unknown_score,
            greatest,
            highest,
            cache: WordCache::new(size),
        })
    }

    /// The score of an edge; unknown characters have the id given for them.
    fn score(&self, id: u32) -> S {
        if id == self.unknown_id {
            return self.unknown_score;
        }
        self.scores.get(id as usize).copied().unwrap_or_default()
    }
}

/// The length of the UTF-8 character that begins with `first`.
#[inline(always)]
pub(crate) fn character_length(first: u8) -> usize {
    match first {
        0x00..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
    }
}
