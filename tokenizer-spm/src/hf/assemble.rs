//! From encoded texts to an [`Encoding`]: truncation, special tokens, padding.

use std::ops::Range;

use super::encoding::Encoding;
use super::options::{EncodeOptions, PadTo, Padding, Side};
use super::template::Template;
use super::truncation::{self, Windows};
use crate::TokenizerError;

/// More tokens than this in the windows of one input are an error, not a machine without memory.
const MAX_WINDOW_TOKENS: usize = 1 << 24;

/// The token that fills up.
#[derive(Debug, Clone)]
pub(crate) struct PadToken {
    pub(crate) id: u32,
    pub(crate) content: String,
}

/// For each text of a template, in order, the range of its tokens.
type Choice = Vec<Range<usize>>;

/// Puts one or two encoded texts into the template, after cutting them to length.
pub(crate) fn assemble(
    mut texts: Vec<Encoding>,
    template: &Template,
    options: &EncodeOptions,
) -> Result<Encoding, TokenizerError> {
    // Most inputs are one text, whole: it need not be copied.
    if options.truncation.is_none()
        && options.add_special_tokens
        && let [text] = texts.as_mut_slice()
        && template.surround(text)
    {
        return Ok(std::mem::take(text));
    }
    let is_pair = texts.len() > 1;
    let specials = options.add_special_tokens;
    let added = if specials { template.added(is_pair) } else { 0 };
    let lengths: Vec<usize> = texts.iter().map(Encoding::len).collect();
    let mut windows = match &options.truncation {
        Some(truncation) => truncation::windows(&lengths, added, truncation)?,
        None => lengths.iter().map(|&length| vec![0..length; 1]).collect(),
    };
    if !options.overflowing {
        windows.iter_mut().for_each(|windows| windows.truncate(1));
    }
    let sequences: Vec<usize> = template.sequences(is_pair).collect();
    check_window_tokens(&sequences, &windows, added)?;

    let (main, others) = choices(&sequences, &windows);
    let total: usize = lengths.iter().sum();
    let capacity = |choice: &Choice| added + choice.iter().map(Range::len).sum::<usize>();
    let count_dropped = |encoding: &mut Encoding| {
        let mask = encoding.special_tokens_mask.iter();
        let kept = mask.filter(|&&special| special == 0).count();
        encoding.dropped = total.saturating_sub(kept);
    };
    // The reference gives the type id of the template to what remains of a text, and mostly the number of
    // the text to the windows that were cut off.
    let build = |choice: &Choice| {
        let mut ranges = choice.iter();
        let mut encoding = template.fill(
            is_pair,
            specials,
            capacity(choice),
            |out, sequence, type_id| {
                let Some(range) = ranges.next() else { return };
                let is_first = windows[sequence].first() == Some(range);
                let is_typed = is_first || specials && template.types_windows;
                let type_id = if is_typed { type_id } else { sequence as u32 };
                out.append(&texts[sequence], range.clone(), Some(type_id));
            },
        );
        count_dropped(&mut encoding);
        encoding
    };
    let overflowing: Vec<Encoding> = others.iter().map(build).collect();

    // What remains of a text is moved, not copied, unless the template has the text twice.
    let mut encoding = if sequences.len() <= texts.len() && sequences.first() != sequences.get(1) {
        let mut texts: Vec<Option<Encoding>> = texts.into_iter().map(Some).collect();
        let mut ranges = main.iter();
        let mut encoding = template.fill(
            is_pair,
            specials,
            capacity(&main),
            |out, sequence, type_id| {
                if let (Some(text), Some(range)) = (texts[sequence].take(), ranges.next()) {
                    out.append_owned(text, range.clone(), type_id);
                }
            },
        );
        count_dropped(&mut encoding);
        encoding
    } else {
        build(&main)
    };
    encoding.overflowing = overflowing;
    Ok(encoding)
}

