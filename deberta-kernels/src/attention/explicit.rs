//! Attention with every score in memory.
//!
//! Two things need all scores of a query at once: heads that mix ("talking heads": Shazeer et al., 2020, as DeBERTa v1
//! has them behind `talking_head`), and a reader who wants to see the probabilities or the terms of the scores. Both
//! come here; the streaming kernel stays free of them. Blocks of queries keep the memory linear in the length of a
//! sequence, except for what is asked to be shown.

use super::left::LeftRows;
use super::tile::{
    Head, KEY_BLOCK, Packed, QUERY_BLOCK, Relative, SCORE_STRIDE, STRIP, Scores, value_width,
};
use super::{Attention, target};
use crate::gemm::Target;
use crate::isa::{Operation, Simd};
use crate::shape::check_len;
use crate::{Isa, KernelError, softmax};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// How heads mix: `[H, H]` each, row `g` giving the weights of all heads in the new head `g`.
///
/// ```text
/// s'[g, i, j] = Σ_h logits[g, h]·s[h, i, j]          before the softmax (`head_logits_proj`)
/// p'[g, i, j] = Σ_h weights[g, h]·p[h, i, j]         after it (`head_weights_proj`)
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HeadMixing {
    logits: Array2<f32>,
    weights: Array2<f32>,
}

impl HeadMixing {
    /// Takes the two matrices.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if one is not square, or they differ in size.
    pub fn new(logits: Array2<f32>, weights: Array2<f32>) -> Result<Self, KernelError> {
        let heads = logits.nrows();
        for (argument, matrix) in [("logits", &logits), ("weights", &weights)] {
            if matrix.dim() != (heads, heads) {
                return Err(KernelError::Shape {
                    argument,
                    expected: vec![heads, heads],
                    found: matrix.shape().to_vec(),
                });
            }
        }
        Ok(Self { logits, weights })
    }
}

/// What [`explicit_attention`] shows besides its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The heads to show, in the order in which to show them.
    pub heads: &'a [usize],
    /// Whether to show the terms of the scores too.
    pub terms: bool,
}

/// What one head did with one sequence of L tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionMap {
    /// Index of the sequence in the batch.
    pub sequence: usize,
    /// Index of the head.
    pub head: usize,
    /// `[L, L]`: row `i` holds the weights with which query `i` takes the values. Rows sum to one unless heads mix.
    pub probabilities: Array2<f32>,
    /// The terms of the scores, where they were asked for.
    pub terms: Option<ScoreTerms>,
}

/// The terms of the scores, `[L, L]` each, scaled: their sum is what the softmax (or the mixing of heads) takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreTerms {
    /// `Q_i · K_j · scale`
    pub content_content: Array2<f32>,
    /// `Q_i · PK[slot(i-j)] · scale`; `None` where the model has no such term.
    pub content_position: Option<Array2<f32>>,
    /// `K_j · PQ[slot(i-j)] · scale`; `None` where the model has no such term.
    pub position_content: Option<Array2<f32>>,
}

/// The same as [`disentangled_attention`](super::disentangled_attention), with mixed heads where `mixing` is given, and
/// shows what `observation` asks for: one map per sequence and head, sequences first.
///
/// The result of a token depends on its own sequence alone, to the last bit, and not on the number of threads; it may
/// differ from that of the streaming kernel in the last bits.
///
/// # Errors
/// As [`disentangled_attention`](super::disentangled_attention), or if the mixing has another number of heads or a
/// head to show does not exist.
///
/// ```
/// use deberta_kernels::{Attention, Isa, Precision, Observation, explicit_attention};
/// use ndarray::{Array2, array};
/// let (query, value) = (array![[0.0], [0.0]], array![[1.0], [3.0]]);
/// let mut out = Array2::zeros((2, 1));
/// let attention = Attention {
///     query: query.view(), key: query.view(), value: value.view(),
///     heads: 1, scale: 1.0, precision: Precision::F32, bounds: &[0, 2], positions: None, relative: None,
/// };
/// let show = Observation { heads: &[0], terms: false };
/// let maps = explicit_attention(Isa::detect(), &attention, None, show, out.view_mut())?;
/// assert_eq!(maps[0].probabilities, array![[0.5, 0.5], [0.5, 0.5]]);
/// assert_eq!(out, array![[2.0], [2.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn explicit_attention(
    isa: Isa,
    attention: &Attention<'_>,
    mixing: Option<&HeadMixing>,
    observation: Observation<'_>,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<Vec<AttentionMap>, KernelError> {
    attention.check(&out.view())?;
    if let Some(mixing) = mixing {
        check_len("mixing", mixing.logits.nrows(), attention.heads)?;
    }
    if let Some(&found) = observation.heads.iter().find(|&&h| h >= attention.heads) {
        let reason = "must be the index of a head";
        return Err(KernelError::Parameter {
            parameter: "observed head",
            reason,
            found,
        });
    }
    let target = target(&mut out);
    let blocks: Vec<(usize, Range<usize>, Range<usize>)> = attention
        .bounds
        .windows(2)
        .enumerate()
        .flat_map(|(index, pair)| {
            let sequence = pair[0]..pair[1];
            (0..sequence.len()).step_by(QUERY_BLOCK).map(move |start| {
                let queries = start..(start + QUERY_BLOCK).min(sequence.len());
                (index, sequence.clone(), queries)
            })
        })
        .collect();
    let shown: Vec<Vec<Rows>> = blocks
        .par_iter()
        .map(|(_, sequence, queries)| {
            let rows = sequence.start + queries.start..sequence.start + queries.end;
            let block = Block {
                isa,
                heads: (0..attention.heads)
                    .map(|head| attention.head(sequence, head))
                    .collect(),
                queries: queries.clone(),
                mixing,
                observation,
            };
            let columns = 0..attention.query.ncols();
            SCRATCH.with_borrow_mut(|buffers| block.run(buffers, target.part(rows, columns)))
        })
        .collect();
    Ok(assemble(attention, observation, &blocks, shown))
}

