//! The queue of candidate merges: highest rank first, and of equal ranks the leftmost.
//!
//! A short text uses a plain heap. In a long one, such as a megabyte of one letter, a heap has
//! millions of entries and every step goes through twenty levels of it. But merges of one rank come in
//! almost from left to right, so there each rank has a queue of its own: a sorted run, to whose end a
//! candidate is appended where it fits, and a small heap for the few others.

use std::collections::{BinaryHeap, VecDeque};

/// Two neighbours that may be merged; the greatest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// The rank of the union, and below it the complement of the left symbol's index.
    priority: u64,
    /// Length of the union in bytes when the pair was queued.
    length: u32,
}

impl Pair {
    pub(crate) fn new(rank: u32, left: u32, length: u32) -> Self {
        Self {
            priority: u64::from(rank) << 32 | u64::from(!left),
            length,
        }
    }

    /// Index of the left symbol.
    pub(crate) fn left(self) -> u32 {
        !(self.priority as u32)
    }

    pub(crate) fn length(self) -> u32 {
        self.length
    }

    fn rank(self) -> u32 {
        (self.priority >> 32) as u32
    }
}

/// From how many symbols on each rank has a queue of its own.
const LONG: usize = 4096;

/// A queue for each rank is too much memory where there are more ranks than this for each symbol.
const RANKS_PER_SYMBOL: usize = 64;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct MergeQueue {
    heap: BinaryHeap<Pair>,
    /// By rank; empty for a short text.
    by_rank: Vec<RankQueue>,
    /// The ranks whose queues are not empty.
    ranks: BinaryHeap<u32>,
}

#[derive(Debug, Default, Clone)]
struct RankQueue {
    /// From left to right.
    run: VecDeque<Pair>,
    others: BinaryHeap<Pair>,
}

impl RankQueue {
    fn is_empty(&self) -> bool {
        self.run.is_empty() && self.others.is_empty()
    }

    fn push(&mut self, pair: Pair) {
        if self
            .run
            .back()
            .is_none_or(|last| last.left() <= pair.left())
        {
            self.run.push_back(pair);
        } else {
            self.others.push(pair);
        }
    }

    fn pop(&mut self) -> Option<Pair> {
        match (self.run.front(), self.others.peek()) {
            (Some(first), Some(other)) if other > first => {}
            (Some(_), _) => return self.run.pop_front(),
            (None, _) => {}
        }
        self.others.pop()
    }
}

impl MergeQueue {
    /// Makes the queue ready for a text of `symbols` symbols under a model with `ranks` ranks.
    pub(crate) fn start(&mut self, symbols: usize, ranks: usize) {
        self.heap.clear();
        self.ranks.clear();
        self.by_rank.clear();
        if symbols >= LONG && ranks / RANKS_PER_SYMBOL <= symbols {
            self.by_rank.resize_with(ranks, RankQueue::default);
        }
    }

    pub(crate) fn push(&mut self, pair: Pair) {
        match self.by_rank.get_mut(pair.rank() as usize) {
            None => self.heap.push(pair),
            Some(queue) => {
                if queue.is_empty() {
                    self.ranks.push(pair.rank());
                }
                queue.push(pair);
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Pair> {
        let Some(&rank) = self.ranks.peek() else {
            return self.heap.pop();
        };
        let queue = self.by_rank.get_mut(rank as usize)?;
        let pair = queue.pop();
        if queue.is_empty() {
            self.ranks.pop();
        }
        pair
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn both_kinds_pop_in_the_same_order(
            steps in proptest::collection::vec(
                proptest::option::weighted(0.7, (0u32..5, 0u32..50, 1u32..4)), 0..200),
        ) {
            let (mut short, mut long) = (MergeQueue::default(), MergeQueue::default());
            short.start(LONG - 1, 5);
            long.start(LONG, 5);
            for step in steps {
                match step {
                    Some((rank, left, length)) => {
                        short.push(Pair::new(rank, left, length));
                        long.push(Pair::new(rank, left, length));
                    }
                    // Which of two pairs with the same left symbol comes first makes no difference:
                    // at most one of them is still valid.
                    None => proptest::prop_assert_eq!(
                        short.pop().map(|pair| pair.priority),
                        long.pop().map(|pair| pair.priority)
                    ),
                }
            }
        }
    }
}
