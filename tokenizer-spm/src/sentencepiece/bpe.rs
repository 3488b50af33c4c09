//! SentencePiece's BPE model: starting from characters, the adjacent pair whose union is the best-scored
//! piece is merged, again and again, until no two neighbours make a piece ([`merge`](crate::merge)).
//! Looking up a union costs no more than the longest piece.
//!
//! Two neighbouring characters that stand side by side in no piece can never end up in one: there the
//! text falls apart into *chunks* that are merged one at a time, which keeps the queue short.
//!
//! A merge may pass through an *unused* piece. Where one remains in the end, it is taken apart into
//! the two parts that it was made of.

use std::collections::HashMap;

use super::PieceType;
use super::vocabulary::Vocabulary;
use crate::TokenizerError;
use crate::double_array::{DoubleArray, Unit};
use crate::merge::{MAX_TEXT, Merger, Rules, Symbol};
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
    /// Symbols are known by where their text ends in the trie.
    merger: Merger<Unit>,
    /// Unused pieces that came up, and the length of the left one of their parts.
    parts: HashMap<&'a str, usize>,
}

/// What may be merged in a chunk: neighbours whose union is a piece.
struct Unions<'m, 'w, 'a> {
    bpe: &'m Bpe,
    chunk: &'a str,
    parts: &'w mut HashMap<&'a str, usize>,
}

impl Unions<'_, '_, '_> {
    fn node(&self, left: &Symbol<Unit>, right: &Symbol<Unit>) -> Unit {
        let right = &self.chunk.as_bytes()[right.start()..right.end()];
        self.bpe.trie.walk(left.label, right)
    }
}

impl Rules for Unions<'_, '_, '_> {
    type Label = Unit;

    fn rank(&mut self, left: &Symbol<Unit>, right: &Symbol<Unit>) -> Option<u32> {
        let id = self.node(left, right).value()?;
        if self.bpe.has_unused && self.bpe.unused[id as usize] {
            let union = &self.chunk[left.start()..right.end()];
            self.parts.insert(union, left.end() - left.start());
        }
        Some(self.bpe.ranks[id as usize])
    }

    fn union(&self, left: &Symbol<Unit>, right: &Symbol<Unit>) -> Unit {
        self.node(left, right)
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
            if position - chunk >= MAX_TEXT
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
        let Workspace { merger, parts } = workspace;
        merger.clear();
        let mut rest = chunk.as_bytes();
        while let Some(&first) = rest.first() {
            let (character, after) = rest.split_at(character_length(first).min(rest.len()));
            let node = self.trie.walk(self.trie.root(), character);
            merger.push(character.len(), node);
            rest = after;
        }
        let mut unions = Unions {
            bpe: self,
            chunk,
            parts,
        };
        merger.merge(&mut unions, self.rank_count);
        out.extend(merger.symbols().map(|symbol| Span {
            id: symbol.label.value().unwrap_or(self.unknown),
            start: offset + symbol.start(),
            end: offset + symbol.end(),
        }));
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
