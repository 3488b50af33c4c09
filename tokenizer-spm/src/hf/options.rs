//! What to encode, and how.

use std::ops::Range;

use crate::TokenizerError;

/// One text, or two that are encoded together.
///
/// ```
/// use tokenizer_spm::hf::Input;
///
/// assert_eq!(Input::from("A text."), Input::Single("A text."));
/// assert_eq!(Input::from(("A question?", "A text.")), Input::Pair("A question?", "A text."));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// One text.
    Single(&'a str),
    /// Two texts.
    Pair(&'a str, &'a str),
}

impl<'a> From<&'a str> for Input<'a> {
    fn from(text: &'a str) -> Self {
        Input::Single(text)
    }
}

impl<'a> From<&'a String> for Input<'a> {
    fn from(text: &'a String) -> Self {
        Input::Single(text)
    }
}

impl<'a> From<(&'a str, &'a str)> for Input<'a> {
    fn from((first, second): (&'a str, &'a str)) -> Self {
        Input::Pair(first, second)
    }
}

impl<'a> From<&'a (String, String)> for Input<'a> {
    fn from((first, second): &'a (String, String)) -> Self {
        Input::Pair(first, second)
    }
}

/// How to encode. The default adds special tokens, trims offsets, and neither truncates nor pads.
///
/// ```
/// use tokenizer_spm::hf::{EncodeOptions, Truncation};
///
/// let options = EncodeOptions {
///     truncation: Some(Truncation { max_length: 512, ..Truncation::default() }),
///     ..EncodeOptions::default()
/// };
/// assert!(options.add_special_tokens && options.padding.is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Put the text into the tokenizer's template: `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`.
    pub add_special_tokens: bool,
    /// Leave white space at the ends of a token out of its offsets. Without this the offsets are Hugging
    /// Face's, in which the token of a word covers the space before it. A token that is nothing but
    /// white space gets an empty span.
    pub trim_offsets: bool,
    /// Cut to a maximal length; the windows that are cut off go to
    /// [`Encoding::overflowing`](super::Encoding::overflowing).
    pub truncation: Option<Truncation>,
    /// Fill up to a common length.
    pub padding: Option<Padding>,
    /// Whether truncation builds the overflowing windows. Two long texts cut by
    /// [`LongestFirst`](TruncationStrategy::LongestFirst) have as many windows as there are pairs of
    /// windows; whoever does not want them can say so here.
    pub overflowing: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            add_special_tokens: true,
            trim_offsets: true,
            truncation: None,
            padding: None,
            overflowing: true,
        }
    }
}

/// An end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// Its beginning.
    Left,
    /// Its end.
    #[default]
    Right,
}

/// Which text of a pair gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TruncationStrategy {
    /// The longer one, until both are of the same length; then both.
    #[default]
    LongestFirst,
    /// The first one.
    OnlyFirst,
    /// The second one.
    OnlySecond,
}

/// How to cut what is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncation {
    /// How many tokens may remain, special tokens included.
    pub max_length: usize,
    /// Which text of a pair is cut.
    pub strategy: TruncationStrategy,
    /// At which end it is cut.
    pub side: Side,
    /// How many tokens neighbouring windows share.
    pub stride: usize,
}

impl Default for Truncation {
    /// 512 tokens, longest first, cut at the end, windows that do not overlap.
    fn default() -> Self {
        Self {
            max_length: 512,
            strategy: TruncationStrategy::LongestFirst,
            side: Side::Right,
            stride: 0,
        }
    }
}

impl Truncation {
    /// Where one or two texts of so many tokens are cut, `added` special tokens coming in addition: of each text what
    /// remains, then the windows over what was cut off.
    ///
    /// ```
    /// use tokenizer_spm::hf::Truncation;
    ///
    /// let four = Truncation { max_length: 6, stride: 1, ..Truncation::default() };
    /// assert_eq!(four.windows(&[9], 2)?, [[0..4, 3..7, 6..9]]);
    /// # Ok::<(), tokenizer_spm::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// Where the options cannot be met.
    pub fn windows(
        &self,
        lengths: &[usize],
        added: usize,
    ) -> Result<Vec<Vec<Range<usize>>>, TokenizerError> {
        super::truncation::windows(lengths, added, self)
    }
}

/// To which length to pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PadTo {
    /// That of the longest encoding of the batch.
    #[default]
    Longest,
    /// This many tokens. What is longer stays as it is.
    Fixed(usize),
}

/// How to fill up what is too short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Padding {
    /// The length.
    pub to: PadTo,
    /// Rounds the length up to a multiple of this.
    pub multiple_of: Option<usize>,
    /// The end at which the padding goes.
    pub side: Side,
}
