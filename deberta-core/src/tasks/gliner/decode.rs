//! From scores of spans to entities that do not contradict one another.

use std::collections::BTreeMap;
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
    let width = |candidate: &Candidate| candidate.words.end() - candidate.words.start();
    let widest = candidates.iter().map(width).max().unwrap_or(0);
    // By their first words and the order in which they were taken. What contradicts a span begins near it.
    let mut taken: BTreeMap<(usize, usize), Candidate> = BTreeMap::new();
    for (order, candidate) in candidates.into_iter().enumerate() {
        let (first, last) = (*candidate.words.start(), *candidate.words.end());
        let near = (first.saturating_sub(widest), 0)..=(last, usize::MAX);
        let mut near = taken.range(near).map(|(_, other)| other);
        if !near.any(|other| rules.contradict(&candidate.words, &other.words)) {
            taken.insert((first, order), candidate);
        }
    }
    taken.into_values().collect()
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
