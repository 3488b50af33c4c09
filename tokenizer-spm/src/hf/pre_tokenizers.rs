//! The `pre_tokenizer` of a `tokenizer.json`: cuts text into words before the model sees it.

use super::byte_level::ByteLevel;
use super::splits::{SplitBehavior, Splits};
use super::unicode9;

/// One way of cutting, or several after one another.
#[derive(Debug, Clone)]
pub(crate) enum PreTokenizer {
    Sequence(Vec<PreTokenizer>),
    Metaspace(Metaspace),
    Punctuation(SplitBehavior),
    WhitespaceSplit,
    ByteLevel(ByteLevel),
    /// White space goes, and each punctuation character is a word.
    Bert,
}

impl PreTokenizer {
    /// How many byte-level steps there are.
    pub(crate) fn count_byte_levels(&self) -> usize {
        match self {
            PreTokenizer::Sequence(steps) => {
                steps.iter().map(PreTokenizer::count_byte_levels).sum()
            }
            PreTokenizer::ByteLevel(_) => 1,
            _ => 0,
        }
    }

    /// Cuts further.
    pub(crate) fn apply(&self, splits: &mut Splits) {
        match self {
            PreTokenizer::Sequence(steps) => steps.iter().for_each(|step| step.apply(splits)),
            PreTokenizer::Metaspace(metaspace) => metaspace.apply(splits),
            PreTokenizer::Punctuation(behavior) => {
                splits.split(*behavior, unicode9::is_punctuation);
            }
            PreTokenizer::WhitespaceSplit => {
                splits.split(SplitBehavior::Removed, char::is_whitespace);
            }
            PreTokenizer::ByteLevel(byte_level) => byte_level.apply(splits),
            PreTokenizer::Bert => {
                splits.split(SplitBehavior::Removed, char::is_whitespace);
                splits.split(SplitBehavior::Isolated, unicode9::is_punctuation);
            }
        }
    }
}

/// Before which parts of a text a space is supposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PrependScheme {
    /// The part at the very start of the text.
    First,
    Never,
    Always,
}

/// Writes spaces as a visible character that stays with the word after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metaspace {
    pub(crate) replacement: char,
    pub(crate) prepend: PrependScheme,
    /// Whether words become parts of their own.
    pub(crate) split: bool,
}

impl Metaspace {
    fn apply(self, splits: &mut Splits) {
        splits.replace_spaces(self.replacement, |base| match self.prepend {
            PrependScheme::Always => true,
            PrependScheme::First => base == 0,
            PrependScheme::Never => false,
        });
        if self.split {
            splits.split(SplitBehavior::MergedWithNext, |character| {
                character == self.replacement
            });
        }
    }

    /// The way back, for the token at place `index`.
    pub(crate) fn decode(self, index: usize, token: &str) -> String {
        let drops_first = index == 0 && self.prepend != PrependScheme::Never;
        if drops_first {
            token.replace(self.replacement, "")
        } else {
            token.replace(self.replacement, " ")
        }
    }
}
