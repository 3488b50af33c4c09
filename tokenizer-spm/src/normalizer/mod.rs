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

mod output;
mod plain;

use crate::TokenizerError;
use crate::charsmap::CharsMap;
use crate::double_array::DoubleArray;
use crate::proto::NormalizerSpec;
use crate::unigram::character_length;
pub(crate) use output::{Alignment, Normalized, Runs};
use plain::Plain;

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
    plain: Plain,
    joined: Joined,
}

/// Bytes that may begin a character which an ASCII character before it composes with.
type Joined = [bool; 256];

/// What becomes of an ASCII character that is followed by nothing, by another one, or by a character that
/// does not compose with it: the ASCII character it is replaced by, or `0` where that takes a closer look.
type AsciiTable = [u8; 128];

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
            plain: Plain::new(|byte| ascii[usize::from(byte)] == byte),
            joined: joined(charsmap.as_ref()),
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

    /// What a space is written as.
    pub(crate) fn space(&self) -> &'static str {
        self.space
    }

    pub(crate) fn adds_dummy_prefix(&self) -> bool {
        self.add_dummy_prefix
    }

    pub(crate) fn removes_extra_whitespaces(&self) -> bool {
        self.remove_extra_whitespaces
    }

    /// Normalises `text`.
    pub(crate) fn normalize<A: Alignment>(&self, text: &str, out: &mut Normalized<A>) {
        out.clear();
        self.append(text, out);
        out.finish();
    }

    /// The normalised `text` alone.
    pub(crate) fn normalized(&self, text: &str) -> String {
        let mut normalized = Normalized::<()>::default();
        self.normalize(text, &mut normalized);
        normalized.into_string()
    }

    fn append<A: Alignment>(&self, text: &str, out: &mut Normalized<A>) {
        let space = self.space.as_bytes();
        let bytes = text.as_bytes();
        let mut at = 0;
        if self.remove_extra_whitespaces {
            while at < bytes.len() {
                let prefix = self.prefix(&text[at..]);
                if prefix.replacement != " " {
                    break;
                }
                at += prefix.length;
            }
        }
        if at == bytes.len() {
            return;
        }
        out.bytes.reserve(bytes.len() + bytes.len() / 2);
        if !self.whitespace_as_suffix && self.add_dummy_prefix {
            out.push_space(space, at);
        }

        let mut after_space = self.remove_extra_whitespaces;
        while let Some(&byte) = bytes.get(at) {
            let position = out.bytes.len();
            let mut copied = self.plain.copy(&bytes[at..], out);
            if copied > 0 {
                // What follows may compose with the last character.
                if bytes.get(at + copied).is_some_and(|&next| self.joins(next)) {
                    copied -= 1;
                    out.bytes.truncate(position + copied);
                }
                if copied > 0 {
                    out.alignment.copied(position, at);
                    after_space = false;
                    at += copied;
                    continue;
                }
            } else if let Some(single) = self.single(byte, bytes.get(at + 1)) {
                if single != b' ' {
                    out.alignment.copied(position, at);
                    out.bytes.push(single);
                    after_space = false;
                } else if !after_space {
                    out.push_space(space, at);
                    after_space = self.remove_extra_whitespaces;
                }
                at += 1;
                continue;
            }
            let Prefix {
                mut replacement,
                length,
                is_copied,
            } = self.prefix(&text[at..]);
            if is_copied && replacement != " " {
                out.alignment.copied(position, at);
                out.bytes.extend_from_slice(replacement.as_bytes());
                after_space = false;
                at += length;
                continue;
            }
            if after_space {
                replacement = replacement.trim_start_matches(' ');
            }
            if !replacement.is_empty() {
                out.alignment.constant(position, at);
                for (index, word) in replacement.split(' ').enumerate() {
                    if index > 0 {
                        out.push_space(space, at);
                    }
                    out.bytes.extend_from_slice(word.as_bytes());
                }
                after_space = self.remove_extra_whitespaces && replacement.ends_with(' ');
            }
            at += length;
        }

        if self.remove_extra_whitespaces {
            at = out.trim_end(space, at);
        }
        if self.whitespace_as_suffix && self.add_dummy_prefix {
            out.push_space(space, at);
        }
        out.alignment.constant(out.bytes.len(), at);
    }

    /// The one ASCII character that becomes of an ASCII character with `next` after it, if that takes no
    /// lookup.
    #[inline(always)]
    fn single(&self, byte: u8, next: Option<&u8>) -> Option<u8> {
        let single = *self.ascii.get(usize::from(byte))?;
        (single != 0 && !next.is_some_and(|&next| self.joins(next))).then_some(single)
    }

    /// Whether a character that begins with `byte` may make something else of an ASCII character before
    /// it.
    #[inline(always)]
    fn joins(&self, byte: u8) -> bool {
        self.joined[usize::from(byte)]
    }

    /// What becomes of the beginning of `text`, which is not empty.
    fn prefix<'a>(&'a self, text: &'a str) -> Prefix<'a> {
        if let Some(symbols) = &self.user_defined
            && let Some((length, _)) = symbols.longest_prefix(text.as_bytes())
        {
            return Prefix {
                replacement: &text[..length],
                length,
                is_copied: false,
            };
        }
        if let Some(charsmap) = &self.charsmap
            && let Some((length, replacement)) = charsmap.longest_prefix(text.as_bytes())
            // A key of a damaged map could end inside a character.
            && text.is_char_boundary(length)
        {
            return Prefix {
                replacement,
                length,
                is_copied: false,
            };
        }
        let length = character_length(text.as_bytes()[0]);
        Prefix {
            replacement: &text[..length],
            length,
            is_copied: true,
        }
    }
}

/// The beginning of a text.
struct Prefix<'a> {
    /// What becomes of it.
    replacement: &'a str,
    /// Its length in bytes.
    length: usize,
    /// Whether it is one character that stays as it is.
    is_copied: bool,
}

/// Works out which bytes may begin a character that does something to an ASCII character before it.
fn joined(charsmap: Option<&CharsMap>) -> Joined {
    let mut joined = [false; 256];
    let Some(map) = charsmap else { return joined };
    for lead in 0xC0..=0xFF_u8 {
        joined[usize::from(lead)] = (0..128).any(|first| map.has_keys_with_prefix(&[first, lead]));
    }
    joined
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
