//! The search for the best path.
//!
//! The lattice is never stored: each position remembers the best edge into it, and one pass back from
//! the end reads off the pieces.

use super::{Precision, Span, Unigram, character_length};

/// The best edge into one position.
#[derive(Debug, Clone, Copy, Default)]
struct Edge<S> {
    /// Score of the whole path up to here.
    score: S,
    /// Length of the edge's piece in bytes; 0 while no edge has reached this position.
    length: u32,
    id: u32,
}

/// Memory for [`Unigram::segment`], to be used again from text to text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lattice<S> {
    edges: Vec<Edge<S>>,
}

impl<S: Precision> Lattice<S> {
    /// Gives memory back that only a long text needed.
    pub(crate) fn shrink(&mut self, capacity: usize) {
        self.edges.clear();
        self.edges.shrink_to(capacity);
    }
}

impl<S: Precision> Unigram<S> {
    /// Appends the pieces of the best path through `text` to `out`, in order and without gaps. Unknown
    /// characters come one by one; joining runs of them is left to the caller.
    ///
    /// `text` may be a stretch of a longer one between two positions that every path passes: then
    /// `before` is the score of the path up to it, and `offset` where it starts. Gives the score of the
    /// path to its end.
    pub(super) fn best_path(
        &self,
        text: &[u8],
        before: S,
        offset: usize,
        lattice: &mut Lattice<S>,
        out: &mut Vec<Span>,
    ) -> S {
        let edges = &mut lattice.edges;
        edges.clear();
        edges.resize(text.len() + 1, Edge::default());
        edges[0].score = before;

        let mut start = 0;
        // The furthest position that any edge has reached.
        let mut frontier = 0;
        while start < text.len() {
            let mut so_far = edges[start].score;
            if let Some(limit) = S::RECENTRE_BEYOND
                && so_far.into().abs() > limit
            {
                for edge in &mut edges[start..=frontier] {
                    if edge.length != 0 {
                        edge.score = edge.score - so_far;
                    }
                }
                so_far = S::default();
            }
            let character = character_length(text[start]).min(text.len() - start);
            let mut character_is_piece = false;

            let ends = &mut edges[start + 1..];
            let mut node = self.trie.root();
            for (index, (&byte, edge)) in text[start..].iter().zip(ends.iter_mut()).enumerate() {
                let Some(child) = self.trie.child(node, byte) else {
                    break;
                };
                node = child;
                if let Some(id) = node.value() {
                    let length = index + 1;
                    frontier = frontier.max(start + length);
                    let score = so_far + node.payload();
                    if edge.length == 0 || score > edge.score {
                        *edge = Edge {
                            score,
                            length: length as u32,
                            id,
                        };
                    }
                    character_is_piece |= length == character;
                }
            }
            if !character_is_piece {
                frontier = frontier.max(start + character);
                let score = so_far + self.unknown_score;
                let edge = &mut ends[character - 1];
                if edge.length == 0 || score > edge.score {
                    *edge = Edge {
                        score,
                        length: character as u32,
                        id: self.unknown_id,
                    };
                }
            }
            start += character;
        }

        let first = out.len();
        let mut end = text.len();
        while end > 0 {
            let edge = edges[end];
            let start = end - (edge.length as usize).clamp(1, end);
            out.push(Span {
                id: edge.id,
                start: offset + start,
                end: offset + end,
            });
            end = start;
        }
        out[first..].reverse();
        edges[text.len()].score
    }
}
