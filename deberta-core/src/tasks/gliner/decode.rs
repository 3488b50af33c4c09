//! From scores of spans to entities that do not contradict one another.

use std::ops::RangeInclusive;

/// A span that is likely enough.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// First and last word.
    pub(super) words: RangeInclusive<usize>,
    pub(super) label: usize,
    pub(super) score: f32,
}

/// Which spans may stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// No span shares a word with another. Else one may lie inside another.
    pub(super) flat: bool,
    /// A span may have several labels.
    pub(super) multi_label: bool,
}

/// Takes the best candidates first, and each if it does not contradict those that were taken; in the order of the text.
///
/// Candidates come by their first word, then by their last, then by label: of equal ones the first is taken.
pub(super) fn choose(mut candidates: Vec<Candidate>, rules: Rules) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut taken: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !taken
            .iter()
            .any(|other| rules.contradict(&candidate.words, &other.words))
        {
            taken.push(candidate);
        }
    }
    taken.sort_by_key(|candidate| *candidate.words.start());
    taken
}

impl Rules {
    fn contradict(self, one: &RangeInclusive<usize>, other: &RangeInclusive<usize>) -> bool {
        if one == other {
            return !self.multi_label;
        }
        let apart = one.end() < other.start() || other.end() < one.start();
        let holds = |outer: &RangeInclusive<usize>, inner: &RangeInclusive<usize>| {
            outer.start() <= inner.start() && inner.end() <= outer.end()
        };
        let nested = holds(one, other) || holds(other, one);
        !(apart || (!self.flat && nested))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(flat: bool, multi_label: bool) -> Vec<(usize, usize, usize)> {
        let spans = [
            (0, 1, 0, 0.9),
            (0, 1, 1, 0.8),
            (1, 2, 0, 0.7),
            (0, 3, 2, 0.6),
            (4, 4, 0, 0.5),
        ];
        let candidates = spans.map(|(start, end, label, score)| Candidate {
            words: start..=end,
            label,
            score,
        });
        choose(candidates.to_vec(), Rules { flat, multi_label })
            .into_iter()
            .map(|c| (*c.words.start(), *c.words.end(), c.label))
            .collect()
    }

    #[test]
    fn spans_that_contradict_better_ones_are_left_out() {
        assert_eq!(chosen(true, false), [(0, 1, 0), (4, 4, 0)]);
        assert_eq!(chosen(true, true), [(0, 1, 0), (0, 1, 1), (4, 4, 0)]);
        assert_eq!(chosen(false, false), [(0, 1, 0), (0, 3, 2), (4, 4, 0)]);
        assert_eq!(
            chosen(false, true),
            [(0, 1, 0), (0, 1, 1), (0, 3, 2), (4, 4, 0)]
        );
    }
}