/// What remains of the texts, and all other combinations of windows in the reference's order: text by
/// text, what overflowed so far goes with every window of the next text, then what remains goes with
/// every window of it that was cut off.
fn choices(sequences: &[usize], windows: &[Windows]) -> (Choice, Vec<Choice>) {
    let mut main: Choice = Vec::new();
    let mut others: Vec<Choice> = Vec::new();
    for &sequence in sequences {
        let Some((first, rest)) = windows[sequence].split_first() else {
            continue;
        };
        let with = |choice: &Choice, range: &Range<usize>| {
            let mut choice = choice.clone();
            choice.push(range.clone());
            choice
        };
        let mut next = Vec::new();
        for other in &others {
            next.extend(windows[sequence].iter().map(|range| with(other, range)));
        }
        next.extend(rest.iter().map(|range| with(&main, range)));
        main.push(first.clone());
        others = next;
    }
    (main, others)
}

/// Refuses inputs whose windows would not fit into memory.
fn check_window_tokens(
    sequences: &[usize],
    windows: &[Windows],
    added: usize,
) -> Result<(), TokenizerError> {
    // All combinations, each as long as its longest windows.
    let mut combinations = 1_usize;
    let mut longest = added;
    for &sequence in sequences {
        combinations = combinations.saturating_mul(windows[sequence].len());
        longest += windows[sequence].iter().map(Range::len).max().unwrap_or(0);
    }
    // Each token once, or once more for an overlap, is no more than the text itself holds.
    let repeats = combinations > 2 || sequences.len() > windows.len();
    if repeats && combinations.saturating_mul(longest) > MAX_WINDOW_TOKENS {
        return Err(TokenizerError::InvalidOptions {
            option: "truncation",
            problem: format!(
                "{combinations} windows of up to {longest} tokens are more than {MAX_WINDOW_TOKENS} \
                 tokens; use a longer window, a shorter stride, or no overflowing windows"
            ),
        });
    }
    Ok(())
}

/// Pads the encodings of a batch, overflowing windows included, to a common length.
pub(crate) fn pad(
    encodings: &mut [Encoding],
    options: &Padding,
    token: &PadToken,
) -> Result<(), TokenizerError> {
    let mut length = match options.to {
        PadTo::Fixed(length) => length,
        PadTo::Longest => encodings.iter().map(Encoding::len).max().unwrap_or(0),
    };
    if let Some(multiple) = options.multiple_of {
        length = match length.checked_next_multiple_of(multiple) {
            Some(length) if length <= MAX_WINDOW_TOKENS => length,
            _ => {
                return Err(TokenizerError::InvalidOptions {
                    option: "padding.multiple_of",
                    problem: format!("cannot round {length} up to a multiple of {multiple}"),
                });
            }
        };
    }
    if length > MAX_WINDOW_TOKENS && matches!(options.to, PadTo::Fixed(_)) {
        return Err(TokenizerError::InvalidOptions {
            option: "padding.to",
            problem: format!("{length} tokens are more than {MAX_WINDOW_TOKENS}"),
        });
    }
    encodings
        .iter_mut()
        .for_each(|encoding| pad_one(encoding, length, options.side, token));
    Ok(())
}

fn pad_one(encoding: &mut Encoding, length: usize, side: Side, token: &PadToken) {
    for window in &mut encoding.overflowing {
        pad_one(window, length, side, token);
    }
    let Some(missing) = length
        .checked_sub(encoding.len())
        .filter(|&missing| missing > 0)
    else {
        return;
    };
    let mut padding = Encoding::with_capacity(length);
    for _ in 0..missing {
        padding.push_special(token.id, &token.content, 0, 0);
    }
    match side {
        Side::Right => encoding.append(&padding, 0..missing, None),
        Side::Left => {
            padding.append(encoding, 0..encoding.len(), None);
            padding.dropped = encoding.dropped;
            padding.overflowing = std::mem::take(&mut encoding.overflowing);
            *encoding = padding;
        }
    }
}
