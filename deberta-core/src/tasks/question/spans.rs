//! From the logits of beginnings and ends to ranked spans of tokens.

use std::collections::HashMap;
use std::ops::Range;

use ndarray::ArrayView2;
use tokenizer_spm::deberta::Encoding;

use super::QuestionOptions;

/// The logits of one window, `[L, 2]`, and the tokens they belong to.
pub(super) struct WindowLogits<'a> {
    pub(super) logits: ArrayView2<'a, f32>,
    /// The window with its special tokens.
    pub(super) encoding: &'a Encoding,
    /// The token that stands for "no answer".
    pub(super) classifier: Option<u32>,
}

/// Parts of a text with their scores, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// Where they lie, in bytes.
    found: Vec<(f64, Range<usize>)>,
    /// How likely it is that there is none, by the window that finds it least likely.
    none: Option<f64>,
}

impl Spans {
    /// The likeliest spans of a window: `p_start(i) · p_end(j)` where j is not before i and not too far behind it.
    ///
    /// Beginnings and ends compete among the text's tokens and `[CLS]`, which stands for "none".
    pub(super) fn of_window(
        window: &WindowLogits<'_>,
        options: &QuestionOptions,
        k: usize,
    ) -> Self {
        let encoding = window.encoding;
        let is_text = |t: usize| encoding.sequence_ids[t] == Some(1);
        let is_classifier = |t: usize| Some(encoding.ids[t]) == window.classifier;
        let competes: Vec<bool> = (0..encoding.len())
            .map(|t| is_text(t) || is_classifier(t))
            .collect();
        let starts = probabilities(window.logits.column(0).iter().copied(), &competes);
        let ends = probabilities(window.logits.column(1).iter().copied(), &competes);
        let none = options.allow_no_answer.then(|| starts[0] * ends[0]);
        let mut found: Vec<(f64, usize, usize)> = Vec::new();
        for start in (0..encoding.len()).filter(|&t| is_text(t)) {
            // A text's tokens stand side by side.
            for end in (start..encoding.len()).take(options.max_answer_tokens) {
                if is_text(end) {
                    found.push((starts[start] * ends[end], start, end));
                }
            }
        }
        // Where answers are widened to words, several become one: the reference takes more to begin with.
        let most = match options.align_to_words {
            true => k.saturating_mul(2).saturating_add(10),
            false => k,
        };
        let order = |a: &(f64, usize, usize), b: &(f64, usize, usize)| {
            b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
        };
        if found.len() > most && most > 0 {
            found.select_nth_unstable_by(most - 1, order);
        }
        found.truncate(most);
        found.sort_by(order);
        let bytes = |start: usize, end: usize| match options.align_to_words {
            true => of_word(encoding, start).start..of_word(encoding, end).end,
            false => encoding.offsets[start].0..encoding.offsets[end].1,
        };
        let found = found.into_iter();
        Self {
            found: found
                .map(|(score, start, end)| (score, bytes(start, end)))
                .collect(),
            none,
        }
    }

    /// Those of all windows over a text.
    pub(super) fn merged(windows: Vec<Self>) -> Self {
        let mut all = Self::default();
        for window in windows {
            all.found.extend(window.found);
            all.none = match (all.none, window.none) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        all
    }

    /// The best `k` parts of the text by score. Parts that say the same count together, in whatever case they are written.
    pub(super) fn rank(
        self,
        text: &str,
        options: &QuestionOptions,
        k: usize,
    ) -> Vec<(f64, Range<usize>)> {
        let mut answers: Vec<(f64, Range<usize>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (score, bytes) in self.found {
            let Some(part) = text.get(bytes.clone()) else {
                continue;
            };
            let next = answers.len();
            match *known.entry(part.to_lowercase()).or_insert(next) {
                index if index < next => answers[index].0 += score,
                _ => answers.push((score, bytes)),
            }
        }
        if options.allow_no_answer {
            answers.push((self.none.unwrap_or(0.0), 0..0));
        }
        // Stable, as in the reference.
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        answers.truncate(k);
        answers
    }
}

/// A softmax over the tokens that compete; zero for the others.
fn probabilities(logits: impl Iterator<Item = f32>, competes: &[bool]) -> Vec<f64> {
    let logits: Vec<Option<f64>> = logits
        .zip(competes)
        .map(|(x, &competes)| competes.then_some(f64::from(x)))
        .collect();
    let max = logits
        .iter()
        .flatten()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = logits
        .iter()
        .map(|x| x.map_or(0.0, |x| (x - max).exp()))
        .collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

/// Where the word of a token lies, as far as it is in the window, in bytes.
fn of_word(encoding: &Encoding, token: usize) -> Range<usize> {
    let place = |t: usize| (encoding.sequence_ids[t], encoding.word_ids[t]);
    let same = |&t: &usize| place(t) == place(token);
    let first = (0..token).rev().take_while(same).last().unwrap_or(token);
    let last = (token + 1..encoding.len()).take_while(same).last();
    encoding.offsets[first].0..encoding.offsets[last.unwrap_or(token)].1
}
