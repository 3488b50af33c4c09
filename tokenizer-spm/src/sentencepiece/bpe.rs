//! The BPE model: starting from characters, the adjacent pair whose union is the best-scored piece is
//! merged, again and again, until no two neighbours make a piece.
//!
//! Of equal scores the leftmost pair goes first. A queue holds the candidate pairs; a pair whose
//! parts have changed since it was queued is dropped when it comes up. A text of n characters has
//! fewer than n merges, each of which queues at most two pairs, so the work is O(n log n); looking up
//! a union costs no more than the longest piece.
//!
//! Two neighbouring characters that stand side by side in no piece can never end up in one: there the
//! text falls apart into *chunks* that are merged one at a time, which keeps the queue short.
//!
//! A merge may pass through an *unused* piece. Where one remains in the end, it is taken apart into
//! the two parts that it was made of.

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
    /// By id: the score as a number that is ordered in the same way.
    ranks: Vec<u32>,
    unused: Vec<bool>,
    has_unused: bool,
    neighbours: Neighbours,
    unknown: u32,
}

/// A run of text that is one piece so far.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: usize,
    /// Equal to `start` once the symbol has been merged into its left neighbour.
    end: usize,
    /// Index of the symbol before this one, or `NONE`.
    previous: u32,
    next: u32,
    /// Where its text ends in the trie, if it is the beginning of any piece.
    node: Option<Unit>,
}

const NONE: u32 = u32::MAX;

/// Two neighbours that may be merged; the greatest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    /// The rank of the union, and below it the complement of the left symbol's index.
    priority: u64,
    /// Length of the union in bytes when the pair was queued.
    length: u32,
}

impl Pair {
    fn left(self) -> u32 {
        !(self.priority as u32)
    }
}

/// Which characters stand side by side in any piece, with a few false positives: one bit for each
/// hash of two characters.
#[derive(Debug, Clone)]
struct Neighbours {
    bits: Vec<u64>,
}

impl Neighbours {
    const LOG2_BITS: u32 = 17;

    fn new<'a>(pieces: impl Iterator<Item = &'a str>) -> Self {
        let mut bits = vec![0; 1 << (Self::LOG2_BITS - 6)];
        for piece in pieces {
            for (left, right) in piece.chars().zip(piece.chars().skip(1)) {
                let hash = Self::hash(left, right);
                bits[hash / 64] |= 1 << (hash % 64);
            }
        }
        Self { bits }
    }

    fn hash(left: char, right: char) -> usize {
        let pair = u64::from(u32::from(left)) << 32 | u64::from(u32::from(right));
        (pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - Self::LOG2_BITS)) as usize
    }

    fn contains(&self, left: char, right: char) -> bool {
        let hash = Self::hash(left, right);
        self.bits[hash / 64] >> (hash % 64) & 1 != 0
    }
}

