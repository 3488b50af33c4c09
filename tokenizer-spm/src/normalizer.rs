//! SentencePiece's normalisation, with an alignment back to the original text.
//!
//! From left to right, at each position the longest of the following is taken:
//!
//! 1. a user-defined symbol, which stays as it is;
//! 2. a key of the character map (say `ﬁ`, or `e` and a combining accent), which becomes its
//!    replacement;
//! 3. otherwise one character, which stays as it is.
//!
//! Then white space is dealt with: every space becomes `▁` (U+2581), leading, trailing and repeated
//! spaces go, and one `▁` is put in front of the text so that a word looks the same wherever it
//! stands. Each of these is a setting of the model.

use crate::TokenizerError;
use crate::charsmap::CharsMap;
use crate::double_array::DoubleArray;
use crate::proto::NormalizerSpec;
use crate::unigram::character_length;

/// What a space is written as inside a model: LOWER ONE EIGHTH BLOCK.
pub(crate) const SPACE_SYMBOL: &str = "\u{2581}";

/// Normalises text as one model wants it.
#[derive(Debug, Clone)]
pub(crate) struct Normalizer {
    charsmap: Option<CharsMap>,
    user_defined: Option<DoubleArray>,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    space: &'static str,
    whitespace_as_suffix: bool,
}

/// Receives, for each byte of the normalised text, the position in the original text that it stems
/// from: a `Vec` records it, `()` does not care.
pub(crate) trait Alignment {
    /// Appends `count` bytes, all from `original`.
    fn extend(&mut self, original: usize, count: usize);
    /// Drops everything from byte `length` on; the original position of byte `length`.
    fn truncate(&mut self, length: usize) -> usize;
}

impl Alignment for () {
    #[inline(always)]
    fn extend(&mut self, _: usize, _: usize) {}

    #[inline(always)]
    fn truncate(&mut self, _: usize) -> usize {
        0
    }
}

impl Alignment for Vec<usize> {
    #[inline(always)]
    fn extend(&mut self, original: usize, count: usize) {
        self.resize(self.len() + count, original);
    }

    fn truncate(&mut self, length: usize) -> usize {
        let original = self.get(length).copied().unwrap_or_default();
        self.truncate(length);
        original
    }
}

impl Normalizer {
    /// The normalizer that `spec` describes; `user_defined` symbols are left alone.
    pub(crate) fn new(
        spec: &NormalizerSpec,
        whitespace_as_suffix: bool,
        user_defined: Option<DoubleArray>,
    ) -> Result<Self, TokenizerError> {
        let charsmap = match spec.precompiled_charsmap() {
            [] => None,
            blob => Some(CharsMap::from_bytes(blob)?),
        };
        Ok(Self {
            charsmap,
            user_defined,
            add_dummy_prefix: spec.add_dummy_prefix(),
            remove_extra_whitespaces: spec.remove_extra_whitespaces(),
            space: if spec.escape_whitespaces() {
                SPACE_SYMBOL
            } else {
                " "
            },
            whitespace_as_suffix,
        })
    }

    pub(crate) fn adds_dummy_prefix(&self) -> bool {
        self.add_dummy_prefix
    }

    pub(crate) fn removes_extra_whitespaces(&self) -> bool {
        self.remove_extra_whitespaces
    }

    /// Appends the normalised `text` to `normalized`, which must be empty. An alignment ends up one
    /// longer than `normalized`: the last entry is where the text ends (or stays empty, for a text of
    /// nothing but spaces).
    pub(crate) fn normalize(
        &self,
        text: &str,
        normalized: &mut String,
        alignment: &mut impl Alignment,
    ) {
        let mut rest = text;
        if self.remove_extra_whitespaces {
            while !rest.is_empty() {
                let (replacement, length) = self.prefix(rest);
                if replacement != " " {
                    break;
                }
                rest = &rest[length..];
            }
        }
        if rest.is_empty() {
            return;
        }
        let mut consumed = text.len() - rest.len();
        normalized.reserve(rest.len() + rest.len() / 2 + self.space.len());
        if !self.whitespace_as_suffix && self.add_dummy_prefix {
            normalized.push_str(self.space);
            alignment.extend(consumed, self.space.len());
        }

        let mut after_space = self.remove_extra_whitespaces;
        while !rest.is_empty() {
            let (mut replacement, length) = self.prefix(rest);
            if after_space {
                replacement = replacement.trim_start_matches(' ');
            }
            if !replacement.is_empty() {
                let mut words = replacement.split(' ');
                let first = words.next().unwrap_or_default();
                normalized.push_str(first);
                alignment.extend(consumed, first.len());
                for word in words {
                    normalized.push_str(self.space);
                    normalized.push_str(word);
                    alignment.extend(consumed, self.space.len() + word.len());
                }
                after_space = self.remove_extra_whitespaces && replacement.ends_with(' ');
            }
            consumed += length;
            rest = &rest[length..];
        }

        if self.remove_extra_whitespaces {
            while normalized.ends_with(self.space) {
                normalized.truncate(normalized.len() - self.space.len());
                consumed = alignment.truncate(normalized.len());
            }
        }
        if self.whitespace_as_suffix && self.add_dummy_prefix {
            normalized.push_str(self.space);
            alignment.extend(consumed, self.space.len());
        }
        alignment.extend(consumed, 1);
    }

    /// What the beginning of `text` becomes, and how many bytes of it that takes.
    fn prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let Some(symbols) = &self.user_defined
            && let Some((length, _)) = symbols.longest_prefix(text.as_bytes())
        {
            return (&text[..length], length);
        }
        if let Some(charsmap) = &self.charsmap
            && let Some((length, replacement)) = charsmap.longest_prefix(text.as_bytes())
            // A key of a damaged map could end inside a character.
            && text.is_char_boundary(length)
        {
            return (replacement, length);
        }
        let length = character_length(text.as_bytes()[0]);
        (&text[..length], length)
    }
}
