//! Which of the likely spans of one label are entities.

use std::cmp::{Ordering, Reverse};
use std::ops::RangeInclusive;

/// What becomes of spans of the same label that share words. Those of different labels never stand in each other's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overlap {
    /// The best spans are taken first, and each if it shares no word with those that were taken: what the package does
    /// where nothing else is asked for.
    #[default]
    Greedy,
    /// Spans that share no words, the highest sum of scores (`flat`).
    BestSum,
    /// The best first, and each if it lies apart from, inside or around those that were taken (`nested`).
    Nested,
    /// All that lie inside no other (`longest`).
    Longest,
    /// All (`allow`).
    All,
}

/// A span that is likely enough to have a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// First and last word.
    pub(super) words: RangeInclusive<usize>,
    pub(super) score: f32,
}

impl Candidate {
    fn overlaps(&self, other: &Self) -> bool {
        self.words.start() <= other.words.end() && other.words.start() <= self.words.end()
    }

    fn holds(&self, other: &Self) -> bool {
        self.words.start() <= other.words.start() && other.words.end() <= self.words.end()
    }

    /// The better one first; of equal ones the one that begins, and then the one that ends, first.
    fn rank(&self, other: &Self) -> Ordering {
        let place = |one: &Self| (*one.words.start(), *one.words.end());
        (other.score.total_cmp(&self.score)).then_with(|| place(self).cmp(&place(other)))
    }
}

impl Overlap {
    /// The entities among the different spans of a label, the best first.
    pub(super) fn choose(self, mut found: Vec<Candidate>) -> Vec<Candidate> {
        found.sort_by(Candidate::rank);
        match self {
            Self::All => found,
            Self::Greedy => taken(found, Candidate::overlaps),
            Self::Nested => taken(found, |a, b| a.overlaps(b) && !a.holds(b) && !b.holds(a)),
            Self::Longest => {
                let is_inner = |a: &Candidate| found.iter().any(|b| b.holds(a) && a != b);
                let outer = found.iter().filter(|a| !is_inner(a));
                outer.cloned().collect()
            }
            Self::BestSum => best_sum(found),
        }
    }
}

/// Each if it does not contradict one before it.
fn taken(
    ranked: Vec<Candidate>,
    contradict: impl Fn(&Candidate, &Candidate) -> bool,
) -> Vec<Candidate> {
    let mut taken: Vec<Candidate> = Vec::new();
    for candidate in ranked {
        if !taken.iter().any(|other| contradict(&candidate, other)) {
            taken.push(candidate);
        }
    }
    taken
}

/// The best choice among the first candidates by their ends.
#[derive(Clone, Copy)]
struct Choice {
    sum: f64,
    count: usize,
    /// The last candidate of it, and the choice before that.
    last: Option<(usize, usize)>,
}

/// Of spans that share no word the highest sum; of equal sums the most spans, then the better ranked.
fn best_sum(ranked: Vec<Candidate>) -> Vec<Candidate> {
    let mut by_end: Vec<usize> = (0..ranked.len()).collect();
    by_end.sort_by_key(|&i| (*ranked[i].words.end(), *ranked[i].words.start(), i));
    let mut best = vec![Choice {
        sum: 0.0,
        count: 0,
        last: None,
    }];
    for (i, &candidate) in by_end.iter().enumerate() {
        let start = *ranked[candidate].words.start();
        let before = by_end[..i].partition_point(|&other| *ranked[other].words.end() < start);
        let with = Choice {
            sum: best[before].sum + f64::from(ranked[candidate].score),
            count: best[before].count + 1,
            last: Some((candidate, before)),
        };
        let without = best[i];
        let better = with
            .sum
            .total_cmp(&without.sum)
            .then(with.count.cmp(&without.count))
            .then_with(|| Reverse(chosen(&best, with)).cmp(&Reverse(chosen(&best, without))));
        best.push(match better {
            Ordering::Greater => with,
            Ordering::Less | Ordering::Equal => without,
        });
    }
    let chosen = best.last().map(|&last| chosen(&best, last));
    let places = chosen.unwrap_or_default();
    places.into_iter().map(|i| ranked[i].clone()).collect()
}

/// The candidates of a choice, in their order.
fn chosen(best: &[Choice], mut choice: Choice) -> Vec<usize> {
    let mut places = Vec::with_capacity(choice.count);
    while let Some((candidate, before)) = choice.last {
        places.push(candidate);
        choice = best[before];
    }
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_by(overlap: Overlap, spans: &[(usize, usize, f32)]) -> Vec<(usize, usize)> {
        let candidates = spans.iter().map(|&(first, last, score)| Candidate {
            words: first..=last,
            score,
        });
        overlap
            .choose(candidates.collect())
            .into_iter()
            .map(|c| c.words.into_inner())
            .collect()
    }

    #[test]
    fn each_policy_has_its_own_answer() {
        let spans = [
            (0, 1, 0.6),
            (1, 2, 0.9),
            (2, 3, 0.7),
            (0, 3, 0.5),
            (5, 5, 0.8),
        ];
        let of = |overlap| chosen_by(overlap, &spans);
        assert_eq!(of(Overlap::Greedy), [(1, 2), (5, 5)]);
        assert_eq!(of(Overlap::BestSum), [(5, 5), (2, 3), (0, 1)]);
        assert_eq!(of(Overlap::Nested), [(1, 2), (5, 5), (0, 3)]);
        assert_eq!(of(Overlap::Longest), [(5, 5), (0, 3)]);
        assert_eq!(of(Overlap::All).len(), 5);
        for overlap in [Overlap::Greedy, Overlap::BestSum, Overlap::Longest] {
            assert_eq!(chosen_by(overlap, &[]), []);
        }
    }

    #[test]
    fn equal_sums_are_decided_by_count_then_by_rank() {
        let spans = [(0, 3, 1.0), (0, 1, 0.5), (2, 3, 0.5)];
        assert_eq!(chosen_by(Overlap::BestSum, &spans), [(0, 1), (2, 3)]);
        assert_eq!(
            chosen_by(Overlap::BestSum, &[(0, 1, 0.5), (1, 2, 0.5)]),
            [(0, 1)]
        );
    }
}
