//! How a product is cut: blocks for the caches, tasks for the threads.
//!
//! ```text
//!               N columns, in panels                    for each task (rows x columns of the output):
//!            ┌────────────┬────────────┐                  for each block of 192 values of k:
//!   up to 96 │   task 0   │   task 1   │                    pack the rows of x into strips        (L2)
//!   rows     ├────────────┼────────────┤                    for each panel of W                   (L1)
//!            │   task 2   │   task 3   │                      for each strip: one register tile
//!            └────────────┴────────────┘                  bias, activation, residual on the block, still in L2
//! ```
//!
//! A block of 192 values of k makes a panel of `192 · 32 · 4 B = 24 KiB` (AVX-512) or half that (AVX2), which stays in
//! the first-level cache while all strips pass by; the packed strips are `96 · 192 · 4 B = 72 KiB`, and a task's part
//! of the output at most `96 · 1024 · 4 B = 384 KiB`: both fit the second-level cache.
//! The cut depends on the shape alone, and no sum is ever split along k: see [`micro`](super::micro).

use super::Epilogue;
use super::micro::{Left, Target, pack_strips, product};
use super::pack::{PackedWeights, panel_width, tile_rows};
use crate::KernelError;
use crate::activation::activate;
use crate::isa::Isa;
use crate::norm::normalize_row;
use crate::parallel::{parallel, wanted_tasks};
use crate::shape::{check_len, check_matrix, row_slice};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::cell::RefCell;
use std::ops::Range;

/// Rows of the output per task.
const BLOCK_ROWS: usize = 96;
/// Values of k per block.
const BLOCK_DEPTH: usize = 192;
/// Columns of the output per task, at most.
const BLOCK_COLUMNS: usize = 1024;
/// Fewest columns per task: packing the rows again for each task costs about 16 columns' worth of time.
const FEWEST_COLUMNS: usize = 64;

thread_local! {
    /// The packed strips of the task at hand.
    static STRIPS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `out = epilogue(x·Wᵀ)`, with `x: [T, K]`, `W: [N, K]`, `out: [T, N]`.
///
/// Rows must be contiguous; they may lie apart. Runs on the current rayon pool. Every output is one chain of
/// multiply-adds over ascending k: the same bits for any number of threads and whatever the other rows are.
///
/// # Errors
/// [`KernelError`] if a shape does not fit or the elements of a row are not side by side.
///
/// ```
/// use deberta_kernels::{Epilogue, Isa, PackedWeights, linear};
/// use ndarray::{Array2, array};
/// let weights = PackedWeights::new(Isa::detect(), &[1.0, 0.0, 0.0, 2.0], 2, 2)?;
/// let mut out = Array2::zeros((1, 2));
/// linear(array![[3.0, 4.0]].view(), &weights, &Epilogue::default().bias(&[0.5, 0.5]), out.view_mut())?;
/// assert_eq!(out, array![[3.5, 8.5]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn linear(
    x: ArrayView2<'_, f32>,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    let (tokens, outputs) = (x.nrows(), weights.outputs());
    check_matrix("x", &x, [tokens, weights.inputs()])?;
    check_matrix("out", &out.view(), [tokens, outputs])?;
    if let Some(bias) = epilogue.bias {
        check_len("bias", bias.len(), outputs)?;
    }
    if let Some(residual) = &epilogue.residual {
        check_matrix("residual", residual, [tokens, outputs])?;
    }
    if let Some(norm) = epilogue.norm {
        check_len("norm", norm.len(), outputs)?;
    }
    if tokens == 0 {
        return Ok(());
    }
    let stride = out.strides()[0] as usize;
    // SAFETY: the view is a writable matrix with contiguous rows; the tasks below write disjoint parts of it.
    let target = unsafe { Target::from_raw(out.as_mut_ptr(), stride, tokens, outputs) };
    let isa = weights.isa();
    let cut = Cut::new(tokens, outputs, panel_width(isa), tile_rows(isa));
    let run = |task: usize| {
        let (rows, columns) = cut.part(task);
        block(x, weights, epilogue, rows, columns, target);
    };
    parallel(cut.tasks(), run);
    if let Some(norm) = epilogue.norm {
        let rows_per_task = tokens.div_ceil(wanted_tasks()).max(8);
        parallel(tokens.div_ceil(rows_per_task), |task| {
            for i in (task * rows_per_task..tokens).take(rows_per_task) {
                // SAFETY: each row belongs to one task.
                normalize_row(weights.isa(), norm, unsafe { target.row(i) });
            }
        });
    }
    Ok(())
}

