//! Disentangled attention, the heart of DeBERTa.
//!
//! Each token has content; the distance between two tokens has an embedding of its own. A score is the sum of up to
//! three products (equation 4 of the DeBERTa paper), for query `i`, key `j` and head size D:
//!
//! ```text
//! s[i, j] = ( Q_i · K_j             content to content
//!           + Q_i · PK[slot(i-j)]   content to position: what the query looks for at this distance
//!           + K_j · PQ[slot(i-j)]   position to content: from which distance the key wants to be seen
//!           ) · scale               scale = 1/√(D·f),  f = 1 + number of position terms
//! out_i   = Σ_j softmax_j(s[i, :]) · V_j
//! ```
//!
//! * `slots`: which row of the position table belongs to a distance.
//! * `tables`: the projected tables PK and PQ, packed at load.
//! * `left`, `panels`, `product`: packed operands, and the register tile that multiplies them.
//! * `position`: the two position terms of a block.
//! * `tile`: one block of queries against one block of keys, step by step.
//! * `stream`: the running softmax that joins the blocks.
//! * `plain`: attention without position terms over the past or over another sequence, which a decoder has; with the same
//!   tiles.
//! * `packed`: keys and values that are packed once for many calls.
//! * `gathered`: one query per row over keys and values wherever they lie in a cache.
//! * `explicit`: disentangled attention with every score in memory, for models that mix heads and people who look inside.
//!
//! # How a block is computed
//!
//! No `L x L` matrix ever exists. A task takes one head of one sequence; it packs Kᵀ and V once, and goes through blocks
//! of 128 queries by 128 keys, whose scores stay in the caches:
//!
//! 1. Slots rise with the distance, so a block touches one contiguous window of slots. 16 keys at a time are multiplied
//!    with their window of PQ; the products, in which queries run along rows, are transposed into the scores.
//! 2. Then 16 queries at a time go through the rest: they are multiplied with their window of PK, each row of scores
//!    takes its run of the products, and
//! 3. the product Q·Kᵀ goes on from what the scores hold by then.
//! 4. The softmax turns scores into weights, rescaling what came before if a maximum has moved, and
//! 5. the weights times V are added to what the queries have summed up.
//!
//! Where every distance has a slot of its own, the windows are as wide as the block and 15 columns more: each position
//! term costs about 9/8 of the content's product, and the whole about twice what attention without positions costs. In
//! the logarithmic region windows get narrower, and far away both terms are constants.

mod explicit;
mod gathered;
mod left;
mod packed;
mod panels;
mod plain;
mod position;
mod product;
mod slots;
mod stream;
mod tables;
mod tile;

pub use explicit::{AttentionMap, HeadMixing, Observation, ScoreTerms, explicit_attention};
pub use gathered::{GatheredAttention, gathered_attention};
pub use packed::{PackedKeyValues, attend_packed};
pub use plain::{PlainAttention, causal_attention, cross_attention};
pub use slots::{RelativePositions, SlotTable};
pub use tables::PositionTables;

use crate::gemm::{Precision, Target};
use crate::parallel::{parallel, wanted_tasks};
use crate::shape::{check_bounds, check_matrix, check_positions, row_slice};
use crate::{Isa, KernelError};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;
use tables::of_attention;
use tile::{Head, Relative, STRIP, Sight};

/// The operands of [`disentangled_attention`] over packed sequences of T tokens in all, with H heads of size D.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Queries `[T, H·D]`.
    pub query: ArrayView2<'a, f32>,
    /// Keys `[T, H·D]`.
    pub key: ArrayView2<'a, f32>,
    /// Values `[T, H·D]`.
    pub value: ArrayView2<'a, f32>,
    /// The number of heads, H.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// What the operands of products are rounded to. Sums, the softmax and what joins the blocks are `f32`. There is no
    /// attention in 8 bits: [`Precision::Int8`] computes as [`Precision::F32`].
    pub precision: Precision,
    /// Boundaries of the sequences: B+1 numbers from 0 to T. Tokens attend to their own sequence only.
    pub bounds: &'a [usize],
    /// The position of each token within its sequence, rising; `None` where that is 0, 1, 2, …
    pub positions: Option<&'a [u32]>,
    /// The position terms: none for plain attention.
    pub relative: Option<(&'a PositionTables, &'a SlotTable)>,
}

