//! Products of activations with packed weights, from the first sum to the finished output.
//!
//! ```text
//!           up to 768 columns, in panels                 for each task (rows x columns of the output):
//!             ┌────────────┬────────────┐                for each block of k, 3 KiB of a row of x:
//!   up to 192 │   task 0   │   task 1   │                  for each panel of W                      (L1, L2)
//!   rows      ├────────────┼────────────┤                    for each strip of x: one register tile (L2)
//!             │   task 2   │   task 3   │                bias, activation, residual on the way to the output
//!             └────────────┴────────────┘              then LayerNorm, rows by rows
//! ```
//!
//! A step of k is one value in f32, two in bf16 and four in int8: 32 bits of the weights. The rows of x that a task reads in
//! one block of k (`192 · 3 KiB = 576 KiB`), the sums of the task (`192 · 768 · 4 B`, the same) and a panel's block
//! (`48 · 3 KiB = 144 KiB`) fill a second-level cache of 1.3 MiB; where it is smaller, so are the tasks (64 rows for 512 KiB). The next panel is fetched into it while the
//! strips pass by, so that tiles seldom wait for main memory. What is large enough depends on the processor, but no sum is
//! ever split along k: results do not.

use super::Epilogue;
use super::cut::Cut;
use super::rows::{RoundedRows, Writer, with_rows};
use super::target::Target;
use super::tile::{Product, Rows};
use super::transposed;
use super::weights::{Form, Packed, PackedWeights};
use crate::KernelError;
use crate::activation::activate;
use crate::elementwise::add_rows;
use crate::memory::Aligned;
use crate::norm::normalize_row;
use crate::parallel::{parallel, wanted_tasks};
use crate::shape::{check_matrix, row_slice};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::cell::RefCell;
use std::ops::Range;

/// Fewest values that a task normalises: less is done sooner than handed over.
const LEAST_NORMALISED: usize = 16 * 1024;
/// What is added to the rows of a block of sums: a cache line. Rows at a power of two would share a few places of the
/// cache.
const PADDING: usize = 16;
/// Columns that form a unit of work where the weights are not in panels.
const COLUMNS: usize = 16;

thread_local! {
    /// The sums of a task's block. Products go here first and to the output once they are finished: they are read and
    /// written several times over, and this memory stays in the second-level cache.
    static SUMS: RefCell<Aligned<f32>> = RefCell::default();
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
    let tokens = x.nrows();
    check_matrix("x", &x, [tokens, weights.inputs()])?;
    check_matrix("out", &out.view(), [tokens, weights.outputs()])?;
    epilogue.check(tokens, weights.outputs())?;
    if tokens > 0 {
        let to = Destination::Matrix(target(&mut out));
        with_rows(weights, row_slice(&x, 0..tokens), tokens, |left| {
            Task::new(left, weights, epilogue, to).run(tokens, weights.unit());
        });
    }
    Ok(())
}

