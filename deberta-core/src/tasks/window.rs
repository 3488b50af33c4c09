//! Overlapping windows over a text that exceeds the model's length.
//!
//! The windows begin a fixed step apart; the last one is moved back so that it is as long as the
//! others and none lacks context without need.

use std::ops::Range;

use tokenizer_spm::deberta::{Truncation, TruncationStrategy};

use crate::Error;

/// How long texts are read.
///
/// The work grows with the length of a text. A pair costs more: while one of its texts takes at most half a window, that
/// text stands beside every window of the other; where both are longer, every window of one meets every window of the
/// other, and the work grows with the *product* of their lengths.
///
/// ```
/// use deberta_core::tasks::{WindowMerge, WindowOptions};
/// let options = WindowOptions { max_length: Some(256), ..WindowOptions::default() };
/// assert_eq!(options.merge.unwrap_or_default(), WindowMerge::Mean);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowOptions {
    /// Tokens of one window, special tokens included. `None`: the tokenizer's `model_max_length`, or
    /// 512 where it states none; never more than the model has absolute positions.
    pub max_length: Option<usize>,
    /// Tokens that neighbouring windows share. `None`: a quarter of the window. A window that a pair's
    /// other text makes shorter shares at most half its tokens.
    pub overlap: Option<usize>,
    /// How the logits of a text's windows are merged. `None`: their mean in classification, the largest in reranking.
    pub merge: Option<WindowMerge>,
    /// Read one window and leave out the rest, as most other programs do without a word. Of a pair the longer text gives
    /// way first; a hypothesis of zero-shot classification does not.
    pub truncate: bool,
}

impl WindowOptions {
    /// For tasks that answer for every part of a text.
    pub(super) fn refuse_truncation(&self) -> Result<(), Error> {
        if !self.truncate {
            return Ok(());
        }
        Err(Error::Argument {
            name: "truncate",
            expected: "false: every part of a text is answered for".to_owned(),
            found: "true".to_owned(),
        })
    }
}

/// How the logits of several windows become those of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum WindowMerge {
    /// The mean, each window weighted by the number of tokens that no earlier window has seen.
    #[default]
    Mean,
    /// The largest of each label's logits: whether *some* window has it.
    Max,
}

/// Resolved lengths: what fits between the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) tokens: usize,
    pub(super) overlap: usize,
}

impl Room {
    /// What a window of `max_length` tokens leaves beside `specials` special ones, at least a token for
    /// each of `texts`.
    pub(super) fn new(
        max_length: usize,
        specials: usize,
        texts: usize,
        overlap: Option<usize>,
    ) -> Result<Self, Error> {
        let tokens = max_length.saturating_sub(specials);
        if tokens < texts {
            return Err(Error::Argument {
                name: "max_length",
                expected: format!(
                    "at least {} ({specials} are special tokens)",
                    specials + texts
                ),
                found: max_length.to_string(),
            });
        }
        match overlap {
            Some(overlap) if overlap >= tokens => Err(Error::Argument {
                name: "overlap",
                expected: format!("less than the {tokens} tokens of a window"),
                found: overlap.to_string(),
            }),
            _ => Ok(Self {
                tokens,
                overlap: overlap.unwrap_or(tokens / 4),
            }),
        }
    }

    /// The same with a share of the tokens.
    fn narrowed(self, tokens: usize) -> Self {
        Self {
            tokens,
            overlap: self.overlap.min(tokens / 2),
        }
    }

    /// Windows over `length` tokens: one where they fit, none of them empty otherwise.
    pub(super) fn windows(self, length: usize) -> Vec<Range<usize>> {
        if length <= self.tokens {
            return std::iter::once(0..length).collect();
        }
        let last = length - self.tokens;
        let step = self.tokens - self.overlap;
        (0..last)
            .step_by(step)
            .chain(std::iter::once(last))
            .map(|start| start..start + self.tokens)
            .collect()
    }
}

/// One window over a text or a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: Range<usize>,
    pub(super) second: Range<usize>,
    /// Tokens that no earlier window has seen, at least 1.
    pub(super) weight: usize,
}

