//! Words of texts: their characters, their vectors, and windows over them.

use std::ops::{Range, RangeInclusive};

use ndarray::{Array2, ArrayView2, Axis, s};
use unicode_general_category::{GeneralCategory, get_general_category};

/// White space as Python has it: four separators of ASCII are some.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `\w` of Python: letters, numbers and the underscore, no marks.
pub(super) fn is_word(c: char) -> bool {
    use GeneralCategory as G;
    c == '_'
        || matches!(
            get_general_category(c),
            G::UppercaseLetter
                | G::LowercaseLetter
                | G::TitlecaseLetter
                | G::ModifierLetter
                | G::OtherLetter
                | G::DecimalNumber
                | G::LetterNumber
                | G::OtherNumber
        )
}

/// The length in bytes of the word at the start of a text, where one starts there: word characters, with single hyphens
/// between them.
pub(super) fn joined(text: &str, is_word: impl Fn(char) -> bool) -> Option<usize> {
    let run = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.find(|c| !is_word(c)).unwrap_or(rest.len())
    };
    let mut end = run(0);
    while end > 0 {
        // A hyphen joins only where a word goes on behind it. (An underscore is part of one.)
        let behind = text[end..].strip_prefix('-').map(|_| run(end + 1));
        match behind {
            Some(next) if next > end + 1 => end = next,
            _ => return Some(end),
        }
    }
    None
}

/// How the vectors of a word's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubtokenPooling {
    First,
    Last,
    Mean,
    Max,
}

/// One vector per word, from the tokens of each. A word without a token has zeros.
pub(super) fn pooled(
    states: ArrayView2<'_, f32>,
    words: &[Range<usize>],
    pooling: SubtokenPooling,
) -> Array2<f32> {
    let mut vectors = Array2::zeros((words.len(), states.ncols()));
    for (range, mut word) in words.iter().zip(vectors.outer_iter_mut()) {
        if range.is_empty() {
            continue;
        }
        let tokens = states.slice(s![range.clone(), ..]);
        match pooling {
            SubtokenPooling::First => word.assign(&tokens.row(0)),
            SubtokenPooling::Last => word.assign(&tokens.row(range.len() - 1)),
            SubtokenPooling::Mean => {
                let count = range.len() as f32;
                word.assign(&(tokens.sum_axis(Axis(0)) / count));
            }
            SubtokenPooling::Max => {
                word.assign(&tokens.fold_axis(Axis(0), f32::NEG_INFINITY, |&a, &b| a.max(b)));
            }
        }
    }
    vectors
}

/// How words are divided into windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// Words of one.
    pub(super) most: usize,
    /// Words of the widest span.
    pub(super) widest: usize,
    /// Whether there is but one, of so many tokens at most.
    pub(super) truncated: Option<usize>,
}

impl Windows {
    /// Neighbours share so much that the widest span lies well inside one of them.
    pub(super) fn over(self, count: usize) -> Vec<Range<usize>> {
        if count <= self.most || self.truncated.is_some() {
            return std::iter::once(0..count.min(self.most)).collect();
        }
        let overlap = (self.most / 4).max(2 * self.widest).min(self.most - 1);
        let last = count - self.most;
        (0..last)
            .step_by(self.most - overlap)
            .chain(std::iter::once(last))
            .map(|start| start..start + self.most)
            .collect()
    }
}

/// The window that answers for a span of so many words: of those that hold it, the one in which it lies farthest from a
/// cut.
pub(super) fn window_of(
    windows: &[Range<usize>],
    count: usize,
    span: &RangeInclusive<usize>,
) -> usize {
    let (first, last) = (*span.start(), *span.end());
    // Windows begin and end in rising order: those that hold the span stand side by side.
    let from = windows.partition_point(|window| window.end <= last);
    let to = windows.partition_point(|window| window.start <= first);
    let context = |index: &usize| {
        let window = &windows[*index];
        let left = match window.start {
            0 => usize::MAX,
            start => first - start,
        };
        let right = match window.end {
            end if end == count => usize::MAX,
            end => end - 1 - last,
        };
        left.min(right)
    };
    // Of equal ones the first.
    (from..to).rev().max_by_key(context).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_has_a_window() {
        for (most, widest) in [(5, 2), (6, 3), (12, 4), (3, 3), (1, 1)] {
            for count in 1..40 {
                let windows = Windows {
                    most,
                    widest,
                    truncated: None,
                };
                let windows = windows.over(count);
                for (first, last) in super::super::layers::spans(count, widest.min(most)) {
                    let window = &windows[window_of(&windows, count, &(first..=last))];
                    let held = window.start <= first && last < window.end;
                    // The widest spans need windows that share as much.
                    assert!(
                        held || 2 * widest > most,
                        "{first}..={last} of {count} in {window:?}"
                    );
                }
            }
        }
    }
}