/// Some rows of one map.
struct Rows {
    probabilities: Vec<f32>,
    /// Content-content, content-position, position-content.
    terms: [Option<Vec<f32>>; 3],
}

/// Joins the rows that blocks of queries have shown.
fn assemble(
    attention: &Attention<'_>,
    observation: Observation<'_>,
    blocks: &[(usize, Range<usize>, Range<usize>)],
    shown: Vec<Vec<Rows>>,
) -> Vec<AttentionMap> {
    let relative = attention.relative.map(|(tables, _)| tables);
    let has_terms = [
        true,
        relative.is_some_and(|tables| tables.keys(0).is_some()),
        relative.is_some_and(|tables| tables.queries(0).is_some()),
    ];
    let mut maps: Vec<AttentionMap> = attention
        .bounds
        .windows(2)
        .enumerate()
        .flat_map(|(sequence, pair)| {
            let empty = move || Array2::zeros((pair[1] - pair[0], pair[1] - pair[0]));
            observation.heads.iter().map(move |&head| AttentionMap {
                sequence,
                head,
                probabilities: empty(),
                terms: observation.terms.then(|| ScoreTerms {
                    content_content: empty(),
                    content_position: has_terms[1].then(empty),
                    position_content: has_terms[2].then(empty),
                }),
            })
        })
        .collect();
    for ((sequence, _, queries), rows) in blocks.iter().zip(shown) {
        for (map, rows) in maps[sequence * observation.heads.len()..]
            .iter_mut()
            .zip(rows)
        {
            let length = map.probabilities.ncols();
            let put = |matrix: Option<&mut Array2<f32>>, rows: Option<Vec<f32>>| {
                let (Some(matrix), Some(rows)) = (matrix, rows) else {
                    return;
                };
                if let Ok(rows) = ArrayView2::from_shape((queries.len(), length), &rows) {
                    matrix.slice_mut(s![queries.clone(), ..]).assign(&rows);
                }
            };
            put(Some(&mut map.probabilities), Some(rows.probabilities));
            if let Some(terms) = &mut map.terms {
                let [content, c2p, p2c] = rows.terms;
                put(Some(&mut terms.content_content), content);
                put(terms.content_position.as_mut(), c2p);
                put(terms.position_content.as_mut(), p2c);
            }
        }
    }
    maps
}

/// Memory of one block, kept by its thread.
#[derive(Default)]
struct Buffers {
    packed: Packed,
    tile: Scores,
    /// Scores, then weights: [H, queries, L].
    scores: Vec<f32>,
    /// The same of mixed heads.
    mixed: Vec<f32>,
    /// Weighted values of one head: [queries, value_width(D)].
    sums: Vec<f32>,
    rounded: LeftRows,
}

thread_local! {
    static SCRATCH: RefCell<Buffers> = RefCell::default();
}

/// One block of queries of one sequence, all heads.
struct Block<'a> {
    isa: Isa,
    heads: Vec<Head<'a>>,
    queries: Range<usize>,
    mixing: Option<&'a HeadMixing>,
    observation: Observation<'a>,
}