/// Computes disentangled attention for every sequence and head: `out: [T, H·D]`.
///
/// Runs on the current rayon pool with memory linear in the length of a sequence. The result of a token depends on its
/// own sequence alone, to the last bit, and not on the number of threads.
///
/// # Errors
/// [`KernelError`] if shapes, boundaries or positions do not fit, or the slot table is too short.
///
/// ```
/// use deberta_kernels::{Attention, Isa, Precision, disentangled_attention};
/// use ndarray::{Array2, array};
/// // Two tokens, one head of size 1, no position terms; equal scores average the values.
/// let (query, value) = (array![[0.0], [0.0]], array![[1.0], [3.0]]);
/// let mut out = Array2::zeros((2, 1));
/// let attention = Attention {
///     query: query.view(), key: query.view(), value: value.view(),
///     heads: 1, scale: 1.0, precision: Precision::F32, bounds: &[0, 2], positions: None, relative: None,
/// };
/// disentangled_attention(Isa::detect(), &attention, out.view_mut())?;
/// assert_eq!(out, array![[2.0], [2.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn disentangled_attention(
    isa: Isa,
    attention: &Attention<'_>,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    let size = attention.check(&out.view())?;
    let isa = isa.without_tiles();
    let target = target(&mut out);
    let tasks = Tasks::new(attention.bounds, attention.heads);
    parallel(tasks.count(), |index| {
        let Some(task) = tasks.get(index) else { return };
        let inputs = attention.head(&task.sequence, task.head);
        let part = task.part(target, size);
        tile::attend(isa, &inputs, task.queries, part);
    });
    Ok(())
}

impl<'a> Attention<'a> {
    /// Checks everything against everything, and an output of the same shape; returns the head size, D.
    fn check(&self, out: &ArrayView2<'_, f32>) -> Result<usize, KernelError> {
        let [tokens, width] = [self.query.nrows(), self.query.ncols()];
        for (argument, matrix) in [
            ("query", &self.query),
            ("key", &self.key),
            ("value", &self.value),
            ("out", out),
        ] {
            check_matrix(argument, matrix, [tokens, width])?;
        }
        let heads = self.heads;
        let size = head_size(width, heads)?;
        check_bounds(self.bounds, tokens)?;
        if let Some(positions) = self.positions {
            check_positions(positions, self.bounds)?;
        }
        if let Some((tables, slots)) = self.relative {
            check_relative(tables, slots, heads, size, self.bounds, self.positions)?;
            let (expected, found) = (of_attention(self.precision), tables.precision());
            if expected != found {
                return Err(KernelError::TablePrecision { expected, found });
            }
        }
        Ok(size)
    }

    /// One head of one sequence, after [`Attention::check`].
    fn head(&self, sequence: &Range<usize>, head: usize) -> Head<'a> {
        let size = self.query.ncols() / self.heads;
        let columns = head * size..(head + 1) * size;
        Head {
            query: rows_of_head(self.query, sequence, &columns),
            key: rows_of_head(self.key, sequence, &columns),
            value: rows_of_head(self.value, sequence, &columns),
            length: sequence.len(),
            sight: Sight::All,
            size,
            scale: self.scale,
            precision: of_attention(self.precision),
            positions: self.positions.map(|all| &all[sequence.clone()]),
            relative: self.relative.map(|(tables, slots)| Relative {
                keys: tables.keys(head),
                queries: tables.queries(head),
                slots,
            }),
        }
    }
}

/// The head size D of heads that share rows of this width.
fn head_size(width: usize, heads: usize) -> Result<usize, KernelError> {
    if heads == 0 || !width.is_multiple_of(heads) || width == 0 {
        let reason = "must divide the width of the queries";
        return Err(KernelError::Parameter {
            parameter: "heads",
            reason,
            found: heads,
        });
    }
    Ok(width / heads)
}

