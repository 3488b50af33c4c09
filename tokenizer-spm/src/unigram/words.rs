//! A text word by word.

use super::cache::{MAX_WORD, Word};
use super::{Lattice, Precision, Span, Unigram};

/// How many bytes there must be after a text, of any content, for its words to be read quickly.
pub(crate) const PADDING: usize = MAX_WORD;

/// A text cut where no piece reaches across.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    /// The text, and [`PADDING`] bytes more.
    pub(crate) padded: &'a [u8],
    /// The length of the text itself.
    pub(crate) length: usize,
    /// Where to cut, in order.
    pub(crate) cuts: &'a [usize],
}

/// The score of a path, as far as it is known.
struct Score<S> {
    /// What it is no further from zero than.
    bound: f64,
    /// What it was when `counted` spans had been found.
    exact: S,
    counted: usize,
}

impl<S: Precision> Unigram<S> {
    /// Appends the pieces of the best path through a text to `out`, in order and without gaps. Unknown
    /// characters come one by one; joining runs of them is left to the caller.
    ///
    /// The id for unknown characters must not be that of a piece.
    pub(crate) fn segment_words(
        &self,
        words: Words<'_>,
        lattice: &mut Lattice<S>,
        out: &mut Vec<Span>,
    ) {
        let mut score = Score {
            bound: 0.0,
            exact: S::default(),
            counted: out.len(),
        };
        let mut start = 0;
        for end in words.cuts.iter().copied().chain([words.length]) {
            if end <= start {
                continue;
            }
            self.segment_word(&words, start, end, &mut score, lattice, out);
            start = end;
        }
    }

    #[inline(always)]
    fn segment_word(
        &self,
        words: &Words<'_>,
        start: usize,
        end: usize,
        score: &mut Score<S>,
        lattice: &mut Lattice<S>,
        out: &mut Vec<Span>,
    ) {
        let window = words.padded.get(start..).and_then(<[u8]>::first_chunk);
        if let Some(word) = window.and_then(|window| Word::new(window, end - start)) {
            let settle = || self.settle(&words.padded[start..end]);
            let answer = self.cache.get(&word, settle);
            let reach = f64::from(answer.reach);
            if score.bound > reach {
                self.count(score, out);
            }
            if score.bound <= reach {
                let mut start = start;
                for (id, length) in answer.pieces() {
                    let end = start + length;
                    out.push(Span { id, start, end });
                    start = end;
                }
                // Each addition may have been off by a little.
                score.bound = (score.bound + f64::from(answer.cost))
                    * (1.0 + 2.0 * MAX_WORD as f64 * S::ROUNDING);
                return;
            }
        }
        self.count(score, out);
        let text = &words.padded[start..end];
        score.exact = self.best_path(text, score.exact, start, lattice, out);
        score.counted = out.len();
        score.bound = score.exact.into().abs();
    }

    /// Adds up the scores of the spans since the score was known last, in the order in which a search
    /// adds them.
    #[cold]
    fn count(&self, score: &mut Score<S>, spans: &[Span]) {
        for span in &spans[score.counted..] {
            score.exact = score.exact + self.score(span.id);
        }
        score.counted = spans.len();
        score.bound = score.exact.into().abs();
    }

    /// Appends the pieces of the best path through a text that is one word.
    pub(crate) fn segment(&self, text: &str, lattice: &mut Lattice<S>, out: &mut Vec<Span>) {
        let bytes = text.as_bytes();
        if bytes.len() <= MAX_WORD {
            let mut window = [0; MAX_WORD];
            window[..bytes.len()].copy_from_slice(bytes);
            let word = Word::new(&window, bytes.len());
            let answer = word.map(|word| self.cache.get(&word, || self.settle(bytes)));
            if let Some(answer) = answer.filter(|answer| answer.reach >= 0.0) {
                let mut start = 0;
                for (id, length) in answer.pieces() {
                    let end = start + length;
                    out.push(Span { id, start, end });
                    start = end;
                }
                return;
            }
        }
        self.best_path(bytes, S::default(), 0, lattice, out);
    }
}
