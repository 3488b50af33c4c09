//! How far the best path through a word lies ahead of the second best, and for which texts before the
//! word that settles it.
//!
//! No piece reaches out of a word, so in exact arithmetic the best path through it is the same in every
//! text. But scores are summed from the start of the text in few digits. When is the word's own best
//! path `P`, of total score `T`, certain to be the one that the sum finds, given the sum `s` before it?
//!
//! Let `u` be the greatest relative error of an addition, `n` the number of the word's characters,
//! `h` the highest score (or 0), and say the search finds `Q` instead. Rounding preserves order, so the
//! search never ends below the computed score of any path, and `Q` was computed at least as high as `P`.
//! All sums along both then lie within `M = |s| + |T| + 2·n·h` of zero (a sum cannot fall below the last
//! one by more than what may still be gained), and each of them is off by at most `u·M`. Hence `Q` is at
//! most `2·n·u·M` worse than `P`. If the *margin*, the difference between the exact scores of the best and
//! the second best path, is greater, `Q` is `P`. That gives the greatest `|s|` for which the word needs
//! no search: its *reach*.
//!
//! The reach also ends where the search might shift its scores back to zero inside the word.

use super::cache::{Answer, MAX_PIECES, MAX_WORD};
use super::{Precision, Unigram, character_length};

/// The best two paths to one position.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    second: f64,
    length: u8,
    id: u32,
}

const UNREACHED: Best = Best {
    score: f64::NEG_INFINITY,
    second: f64::NEG_INFINITY,
    length: 0,
    id: 0,
};

/// Part of a bound to give away for the rounding of the bounds themselves.
const SLACK: f64 = 1e-3;

impl<S: Precision> Unigram<S> {
    /// The best path through a word of at most [`MAX_WORD`] bytes and the word's reach, or that there is
    /// none, or too long a path to be remembered.
    pub(super) fn settle(&self, word: &[u8]) -> Answer {
        self.best_by_margin(word).unwrap_or(Answer::UNSETTLED)
    }

    fn best_by_margin(&self, word: &[u8]) -> Option<Answer> {
        let mut best = [UNREACHED; MAX_WORD + 1];
        best[0].score = 0.0;
        let mut characters = 0;
        let mut start = 0;
        while start < word.len() {
            let Best { score, second, .. } = best[start];
            let character = character_length(word[start]).min(word.len() - start);
            let mut character_is_piece = false;
            let mut extend = |length: usize, id: u32, edge: f64| {
                let to = &mut best[start + length];
                let through = score + edge;
                if through > to.score {
                    *to = Best {
                        score: through,
                        second: to.score.max(second + edge),
                        length: length as u8,
                        id,
                    };
                } else {
                    to.second = to.second.max(through);
                }
            };
            let mut node = self.trie.root();
            for (index, &byte) in word[start..].iter().enumerate() {
                let Some(child) = self.trie.child(node, byte) else {
                    break;
                };
                node = child;
                if let Some(id) = node.value() {
                    extend(index + 1, id, node.payload().into());
                    character_is_piece |= index + 1 == character;
                }
            }
            if !character_is_piece {
                extend(character, self.unknown_id, self.unknown_score.into());
            }
            characters += 1;
            start += character;
        }

        let mut answer = Answer::UNSETTLED;
        let mut end = word.len();
        while end > 0 {
            let length = usize::from(best[end].length).clamp(1, end);
            if answer.len() == MAX_PIECES {
                return None;
            }
            answer.push_front(best[end].id, length)?;
            end -= length;
        }
        let Best { score, second, .. } = best[word.len()];
        (answer.reach, answer.cost) = self.reach(score, score - second, characters)?;
        Some(answer)
    }

    /// How far from zero the score before a word may lie, and by how much the word can move it away
    /// from zero, given the score and the margin of its best path.
    fn reach(&self, total: f64, margin: f64, characters: usize) -> Option<(f32, f32)> {
        let count = characters as f64;
        let extreme = count * self.greatest;
        // The paths were summed in double precision.
        let margin = margin - 4.0 * count * f64::EPSILON * extreme;
        if margin.is_nan() || margin <= 0.0 {
            return None;
        }
        let spread = total.abs() + 2.0 * count * self.highest;
        let settled = margin * (1.0 - SLACK) / (2.0 * count * S::ROUNDING) - spread;
        let recentred = S::RECENTRE_BEYOND.unwrap_or(f64::MAX) * (1.0 - SLACK) - extreme;
        let reach = (settled.min(recentred) * (1.0 - SLACK)) as f32;
        let cost = (spread * (1.0 + SLACK) + f64::from(f32::MIN_POSITIVE)) as f32;
        (reach >= 0.0 && cost.is_finite()).then_some((reach, cost))
    }
}
