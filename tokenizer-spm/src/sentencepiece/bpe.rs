//! The BPE model: starting from characters, the adjacent pair whose union is the best-scored piece is
//! merged, again and again, until no two neighbours make a piece.
//!
//! Of equal scores the leftmost pair goes first. A queue holds the candidate pairs; a pair whose
//! parts have changed since it was queued is dropped when it comes up. A text of n characters has
//! fewer than n merges, each of which queues at most two pairs, so the work is O(n log n); looking up
//! a union costs no more than the longest piece.
//!
//! A merge may pass through an *unused* piece. Where one remains in the end, it is taken apart into
//! the two parts that it was made of.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::PieceType;
use super::vocabulary::Vocabulary;
use crate::TokenizerError;
use crate::double_array::{DoubleArray, Unit};
use crate::unigram::{Span, character_length};

/// A BPE vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct Bpe {
    trie: DoubleArray,
    user_defined: Option<DoubleArray>,
    /// By id.
    scores: Vec<f32>,
    unused: Vec<bool>,
    unknown: u32,
}

/// A run of text that is one piece so far.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: usize,
    /// Equal to `start` once the symbol has been merged into its left neighbour.
    end: usize,
    previous: u32,
    next: u32,
    /// Where its text ends in the trie, if it is the beginning of any piece.
    node: Option<Unit>,
    /// A user-defined symbol, which takes no part in merges.
    frozen: bool,
}

const NONE: u32 = u32::MAX;

/// Two neighbours that may be merged.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    score: f32,
    left: u32,
    right: u32,
    /// Length of the union in bytes when the pair was queued.
    length: u32,
}

impl Eq for Pair {}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        let score = self.score.total_cmp(&other.score);
        score
            .then(other.left.cmp(&self.left))
            .then(other.length.cmp(&self.length))
    }
}

impl Bpe {
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        user_defined: Option<DoubleArray>,
    ) -> Result<Self, TokenizerError> {
        let keys: Vec<_> = vocabulary
            .iter_sorted()
            .filter(|(_, _, kind, _)| kind.is_textual())
            .map(|(id, piece, _, _)| (piece.as_bytes(), id))
            .collect();
        let mut scores = vec![0.0; vocabulary.len()];
        let mut unused = vec![false; vocabulary.len()];
        for (id, _, kind, score) in vocabulary.iter_sorted() {
            scores[id as usize] = score;
            unused[id as usize] = kind == PieceType::Unused;
        }
        let trie = DoubleArray::build(&keys)?;
        Ok(Self {
            trie,
            user_defined,
            scores,
            unused,
            unknown: vocabulary.unknown(),
        })
    }

    /// Appends the pieces of `text` to `out`, in order and without gaps.
    pub(crate) fn segment(&self, text: &str, out: &mut Vec<Span>) {
        let mut symbols = self.symbols(text);
        let mut queue = Vec::with_capacity(symbols.len());
        let mut parts = HashMap::new();
        for left in 1..symbols.len() as u32 {
            queue.extend(self.pair(text, &mut symbols, left - 1, left, &mut parts));
        }
        let mut queue = BinaryHeap::from(queue);
        while let Some(pair) = queue.pop() {
            let (left, right) = (symbols[pair.left as usize], symbols[pair.right as usize]);
            if left.start == left.end
                || right.start == right.end
                || right.end - left.start != pair.length as usize
            {
                continue;
            }
            let merged = &mut symbols[pair.left as usize];
            merged.end = right.end;
            merged.next = right.next;
            merged.node = self.walk(left.node, &text[right.start..right.end]);
            symbols[pair.right as usize].end = right.start;
            if let Some(after) = symbols.get_mut(right.next as usize) {
                after.previous = pair.left;
            }
            if left.previous != NONE {
                queue.extend(self.pair(text, &mut symbols, left.previous, pair.left, &mut parts));
            }
            if right.next != NONE {
                queue.extend(self.pair(text, &mut symbols, pair.left, right.next, &mut parts));
            }
        }

        let mut index = 0;
        while let Some(symbol) = symbols.get(index as usize) {
            self.emit(text, symbol, &parts, out);
            index = symbol.next;
        }
    }

    /// The characters and user-defined symbols of `text`.
    fn symbols(&self, text: &str) -> Vec<Symbol> {
        let bytes = text.as_bytes();
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        let mut start = 0;
        while start < bytes.len() {
            let symbol = self
                .user_defined
                .as_ref()
                .and_then(|trie| trie.longest_prefix(&bytes[start..]));
            let length = symbol
                .map_or(character_length(bytes[start]), |(length, _)| length)
                .min(bytes.len() - start);
            let end = start + length;
            let index = symbols.len() as u32;
            symbols.push(Symbol {
                start,
                end,
                previous: index.checked_sub(1).unwrap_or(NONE),
                next: if end < bytes.len() { index + 1 } else { NONE },
                node: self.walk(Some(self.trie.root()), &text[start..end]),
                frozen: symbol.is_some(),
            });
            start = end;
        }
        symbols
    }

    fn walk(&self, node: Option<Unit>, text: &str) -> Option<Unit> {
        text.bytes()
            .try_fold(node?, |node, byte| self.trie.child(node, byte))
    }

    /// The pair of two neighbours, if their union is a piece.
    fn pair<'a>(
        &self,
        text: &'a str,
        symbols: &mut [Symbol],
        left: u32,
        right: u32,
        parts: &mut HashMap<&'a str, usize>,
    ) -> Option<Pair> {
        let (a, b) = (symbols[left as usize], symbols[right as usize]);
        if a.frozen || b.frozen {
            return None;
        }
        let id = self.walk(a.node, &text[b.start..b.end])?.value()?;
        if self.unused[id as usize] {
            parts.insert(&text[a.start..b.end], a.end - a.start);
        }
        let length = (b.end - a.start) as u32;
        Some(Pair {
            score: self.scores[id as usize],
            left,
            right,
            length,
        })
    }

    fn emit(&self, text: &str, symbol: &Symbol, parts: &HashMap<&str, usize>, out: &mut Vec<Span>) {
        let mut pending = vec![(symbol.start, symbol.end)];
        while let Some((start, end)) = pending.pop() {
            let piece = &text[start..end];
            match (self.trie.get(piece.as_bytes()), parts.get(piece)) {
                (Some(id), Some(&first)) if self.unused[id as usize] => {
                    pending.push((start + first, end));
                    pending.push((start, start + first));
                }
                (Some(id), _) if !self.unused[id as usize] => out.push(Span { id, start, end }),
                // An unused piece that is not made of parts is as good as none.
                _ => out.push(Span {
                    id: self.unknown,
                    start,
                    end,
                }),
            }
        }
    }
}
