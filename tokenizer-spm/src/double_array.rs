//! A trie in two parallel arrays: the vocabulary's index.
//!
//! The node of the empty string sits at position 0. The children of a node all have the same *base*:
//! the child for byte `c` sits at position `base ^ c`. No two nodes share a base, so a child is
//! recognised by its byte alone, and following an edge costs one memory access, one comparison and
//! nothing else. (The idea is Aoe's of 1989; exclusive or instead of addition, which keeps all
//! children of a node in one block of 256, is Yata's.)

use crate::TokenizerError;

/// One node: where its children are, the byte that leads to it, the value of the key that ends in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit<P = ()> {
    /// Base of the children; `NO_CHILDREN` where there are none.
    base: u32,
    /// Bits 0 to 7: the byte; bit 8: no node is here; from bit 9 on: the value plus one, 0 for none.
    check: u32,
    payload: P,
}

const BLOCK: usize = 256;
/// A base from which every byte leads outside the array.
const NO_CHILDREN: u32 = u32::MAX << 8;
const VACANT: u32 = 1 << 8;
const VALUE_SHIFT: u32 = 9;
/// The largest value that a key can have.
const MAX_VALUE: u32 = (u32::MAX >> VALUE_SHIFT) - 1;

impl Unit {
    /// A node that no key leads to, without children and without a value.
    pub(crate) const NOWHERE: Unit = Unit {
        base: NO_CHILDREN,
        check: VACANT,
        payload: (),
    };
}

impl<P: Copy> Unit<P> {
    /// What belongs to the key that ends here, where one does.
    #[inline(always)]
    pub(crate) fn payload(self) -> P {
        self.payload
    }

    /// The value of the key that ends here.
    #[inline(always)]
    pub(crate) fn value(self) -> Option<u32> {
        (self.check >> VALUE_SHIFT).checked_sub(1)
    }
}

/// A map from byte strings to numbers that finds all keys which a text begins with.
///
/// Something that is always wanted together with the number can lie next to it, as payload, which saves
/// a slow way to another part of memory.
#[derive(Debug, Clone)]
pub(crate) struct DoubleArray<P = ()> {
    units: Vec<Unit<P>>,
}

impl DoubleArray {
    /// Builds the trie of `keys`, which must be sorted and distinct.
    pub(crate) fn build(keys: &[(&[u8], u32)]) -> Result<Self, TokenizerError> {
        debug_assert!(keys.is_sorted_by(|a, b| a.0 < b.0));
        if let Some((_, value)) = keys.iter().find(|(_, value)| *value > MAX_VALUE) {
            return Err(TokenizerError::InvalidModel {
                what: "size of the vocabulary".to_owned(),
                expected: "fewer than 8,388,607 pieces",
                found: format!("a piece with id {value}"),
            });
        }
        Builder::new().build(keys)
    }

    /// The same with a payload for each value.
    pub(crate) fn with_payload<P: Copy + Default>(
        self,
        payload: impl Fn(u32) -> P,
    ) -> DoubleArray<P> {
        let units = self.units.into_iter().map(|unit| Unit {
            base: unit.base,
            check: unit.check,
            payload: unit.value().map_or(P::default(), &payload),
        });
        DoubleArray {
            units: units.collect(),
        }
    }
}

impl<P: Copy> DoubleArray<P> {
    /// The node of the empty string.
    #[inline(always)]
    pub(crate) fn root(&self) -> Unit<P> {
        self.units[0]
    }

    /// The node that `byte` leads to.
    #[inline(always)]
    pub(crate) fn child(&self, node: Unit<P>, byte: u8) -> Option<Unit<P>> {
        let unit = *self.units.get((node.base ^ u32::from(byte)) as usize)?;
        (unit.check & (VACANT | 0xFF) == u32::from(byte)).then_some(unit)
    }

    /// The longest key that `text` begins with: its length and its value.
    #[inline]
    pub(crate) fn longest_prefix(&self, text: &[u8]) -> Option<(usize, u32)> {
        let mut node = self.root();
        let mut longest = None;
        for (index, &byte) in text.iter().enumerate() {
            let Some(child) = self.child(node, byte) else {
                break;
            };
            node = child;
            if let Some(value) = node.value() {
                longest = Some((index + 1, value));
            }
        }
        longest
    }
}

impl DoubleArray {
    /// The node that `bytes` lead to from `node`, or [`Unit::NOWHERE`].
    #[inline]
    pub(crate) fn walk(&self, mut node: Unit, bytes: &[u8]) -> Unit {
        for &byte in bytes {
            match self.child(node, byte) {
                Some(child) => node = child,
                None => return Unit::NOWHERE,
            }
        }
        node
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<u32> {
        self.walk(self.root(), key).value()
    }
}

/// Vacant positions older than this many blocks are given up, which keeps the search for a base short.
const OPEN_BLOCKS: usize = 16;

struct Builder {
    units: Vec<Unit>,
    base_taken: Vec<bool>,
    /// The vacant positions of the open blocks, as a doubly linked ring through position `RING`.
    next: Vec<u32>,
    previous: Vec<u32>,
}

/// Position 0 is the root's and never vacant: it holds the ring together.
const RING: usize = 0;

impl Builder {
    fn new() -> Self {
        let mut builder = Self {
            units: Vec::new(),
            base_taken: Vec::new(),
            next: vec![0],
            previous: vec![0],
        };
        builder.units.push(Unit {
            base: NO_CHILDREN,
            check: 0,
            payload: (),
        });
        builder.base_taken.push(false);
        builder.open_positions(1..BLOCK);
        builder
    }

