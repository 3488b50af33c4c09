//! The position terms of a block of scores.
//!
//! The content-to-position term of a strip of queries needs their products with the position keys of every distance
//! to the keys of a block. Slots rise with the distance, so that is one contiguous window of the table: a small matrix
//! product, a few columns wider than the block. Each row of scores then takes its own run of the window:
//!
//! ```text
//! slots (mirrored)     0 1 2 3 4 5 6 7      products of a strip with the window
//! query i              . . a b c d . .      scores of query i, keys j, j+1, j+2, j+3
//! query i + 1          . a b c d . . .
//! query i + 2          a b c d . . . .
//! ```
//!
//! * In the exact region every distance has a slot: a run is a slice, read as vectors at whatever offset it has.
//! * In the logarithmic region neighbouring distances may share a slot. The slots of as many keys as a vector has lanes
//!   span no more than a vector, so a run is a vector and one permutation of its lanes.
//! * Beyond, all distances share one slot: the window shrinks to one column, and a row has one term.
//! * Where positions have holes, slots may jump; they are then picked one by one.
//!
//! The position-to-content term is the same with queries and keys exchanged: a strip of keys against the position
//! queries, runs along the queries. Its rows are keys, so blocks of it are transposed on their way to the scores.

use super::SlotTable;
use super::left::Left;
use super::panels::{MOST_LANES, Panels, lanes};
use super::product::Product;
use super::tile::{SCORE_STRIDE, STRIP};
use crate::Isa;
use crate::gemm::Precision;
use crate::gemm::dot::dispatch;
use crate::isa::{Operation, Simd};
use crate::memory::Aligned;
use std::ops::Range;

/// Where the tokens of a sequence stand, and the slots of their distances.
#[derive(Clone, Copy)]
pub(super) struct Distances<'a> {
    pub(super) positions: Option<&'a [u32]>,
    pub(super) slots: &'a SlotTable,
}

impl<'a> Distances<'a> {
    /// Position of query `i` minus position of key `j`.
    #[inline(always)]
    fn between(&self, i: usize, j: usize) -> i64 {
        match self.positions {
            Some(positions) => i64::from(positions[i]) - i64::from(positions[j]),
            None => i as i64 - j as i64,
        }
    }

    /// Whether each of these distances is known to have a slot of its own.
    #[inline(always)]
    fn exact(&self, lowest: i64, highest: i64) -> bool {
        let radius = self.slots.relative().exact_radius() as i64;
        self.positions.is_none() && lowest >= -radius && highest <= radius
    }

    /// The mirrored slots of query `i` with `count` keys from `j` on, the last repeated to fill a vector, where
    /// positions have holes.
    fn scattered_along_keys(&self, i: usize, j: usize, count: usize) -> [u32; MOST_LANES] {
        std::array::from_fn(|lane| {
            let key = j + lane.min(count - 1);
            self.slots.mirrored(self.between(i, key))
        })
    }

    /// The slots of key `j` with `count` queries from `i` on, likewise.
    fn scattered_along_queries(&self, j: usize, i: usize, count: usize) -> [u32; MOST_LANES] {
        std::array::from_fn(|lane| {
            let query = i + lane.min(count - 1);
            self.slots.rising(self.between(query, j))
        })
    }
}

/// Memory for the products of a strip.
#[derive(Default)]
pub(super) struct PositionScratch {
    products: Aligned<f32>,
}

/// Products of the rows of a strip with a window of a position table.
#[derive(Clone, Copy)]
struct Window<'a> {
    /// Row `r` at `r·stride`; after the last there is room for another vector.
    products: &'a [f32],
    stride: usize,
    /// The slot of the first column.
    base: u32,
    /// The slot of the whole block, where it has but one.
    only: Option<u32>,
}

impl<'a> Window<'a> {
    /// Multiplies `rows` rows of D values with the columns of a table from slot `first` to slot `last`.
    fn multiply(
        (isa, precision): (Isa, Precision),
        left: Left<'_>,
        rows: usize,
        table: &Panels,
        first: u32,
        last: u32,
        products: &'a mut Aligned<f32>,
    ) -> Self {
        let lanes = lanes(isa);
        let panels = first as usize / lanes..last as usize / lanes + 1;
        let stride = panels.len() * lanes;
        products.reserve(STRIP * stride + 2 * MOST_LANES);
        let product = Product {
            left,
            rows,
            depth: table.depth(),
            right: table.part(panels.start, 0),
            vectors: panels.len(),
            out: products,
            out_stride: stride,
            accumulate: false,
        };
        dispatch(isa, precision, product);
        Self {
            products,
            stride,
            base: (panels.start * lanes) as u32,
            only: (first == last).then_some(first),
        }
    }

