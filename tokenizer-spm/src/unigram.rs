//! The Unigram model: of all ways to cut a text into pieces, the one with the greatest total score.
//!
//! A text and the vocabulary make a lattice: an edge from position `i` to position `j` wherever the
//! bytes between them are a piece, weighted with the piece's score (a log probability). The best path
//! is found by one pass from left to right (Viterbi): the best path to `j` is the best path to some
//! `i` and one more edge. The lattice is never stored; each position remembers its best edge.
//!
//! Where no piece covers the single character at a position, an edge for an unknown character does,
//! with a score below that of every piece, so that there is always a path.
//!
//! Exactness rests on three details that implementations must share: the *precision* in which scores
//! are summed, the *order* in which they are (from the start of the text), and *ties* (the edge with
//! the earliest start stays).

use std::ops::{Add, Sub};

use crate::TokenizerError;
use crate::double_array::DoubleArray;

/// The number type in which scores are kept and added: `f32` in SentencePiece, `f64` in Hugging Face's
/// tokenizers. Long texts have near ties that come out differently.
pub(crate) trait Precision:
    Copy + Default + PartialOrd + Add<Output = Self> + Sub<Output = Self>
{
    /// How far from zero the score of a path may get before all scores are shifted back to zero.
    /// SentencePiece does this because an `f32` this large has few digits left for the differences
    /// that matter.
    const RECENTRE_BEYOND: Option<(Self, Self)>;

    /// Rounds to this type.
    fn round(score: f64) -> Self;
}

impl Precision for f32 {
    const RECENTRE_BEYOND: Option<(f32, f32)> = Some((-100_000.0, 100_000.0));

    fn round(score: f64) -> Self {
        score as f32
    }
}

impl Precision for f64 {
    const RECENTRE_BEYOND: Option<(f64, f64)> = None;

    fn round(score: f64) -> Self {
        score
    }
}

/// How far below the lowest score of a piece the score of an unknown character lies.
pub(crate) const UNKNOWN_PENALTY: f64 = 10.0;

/// A piece that text can be cut into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) piece: &'a str,
    pub(crate) id: u32,
    pub(crate) score: f64,
}

/// A piece found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The piece's id; for an unknown character the id given for unknowns.
    pub(crate) id: u32,
    /// Where it starts, in bytes of the text.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

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

/// A vocabulary with scores.
#[derive(Debug, Clone)]
pub(crate) struct Unigram<S> {
    trie: DoubleArray,
    /// By id.
    scores: Vec<S>,
    unknown_id: u32,
    unknown_score: S,
}