/// [`linear`] whose output is not seen but goes on to other weights, `next`: it is rounded for them while it is still
/// in the cache. [`linear_of_rounded`] then gives the same bits as [`linear`] of the output would.
///
/// # Errors
/// As [`linear`]; [`KernelError::Shape`] also if `next` takes another number of inputs.
///
/// ```
/// use deberta_kernels::{Activation, Epilogue, Isa, PackedWeights, RoundedRows};
/// use deberta_kernels::{linear_of_rounded, linear_rounded};
/// use ndarray::{Array2, array};
/// // A feed-forward network: W_down·relu(W_up·x).
/// let up = PackedWeights::new(Isa::detect(), &[1.0, -1.0], 2, 1)?;
/// let down = PackedWeights::new(Isa::detect(), &[1.0, 10.0], 1, 2)?;
/// let mut inner = RoundedRows::new();
/// let relu = Epilogue::default().activation(Activation::Relu);
/// linear_rounded(array![[3.0], [-2.0]].view(), &up, &relu, &down, &mut inner)?;
/// let mut out = Array2::zeros((2, 1));
/// linear_of_rounded(&inner, &down, &Epilogue::default(), out.view_mut())?;
/// assert_eq!(out, array![[3.0], [20.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn linear_rounded(
    x: ArrayView2<'_, f32>,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    next: &PackedWeights,
    out: &mut RoundedRows,
) -> Result<(), KernelError> {
    let (tokens, outputs) = (x.nrows(), weights.outputs());
    check_matrix("x", &x, [tokens, weights.inputs()])?;
    epilogue.check(tokens, outputs)?;
    if next.inputs() != outputs {
        return Err(KernelError::Shape {
            argument: "next",
            expected: vec![next.outputs(), outputs],
            found: vec![next.outputs(), next.inputs()],
        });
    }
    let writer = out.prepare(next, tokens);
    if tokens == 0 {
        return Ok(());
    }
    let unit = least_common_multiple(weights.unit(), writer.grain());
    let piecewise = epilogue.residual.is_none() && epilogue.norm.is_none();
    if piecewise && (unit == weights.unit() || Cut::new(tokens, outputs, unit).suffices()) {
        with_rows(weights, row_slice(&x, 0..tokens), tokens, |left| {
            Task::new(left, weights, epilogue, Destination::Rounded(writer)).run(tokens, unit);
        });
        return Ok(());
    }
    // A group of a row may lie in several tasks, or needs all of its row: values first.
    let stride = outputs + PADDING;
    out.values.reserve(tokens * stride);
    let to = Destination::Matrix(Target::new(&mut out.values, stride, tokens, outputs));
    with_rows(weights, row_slice(&x, 0..tokens), tokens, |left| {
        Task::new(left, weights, epilogue, to).run(tokens, weights.unit());
    });
    // SAFETY: the rows are still there, and nobody else has them.
    unsafe { writer.round_all(&out.values, stride) };
    Ok(())
}

/// [`linear`] of rows that [`linear_rounded`] made for the same weights.
///
/// # Errors
/// As [`linear`]; [`KernelError::Rounded`] if the rows were made for weights of another kind.
pub fn linear_of_rounded(
    x: &RoundedRows,
    weights: &PackedWeights,
    epilogue: &Epilogue<'_>,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    let tokens = x.rows();
    if tokens > 0 && !x.fits(weights) {
        return Err(KernelError::Rounded);
    }
    check_matrix("out", &out.view(), [tokens, weights.outputs()])?;
    epilogue.check(tokens, weights.outputs())?;
    if tokens > 0 {
        let to = Destination::Matrix(target(&mut out));
        Task::new(x.operand(), weights, epilogue, to).run(tokens, weights.unit());
    }
    Ok(())
}

