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

use std::collections::HashMap;

use super::PieceType;
use super::merge_queue::{MergeQueue, Pair};
use super::vocabulary::Vocabulary;
use crate::TokenizerError;
use crate::double_array::{DoubleArray, Unit};
use crate::unigram::{Span, character_length};

/// A BPE vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct Bpe {
    trie: DoubleArray,
    user_defined: Option<DoubleArray>,
    /// By id: what place its score has among all scores.
    ranks: Vec<u32>,
    rank_count: usize,
    unused: Vec<bool>,
    has_unused: bool,
    neighbours: Neighbours,
    unknown: u32,
}

/// A run of text that is one piece so far. Small, since there may be millions.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    /// Where it starts, in bytes of the chunk.
    start: u32,
    /// Its length, 0 once it has been merged into its left neighbour.
    length: u32,
    /// Index of the symbol before this one, or `NONE`.
    previous: u32,
    next: u32,
    /// Where its text ends in the trie.
    node: Unit,
}

impl Symbol {
    fn of<'a>(&self, chunk: &'a str) -> &'a [u8] {
        &chunk.as_bytes()[self.start as usize..(self.start + self.length) as usize]
    }
}

/// The longest chunk, in bytes: positions are kept in 32 bits.
const MAX_CHUNK: usize = 1 << 30;

const NONE: u32 = u32::MAX;

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

/// For each id the rank of its score: 0 for the lowest, equal for equal scores. And how many there are.
fn ranks(vocabulary: &Vocabulary) -> (Vec<u32>, usize) {
    let mut sorted: Vec<(f32, u32)> = vocabulary
        .iter_sorted()
        .map(|(id, _, _, score)| (score, id))
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0; sorted.len()];
    let mut rank = 0;
    for (index, &(score, id)) in sorted.iter().enumerate() {
        if index > 0 && score.total_cmp(&sorted[index - 1].0).is_ne() {
            rank += 1;
        }
        ranks[id as usize] = rank;
    }
    (ranks, rank as usize + 1)
}

/// What a chunk needs, kept from chunk to chunk.
#[derive(Default)]
struct Workspace<'a> {
    symbols: Vec<Symbol>,
    queue: MergeQueue,
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
        let (ranks, rank_count) = ranks(vocabulary);
        let mut unused = vec![false; vocabulary.len()];
        for (id, _, kind, _) in vocabulary.iter_sorted() {
            unused[id as usize] = kind == PieceType::Unused;
        }
        Ok(Self {
            trie: DoubleArray::build(&keys)?,
            user_defined,
            ranks,
            rank_count,
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
            if position - chunk >= MAX_CHUNK
                || previous.is_some_and(|last| !self.neighbours.contains(last, character))
            {
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
        range: std::ops::Range<usize>,
        workspace: &mut Workspace<'a>,
        out: &mut Vec<Span>,
    ) {
        let offset = range.start;
        let chunk = &text[range];
        let Workspace {
            symbols,
            queue,
            parts,
        } = workspace;
        self.fill(chunk, symbols);
        if symbols.is_empty() {
            return;
        }
        queue.start(symbols.len(), self.rank_count);
        for right in 1..symbols.len() as u32 {
            if let Some(pair) = self.pair(chunk, symbols, right - 1, right, parts) {
                queue.push(pair);
            }
        }
        while let Some(pair) = queue.pop() {
            let index = pair.left();
            let left = symbols[index as usize];
            let Some(&right) = symbols.get(left.next as usize) else {
                continue;
            };
            if left.length == 0 || left.length + right.length != pair.length() {
                continue;
            }
            let node = self.trie.walk(left.node, right.of(chunk));
            symbols[index as usize] = Symbol {
                length: pair.length(),
                next: right.next,
                node,
                ..left
            };
            symbols[left.next as usize].length = 0;
            if let Some(after) = symbols.get_mut(right.next as usize) {
                after.previous = index;
            }
            for (a, b) in [(left.previous, index), (index, right.next)] {
                if a != NONE
                    && b != NONE
                    && let Some(pair) = self.pair(chunk, symbols, a, b, parts)
                {
                    queue.push(pair);
                }
            }
        }

        let mut index = 0;
        while let Some(symbol) = symbols.get(index as usize) {
            let id = symbol.node.value().unwrap_or(self.unknown);
            let start = offset + symbol.start as usize;
            out.push(Span {
                id,
                start,
                end: start + symbol.length as usize,
            });
            index = symbol.next;
        }
    }

    /// Fills `symbols` with the characters of a chunk.
    fn fill(&self, chunk: &str, symbols: &mut Vec<Symbol>) {
        symbols.clear();
        let bytes = chunk.as_bytes();
        let mut start = 0;
        while start < bytes.len() {
            let end = (start + character_length(bytes[start])).min(bytes.len());
            let index = symbols.len() as u32;
            symbols.push(Symbol {
                start: start as u32,
                length: (end - start) as u32,
                previous: index.checked_sub(1).unwrap_or(NONE),
                next: if end < bytes.len() { index + 1 } else { NONE },
                node: self.trie.walk(self.trie.root(), &bytes[start..end]),
            });
            start = end;
        }
    }

    /// The pair of two neighbours, if their union is a piece.
    fn pair<'a>(
        &self,
        chunk: &'a str,
        symbols: &[Symbol],
        left: u32,
        right: u32,
        parts: &mut HashMap<&'a str, usize>,
    ) -> Option<Pair> {
        let (a, b) = (&symbols[left as usize], &symbols[right as usize]);
        let id = self.trie.walk(a.node, b.of(chunk)).value()?;
        let length = a.length + b.length;
        if self.has_unused && self.unused[id as usize] {
            let union = &chunk[a.start as usize..(a.start + length) as usize];
            parts.insert(union, a.length as usize);
        }
        Some(Pair::new(self.ranks[id as usize], left, length))
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
