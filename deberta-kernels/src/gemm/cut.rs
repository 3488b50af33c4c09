//! How an output is cut into tasks.

use super::tile::BLOCK_BYTES;
use crate::isa::cache;
use crate::parallel::{parallel, wanted_tasks};
use std::ops::Range;

/// Rows of the output per task, at most, where the cache is large: more save nothing.
const MOST_ROWS: usize = 192;
/// Columns of the output per task, at most.
const BLOCK_COLUMNS: usize = 768;
/// Rows that are not taken apart: those of AMX's tiles, a multiple of most others.
const STRIP: usize = 16;
/// The widest panel.
const PANEL: usize = 48;

/// Rows of the output per task, at most: a block of the left operand, one of a panel and the sums then share the
/// second-level cache.
fn block_rows(unit: usize) -> usize {
    let of_panel = unit.min(PANEL) * BLOCK_BYTES;
    let per_row = BLOCK_BYTES + BLOCK_COLUMNS * size_of::<f32>();
    let rows = cache::second_level().saturating_sub(of_panel) / per_row;
    (rows / STRIP * STRIP).clamp(STRIP, MOST_ROWS)
}

/// The cut of an output into tasks: strips of rows, and units of columns.
pub(super) struct Cut {
    rows: usize,
    columns: usize,
    /// Columns that are not taken apart.
    unit: usize,
    row_blocks: usize,
    unit_blocks: usize,
}

impl Cut {
    /// Cuts `rows` rows of `columns` columns, between multiples of `unit` columns.
    pub(super) fn new(rows: usize, columns: usize, unit: usize) -> Self {
        let units = columns.div_ceil(unit);
        let row_blocks = rows.div_ceil(block_rows(unit));
        let unit_blocks = wanted_tasks()
            .div_ceil(row_blocks)
            .max((units * unit).div_ceil(BLOCK_COLUMNS))
            .min(units);
        Self {
            rows,
            columns,
            unit,
            row_blocks,
            unit_blocks,
        }
    }

    /// Whether there is work for every thread.
    pub(super) fn suffices(&self) -> bool {
        self.row_blocks * self.unit_blocks >= wanted_tasks()
    }

    /// Runs `block` for the rows and columns of every task.
    pub(super) fn run(&self, block: impl Fn(Range<usize>, Range<usize>) + Sync + Send) {
        let strips = self.rows.div_ceil(STRIP);
        let units = self.columns.div_ceil(self.unit);
        // Tasks that share columns come together: their weights are still in the cache.
        parallel(self.row_blocks * self.unit_blocks, |index| {
            let (row_block, unit_block) = (index % self.row_blocks, index / self.row_blocks);
            let strips = share(strips, self.row_blocks, row_block);
            let rows = strips.start * STRIP..self.rows.min(strips.end * STRIP);
            let units = share(units, self.unit_blocks, unit_block);
            let columns = units.start * self.unit..self.columns.min(units.end * self.unit);
            block(rows, columns);
        });
    }
}

/// Part `index` of `count` parts of `total` things, as equal as possible.
fn share(total: usize, count: usize, index: usize) -> Range<usize> {
    index * total / count..(index + 1) * total / count
}