/// An integer that is ordered as `f32::total_cmp` orders scores.
fn rank(score: f32) -> u32 {
    let bits = score.to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

/// What a chunk needs, kept from chunk to chunk.
#[derive(Default)]
struct Workspace<'a> {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Pair>,
    /// Unused pieces that came up, and the length of the left one of their parts.
    parts: HashMap<&'a str, usize>,
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
        let textual = vocabulary
            .iter_sorted()
            .filter(|(_, _, kind, _)| kind.is_textual());
        let neighbours = Neighbours::new(textual.map(|(_, piece, _, _)| piece));
        let mut ranks = vec![0; vocabulary.len()];
        let mut unused = vec![false; vocabulary.len()];
        for (id, _, kind, score) in vocabulary.iter_sorted() {
            ranks[id as usize] = rank(score);
            unused[id as usize] = kind == PieceType::Unused;
        }
        Ok(Self {
            trie: DoubleArray::build(&keys)?,
            user_defined,
            ranks,
            has_unused: unused.contains(&true),
            unused,
            neighbours,
            unknown: vocabulary.unknown(),
        })
    }

    /// Appends the pieces of `text` to `out`, in order and without gaps.
    pub(crate) fn segment(&self, text: &str, out: &mut Vec<Span>) {
        let mut workspace = Workspace::default();
        let mut chunk = 0;
        let mut previous: Option<char> = None;
        let mut position = 0;
        let mut pending_parts = Vec::new();
        while position < text.len() {
            if let Some(symbols) = &self.user_defined
                && let Some((length, id)) = symbols.longest_prefix(&text.as_bytes()[position..])
            {
                self.merge(text, chunk..position, &mut workspace, out);
                out.push(Span {
                    id,
                    start: position,
                    end: position + length,
                });
                position += length;
                chunk = position;
                previous = None;
                continue;
            }
            let Some(character) = text[position..].chars().next() else {
                break;
            };
            if previous.is_some_and(|previous| !self.neighbours.contains(previous, character)) {
                self.merge(text, chunk..position, &mut workspace, out);
                chunk = position;
            }
            previous = Some(character);
            position += character.len_utf8();
        }
        self.merge(text, chunk..text.len(), &mut workspace, out);
        if self.has_unused {
            // The parts of an unused piece are those found last in the whole text.
            std::mem::swap(out, &mut pending_parts);
            for span in pending_parts {
                self.take_apart(text, span, &workspace.parts, out);
            }
        }
    }

    /// Merges the symbols of one chunk of `text` and appends what remains to `out`.
    fn merge<'a>(
        &self,
        text: &'a str,
        chunk: std::ops::Range<usize>,
        workspace: &mut Workspace<'a>,
        out: &mut Vec<Span>,
    ) {
        let Workspace {
            symbols,
            queue,
            parts,
        } = workspace;
        self.fill(text, chunk, symbols);
        let mut pairs = std::mem::take(queue).into_vec();
        for left in 1..symbols.len() as u32 {
            pairs.extend(self.pair(text, symbols, left - 1, left, parts));
        }
        *queue = BinaryHeap::from(pairs);
        while let Some(pair) = queue.pop() {
            let left = symbols[pair.left() as usize];
            let Some(&right) = symbols.get(left.next as usize) else {
                continue;
            };
            if left.start == left.end || right.end - left.start != pair.length as usize {
                continue;
            }
            let merged = &mut symbols[pair.left() as usize];
            merged.end = right.end;
            merged.next = right.next;
            merged.node = self.walk(left.node, &text.as_bytes()[right.start..right.end]);
            symbols[left.next as usize].end = right.start;
            if let Some(after) = symbols.get_mut(right.next as usize) {
                after.previous = pair.left();
            }
            if left.previous != NONE {
                queue.extend(self.pair(text, symbols, left.previous, pair.left(), parts));
            }
            if right.next != NONE {
                queue.extend(self.pair(text, symbols, pair.left(), right.next, parts));
            }
        }

        let mut index = 0;
        while let Some(symbol) = symbols.get(index as usize) {
            let id = symbol.node.and_then(Unit::value).unwrap_or(self.unknown);
            out.push(Span {
                id,
                start: symbol.start,
                end: symbol.end,
            });
            index = symbol.next;
        }
    }

    /// Fills `symbols` with the characters of one chunk.
    fn fill(&self, text: &str, chunk: std::ops::Range<usize>, symbols: &mut Vec<Symbol>) {
        symbols.clear();
        let bytes = &text.as_bytes()[..chunk.end];
        let mut start = chunk.start;
        while start < chunk.end {
            let end = (start + character_length(bytes[start])).min(chunk.end);
            let index = symbols.len() as u32;
            symbols.push(Symbol {
                start,
                end,
                previous: index.checked_sub(1).unwrap_or(NONE),
                next: if end < chunk.end { index + 1 } else { NONE },
                node: self.walk(Some(self.trie.root()), &bytes[start..end]),
            });
            start = end;
        }
    }

    fn walk(&self, node: Option<Unit>, bytes: &[u8]) -> Option<Unit> {
        bytes
            .iter()
            .try_fold(node?, |node, &byte| self.trie.child(node, byte))
    }

    /// The pair of two neighbours, if their union is a piece.
    fn pair<'a>(
        &self,
        text: &'a str,
        symbols: &[Symbol],
        left: u32,
        right: u32,
        parts: &mut HashMap<&'a str, usize>,
    ) -> Option<Pair> {
        let (a, b) = (symbols[left as usize], symbols[right as usize]);
        let id = self
            .walk(a.node, &text.as_bytes()[b.start..b.end])?
            .value()?;
        if self.has_unused && self.unused[id as usize] {
            parts.insert(&text[a.start..b.end], a.end - a.start);
        }
        let priority = u64::from(self.ranks[id as usize]) << 32 | u64::from(!left);
        Some(Pair {
            priority,
            length: (b.end - a.start) as u32,
        })
    }

    /// Appends `span`, or if it is an unused piece the pieces that it was made of.
    fn take_apart(
        &self,
        text: &str,
        span: Span,
        parts: &HashMap<&str, usize>,
        out: &mut Vec<Span>,
    ) {
        let mut pending = vec![span];
        while let Some(span) = pending.pop() {
            if span.id == self.unknown || !self.unused[span.id as usize] {
                out.push(span);
            } else if let Some(&length) = parts.get(&text[span.start..span.end]) {
                let middle = span.start + length;
                let id = |start: usize, end: usize| {
                    self.trie
                        .get(&text.as_bytes()[start..end])
                        .unwrap_or(self.unknown)
                };
                let (left, right) = (id(span.start, middle), id(middle, span.end));
                pending.push(Span {
                    id: right,
                    start: middle,
                    end: span.end,
                });
                pending.push(Span {
                    id: left,
                    start: span.start,
                    end: middle,
                });
            } else {
                // An unused piece that was never made of parts is as good as none.
                out.push(Span {
                    id: self.unknown,
                    ..span
                });
            }
        }
    }
}
