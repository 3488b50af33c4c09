//! Blocks of queries against blocks of keys, for one head of one sequence.

use super::SlotTable;
use super::stream::{Fold, Running, finish, fold};
use crate::Isa;
use crate::gemm::micro::{Left, Target, product};
use crate::gemm::pack::{Panels, panel_width};
use std::cell::RefCell;
use std::ops::Range;

/// Queries per block.
pub(super) const QUERY_BLOCK: usize = 64;
/// Keys per block; a multiple of every panel width.
pub(super) const KEY_BLOCK: usize = 64;

/// One head of one sequence of L tokens. Row `i` of a matrix begins at `i · stride`.
pub(super) struct Head<'a> {
    pub(super) query: (&'a [f32], usize),
    pub(super) key: (&'a [f32], usize),
    pub(super) value: (&'a [f32], usize),
    /// L.
    pub(super) length: usize,
    /// D.
    pub(super) size: usize,
    pub(super) scale: f32,
    pub(super) positions: Option<&'a [u32]>,
    pub(super) relative: Option<Relative<'a>>,
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

/// Memory of one task, kept by its thread.
#[derive(Default)]
pub(super) struct Scratch {
    /// Kᵀ of the whole sequence: D rows, L columns.
    pub(super) keys: Panels,
    /// V of the whole sequence: L rows, D columns.
    pub(super) values: Panels,
    /// Scores of a block: [QUERY_BLOCK, KEY_BLOCK].
    pub(super) scores: Vec<f32>,
    /// Products of the block's queries with the window of PK: [QUERY_BLOCK, W].
    content_position: Vec<f32>,
    /// Products of the block's keys with the window of PQ: [KEY_BLOCK, W].
    position_content: Vec<f32>,
    /// Mirrored slots of one query with the block's keys.
    slots: Vec<u32>,
}

impl Scratch {
    /// Packs the keys and values of a head.
    pub(super) fn pack(&mut self, isa: Isa, head: &Head<'_>) {
        let (width, size) = (panel_width(isa), head.size);
        let (key, key_stride) = head.key;
        let (value, value_stride) = head.value;
        self.keys
            .pack_transposed(head.length, size, width, |j| &key[j * key_stride..][..size]);
        self.values.pack_rows(size, head.length, width, |j| {
            &value[j * value_stride..][..size]
        });
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Attention of `queries` (a range within the sequence) of one head; `out: [queries, D]`.
pub(super) fn attend(isa: Isa, head: &Head<'_>, queries: Range<usize>, out: Target) {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.pack(isa, head);
        let size = head.size;
        for start in queries.clone().step_by(QUERY_BLOCK) {
            let block = start..(start + QUERY_BLOCK).min(queries.end);
            let part = out.part(start - queries.start..block.end - queries.start, 0..size);
            attend_block(isa, head, scratch, block, part);
        }
    });
}

/// Attention of one block of queries over all keys.
fn attend_block(
    isa: Isa,
    head: &Head<'_>,
    scratch: &mut Scratch,
    queries: Range<usize>,
    out: Target,
) {
    let mut states = [Running::START; QUERY_BLOCK];
    for i in 0..queries.len() {
        // SAFETY: the task has this part of the output to itself.
        unsafe { out.row(i) }.fill(0.0);
    }
    for start in (0..head.length).step_by(KEY_BLOCK) {
        let keys = start..(start + KEY_BLOCK).min(head.length);
        content_scores(isa, head, scratch, &queries, &keys);
        if let Some(relative) = &head.relative {
            position_scores(isa, head, relative, scratch, &queries, &keys);
        }
        let scores = scratch.scores.chunks_exact_mut(KEY_BLOCK);
        let rows = states
            .iter_mut()
            .zip(scores)
            .take(queries.len())
            .enumerate();
        fold(
            isa,
            rows.map(|(i, (state, scores))| Fold {
                scores: &mut scores[..keys.len()],
                scale: head.scale,
                state,
                // SAFETY: the task has this part of the output to itself, and each row is used once.
                out: unsafe { out.row(i) },
            }),
        );
        let weights = Left::Rows {
            data: &scratch.scores,
            stride: KEY_BLOCK,
        };
        let panels = 0..scratch.values.count();
        // SAFETY: the task has this part of the output to itself.
        unsafe { product(isa, weights, &scratch.values, panels, keys, out, true) };
    }
    for (i, state) in states.iter().take(queries.len()).enumerate() {
        // SAFETY: the task has this part of the output to itself.
        finish(isa, *state, unsafe { out.row(i) });
    }
}

/// `scores[i, j] = Q_i · K_j` for a block.
pub(super) fn content_scores(
    isa: Isa,
    head: &Head<'_>,
    scratch: &mut Scratch,
    queries: &Range<usize>,
    keys: &Range<usize>,
) {
    scratch.scores.resize(QUERY_BLOCK * KEY_BLOCK, 0.0);
    let (query, stride) = head.query;
    let left = Left::Rows {
        data: &query[queries.start * stride..],
        stride,
    };
    let width = scratch.keys.width;
    let panels = keys.start / width..keys.end.div_ceil(width);
    let scores = Target::new(&mut scratch.scores, KEY_BLOCK, queries.len(), keys.len());
    // SAFETY: the scores are borrowed mutably here.
    unsafe {
        product(
            isa,
            left,
            &scratch.keys,
            panels,
            0..head.size,
            scores,
            false,
        )
    };
}

/// Adds the position terms of a block to its scores.
pub(super) fn position_scores(
    isa: Isa,
    head: &Head<'_>,
    relative: &Relative<'_>,
    scratch: &mut Scratch,
    queries: &Range<usize>,
    keys: &Range<usize>,
) {
    let position = |i: usize| head.positions.map_or(i as i64, |p| i64::from(p[i]));
    let highest = position(queries.end - 1) - position(keys.start);
    let lowest = position(queries.start) - position(keys.end - 1);
    // Slots rise with the distance, mirrored ones fall: the corners of the block bound its window.
    let window = relative.slots.mirrored(highest)..relative.slots.mirrored(lowest) + 1;
    let Scratch {
        scores,
        content_position,
        position_content,
        slots,
        ..
    } = scratch;

    let (query, query_stride) = head.query;
    let (key, key_stride) = head.key;
    let query = Left::Rows {
        data: &query[queries.start * query_stride..],
        stride: query_stride,
    };
    let key = Left::Rows {
        data: &key[keys.start * key_stride..],
        stride: key_stride,
    };
    let c2p = relative
        .keys
        .map(|panels| window_product(isa, query, queries.len(), panels, &window, content_position));
    let p2c = relative
        .queries
        .map(|panels| window_product(isa, key, keys.len(), panels, &window, position_content));

    let exact = head.positions.is_none()
        && highest.abs().max(lowest.abs()) <= relative.slots.relative().exact_radius() as i64;
    for (i, row) in queries.clone().zip(scores.chunks_exact_mut(KEY_BLOCK)) {
        let row = &mut row[..keys.len()];
        let local = i - queries.start;
        let slots: &[u32] = match head.positions {
            None => relative.slots.row(i, keys.start, keys.len()),
            Some(p) => {
                slots.clear();
                let delta = |j: usize| i64::from(p[i]) - i64::from(p[j]);
                slots.extend(keys.clone().map(|j| relative.slots.mirrored(delta(j))));
                slots
            }
        };
        if let Some(c2p) = &c2p {
            let products = c2p.row(local);
            if exact {
                // One slot per distance: the terms of neighbouring keys lie side by side.
                let products = &products[slots[0] as usize - c2p.first..][..row.len()];
                row.iter_mut()
                    .zip(products)
                    .for_each(|(score, &x)| *score += x);
            } else {
                for (score, &slot) in row.iter_mut().zip(slots) {
                    *score += products[slot as usize - c2p.first];
                }
            }
        }
        if let Some(p2c) = &p2c {
            for ((j, score), &slot) in row.iter_mut().enumerate().zip(slots) {
                *score += p2c.products[j * p2c.stride + slot as usize - p2c.first];
            }
        }
    }
}

/// Products of some rows with a window of a position table.
struct Window<'a> {
    /// `[rows, stride]`
    products: &'a [f32],
    stride: usize,
    /// The mirrored slot of the first column.
    first: usize,
}

impl Window<'_> {
    fn row(&self, i: usize) -> &[f32] {
        &self.products[i * self.stride..][..self.stride]
    }
}

/// Multiplies `rows` rows with the panels of a position table that hold the mirrored slots `window`.
fn window_product<'a>(
    isa: Isa,
    left: Left<'_>,
    rows: usize,
    table: &Panels,
    window: &Range<u32>,
    products: &'a mut Vec<f32>,
) -> Window<'a> {
    let panels = window.start as usize / table.width..(window.end as usize).div_ceil(table.width);
    let stride = panels.len() * table.width;
    let first = panels.start * table.width;
    products.resize(products.len().max(rows * stride), 0.0);
    let target = Target::new(products, stride, rows, stride);
    // SAFETY: the products are borrowed mutably here.
    unsafe { product(isa, left, table, panels, 0..table.depth, target, false) };
    Window {
        products,
        stride,
        first,
    }
}