/// The cut of an output `[rows, columns]` into tasks.
struct Cut {
    rows: usize,
    columns: usize,
    block_rows: usize,
    block_columns: usize,
}

impl Cut {
    fn new(rows: usize, columns: usize, panel: usize, tile_rows: usize) -> Self {
        let row_blocks = rows.div_ceil(BLOCK_ROWS);
        let block_rows = rows
            .div_ceil(row_blocks)
            .next_multiple_of(tile_rows)
            .min(rows);
        let row_blocks = rows.div_ceil(block_rows);
        let wanted = wanted_tasks().div_ceil(row_blocks);
        let block_columns = columns
            .div_ceil(wanted)
            .clamp(FEWEST_COLUMNS, BLOCK_COLUMNS)
            .next_multiple_of(panel)
            .min(columns);
        Self {
            rows,
            columns,
            block_rows,
            block_columns,
        }
    }

    fn tasks(&self) -> usize {
        self.rows.div_ceil(self.block_rows) * self.columns.div_ceil(self.block_columns)
    }

    /// Tasks that share columns come together: their weights are still in the cache.
    fn part(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let row_blocks = self.rows.div_ceil(self.block_rows);
        let (row, column) = (
            task % row_blocks * self.block_rows,
            task / row_blocks * self.block_columns,
        );
        (
            row..(row + self.block_rows).min(self.rows),
            column..(column + self.block_columns).min(self.columns),
        )
    }
}

/// One task: a block of the output from the first product to the residual.
fn block(
    x: ArrayView2<'_, f32>,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
    target: Target,
) {
    let isa = weights.isa();
    let part = target.part(rows.clone(), columns.clone());
    let (x_rows, stride) = row_slice(&x, rows.clone());
    if let Isa::Generic(_) = isa {
        baseline(x_rows, stride, weights, &columns, part, rows.len());
    } else {
        let panels = weights.panels();
        let range = columns.start / panels.width..columns.end.div_ceil(panels.width);
        STRIPS.with_borrow_mut(|strips| {
            strips.resize(BLOCK_ROWS.max(rows.len()) * BLOCK_DEPTH, 0.0);
            for start in (0..panels.depth).step_by(BLOCK_DEPTH) {
                let depth = start..(start + BLOCK_DEPTH).min(panels.depth);
                pack_strips(
                    x_rows,
                    stride,
                    rows.len(),
                    depth.clone(),
                    tile_rows(isa),
                    strips,
                );
                let left = Left::Strips { data: strips };
                // SAFETY: this task has this part of the output to itself.
                unsafe { product(isa, left, panels, range.clone(), depth, part, start > 0) };
            }
        });
    }
    for (i, token) in rows.enumerate() {
        // SAFETY: this task has this part of the output to itself.
        let row = unsafe { part.row(i) };
        let bias = epilogue.bias.map(|bias| &bias[columns.clone()]);
        activate(isa, epilogue.activation, bias, row);
        if let Some(residual) = &epilogue.residual {
            let (values, _) = row_slice(residual, token..token + 1);
            row.iter_mut()
                .zip(&values[columns.clone()])
                .for_each(|(o, r)| *o += r);
        }
    }
}

/// The product by `matrixmultiply`, for processors without a micro-kernel of ours.
fn baseline(
    x: &[f32],
    stride: usize,
    weights: &PackedWeights,
    columns: &Range<usize>,
    part: Target,
    rows: usize,
) {
    let panels = weights.panels();
    let right = &panels.panel(0)[columns.start..];
    // SAFETY: the left operand is `rows` rows of `depth` values, the right one `depth` rows as wide as the matrix of
    // which `columns` are used, and this task has its part of the output to itself.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            panels.depth,
            columns.len(),
            1.0,
            x.as_ptr(),
            stride as isize,
            1,
            right.as_ptr(),
            panels.width as isize,
            1,
            0.0,
            part.row(0).as_mut_ptr(),
            part.stride() as isize,
            1,
        );
    }
}
