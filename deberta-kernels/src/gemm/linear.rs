//! How a product is cut: blocks for the caches, tasks for the threads.
//!
//! ```text
//!           up to 768 columns, in panels                 for each task (rows x columns of the output):
//!             ┌────────────┬────────────┐                for each block of 768 values of k:
//!   up to 192 │   task 0   │   task 1   │                  for each panel of W                      (L1, L2)
//!   rows      ├────────────┼────────────┤                    for each strip of x: one register tile (L2)
//!             │   task 2   │   task 3   │                bias, activation, residual on the block, still in L2
//!             └────────────┴────────────┘              then LayerNorm, rows by rows
//! ```
//!
//! The rows of x that a task reads in one block of k (`192 · 768 · 4 B = 576 KiB` in f32) and a panel's part
//! (`48 · 768 · 4 B = 144 KiB`) stay in the second-level cache; the next panel is fetched into it while the strips pass
//! by, so that tiles never wait for main memory. The cut depends on the shape alone, and no sum is ever split along k.

use super::Epilogue;
use super::dot::dispatch;
use super::rows::with_rows;
use super::target::Target;
use super::tile::{Product, Rows};
use super::transposed;
use super::weights::{Form, Packed, PackedWeights};
use crate::KernelError;
use crate::activation::activate;
use crate::norm::normalize_row;
use crate::parallel::{parallel, wanted_tasks};
use crate::shape::{check_len, check_matrix, row_slice};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// Rows of the output per task, at most.
const BLOCK_ROWS: usize = 192;
/// Columns of the output per task, at most: what a task writes is still in the second-level cache when it is finished.
const BLOCK_COLUMNS: usize = 768;
/// Rows that are not taken apart: those of the largest register tile.
const STRIP: usize = 8;
/// Fewest values that a task normalises: less is done sooner than handed over.
const LEAST_NORMALISED: usize = 16 * 1024;
/// Columns that form a unit of work where the weights are not in panels.
const COLUMNS: usize = 16;

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
    let stride = if tokens > 1 {
        out.strides()[0] as usize
    } else {
        outputs
    };
    let task = Task {
        x,
        weights,
        epilogue,
        // SAFETY: the view is a writable matrix with contiguous rows; the tasks below write disjoint parts of it.
        out: unsafe { Target::from_raw(out.as_mut_ptr(), stride, tokens, outputs) },
    };
    match weights.form() {
        Form::Packed(packed) => {
            let (isa, precision) = (weights.isa(), weights.precision());
            let rows = row_slice(&x, 0..tokens);
            let cut = Cut::new(tokens, packed.panels(), packed.width);
            with_rows(isa, precision, rows, tokens, x.ncols(), packed, |left| {
                cut.run(|rows, panels| task.packed(left, packed, rows, panels));
            });
        }
        Form::Transposed(values) => {
            let cut = Cut::new(tokens, outputs.div_ceil(COLUMNS), COLUMNS);
            cut.run(|rows, units| task.transposed(values, rows, units));
        }
    }
    if let Some(norm) = epilogue.norm {
        let rows_per_task = tokens
            .div_ceil(wanted_tasks())
            .max(LEAST_NORMALISED.div_ceil(outputs));
        parallel(tokens.div_ceil(rows_per_task), |index| {
            for i in (index * rows_per_task..tokens).take(rows_per_task) {
                // SAFETY: the products are done, and each row belongs to one task.
                normalize_row(weights.isa(), norm, unsafe { task.out.row(i) });
            }
        });
    }
    Ok(())
}

/// The cut of an output into tasks: strips of rows, and units of columns.
struct Cut {
    rows: usize,
    units: usize,
    row_blocks: usize,
    unit_blocks: usize,
}

impl Cut {
    /// Cuts `rows` rows and `units` units of `width` columns each.
    fn new(rows: usize, units: usize, width: usize) -> Self {
        let row_blocks = rows.div_ceil(BLOCK_ROWS);
        let unit_blocks = wanted_tasks()
            .div_ceil(row_blocks)
            .max((units * width).div_ceil(BLOCK_COLUMNS))
            .min(units);
        Self {
            rows,
            units,
            row_blocks,
            unit_blocks,
        }
    }

    /// Runs every task.
    fn run(&self, block: impl Fn(Range<usize>, Range<usize>) + Sync + Send) {
        let strips = self.rows.div_ceil(STRIP);
        // Tasks that share columns come together: their weights are still in the cache.
        parallel(self.row_blocks * self.unit_blocks, |index| {
            let (row_block, unit_block) = (index % self.row_blocks, index / self.row_blocks);
            let strips = share(strips, self.row_blocks, row_block);
            let rows = strips.start * STRIP..self.rows.min(strips.end * STRIP);
            block(rows, share(self.units, self.unit_blocks, unit_block));
        });
    }
}

/// Part `index` of `count` parts of `total` things, as equal as possible.
fn share(total: usize, count: usize, index: usize) -> Range<usize> {
    index * total / count..(index + 1) * total / count
}

/// What all tasks of a product share.
struct Task<'a, 'e> {
    x: ArrayView2<'a, f32>,
    weights: &'a PackedWeights,
    epilogue: &'a Epilogue<'e>,
    out: Target,
}

impl Task<'_, '_> {
    /// A block of the output, from the first product to the residual.
    fn packed(&self, left: Rows, packed: &Packed, rows: Range<usize>, panels: Range<usize>) {
        let end = (panels.end * packed.width).min(self.weights.outputs());
        let columns = panels.start * packed.width..end;
        let c = self.out.part(rows.clone(), columns.clone());
        let product = Product {
            // SAFETY: the operand has these rows.
            left: unsafe { left.from(rows.start) },
            right: packed,
            panels,
            c,
        };
        dispatch(self.weights.isa(), self.weights.precision(), product);
        self.finish(rows, columns, c);
    }

    /// The same with `matrixmultiply`.
    fn transposed(&self, values: &[f32], rows: Range<usize>, units: Range<usize>) {
        let outputs = self.weights.outputs();
        let columns = units.start * COLUMNS..(units.end * COLUMNS).min(outputs);
        let c = self.out.part(rows.clone(), columns.clone());
        let x = row_slice(&self.x, rows.clone());
        let inputs = self.weights.inputs();
        // SAFETY: this task has this part of the output to itself.
        unsafe { transposed::product(x, inputs, values, outputs, columns.clone(), c) };
        self.finish(rows, columns, c);
    }

    /// Bias, activation and residual of a block.
    fn finish(&self, rows: Range<usize>, columns: Range<usize>, c: Target) {
        let Epilogue {
            bias,
            activation,
            residual,
            ..
        } = self.epilogue;
        for (i, token) in rows.enumerate() {
            // SAFETY: this task has this part of the output to itself.
            let row = unsafe { c.row(i) };
            let bias = bias.map(|bias| &bias[columns.clone()]);
            activate(self.weights.isa(), *activation, bias, row);
            if let Some(residual) = residual {
                let (values, _) = row_slice(residual, token..token + 1);
                row.iter_mut()
                    .zip(&values[columns.clone()])
                    .for_each(|(o, r)| *o += r);
            }
        }
    }
}