impl Block<'_> {
    /// Attends; `out: [queries, H·D]`. Returns what is to be shown, one entry per observed head.
    fn run(&self, buffers: &mut Buffers, out: Target) -> Vec<Rows> {
        let length = self.heads[0].length;
        let plane = self.queries.len() * length;
        let Buffers {
            packed,
            tile,
            scores,
            mixed,
            sums,
            rounded,
        } = buffers;
        scores.resize(self.heads.len() * plane, 0.0);
        for (head, scores) in self.heads.iter().zip(scores.chunks_exact_mut(plane)) {
            packed.pack(self.isa, head, head.scale);
            self.scores(head, head.relative, true, packed, tile, scores);
        }
        let terms = self.terms(packed, tile, plane);
        if let Some(mixing) = self.mixing {
            mix(self.isa, &mixing.logits, plane, scores, mixed);
        }
        for row in scores.chunks_exact_mut(length) {
            softmax(self.isa, row);
        }
        if let Some(mixing) = self.mixing {
            mix(self.isa, &mixing.weights, plane, scores, mixed);
        }
        for (index, (head, weights)) in self
            .heads
            .iter()
            .zip(scores.chunks_exact(plane))
            .enumerate()
        {
            packed.pack(self.isa, head, head.scale);
            let (rows, width) = (self.queries.len(), value_width(head.size));
            sums.resize(rows * width, 0.0);
            let keys = 0..length;
            packed.weigh(
                (self.isa, head.precision),
                rounded,
                (weights, length),
                rows,
                keys,
                head.size,
                sums,
                false,
            );
            let out = out.part(0..rows, index * head.size..(index + 1) * head.size);
            for (i, sums) in sums.chunks_exact(width).enumerate() {
                // SAFETY: the task has these rows of the output to itself.
                unsafe { out.row(i) }.copy_from_slice(&sums[..head.size]);
            }
        }
        let planes = self
            .observation
            .heads
            .iter()
            .map(|&head| &scores[head * plane..][..plane]);
        planes
            .zip(terms)
            .map(|(plane, terms)| Rows {
                probabilities: plane.to_vec(),
                terms,
            })
            .collect()
    }

    /// The terms of the observed heads, where they are asked for.
    fn terms(
        &self,
        packed: &mut Packed,
        tile: &mut Scores,
        plane: usize,
    ) -> Vec<[Option<Vec<f32>>; 3]> {
        let heads = self.observation.heads.iter().map(|&head| &self.heads[head]);
        heads
            .map(|head| {
                if !self.observation.terms {
                    return [None, None, None];
                }
                packed.pack(self.isa, head, head.scale);
                let mut term = |relative: Option<Relative<'_>>, content| {
                    let mut scores = vec![0.0; plane];
                    self.scores(head, relative, content, packed, tile, &mut scores);
                    scores
                };
                let only = |keys: bool| {
                    let all = head.relative?;
                    let part = Relative {
                        keys: all.keys.filter(|_| keys),
                        queries: all.queries.filter(|_| !keys),
                        slots: all.slots,
                    };
                    (part.keys.is_some() || part.queries.is_some()).then_some(part)
                };
                [
                    Some(term(None, true)),
                    only(true).map(|part| term(Some(part), false)),
                    only(false).map(|part| term(Some(part), false)),
                ]
            })
            .collect()
    }

    /// Scaled scores of one head, whose keys are packed: `[queries, L]`. Only the terms that `relative` holds, and the
    /// content's if `content` says so.
    fn scores(
        &self,
        head: &Head<'_>,
        relative: Option<Relative<'_>>,
        content: bool,
        packed: &Packed,
        tile: &mut Scores,
        scores: &mut [f32],
    ) {
        let (isa, queries) = (self.isa, &self.queries);
        let head = Head { relative, ..*head };
        tile.queries(isa, &head, queries, head.scale);
        for start in (0..head.length).step_by(KEY_BLOCK) {
            let keys = start..(start + KEY_BLOCK).min(head.length);
            let begun = tile.position_to_content(isa, &head, packed, queries, &keys);
            for first in queries.clone().step_by(STRIP) {
                let strip = first..(first + STRIP).min(queries.end);
                let block = queries.start;
                let begun = tile.content_to_position(isa, &head, block, &strip, &keys, begun);
                if content {
                    tile.content_to_content(isa, &head, packed, block, &strip, &keys, begun);
                }
                let rows = scores[(first - block) * head.length..].chunks_exact_mut(head.length);
                let found = tile.strip(block, &strip).chunks_exact(SCORE_STRIDE);
                for (row, found) in rows.zip(found) {
                    row[keys.clone()].copy_from_slice(&found[..keys.len()]);
                }
            }
        }
    }
}

/// Replaces the planes of H heads by `Σ_h matrix[g, h]·plane_h`, summed over ascending `h`.
fn mix(isa: Isa, matrix: &Array2<f32>, plane: usize, planes: &mut Vec<f32>, mixed: &mut Vec<f32>) {
    mixed.clear();
    mixed.resize(planes.len(), 0.0);
    for (weights, sum) in matrix.outer_iter().zip(mixed.chunks_exact_mut(plane)) {
        for (&weight, plane) in weights.iter().zip(planes.chunks_exact(plane)) {
            isa.dispatch(AddScaled { sum, weight, plane });
        }
    }
    std::mem::swap(planes, mixed);
}

/// `sum += weight · plane`
struct AddScaled<'a> {
    sum: &'a mut [f32],
    weight: f32,
    plane: &'a [f32],
}

impl Operation for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let weight = s.splat(self.weight);
        let pairs = self
            .sum
            .chunks_mut(S::LANES)
            .zip(self.plane.chunks(S::LANES));
        for (sum, plane) in pairs {
            if sum.len() == S::LANES {
                let total = s.mul_add(weight, s.load_slice(plane), s.load_slice(sum));
                s.store_slice(total, sum);
            } else {
                let plane = s.load_partial(plane, 0.0);
                let total = s.mul_add(weight, plane, s.load_partial(sum, 0.0));
                s.store_partial(total, sum);
            }
        }
    }
}
