//! The loop of byte pair encoding: of all pairs of neighbours that may be merged the one with the
//! greatest rank is, the leftmost of equals first, again and again, until no pair may be merged.
//!
//! A queue holds the candidate pairs; a pair whose parts have changed since it was queued is dropped
//! when it comes up. A text of n symbols has fewer than n merges, each of which queues at most two pairs,
//! so the work is O(n log n).
//!
//! What a symbol is and which pairs may be merged is the business of [`Rules`]: SentencePiece looks the
//! union up in a trie of pieces, GPT-2's byte-level tokenizer looks the pair up in a list of merges.

mod queue;

use queue::{MergeQueue, Pair};

/// Which neighbours may be merged, and what of.
pub(crate) trait Rules {
    /// What a symbol is known by.
    type Label: Copy;

    /// The rank of the union of two neighbours, if they may be merged; the greatest goes first.
    fn rank(&mut self, left: &Symbol<Self::Label>, right: &Symbol<Self::Label>) -> Option<u32>;

    /// The label of the union of two neighbours that have a rank.
    fn union(&self, left: &Symbol<Self::Label>, right: &Symbol<Self::Label>) -> Self::Label;
}

/// A run of text that is one token so far. Small, since there may be millions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<L> {
    /// Where it starts, in bytes of the text.
    start: u32,
    /// Its length, 0 once it has been merged into its left neighbour.
    length: u32,
    /// Index of the symbol before this one, or `NONE`.
    previous: u32,
    next: u32,
    pub(crate) label: L,
}

const NONE: u32 = u32::MAX;

/// The longest text, in bytes: positions are kept in 32 bits.
pub(crate) const MAX_TEXT: usize = 1 << 30;

impl<L> Symbol<L> {
    /// Where it starts, in bytes of the text.
    pub(crate) fn start(&self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.start as usize + self.length as usize
    }
}

/// The symbols of a text. It is made to be used again from text to text.
#[derive(Debug)]
pub(crate) struct Merger<L> {
    symbols: Vec<Symbol<L>>,
    queue: MergeQueue,
}

impl<L> Default for Merger<L> {
    fn default() -> Self {
        Self {
            symbols: Vec::new(),
            queue: MergeQueue::default(),
        }
    }
}

impl<L: Copy> Merger<L> {
    /// Forgets the symbols of the text before.
    pub(crate) fn clear(&mut self) {
        self.symbols.clear();
    }

    /// Appends a symbol of `length` bytes, at least one, to a text that may have [`MAX_TEXT`] of them.
    pub(crate) fn push(&mut self, length: usize, label: L) {
        let index = self.symbols.len() as u32;
        let start = match self.symbols.last_mut() {
            Some(last) => {
                last.next = index;
                last.start + last.length
            }
            None => 0,
        };
        self.symbols.push(Symbol {
            start,
            length: length as u32,
            previous: index.checked_sub(1).unwrap_or(NONE),
            next: NONE,
            label,
        });
    }

    /// Merges until nothing may be merged any more. Ranks are less than `ranks`.
    pub(crate) fn merge(&mut self, rules: &mut impl Rules<Label = L>, ranks: usize) {
        let Self { symbols, queue } = self;
        queue.start(symbols.len(), ranks);
        for right in 1..symbols.len() as u32 {
            consider(symbols, queue, rules, right - 1, right);
        }
        while let Some(pair) = queue.pop() {
            let index = pair.left();
            let left = symbols[index as usize];
            let Some(&right) = symbols.get(left.next as usize) else {
                continue;
            };
            // Whatever happened to either part since has made them longer.
            if left.length == 0 || left.length + right.length != pair.length() {
                continue;
            }
            symbols[index as usize] = Symbol {
                length: pair.length(),
                next: right.next,
                label: rules.union(&left, &right),
                ..left
            };
            symbols[left.next as usize].length = 0;
            if let Some(after) = symbols.get_mut(right.next as usize) {
                after.previous = index;
            }
            consider(symbols, queue, rules, left.previous, index);
            consider(symbols, queue, rules, index, right.next);
        }
    }

    /// The symbols that there are now, from left to right.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = &Symbol<L>> {
        let first = self.symbols.first();
        std::iter::successors(first, |symbol| self.symbols.get(symbol.next as usize))
    }
}

/// Queues two neighbours if they may be merged.
fn consider<R: Rules>(
    symbols: &[Symbol<R::Label>],
    queue: &mut MergeQueue,
    rules: &mut R,
    left: u32,
    right: u32,
) {
    if let (Some(a), Some(b)) = (symbols.get(left as usize), symbols.get(right as usize))
        && let Some(rank) = rules.rank(a, b)
    {
        queue.push(Pair::new(rank, left, a.length + b.length));
    }
}