    fn build(mut self, keys: &[(&[u8], u32)]) -> Result<DoubleArray, TokenizerError> {
        // Nodes still to be filled in: the keys below them, their depth, their position.
        let mut pending = vec![(0..keys.len(), 0, 0)];
        let mut labels = Vec::with_capacity(BLOCK);
        let mut groups = Vec::with_capacity(BLOCK);
        while let Some((mut range, depth, position)) = pending.pop() {
            if let Some((key, value)) = keys.get(range.start)
                && key.len() == depth
                && !range.is_empty()
            {
                self.units[position].check |= (value + 1) << VALUE_SHIFT;
                range.start += 1;
            }
            labels.clear();
            groups.clear();
            while let Some(&(key, _)) = keys[range.clone()].first() {
                let label = key[depth];
                let length = keys[range.clone()]
                    .iter()
                    .take_while(|(key, _)| key[depth] == label)
                    .count();
                labels.push(label);
                groups.push(range.start..range.start + length);
                range.start += length;
            }
            if labels.is_empty() {
                continue;
            }
            let base = self.find_base(&labels)?;
            self.base_taken[base] = true;
            self.units[position].base = base as u32;
            for &label in &labels {
                let child = base ^ usize::from(label);
                self.unlink(child);
                self.units[child] = Unit {
                    base: NO_CHILDREN,
                    check: u32::from(label),
                    payload: (),
                };
            }
            for (&label, group) in labels.iter().zip(&groups).rev() {
                pending.push((group.clone(), depth + 1, base ^ usize::from(label)));
            }
        }
        Ok(DoubleArray { units: self.units })
    }

    /// A base not yet taken, from which all of `labels` lead to vacant positions.
    fn find_base(&mut self, labels: &[u8]) -> Result<usize, TokenizerError> {
        let first = usize::from(labels[0]);
        let mut vacant = self.next[RING] as usize;
        while vacant != RING {
            let base = vacant ^ first;
            let fits = |&label: &u8| self.units[base ^ usize::from(label)].check & VACANT != 0;
            if base != 0 && !self.base_taken[base] && labels[1..].iter().all(fits) {
                return Ok(base);
            }
            vacant = self.next[vacant] as usize;
        }
        let base = self.units.len();
        if base + BLOCK > NO_CHILDREN as usize {
            return Err(TokenizerError::InvalidModel {
                what: "size of the vocabulary".to_owned(),
                expected: "fewer than 2^32 distinct prefixes",
                found: "more".to_owned(),
            });
        }
        self.open_positions(base..base + BLOCK);
        if let Some(old) = (base / BLOCK).checked_sub(OPEN_BLOCKS) {
            for position in (old * BLOCK).max(1)..(old + 1) * BLOCK {
                if self.units[position].check & VACANT != 0 {
                    self.unlink(position);
                }
            }
        }
        Ok(base)
    }

    fn open_positions(&mut self, positions: std::ops::Range<usize>) {
        self.units.resize(
            positions.end,
            Unit {
                base: NO_CHILDREN,
                check: VACANT,
                payload: (),
            },
        );
        self.base_taken.resize(positions.end, false);
        self.next.resize(positions.end, RING as u32);
        self.previous.resize(positions.end, RING as u32);
        for position in positions {
            let last = self.previous[RING] as usize;
            self.next[last] = position as u32;
            self.previous[position] = last as u32;
            self.next[position] = RING as u32;
            self.previous[RING] = position as u32;
        }
    }

    fn unlink(&mut self, position: usize) {
        let (previous, next) = (self.previous[position], self.next[position]);
        self.next[previous as usize] = next;
        self.previous[next as usize] = previous;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(keys: &[&str]) -> DoubleArray {
        let keys: Vec<_> = keys
            .iter()
            .zip(0..)
            .map(|(key, id)| (key.as_bytes(), id))
            .collect();
        DoubleArray::build(&keys).unwrap()
    }

    #[test]
    fn finds_exactly_the_keys() {
        let keys = ["\0", "a", "ab", "abcd", "b", "é", "ß", "\u{ff}\u{ff}"];
        let mut keys: Vec<&str> = keys.to_vec();
        keys.sort_unstable();
        let trie = trie(&keys);
        for (id, key) in keys.iter().enumerate() {
            assert_eq!(trie.get(key.as_bytes()), Some(id as u32), "{key:?}");
        }
        for absent in ["", "abc", "abcde", "c", "\0\0", "\u{c3}"] {
            assert_eq!(trie.get(absent.as_bytes()), None, "{absent:?}");
        }
        assert_eq!(trie.longest_prefix(b"abcx"), Some((2, 2)));
        assert_eq!(trie.longest_prefix(b"x"), None);
    }

    #[test]
    fn an_empty_trie_has_no_keys() {
        let trie = trie(&[]);
        assert_eq!(trie.get(b""), None);
        assert_eq!(trie.longest_prefix(b"a"), None);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_map(
            keys in proptest::collection::btree_map(
                proptest::collection::vec(proptest::num::u8::ANY, 1..6), 0u32..1000, 0..600),
            probes in proptest::collection::vec(
                proptest::collection::vec(proptest::num::u8::ANY, 0..6), 0..200),
        ) {
            let pairs: Vec<_> = keys.iter().map(|(key, &id)| (key.as_slice(), id)).collect();
            let trie = DoubleArray::build(&pairs).unwrap();
            for probe in keys.keys().chain(&probes) {
                proptest::prop_assert_eq!(trie.get(probe), keys.get(probe).copied());
            }
        }
    }
}
