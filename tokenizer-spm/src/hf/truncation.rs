//! Cutting what is too long into windows.

use std::ops::Range;

use super::options::{Side, Truncation, TruncationStrategy};
use crate::TokenizerError;

/// The windows of one text: what remains first, then what was cut off.
pub(crate) type Windows = Vec<Range<usize>>;

/// The windows of each of one or two texts of `lengths` tokens, where `added` special tokens come in
/// addition.
pub(crate) fn windows(
    lengths: &[usize],
    added: usize,
    options: &Truncation,
) -> Result<Vec<Windows>, TokenizerError> {
    let Some(room) = options.max_length.checked_sub(added) else {
        return Err(TokenizerError::InvalidOptions {
            option: "truncation.max_length",
            problem: format!(
                "{} is less than the {added} special tokens",
                options.max_length
            ),
        });
    };
    if options.stride > 0 && options.stride >= room {
        return Err(stride_too_long(options.stride, room));
    }
    let keep = keep(lengths, room, options)?;
    lengths
        .iter()
        .zip(keep)
        .map(|(&length, keep)| cut(length, keep, options.stride, options.side))
        .collect()
}

/// How many tokens of each text remain, where `room` tokens may in all.
fn keep(
    lengths: &[usize],
    room: usize,
    options: &Truncation,
) -> Result<Vec<usize>, TokenizerError> {
    let total: usize = lengths.iter().sum();
    if total <= room {
        return Ok(lengths.to_vec());
    }
    if room == 0 {
        return Ok(vec![0; lengths.len()]);
    }
    let excess = total - room;
    match (options.strategy, lengths) {
        (TruncationStrategy::LongestFirst, &[first, second]) => {
            let (short, long) = (first.min(second), first.max(second));
            // The short one stays if half the room holds it; otherwise both get half, and the one that
            // was longer (the second of two alike) gets the odd token.
            let (short, long) = if short <= room / 2 {
                (short, (room - short).min(long))
            } else {
                (room / 2, room - room / 2)
            };
            Ok(if first > second {
                vec![long, short]
            } else {
                vec![short, long]
            })
        }
        (TruncationStrategy::LongestFirst, _) => Ok(vec![room; lengths.len()]),
        (TruncationStrategy::OnlyFirst | TruncationStrategy::OnlySecond, _) => {
            let which = usize::from(options.strategy == TruncationStrategy::OnlySecond);
            let mut keep = lengths.to_vec();
            let Some(length) = keep.get_mut(which) else {
                return Err(TokenizerError::InvalidOptions {
                    option: "truncation.strategy",
                    problem: "OnlySecond, but there is no second text".to_owned(),
                });
            };
            if *length <= excess {
                return Err(TokenizerError::InvalidOptions {
                    option: "truncation.strategy",
                    problem: format!(
                        "{:?} would have to cut {excess} tokens from a text that has {length}",
                        options.strategy
                    ),
                });
            }
            *length -= excess;
            Ok(keep)
        }
    }
}

/// Cuts a text of `length` tokens into windows of `size` that share `stride` tokens.
fn cut(length: usize, size: usize, stride: usize, side: Side) -> Result<Windows, TokenizerError> {
    if size >= length {
        return Ok(vec![0..length; 1]);
    }
    if size == 0 {
        // Nothing remains; all of it is one window.
        return Ok(vec![0..0, 0..length]);
    }
    if stride >= size {
        return Err(stride_too_long(stride, size));
    }
    let mut windows = Vec::new();
    let mut start = 0;
    loop {
        let end = (start + size).min(length);
        windows.push(match side {
            Side::Right => start..end,
            Side::Left => length - end..length - start,
        });
        if end == length {
            return Ok(windows);
        }
        start += size - stride;
    }
}

fn stride_too_long(stride: usize, room: usize) -> TokenizerError {
    TokenizerError::InvalidOptions {
        option: "truncation.stride",
        problem: format!("{stride} is not less than the {room} tokens of text in a window"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(max_length: usize, stride: usize) -> Truncation {
        Truncation {
            max_length,
            stride,
            ..Truncation::default()
        }
    }

    #[test]
    fn the_longer_gives_way_first() {
        let keep = |first, second| keep(&[first, second], 7, &options(7, 0)).unwrap();
        assert_eq!(keep(0, 8), [0, 7]);
        assert_eq!(keep(2, 4), [2, 4]);
        assert_eq!(keep(2, 8), [2, 5]);
        assert_eq!(keep(4, 2), [4, 2]);
        assert_eq!(keep(4, 4), [3, 4]);
        assert_eq!(keep(8, 2), [5, 2]);
        assert_eq!(keep(8, 4), [4, 3]);
        assert_eq!(keep(8, 8), [3, 4]);
        assert_eq!(keep(3, 5), [3, 4]);
    }

    #[test]
    fn windows_overlap() {
        assert_eq!(
            cut(10, 4, 2, Side::Right).unwrap(),
            [0..4, 2..6, 4..8, 6..10]
        );
        assert_eq!(cut(9, 4, 0, Side::Left).unwrap(), [5..9, 1..5, 0..1]);
        assert_eq!(cut(9, 4, 1, Side::Right).unwrap(), [0..4, 3..7, 6..9]);
        assert_eq!(cut(3, 0, 0, Side::Right).unwrap(), [0..0, 0..3]);
        assert_eq!(cut(0, 0, 0, Side::Right).unwrap(), [0..0; 1]);
    }

    #[test]
    fn impossible_options_are_errors() {
        let error = |lengths: &[usize], added, options: Truncation| {
            windows(lengths, added, &options).unwrap_err().to_string()
        };
        assert!(error(&[9], 2, options(1, 0)).contains("special tokens"));
        assert!(error(&[9], 2, options(6, 4)).contains("not less than"));
        assert!(error(&[9, 9], 3, options(8, 3)).contains("not less than"));
        let only = |strategy| Truncation {
            strategy,
            ..options(8, 0)
        };
        assert!(error(&[9], 2, only(TruncationStrategy::OnlySecond)).contains("no second text"));
        assert!(error(&[9, 4], 0, only(TruncationStrategy::OnlySecond)).contains("has 4"));
        assert!(windows(&[9], 2, &options(2, 0)).is_ok());
    }
}