/// An output that passed `check_matrix`, as tasks share it.
fn target(out: &mut ArrayViewMut2<'_, f32>) -> Target {
    let (tokens, outputs) = out.dim();
    let stride = if tokens > 1 {
        out.strides()[0] as usize
    } else {
        outputs
    };
    // SAFETY: the view is a writable matrix with contiguous rows; tasks write disjoint parts of it, and the callers,
    // who hold the view, wait for them.
    unsafe { Target::from_raw(out.as_mut_ptr(), stride, tokens, outputs) }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

impl PackedWeights {
    /// Columns that a task does not take apart.
    fn unit(&self) -> usize {
        match self.form() {
            Form::Packed(packed) => packed.width,
            Form::Transposed(_) => COLUMNS,
        }
    }
}

/// Where finished sums go.
#[derive(Clone, Copy)]
enum Destination {
    Matrix(Target),
    Rounded(Writer),
}

/// What all tasks of a product share.
struct Task<'a, 'e> {
    left: Rows,
    weights: &'a PackedWeights,
    epilogue: &'a Epilogue<'e>,
    to: Destination,
}

impl<'a, 'e> Task<'a, 'e> {
    fn new(
        left: Rows,
        weights: &'a PackedWeights,
        epilogue: &'a Epilogue<'e>,
        to: Destination,
    ) -> Self {
        Self {
            left,
            weights,
            epilogue,
            to,
        }
    }

    /// Computes `tokens` rows, in tasks of whole units of columns; operands and destination have that many.
    fn run(&self, tokens: usize, unit: usize) {
        let outputs = self.weights.outputs();
        Cut::new(tokens, outputs, unit).run(|rows, columns| match self.weights.form() {
            Form::Packed(packed) => self.packed(packed, rows, columns),
            Form::Transposed(values) => self.transposed(values, rows, columns),
        });
        let (Some(norm), Destination::Matrix(out)) = (self.epilogue.norm, self.to) else {
            return;
        };
        let rows_per_task = tokens
            .div_ceil(wanted_tasks())
            .max(LEAST_NORMALISED.div_ceil(outputs));
        parallel(tokens.div_ceil(rows_per_task), |index| {
            for i in (index * rows_per_task..tokens).take(rows_per_task) {
                // SAFETY: the products are done, and each row belongs to one task.
                normalize_row(self.weights.isa(), norm, unsafe { out.row(i) });
            }
        });
    }

    /// A block of the output, from the first product to the residual. It begins at a panel.
    fn packed(&self, packed: &Packed, rows: Range<usize>, columns: Range<usize>) {
        let panels = columns.start / packed.width..columns.end.div_ceil(packed.width);
        let width = panels.len() * packed.width;
        let stride = width + PADDING;
        SUMS.with_borrow_mut(|sums| {
            sums.reserve(rows.len() * stride);
            let c = Target::new(sums, stride, rows.len(), width);
            let product = Product {
                // SAFETY: the operand has these rows.
                left: unsafe { self.left.from(rows.start) },
                right: packed,
                panels,
                c,
            };
            // SAFETY: the operand was made for these weights and has these rows; the sums are this thread's.
            unsafe { product.multiply(self.weights.isa(), self.weights.precision()) };
            self.finish(rows, columns, c);
        });
    }

    /// The same with `matrixmultiply`.
    fn transposed(&self, values: &[f32], rows: Range<usize>, columns: Range<usize>) {
        let (inputs, outputs) = (self.weights.inputs(), self.weights.outputs());
        let stride = self.left.stride / size_of::<f32>();
        // SAFETY: the operand has these rows, of `f32` in the precision of such weights, and outlives the task.
        let x = unsafe {
            let first = self.left.data.add(rows.start * self.left.stride).cast();
            std::slice::from_raw_parts(first, (rows.len() - 1) * stride + inputs)
        };
        SUMS.with_borrow_mut(|sums| {
            sums.reserve(rows.len() * columns.len());
            let c = Target::new(sums, columns.len(), rows.len(), columns.len());
            // SAFETY: nothing else writes to the sums.
            unsafe {
                transposed::product((x, stride), inputs, values, outputs, columns.clone(), c);
            }
            self.finish(rows, columns, c);
        });
    }

    /// Bias, activation and residual of a block of sums, on their way to the destination.
    fn finish(&self, rows: Range<usize>, columns: Range<usize>, c: Target) {
        let Epilogue {
            bias,
            activation,
            residual,
            ..
        } = self.epilogue;
        let isa = self.weights.isa();
        let bias = bias.map(|bias| &bias[columns.clone()]);
        for (i, token) in rows.enumerate() {
            // SAFETY: this task has these sums to itself.
            let sums = &mut unsafe { c.row(i) }[..columns.len()];
            activate(isa, *activation, bias, sums);
            match self.to {
                Destination::Matrix(out) => {
                    let residual = residual.as_ref().map(|residual| {
                        let (values, _) = row_slice(residual, token..token + 1);
                        &values[columns.clone()]
                    });
                    let out = out.part(token..token + 1, columns.clone());
                    // SAFETY: this task has this part of the output to itself.
                    add_rows(isa, sums, residual, unsafe { out.row(0) });
                }
                // SAFETY: as above.
                Destination::Rounded(out) => unsafe { out.round(token, columns.start, sums) },
            }
        }
    }
}