/// Windows over a single text of `length` tokens.
pub(super) fn over_text(length: usize, room: Room) -> Vec<Window> {
    let windows = room.windows(length);
    let weights = fresh(&windows);
    windows
        .into_iter()
        .zip(weights)
        .map(|(first, weight)| Window {
            first,
            second: 0..0,
            weight,
        })
        .collect()
}

/// Windows over a pair. A text that takes at most half the room is repeated whole beside each window
/// over the other; where both are longer, each window over the first meets each over the second.
pub(super) fn over_pair(first: usize, second: usize, room: Room) -> Vec<Window> {
    let whole = first.saturating_add(second) <= room.tokens;
    let half = room.tokens / 2;
    let (first_room, second_room) = if whole {
        (first, second)
    } else if second <= half {
        (room.tokens - second, second)
    } else if first <= room.tokens - half {
        (first, room.tokens - first)
    } else {
        (room.tokens - half, half)
    };
    let firsts = room.narrowed(first_room).windows(first);
    let seconds = room.narrowed(second_room).windows(second);
    let (first_weights, second_weights) = (fresh(&firsts), fresh(&seconds));
    let mut windows = Vec::with_capacity(firsts.len() * seconds.len());
    for (first, &first_weight) in firsts.iter().zip(&first_weights) {
        for (second, &second_weight) in seconds.iter().zip(&second_weights) {
            windows.push(Window {
                first: first.clone(),
                second: second.clone(),
                weight: first_weight * second_weight,
            });
        }
    }
    windows
}

/// The one window of a text or a pair that is cut off. Where the text that should give way is too short, nothing is, as in
/// the reference.
pub(super) fn truncated(
    lengths: &[usize],
    max_length: usize,
    specials: usize,
    strategy: TruncationStrategy,
) -> Result<Window, Error> {
    let options = Truncation {
        max_length,
        strategy,
        ..Truncation::default()
    };
    let all = lengths.iter().sum::<usize>() + specials;
    let too_short = strategy == TruncationStrategy::OnlyFirst
        && lengths
            .first()
            .is_some_and(|&first| first <= all.saturating_sub(max_length));
    let kept = match too_short {
        true => lengths
            .iter()
            .map(|&length| std::iter::once(0..length).collect())
            .collect(),
        false => options.windows(lengths, specials)?,
    };
    let mut kept = kept.into_iter();
    // The first window of each text is what remains.
    let mut next = || {
        kept.next()
            .and_then(|windows| windows.into_iter().next())
            .unwrap_or(0..0)
    };
    Ok(Window {
        first: next(),
        second: next(),
        weight: 1,
    })
}

/// How many tokens of each window no earlier one has seen; an empty text counts as one.
fn fresh(windows: &[Range<usize>]) -> Vec<usize> {
    let mut seen = 0;
    windows
        .iter()
        .map(|window| {
            let new = window.end - seen;
            seen = window.end;
            new.max(1)
        })
        .collect()
}

