//! Blocks of queries against blocks of keys, for one head of one sequence.

use super::SlotTable;
use super::left::{Left, LeftRows};
use super::panels::{MOST_LANES, Panels, lanes};
use super::position::{Distances, PositionScratch, content_to_position, position_to_content};
use super::product::Product;
use super::stream::{Expect, Finish, Fold, Running};
use crate::Isa;
use crate::gemm::dot::dispatch;
use crate::gemm::{Precision, Target};
use crate::memory::Aligned;
use std::cell::RefCell;
use std::ops::Range;

/// Queries per block.
pub(super) const QUERY_BLOCK: usize = 128;
/// Keys per block. Blocks begin at the first key of a sequence: how its sums are cut depends on nothing else.
pub(super) const KEY_BLOCK: usize = 128;
/// Rows that are taken through all steps together, so that their scores stay in the first cache.
pub(super) const STRIP: usize = 16;
/// The distance between rows of scores: an odd number of cache lines, which spreads the rows over the sets of a cache.
pub(super) const SCORE_STRIDE: usize = KEY_BLOCK + 16;

/// One head of one sequence with L keys. Row `i` of a matrix begins at `i · stride`.
pub(super) struct Head<'a> {
    pub(super) query: (&'a [f32], usize),
    /// Nothing if keys and values are packed already.
    pub(super) key: (&'a [f32], usize),
    pub(super) value: (&'a [f32], usize),
    /// L.
    pub(super) length: usize,
    pub(super) sight: Sight,
    /// D.
    pub(super) size: usize,
    pub(super) scale: f32,
    /// F32 or Bf16.
    pub(super) precision: Precision,
    pub(super) positions: Option<&'a [u32]>,
    pub(super) relative: Option<Relative<'a>>,
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sight {
    /// All of them.
    All,
    /// Query `i` sees keys 0 to `i + n`, the future being hidden: `n` keys are older than the first query.
    Past(usize),
}

/// The position terms of one head.
#[derive(Clone, Copy)]
pub(super) struct Relative<'a> {
    /// PK, for the content-to-position term.
    pub(super) keys: Option<&'a Panels>,
    /// PQ, for the position-to-content term.
    pub(super) queries: Option<&'a Panels>,
    pub(super) slots: &'a SlotTable,
}

/// The keys and values of a head, packed.
#[derive(Debug, Clone, Default)]
pub(super) struct Packed {
    /// Kᵀ: D rows, L columns.
    keys: Panels,
    /// K: L rows, scaled, for the position-to-content term.
    key_rows: LeftRows,
    /// V: L rows, D columns.
    values: Panels,
}

impl Packed {
    /// Packs a head whose scores are to be multiplied by `scale`.
    pub(super) fn pack(&mut self, isa: Isa, head: &Head<'_>, scale: f32) {
        let (length, size) = (head.length, head.size);
        let (key, stride) = head.key;
        let precision = head.precision;
        self.keys
            .pack_transposed(isa, precision, key, stride, length, size);
        if head.relative.is_some_and(|r| r.queries.is_some()) {
            self.key_rows
                .fill(isa, precision, key, stride, length, size, scale);
        }
        let (value, stride) = head.value;
        self.values
            .pack(isa, precision, value, stride, size, length);
    }

    /// The memory of keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }

    /// `out (+)= weights·V` over some keys, for rows of weights that begin at the first of them;
    /// `out: [rows, value_width(D)]`. Weights that are to be rounded are so in `rounded`.
    #[allow(clippy::too_many_arguments)] // operands and places, spelled out
    pub(super) fn weigh(
        &self,
        (isa, precision): (Isa, Precision),
        rounded: &mut LeftRows,
        (weights, stride): (&[f32], usize),
        rows: usize,
        keys: Range<usize>,
        size: usize,
        out: &mut [f32],
        accumulate: bool,
    ) {
        let left = match precision {
            Precision::F32 => Left::of_values(weights, stride),
            _ => {
                let count = keys.len();
                rounded.fill(isa, precision, weights, stride, rows, count, 1.0);
                rounded.from(0)
            }
        };
        let product = Product {
            left,
            rows,
            depth: keys.len(),
            right: self.values.part(0, keys.start),
            vectors: size.div_ceil(lanes(isa)),
            out,
            out_stride: value_width(size),
            accumulate,
        };
        dispatch(isa, precision, product);
    }
}

/// The width of rows of values and of what is summed from them: whole vectors of every instruction set.
pub(super) fn value_width(size: usize) -> usize {
    size.next_multiple_of(MOST_LANES)
}

/// The scores of a block, and what is needed on the way to them.
#[derive(Default)]
pub(super) struct Scores {
    /// Scaled queries of a block: QUERY_BLOCK rows of D.
    queries: LeftRows,
    /// [QUERY_BLOCK, SCORE_STRIDE]
    scores: Aligned<f32>,
    position: PositionScratch,
}

impl Scores {
    /// Copies and scales the queries of a block.
    pub(super) fn queries(
        &mut self,
        isa: Isa,
        head: &Head<'_>,
        queries: &Range<usize>,
        scale: f32,
    ) {
        let (query, stride) = head.query;
        let query = &query[queries.start * stride..];
        let (rows, width) = (queries.len(), head.size);
        self.queries
            .fill(isa, head.precision, query, stride, rows, width, scale);
        self.scores.reserve(QUERY_BLOCK * SCORE_STRIDE);
    }

    /// The position-to-content term of a block, of keys that are packed; returns whether there is one.
    pub(super) fn position_to_content(
        &mut self,
        isa: Isa,
        head: &Head<'_>,
        packed: &Packed,
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) -> bool {
        let Some((distances, table)) = head.term(|relative| relative.queries) else {
            return false;
        };
        for first in keys.clone().step_by(STRIP) {
            let strip = first..(first + STRIP).min(keys.end);
            position_to_content(
                (isa, head.precision),
                &distances,
                table,
                packed.key_rows.from(strip.start),
                &strip,
                queries,
                &mut self.position,
                &mut self.scores[strip.start - keys.start..],
            );
        }
        true
    }

    /// Adds the content-to-position term of a strip of the block that begins at query `block`, or writes it if there
    /// is nothing to `add` to; returns whether there is anything now.
    pub(super) fn content_to_position(
        &mut self,
        isa: Isa,
        head: &Head<'_>,
        block: usize,
        strip: &Range<usize>,
        keys: &Range<usize>,
        add: bool,
    ) -> bool {
        let Some((distances, table)) = head.term(|relative| relative.keys) else {
            return add;
        };
        content_to_position(
            (isa, head.precision),
            &distances,
            table,
            self.queries.from(strip.start - block),
            strip,
            keys,
            &mut self.position,
            &mut self.scores[(strip.start - block) * SCORE_STRIDE..],
            add,
        );
        true
    }

    /// Adds or writes the content-to-content term of a strip, likewise.
    #[allow(clippy::too_many_arguments)] // operands and places, spelled out
    pub(super) fn content_to_content(
        &mut self,
        isa: Isa,
        head: &Head<'_>,
        packed: &Packed,
        block: usize,
        strip: &Range<usize>,
        keys: &Range<usize>,
        add: bool,
    ) {
        let lanes = lanes(isa);
        let row = strip.start - block;
        let product = Product {
            left: self.queries.from(row),
            rows: strip.len(),
            depth: head.size,
            right: packed.keys.part(keys.start / lanes, 0),
            vectors: keys.len().div_ceil(lanes),
            out: &mut self.scores[row * SCORE_STRIDE..],
            out_stride: SCORE_STRIDE,
            accumulate: add,
        };
        dispatch(isa, head.precision, product);
    }

    /// The scores of a strip, at rows [`SCORE_STRIDE`] apart.
    pub(super) fn strip(&mut self, block: usize, strip: &Range<usize>) -> &mut [f32] {
        let row = strip.start - block;
        &mut self.scores[row * SCORE_STRIDE..][..strip.len() * SCORE_STRIDE]
    }
}

impl<'a> Head<'a> {
    /// How many keys a query sees, from the first on.
    fn seen(&self, query: usize) -> usize {
        match self.sight {
            Sight::All => self.length,
            Sight::Past(older) => (query + older + 1).min(self.length),
        }
    }

    /// A position term, if the head has it.
    fn term(
        &self,
        table: impl Fn(Relative<'a>) -> Option<&'a Panels>,
    ) -> Option<(Distances<'a>, &'a Panels)> {
        let relative = self.relative?;
        let distances = Distances {
            positions: self.positions,
            slots: relative.slots,
        };
        Some((distances, table(relative)?))
    }
}

/// Memory of a task, kept by its thread.
#[derive(Default)]
struct Scratch {
    packed: Packed,
    work: Work,
}

/// What the queries of a block need.
#[derive(Default)]
struct Work {
    scores: Scores,
    /// Weights of a strip, if they are to be rounded.
    rounded: LeftRows,
    /// What the queries of a block have summed up so far: [QUERY_BLOCK, value_width(D)].
    sums: Aligned<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Attention of `queries` (a range within the sequence, not empty) of one head; `out: [queries, D]`.
pub(super) fn attend(isa: Isa, head: &Head<'_>, queries: Range<usize>, out: Target) {
    SCRATCH.with_borrow_mut(|Scratch { packed, work }| {
        // What no query sees is not packed either.
        let length = head.seen(queries.end - 1);
        let head = Head { length, ..*head };
        packed.pack(isa, &head, sign(&head));
        work.attend(isa, &head, packed, queries, out);
    });
}

/// The same with keys and values that are packed already. There are no position terms.
pub(super) fn attend_packed(
    isa: Isa,
    head: &Head<'_>,
    packed: &Packed,
    queries: Range<usize>,
    out: Target,
) {
    SCRATCH.with_borrow_mut(|scratch| scratch.work.attend(isa, head, packed, queries, out));
}

/// What the queries are multiplied by: the softmax takes a scale that is not negative.
fn sign(head: &Head<'_>) -> f32 {
    1.0f32.copysign(head.scale)
}

impl Work {
    /// Attention of some queries, a block at a time.
    fn attend(
        &mut self,
        isa: Isa,
        head: &Head<'_>,
        packed: &Packed,
        queries: Range<usize>,
        out: Target,
    ) {
        for start in queries.clone().step_by(QUERY_BLOCK) {
            let block = start..(start + QUERY_BLOCK).min(queries.end);
            self.scores.queries(isa, head, &block, sign(head));
            let part = out.part(
                start - queries.start..block.end - queries.start,
                0..head.size,
            );
            self.attend_block(isa, head, packed, block, part);
        }
    }

    /// Attention of one block of queries over all keys that one of them sees.
    fn attend_block(
        &mut self,
        isa: Isa,
        head: &Head<'_>,
        packed: &Packed,
        queries: Range<usize>,
        out: Target,
    ) {
        let Self {
            scores,
            rounded,
            sums,
        } = self;
        let width = value_width(head.size);
        sums.reserve(QUERY_BLOCK * width);
        let sums = &mut sums[..queries.len() * width];
        let mut running = Running::START;
        let end = head.seen(queries.end - 1);
        for start in (0..end).step_by(KEY_BLOCK) {
            let keys = start..(start + KEY_BLOCK).min(end);
            let begun = scores.position_to_content(isa, head, packed, &queries, &keys);
            for row in (0..queries.len()).step_by(STRIP) {
                let rows = row..(row + STRIP).min(queries.len());
                let strip = queries.start + rows.start..queries.start + rows.end;
                let end = head.seen(strip.end - 1);
                if end <= start {
                    continue;
                }
                let last = end <= keys.end;
                let keys = start..keys.end.min(end);
                let out = out.part(rows.clone(), 0..head.size);
                if last {
                    let rows = rows.len();
                    isa.dispatch(Expect { out, rows });
                }
                let block = queries.start;
                let begun = scores.content_to_position(isa, head, block, &strip, &keys, begun);
                scores.content_to_content(isa, head, packed, block, &strip, &keys, begun);
                let scores = scores.strip(block, &strip);
                let sums = &mut sums[rows.start * width..rows.end * width];
                isa.dispatch(Fold {
                    scores,
                    keys: keys.len(),
                    hidden: keys.end.saturating_sub(head.seen(strip.start)),
                    scale: head.scale.abs() * std::f32::consts::LOG2_E,
                    running: &mut running,
                    query: row,
                    sums,
                    width,
                    first: start == 0,
                });
                packed.weigh(
                    (isa, head.precision),
                    rounded,
                    (&*scores, SCORE_STRIDE),
                    rows.len(),
                    keys,
                    head.size,
                    sums,
                    start > 0,
                );
                if last {
                    isa.dispatch(Finish {
                        running: &running,
                        query: row,
                        sums,
                        width,
                        out,
                    });
                }
            }
        }
    }
}