impl<S: Precision> Unigram<S> {
    /// A model that cuts text into `candidates`, and into single characters with id `unknown_id` and
    /// score `unknown_score` where no candidate is just that character.
    ///
    /// Leave out the pieces that must never be found in text. Of equal pieces the last counts; an empty
    /// piece is never found.
    pub(crate) fn new(
        candidates: &[Candidate<'_>],
        unknown_id: u32,
        unknown_score: f64,
    ) -> Result<Self, TokenizerError> {
        if let Some(bad) = candidates
            .iter()
            .find(|candidate| !candidate.score.is_finite())
        {
            return Err(TokenizerError::InvalidModel {
                what: format!("score of piece {} {:?}", bad.id, bad.piece),
                expected: "a finite number",
                found: bad.score.to_string(),
            });
        }
        let mut keys: Vec<(&[u8], u32)> = candidates
            .iter()
            .filter(|candidate| !candidate.piece.is_empty())
            .map(|candidate| (candidate.piece.as_bytes(), candidate.id))
            .collect();
        // A stable sort keeps equal pieces in order; `dedup_by` hands over the later of two first.
        keys.sort_by(|a, b| a.0.cmp(b.0));
        keys.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        let trie = DoubleArray::build(&keys)?;
        let size = candidates
            .iter()
            .map(|candidate| candidate.id as usize + 1)
            .max()
            .unwrap_or(0);
        let mut scores = vec![S::default(); size];
        for candidate in candidates {
            scores[candidate.id as usize] = S::round(candidate.score);
        }
        Ok(Self {
            trie,
            scores,
            unknown_id,
            unknown_score: S::round(unknown_score),
        })
    }

    /// Appends the pieces of the best path through `text` to `out`, in order and without gaps. Unknown
    /// characters come one by one; joining runs of them is left to the caller.
    pub(crate) fn segment(&self, text: &str, lattice: &mut Lattice<S>, out: &mut Vec<Span>) {
        let bytes = text.as_bytes();
        let edges = &mut lattice.edges;
        edges.clear();
        edges.resize(bytes.len() + 1, Edge::default());

        let mut start = 0;
        // The furthest position that any edge has reached.
        let mut frontier = 0;
        while start < bytes.len() {
            let mut so_far = edges[start].score;
            if let Some((low, high)) = S::RECENTRE_BEYOND
                && (so_far < low || so_far > high)
            {
                for edge in &mut edges[start..=frontier] {
                    if edge.length != 0 {
                        edge.score = edge.score - so_far;
                    }
                }
                so_far = S::default();
            }
            let character = character_length(bytes[start]).min(bytes.len() - start);
            let mut character_is_piece = false;

            let ends = &mut edges[start + 1..];
            let mut node = self.trie.root();
            for (index, (&byte, edge)) in bytes[start..].iter().zip(ends.iter_mut()).enumerate() {
                let Some(child) = self.trie.child(node, byte) else {
                    break;
                };
                node = child;
                if let Some(id) = node.value() {
                    let length = index + 1;
                    frontier = frontier.max(start + length);
                    let score = so_far + self.scores[id as usize];
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
        let mut end = bytes.len();
        while end > 0 {
            let edge = edges[end];
            let start = end - (edge.length as usize).clamp(1, end);
            out.push(Span {
                id: edge.id,
                start,
                end,
            });
            end = start;
        }
        out[first..].reverse();
    }
}

/// The length of the UTF-8 character that begins with `first`.
#[inline(always)]
pub(crate) fn character_length(first: u8) -> usize {
    match first {
        0x00..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model<S: Precision>(pieces: &[(&str, f64)]) -> Unigram<S> {
        let candidates: Vec<_> = pieces
            .iter()
            .zip(1..)
            .map(|(&(piece, score), id)| Candidate { piece, id, score })
            .collect();
        Unigram::new(&candidates, 0, -20.0).unwrap()
    }

    fn pieces<S: Precision>(model: &Unigram<S>, text: &str) -> Vec<(u32, String)> {
        let mut spans = Vec::new();
        model.segment(text, &mut Lattice { edges: Vec::new() }, &mut spans);
        let mut end = 0;
        for span in &spans {
            assert_eq!(span.start, end);
            end = span.end;
        }
        assert_eq!(end, text.len());
        spans
            .iter()
            .map(|span| (span.id, text[span.start..span.end].to_owned()))
            .collect()
    }

    #[test]
    fn the_best_path_wins() {
        let model = model::<f32>(&[("a", -1.0), ("b", -1.0), ("ab", -1.5), ("abb", -4.0)]);
        assert_eq!(
            pieces(&model, "abb"),
            [(3, "ab".to_owned()), (2, "b".to_owned())]
        );
        assert_eq!(pieces(&model, ""), []);
    }

    #[test]
    fn unknown_characters_come_one_by_one() {
        let model = model::<f64>(&[("a", -1.0)]);
        let unknown = |text: &str| (0, text.to_owned());
        assert_eq!(
            pieces(&model, "é日a😀"),
            [
                unknown("é"),
                unknown("日"),
                (1, "a".to_owned()),
                unknown("😀")
            ]
        );
    }

    #[test]
    fn the_earliest_start_wins_a_tie() {
        let model = model::<f32>(&[("a", -2.0), ("aa", -3.0), ("aaa", -5.0)]);
        // Into position 3: [aaa] and [a][aa] and [aa][a] all cost 5.
        assert_eq!(pieces(&model, "aaa"), [(3, "aaa".to_owned())]);
    }

    #[test]
    fn a_long_text_keeps_its_precision() {
        // After a million characters an f32 sum of this size could no longer tell the two apart.
        let model = model::<f32>(&[("a", -10.0), ("b", -10.0), ("ab", -19.99)]);
        let pieces = pieces(&model, &"ab".repeat(500_000));
        assert!(pieces.iter().all(|(id, _)| *id == 3));
    }

    #[test]
    fn of_equal_pieces_the_last_counts() {
        let model = model::<f64>(&[("a", -1.0), ("a", -2.0), ("", 5.0)]);
        assert_eq!(pieces(&model, "a"), [(2, "a".to_owned())]);
    }

    #[test]
    fn scores_must_be_finite() {
        for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let candidate = Candidate {
                piece: "a",
                id: 1,
                score,
            };
            let error = Unigram::<f32>::new(&[candidate], 0, -10.0).unwrap_err();
            assert!(error.to_string().contains("finite"), "{error}");
        }
    }
}