/// The tokens that each window answers for: those which lie farther from its cut edges than from any
/// other window's. They cover the text in order; of two equally good windows the earlier one answers.
pub(super) fn answers(windows: &[Window]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut ranges = Vec::with_capacity(windows.len());
    for (i, window) in windows.iter().enumerate() {
        let end = match windows.get(i + 1) {
            // Token t is as far from this window's end as from the next one's beginning where
            // end - 1 - t = t - beginning.
            Some(next) => (window.first.end + next.first.start).div_ceil(2),
            None => window.first.end,
        };
        ranges.push(start..end);
        start = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(tokens: usize, overlap: usize) -> Room {
        Room { tokens, overlap }
    }

    #[test]
    fn windows_cover_every_token_and_overlap_as_asked() {
        for tokens in 1..9 {
            for overlap in 0..tokens {
                for length in 0..40 {
                    let windows = room(tokens, overlap).windows(length);
                    assert_eq!(windows[0].start, 0);
                    assert_eq!(windows[windows.len() - 1].end, length);
                    let whole = length.min(tokens);
                    assert!(windows.iter().all(|w| w.len() == whole), "{windows:?}");
                    for pair in windows.windows(2) {
                        assert!(pair[0].start < pair[1].start, "{windows:?}");
                        assert!(pair[0].end >= pair[1].start + overlap, "{windows:?}");
                    }
                    let new: usize = fresh(&windows).iter().sum();
                    assert_eq!(new, length.max(1));
                }
            }
        }
    }

    /// An independent statement of the rule, token by token.
    #[test]
    fn the_window_with_most_context_answers() {
        for (tokens, overlap, length) in [(8, 4, 30), (8, 7, 31), (7, 0, 20), (5, 2, 6), (4, 1, 4)]
        {
            let windows = over_text(length, room(tokens, overlap));
            let ranges = answers(&windows);
            for token in 0..length {
                let context = |w: &Window| {
                    let left = if w.first.start == 0 {
                        usize::MAX
                    } else {
                        token - w.first.start
                    };
                    let right = if w.first.end == length {
                        usize::MAX
                    } else {
                        w.first.end - 1 - token
                    };
                    left.min(right)
                };
                let mut best: Option<(usize, usize)> = None;
                for (i, window) in windows.iter().enumerate() {
                    if window.first.contains(&token)
                        && best.is_none_or(|(_, most)| context(window) > most)
                    {
                        best = Some((i, context(window)));
                    }
                }
                let answering = ranges.iter().position(|range| range.contains(&token));
                assert_eq!(
                    answering,
                    best.map(|(i, _)| i),
                    "token {token} of {windows:?}"
                );
            }
        }
    }

    #[test]
    fn pairs_keep_the_short_text_whole() {
        assert_eq!(
            over_pair(3, 4, room(10, 2)),
            [Window {
                first: 0..3,
                second: 0..4,
                weight: 12
            }]
        );
        let long_first = over_pair(20, 4, room(10, 2));
        assert!(
            long_first
                .iter()
                .all(|w| w.second == (0..4) && w.first.len() == 6)
        );
        let long_second = over_pair(4, 20, room(10, 2));
        assert!(
            long_second
                .iter()
                .all(|w| w.first == (0..4) && w.second.len() == 6)
        );
        let both = over_pair(20, 20, room(10, 2));
        assert!(
            both.iter()
                .all(|w| w.first.len() == 5 && w.second.len() == 5)
        );
        for part in [0..5, 15..20] {
            assert!(both.iter().any(|w| w.first == part && w.second == (15..20)));
        }
        assert_eq!(both.iter().map(|w| w.weight).sum::<usize>(), 400);
    }

    #[test]
    fn every_pair_fits_and_is_covered() {
        for tokens in 2..7 {
            for (first, second) in (0..12).flat_map(|a| (0..12).map(move |b| (a, b))) {
                let windows = over_pair(first, second, room(tokens, tokens / 4));
                assert!(
                    windows
                        .iter()
                        .all(|w| w.first.len() + w.second.len() <= tokens)
                );
                for (a, b) in (0..first).flat_map(|a| (0..second).map(move |b| (a, b))) {
                    let met = windows
                        .iter()
                        .any(|w| w.first.contains(&a) && w.second.contains(&b));
                    assert!(met, "({a}, {b}) of ({first}, {second}) in {tokens}");
                }
            }
        }
    }

    #[test]
    fn lengths_that_leave_no_room_are_errors() {
        assert_eq!(Room::new(10, 2, 1, None).expect("fits"), room(8, 2));
        assert_eq!(Room::new(10, 2, 1, Some(7)).expect("fits"), room(8, 7));
        assert_eq!(Room::new(3, 2, 1, None).expect("fits"), room(1, 0));
        for (max_length, texts) in [(2, 1), (0, 1), (3, 2)] {
            let error = Room::new(max_length, 2, texts, None).expect_err("no room");
            assert!(matches!(
                error,
                Error::Argument {
                    name: "max_length",
                    ..
                }
            ));
        }
        let error = Room::new(10, 2, 1, Some(8)).expect_err("no step forward");
        assert!(matches!(
            error,
            Error::Argument {
                name: "overlap",
                ..
            }
        ));
    }
}
