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
    ascii: AsciiTable,
}

/// What becomes of an ASCII character that another one (or nothing) follows: the ASCII character it
/// is replaced by, or `0` where that takes a closer look.
type AsciiTable = [u8; 128];

/// Receives, for each byte of the normalised text, the position in the original text that it stems
/// from: a `Vec` records it, `()` does not care.
pub(crate) trait Alignment {
    /// Appends `count` bytes, all from `original`.
    fn extend(&mut self, original: usize, count: usize);
    /// Appends `count` bytes, which were copied from `original` on.
    fn extend_copied(&mut self, original: usize, count: usize);
    /// Drops everything from byte `length` on; the original position of byte `length`.
    fn truncate(&mut self, length: usize) -> usize;
}

impl Alignment for () {
    #[inline(always)]
    fn extend(&mut self, _: usize, _: usize) {}

    #[inline(always)]
    fn extend_copied(&mut self, _: usize, _: usize) {}

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

    #[inline(always)]
    fn extend_copied(&mut self, original: usize, count: usize) {
        Extend::extend(self, original..original + count);
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
        let ascii = ascii_table(charsmap.as_ref(), user_defined.as_ref());
        Ok(Self {
            ascii,
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
            let plain = self.plain_ascii(rest.as_bytes());
            if plain > 0 {
                normalized.push_str(&rest[..plain]);
                alignment.extend_copied(consumed, plain);
                after_space = false;
                consumed += plain;
                rest = &rest[plain..];
                continue;
            }
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

    /// The length of the ASCII text without spaces at the beginning of `text` that stays as it is.
    #[inline]
    fn plain_ascii(&self, text: &[u8]) -> usize {
        let is_plain = |byte: u8| {
            byte != b' '
                && self
                    .ascii
                    .get(usize::from(byte))
                    .is_some_and(|&same| same == byte)
        };
        let length = text
            .iter()
            .position(|&byte| !is_plain(byte))
            .unwrap_or(text.len());
        // What follows may compose with the last character, unless it is ASCII too.
        let composes = text
            .get(length)
            .is_some_and(|following| !following.is_ascii());
        length.saturating_sub(usize::from(composes))
    }

    /// What the beginning of `text` becomes, and how many bytes of it that takes.
    fn prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let [first, following @ ..] = text.as_bytes()
            && following.first().is_none_or(u8::is_ascii)
            && self.ascii.get(usize::from(*first)) == Some(&b' ')
        {
            return (" ", 1);
        }
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

/// Works out which ASCII characters need no lookup. A NUL always does: `0` marks those that do.
fn ascii_table(charsmap: Option<&CharsMap>, user_defined: Option<&DoubleArray>) -> AsciiTable {
    let mut table = [0; 128];
    for byte in 1..128u8 {
        let begins_symbol =
            user_defined.is_some_and(|trie| trie.child(trie.root(), byte).is_some());
        let begins_ascii_key = charsmap.is_some_and(|map| {
            (0..128).any(|following| map.has_keys_with_prefix(&[byte, following]))
        });
        if begins_symbol || begins_ascii_key {
            continue;
        }
        let replacement = charsmap.and_then(|map| map.longest_prefix(&[byte]));
        table[usize::from(byte)] = match replacement.map(|(_, text)| text.as_bytes()) {
            None => byte,
            Some(&[single]) if single.is_ascii() => single,
            Some(_) => 0,
        };
    }
    table
}