    /// The products of row `r` from a slot on.
    #[inline(always)]
    fn run(&self, r: usize, slot: u32) -> &'a [f32] {
        &self.products[r * self.stride + (slot - self.base) as usize..]
    }

    /// The products of row `r` with a vector of slots that rise, of which the first `count` matter.
    #[inline(always)]
    fn pick<S: Simd>(&self, s: S, r: usize, slots: &[u32], count: usize) -> S::Vector {
        let slots = &slots[..S::LANES];
        let first = slots[0];
        let run = self.run(r, first);
        if slots[S::LANES - 1] - first < S::LANES as u32 {
            return s.lookup(s.load_slice(run), slots, first);
        }
        let mut picked = [0.0; MOST_LANES];
        for (value, slot) in picked.iter_mut().zip(&slots[..count.min(S::LANES)]) {
            *value = run[(slot - first) as usize];
        }
        s.load_slice(&picked)
    }
}

/// Adds (or writes) `Q_i · PK[slot(i - j)]` for a strip of queries, whose rows are given, and a block of keys.
#[allow(clippy::too_many_arguments)] // operands and places, spelled out
pub(super) fn content_to_position(
    (isa, precision): (Isa, Precision),
    distances: &Distances<'_>,
    table: &Panels,
    rows: Left<'_>,
    queries: &Range<usize>,
    keys: &Range<usize>,
    scratch: &mut PositionScratch,
    scores: &mut [f32],
    add: bool,
) {
    let highest = distances.between(queries.end - 1, keys.start);
    let lowest = distances.between(queries.start, keys.end - 1);
    let (first, last) = (
        distances.slots.mirrored(highest),
        distances.slots.mirrored(lowest),
    );
    let products = &mut scratch.products;
    let window = Window::multiply(
        (isa, precision),
        rows,
        queries.len(),
        table,
        first,
        last,
        products,
    );
    isa.dispatch(AlongKeys {
        window,
        distances: *distances,
        queries: queries.clone(),
        keys: keys.clone(),
        scores,
        add,
    });
}

/// Gives every row of scores its run of the window.
struct AlongKeys<'a> {
    window: Window<'a>,
    distances: Distances<'a>,
    queries: Range<usize>,
    keys: Range<usize>,
    scores: &'a mut [f32],
    add: bool,
}

impl Operation for AlongKeys<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            window,
            distances,
            keys,
            ..
        } = self;
        let count = keys.len().next_multiple_of(S::LANES);
        let rows = self.scores.chunks_mut(SCORE_STRIDE);
        for ((r, i), row) in self.queries.enumerate().zip(rows) {
            let row = &mut row[..count];
            if let Some(slot) = window.only {
                let term = s.splat(window.run(r, slot)[0]);
                for score in row.chunks_exact_mut(S::LANES) {
                    put(s, term, score, self.add);
                }
                continue;
            }
            let highest = distances.between(i, keys.start);
            if distances.exact(highest - count as i64 + 1, highest) {
                let run = &window.run(r, distances.slots.mirrored(highest))[..count];
                let vectors = run.chunks_exact(S::LANES);
                for (score, run) in row.chunks_exact_mut(S::LANES).zip(vectors) {
                    let term = s.load_slice(run);
                    put(s, term, score, self.add);
                }
                continue;
            }
            let vectors = row.chunks_exact_mut(S::LANES);
            if distances.positions.is_none() {
                let slots = distances.slots.along_keys(i, keys.start, count);
                let vectors = vectors.zip(slots.chunks_exact(S::LANES)).enumerate();
                for (c, (score, slots)) in vectors {
                    let term = window.pick(s, r, slots, keys.len() - c * S::LANES);
                    put(s, term, score, self.add);
                }
                continue;
            }
            for (j, score) in keys.clone().step_by(S::LANES).zip(vectors) {
                let left = keys.end - j;
                let slots = distances.scattered_along_keys(i, j, left);
                let term = window.pick(s, r, &slots, left);
                put(s, term, score, self.add);
            }
        }
    }
}