/// The output as tasks share it: each writes the rows of its queries in the columns of its heads, and no two share
/// both. The view passed [`Attention::check`].
fn target(out: &mut ArrayViewMut2<'_, f32>) -> Target {
    let (tokens, width) = out.dim();
    let stride = if tokens > 1 {
        out.strides()[0] as usize
    } else {
        width
    };
    // SAFETY: the view is a writable matrix with contiguous rows; that it outlives the target is seen to by the
    // callers, who wait for their tasks.
    unsafe { Target::from_raw(out.as_mut_ptr(), stride, tokens, width) }
}

/// The tables fit the heads, and the slot table every distance.
fn check_relative(
    tables: &PositionTables,
    slots: &SlotTable,
    heads: usize,
    size: usize,
    bounds: &[usize],
    positions: Option<&[u32]>,
) -> Result<(), KernelError> {
    let Some(found) = tables.heads() else {
        return Ok(());
    };
    let rows = 2 * slots.relative().span();
    if found != (heads, size) || tables.slots() != rows {
        return Err(KernelError::Shape {
            argument: "position tables",
            expected: vec![rows, heads, size],
            found: vec![tables.slots(), found.0, found.1],
        });
    }
    let needed = bounds.windows(2).map(|pair| match positions {
        // Positions rise, so the last and the first are the farthest apart.
        Some(positions) if pair[0] < pair[1] => {
            (positions[pair[1] - 1] - positions[pair[0]]) as usize + 1
        }
        _ => pair[1] - pair[0],
    });
    let needed = needed.max().unwrap_or(0);
    if needed > slots.length() {
        return Err(KernelError::SlotTable {
            covered: slots.length(),
            needed,
        });
    }
    Ok(())
}

/// The rows of a sequence from a head's first column on, and the distance between them.
fn rows_of_head<'a>(
    matrix: ArrayView2<'a, f32>,
    sequence: &Range<usize>,
    columns: &Range<usize>,
) -> (&'a [f32], usize) {
    let (rows, stride) = row_slice(&matrix, sequence.clone());
    (rows.get(columns.start..).unwrap_or_default(), stride)
}

/// A piece of work: some queries of one head of one sequence.
struct Task {
    /// The index of the sequence.
    index: usize,
    sequence: Range<usize>,
    head: usize,
    /// Relative to the beginning of the sequence.
    queries: Range<usize>,
}

impl Task {
    /// The part of the output that the task writes.
    fn part(&self, out: Target, size: usize) -> Target {
        let first = self.sequence.start;
        let rows = first + self.queries.start..first + self.queries.end;
        out.part(rows, self.head * size..(self.head + 1) * size)
    }
}

/// The work in pieces; queries are split only where sequences and heads do not keep every thread busy. The heads of a
/// sequence follow each other, since they lie side by side in memory.
struct Tasks<'a> {
    bounds: &'a [usize],
    heads: usize,
    /// Pieces per head of a sequence.
    pieces: usize,
}

impl<'a> Tasks<'a> {
    fn new(bounds: &'a [usize], heads: usize) -> Self {
        let sequences = bounds.windows(2).filter(|pair| pair[0] < pair[1]).count();
        let pieces = wanted_tasks().div_ceil((sequences * heads).max(1));
        Self {
            bounds,
            heads,
            pieces,
        }
    }

    fn count(&self) -> usize {
        self.bounds.len().saturating_sub(1) * self.heads * self.pieces
    }

    /// A task, unless the sequence is too short to have that many.
    fn get(&self, index: usize) -> Option<Task> {
        let (index, piece) = (index / self.pieces, index % self.pieces);
        let (index, head) = (index / self.heads, index % self.heads);
        let sequence = self.bounds[index]..self.bounds[index + 1];
        let length = sequence.len();
        let step = length.div_ceil(self.pieces).next_multiple_of(STRIP);
        let start = (piece * step).min(length);
        let queries = start..(start + step).min(length);
        (!queries.is_empty()).then_some(Task {
            index,
            sequence,
            head,
            queries,
        })
    }
}
