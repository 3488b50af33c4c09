//! SentencePiece's precompiled character map: a double-array trie from byte strings to replacements.
//!
//! The blob is, in this order: the trie's size in bytes (`u32`, little endian), the trie's units
//! (`u32` each, the layout of darts-clone), and the replacement strings, each ended by a NUL byte.
//! The value of a key is the offset of its replacement.
//!
//! A unit packs, from the highest bit down:
//!
//! ```text
//! ordinary unit:  [31] 0   [30..10] offset   [9] offset is shifted by 8   [8] has a value   [7..0] label
//! value unit:     [31] 1   [30..0] value
//! ```
//!
//! The children of the unit at position `p` share the base `p ^ offset`; the child with label `c`
//! sits at `base ^ c`, and the value of a key, where the unit says that there is one, sits at `base`
//! itself (as if by label 0).

use crate::TokenizerError;

/// Pieces of text and what normalisation replaces them with.
#[derive(Debug, Clone)]
pub(crate) struct CharsMap {
    units: Vec<u32>,
    replacements: String,
    /// The ASCII characters that are no key.
    kept: [bool; 128],
}

const VALUE_BIT: u32 = 1 << 31;
const HAS_VALUE: u32 = 1 << 8;

/// The bits that a child is recognised by: its label, and that it is not a value unit.
fn label(unit: u32) -> u32 {
    unit & (VALUE_BIT | 0xFF)
}

/// Where the children lie, relative (by exclusive or) to the unit's own position.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

fn invalid(what: &'static str, expected: &'static str, found: impl ToString) -> TokenizerError {
    TokenizerError::InvalidCharsMap {
        what,
        expected,
        found: found.to_string(),
    }
}

impl CharsMap {
    /// Parses and validates a blob: afterwards no lookup can leave the trie, and every value is the
    /// offset of a replacement.
    pub(crate) fn from_bytes(blob: &[u8]) -> Result<Self, TokenizerError> {
        let Some((size, rest)) = blob.split_first_chunk::<4>() else {
            return Err(invalid(
                "header",
                "4 bytes with the size of the trie",
                blob.len(),
            ));
        };
        let size = u32::from_le_bytes(*size) as usize;
        // darts-clone allocates whole blocks of 256 units.
        if size == 0 || !size.is_multiple_of(1024) {
            return Err(invalid(
                "size of the trie",
                "a positive multiple of 1024 bytes",
                size,
            ));
        }
        if size >= rest.len() {
            return Err(invalid(
                "size of the trie",
                "less than the bytes that follow",
                format!("{size} of {}", rest.len()),
            ));
        }
        let (trie, replacements) = rest.split_at(size);
        let units = trie
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        let replacements = std::str::from_utf8(replacements)
            .map_err(|error| invalid("replacement strings", "valid UTF-8", error))?;
        if !replacements.ends_with('\0') {
            return Err(invalid(
                "replacement strings",
                "a final NUL byte",
                "another byte",
            ));
        }
        let mut map = Self {
            units,
            replacements: replacements.to_owned(),
            kept: [false; 128],
        };
        map.check_trie()?;
        map.kept = std::array::from_fn(|byte| map.longest_prefix(&[byte as u8]).is_none());
        Ok(map)
    }

    /// Walks everything that a lookup can reach: every step must stay inside the trie, no path may
    /// come back to itself, every value must be the start of a character of the replacements.
    ///
    /// Equal subtrees are shared (the trie is built from a minimal automaton), so a unit may well be
    /// reached twice; only a unit that is its own ancestor is a fault.
    fn check_trie(&self) -> Result<(), TokenizerError> {
        // Children by base: a unit with label c is a child of the base `position ^ c`, in its block.
        let mut first_child = vec![u32::MAX; self.units.len()];
        let mut next_sibling = vec![u32::MAX; self.units.len()];
        for (position, &unit) in self.units.iter().enumerate() {
            let label = label(unit) as usize;
            if label <= 0xFF {
                let base = position ^ label;
                next_sibling[position] = first_child[base];
                first_child[base] = position as u32;
            }
        }

        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            OnPath,
            Done,
        }
        let mut seen = vec![Seen::No; self.units.len()];
        // A lookup starts with the root unit whatever its label.
        let root = offset(self.units[0]);
        let in_bounds = |base: usize| {
            if base | 0xFF >= self.units.len() {
                return Err(invalid("trie", "offsets inside the trie", base));
            }
            Ok(base)
        };
        // A base with the next of its children to visit.
        let mut path = vec![(in_bounds(root)?, first_child[root])];
        seen[root] = Seen::OnPath;
        while let Some((base, child)) = path.last_mut() {
            let position = *child as usize;
            if *child == u32::MAX {
                seen[*base] = Seen::Done;
                path.pop();
                continue;
            }
            *child = next_sibling[position];
            let unit = self.units[position];
            let below = in_bounds(position ^ offset(unit))?;
            if unit & HAS_VALUE != 0 {
                let value = (self.units[below] & !VALUE_BIT) as usize;
                if value >= self.replacements.len() || !self.replacements.is_char_boundary(value) {
                    return Err(invalid(
                        "trie",
                        "values that are offsets of replacements",
                        value,
                    ));
                }
            }
            match seen[below] {
                Seen::Done => {}
                Seen::OnPath => return Err(invalid("trie", "no cycle", format!("one at {below}"))),
                Seen::No => {
                    seen[below] = Seen::OnPath;
                    path.push((below, first_child[below]));
                }
            }
        }
        Ok(())
    }

    /// Every key that `text` begins with, shortest first: the key's length in bytes and its
    /// replacement.
    pub(crate) fn prefixes<'a>(
        &'a self,
        text: &'a [u8],
    ) -> impl Iterator<Item = (usize, &'a str)> + 'a {
        self.prefix_values(text)
            .map(|(length, value)| (length, self.replacement(value)))
    }

    /// The longest key that `text` begins with: its length in bytes and its replacement.
    pub(crate) fn longest_prefix(&self, text: &[u8]) -> Option<(usize, &str)> {
        let (length, value) = self.prefix_values(text).last()?;
        Some((length, self.replacement(value)))
    }

    /// Whether this is an ASCII character for which nothing is put if nothing comes after it.
    pub(crate) fn keeps_alone(&self, byte: u8) -> bool {
        self.kept.get(usize::from(byte)).is_some_and(|&kept| kept)
    }

    /// Whether any key begins with `prefix`.
    pub(crate) fn has_keys_with_prefix(&self, prefix: &[u8]) -> bool {
        let mut base = offset(self.units[0]);
        for &byte in prefix {
            let position = base ^ usize::from(byte);
            match self.units.get(position) {
                Some(&unit) if label(unit) == u32::from(byte) => base = position ^ offset(unit),
                _ => return false,
            }
        }
        true
    }

    fn prefix_values<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let mut base = offset(self.units[0]);
        let mut bytes = text.iter().enumerate();
        std::iter::from_fn(move || {
            loop {
                let (index, &byte) = bytes.next()?;
                let position = base ^ byte as usize;
                let unit = *self.units.get(position)?;
                if label(unit) != u32::from(byte) {
                    bytes = [].iter().enumerate();
                    return None;
                }
                base = position ^ offset(unit);
                if unit & HAS_VALUE != 0 {
                    let value = self.units.get(base)? & !VALUE_BIT;
                    return Some((index + 1, value as usize));
                }
            }
        })
    }

    fn replacement(&self, value: usize) -> &str {
        let tail = self.replacements.get(value..).unwrap_or_default();
        tail.split_once('\0')
            .map_or(tail, |(replacement, _)| replacement)
    }
}