#[inline(always)]
fn put<S: Simd>(s: S, term: S::Vector, score: &mut [f32], add: bool) {
    let sum = if add {
        s.add(s.load_slice(score), term)
    } else {
        term
    };
    s.store_slice(sum, score);
}

/// Writes `K_j · PQ[slot(i - j)]` for a strip of keys, whose rows are given, and a block of queries; `scores` begin at
/// the first query and the first key of the strip.
#[allow(clippy::too_many_arguments)] // operands and places, spelled out
pub(super) fn position_to_content(
    (isa, precision): (Isa, Precision),
    distances: &Distances<'_>,
    table: &Panels,
    rows: Left<'_>,
    keys: &Range<usize>,
    queries: &Range<usize>,
    scratch: &mut PositionScratch,
    scores: &mut [f32],
) {
    let highest = distances.between(queries.end - 1, keys.start);
    let lowest = distances.between(queries.start, keys.end - 1);
    let (first, last) = (
        distances.slots.rising(lowest),
        distances.slots.rising(highest),
    );
    let products = &mut scratch.products;
    let window = Window::multiply(
        (isa, precision),
        rows,
        keys.len(),
        table,
        first,
        last,
        products,
    );
    isa.dispatch(AlongQueries {
        window,
        distances: *distances,
        keys: keys.clone(),
        queries: queries.clone(),
        scores,
    });
}

/// Transposes runs of the window into the scores.
struct AlongQueries<'a> {
    window: Window<'a>,
    distances: Distances<'a>,
    keys: Range<usize>,
    queries: Range<usize>,
    scores: &'a mut [f32],
}

impl Operation for AlongQueries<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            window,
            distances,
            keys,
            queries,
            scores,
        } = self;
        let lanes = S::LANES;
        if let Some(slot) = window.only {
            let mut terms = [0.0; STRIP];
            for (k, term) in terms.iter_mut().enumerate().take(keys.len()) {
                *term = window.run(k, slot)[0];
            }
            let rows = scores.chunks_mut(SCORE_STRIDE).take(queries.len());
            for row in rows {
                row[..STRIP].copy_from_slice(&terms);
            }
            return;
        }
        for (q, i) in queries.clone().enumerate().step_by(lanes) {
            for (k, j) in keys.clone().enumerate().step_by(lanes) {
                let target = &mut scores[q * SCORE_STRIDE + k..];
                assert!(target.len() >= (lanes - 1) * SCORE_STRIDE + lanes);
                // The corners of the block of scores; lanes beyond the last query or key take part.
                let highest = distances.between(i, j) + lanes as i64 - 1;
                let lowest = distances.between(i, j) - lanes as i64 + 1;
                if distances.exact(lowest, highest) {
                    // The run of each row begins one slot before that of the row above.
                    let runs = window.run(k, distances.slots.rising(distances.between(i, j)));
                    let stride = window.stride - 1;
                    assert!(runs.len() >= (lanes - 1) * stride + lanes);
                    // SAFETY: both slices hold a block at their strides.
                    unsafe {
                        s.transpose(runs.as_ptr(), stride, target.as_mut_ptr(), SCORE_STRIDE)
                    };
                    continue;
                }
                let mut block = [0.0; MOST_LANES * MOST_LANES];
                let height = lanes.min(keys.end - j);
                let left = queries.end - i;
                for (r, row) in block.chunks_exact_mut(lanes).take(height).enumerate() {
                    let term = if distances.positions.is_none() {
                        let slots = distances.slots.along_queries(j + r, i, lanes);
                        window.pick(s, k + r, slots, left)
                    } else {
                        let slots = distances.scattered_along_queries(j + r, i, left);
                        window.pick(s, k + r, &slots, left)
                    };
                    s.store_slice(term, row);
                }
                // SAFETY: the block holds LANES rows, and the scores were checked to.
                unsafe { s.transpose(block.as_ptr(), lanes, target.as_mut_ptr(), SCORE_STRIDE) };
            }
        }
    }
}
