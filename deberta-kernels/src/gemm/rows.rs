//! The left operand: rows of activations in the form that the precision asks for.
//!
//! `f32` is read where it lies. Otherwise every row is rounded once, before the tiles start, and not once per block; or
//! by the product that makes it, while it is still in the cache.

use super::dot::{Dot, DotOperation, dispatch, left_step};
use super::tile::Rows;
use super::weights::{PackedWeights, Precision};
use crate::isa::{Isa, Portable};
use crate::memory::Aligned;
use crate::parallel::{parallel, wanted_tasks};
use std::cell::Cell;

/// Rows of activations, `[T, K]`, in the form in which the products with certain weights read them: what
/// [`linear_rounded`](crate::linear_rounded) makes and [`linear_of_rounded`](crate::linear_of_rounded) takes.
///
/// The memory is used again by whatever is written next.
#[derive(Debug, Default)]
pub struct RoundedRows {
    bytes: Aligned<u8>,
    factors: Vec<[f32; 2]>,
    /// The rows before they are rounded, where that is not done piece by piece.
    pub(super) values: Aligned<f32>,
    layout: Layout,
    rows: usize,
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    isa: Isa,
    precision: Precision,
    inputs: usize,
    /// Values of k per step, and bytes.
    step: (usize, usize),
    /// Bytes from one row to the next.
    stride: usize,
    /// Values that share factors.
    group: usize,
    /// Factors per row: none if nothing is scaled.
    groups: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self::of(Isa::Portable(Portable), Precision::F32, 0, None)
    }
}

impl Layout {
    fn of(isa: Isa, precision: Precision, inputs: usize, group: Option<usize>) -> Self {
        let step = left_step(isa, precision);
        let bytes = inputs.div_ceil(step.0) * step.1;
        Self {
            isa,
            precision,
            inputs,
            step,
            // An odd number of cache lines: rows at a power of two would share a few places of the cache.
            stride: (bytes.div_ceil(64) | 1) * 64,
            group: group.unwrap_or(inputs.max(1)),
            groups: group.map_or(0, |group| inputs.div_ceil(group)),
        }
    }

    fn for_weights(weights: &PackedWeights) -> Self {
        let (isa, precision) = (weights.isa(), weights.precision());
        Self::of(isa, precision, weights.inputs(), weights.group())
    }
}

impl RoundedRows {
    /// No rows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of rows, T.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The length of the rows, K.
    pub fn columns(&self) -> usize {
        self.layout.inputs
    }

    /// Bytes of memory that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&self.values[..]) + size_of_val(&self.factors[..])
    }

    /// Whether these are rows for the weights, or for others of the same kind.
    pub(super) fn fits(&self, weights: &PackedWeights) -> bool {
        self.layout == Layout::for_weights(weights)
    }

    /// Makes room for `rows` rows for the weights, to be written by [`Writer::round`].
    pub(super) fn prepare(&mut self, weights: &PackedWeights, rows: usize) -> Writer {
        self.layout = Layout::for_weights(weights);
        self.rows = rows;
        self.bytes.reserve(rows * self.layout.stride);
        let factors = rows * self.layout.groups;
        if self.factors.len() < factors {
            self.factors.resize(factors, [0.0; 2]);
        }
        Writer {
            bytes: self.bytes.as_mut_ptr(),
            factors: self.factors.as_mut_ptr(),
            rows,
            layout: self.layout,
        }
    }

    /// The rows as tiles read them.
    pub(super) fn operand(&self) -> Rows {
        Rows {
            data: self.bytes.as_ptr(),
            stride: self.layout.stride,
            factors: self.factors.as_ptr(),
            groups: self.layout.groups,
        }
    }
}

/// What writes rounded rows: an address that tasks share.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    bytes: *mut u8,
    factors: *mut [f32; 2],
    rows: usize,
    layout: Layout,
}

// SAFETY: a writer is an address; what may be written through it, and by whom, is the contract of `round`.
unsafe impl Send for Writer {}
// SAFETY: as above.
unsafe impl Sync for Writer {}

impl Writer {
    /// Pieces of rows that begin at a multiple of this can be rounded on their own.
    pub(super) fn grain(&self) -> usize {
        if self.layout.groups > 0 {
            self.layout.group
        } else {
            self.layout.step.0
        }
    }

    /// Rounds a piece of a row, from column `first` on.
    ///
    /// # Safety
    /// The rows are still there, and nothing else reads or writes this piece.
    pub(super) unsafe fn round(&self, row: usize, first: usize, values: &[f32]) {
        let Layout {
            isa,
            precision,
            inputs,
            step: (step, step_bytes),
            stride,
            group,
            groups,
        } = self.layout;
        let end = first + values.len();
        assert!(row < self.rows && end <= inputs && first.is_multiple_of(self.grain()));
        assert!(end == inputs || end.is_multiple_of(self.grain()));
        let (begin, count) = (first / step, values.len().div_ceil(step));
        let (begin_group, group_count) = match groups {
            0 => (0, 0),
            _ => (first / group, values.len().div_ceil(group)),
        };
        // SAFETY: `prepare` made room for this row, the assertions keep within it, and the caller has it to itself.
        let (to, factors) = unsafe {
            let bytes = self.bytes.add(row * stride + begin * step_bytes);
            let factors = self.factors.add(row * groups + begin_group);
            (
                std::slice::from_raw_parts_mut(bytes, count * step_bytes),
                std::slice::from_raw_parts_mut(factors, group_count),
            )
        };
        let narrow = Narrow {
            from: values,
            group,
            to,
            factors,
        };
        dispatch(isa, precision, narrow);
    }

    /// Rounds `x`, whose rows lie `stride` apart, on the current pool.
    ///
    /// # Safety
    /// The rows are still there, and nothing else reads or writes them.
    pub(super) unsafe fn round_all(&self, x: &[f32], stride: usize) {
        let inputs = self.layout.inputs;
        let per_task = self
            .rows
            .div_ceil(wanted_tasks())
            .max(LEAST.div_ceil(inputs).min(self.rows));
        parallel(self.rows.div_ceil(per_task.max(1)), |task| {
            for row in (task * per_task..self.rows).take(per_task) {
                // SAFETY: passed on from the caller; each row belongs to one task.
                unsafe { self.round(row, 0, &x[row * stride..][..inputs]) };
            }
        });
    }
}

thread_local! {
    /// The memory of the last product that this thread began. A thread that waits for its product may begin another
    /// one, which then finds none here and makes its own.
    static SCRATCH: Cell<RoundedRows> = Cell::default();
}

/// Fewest values per task: less is done sooner than handed over.
const LEAST: usize = 16 * 1024;

/// Calls `then` with `count` rows of `x`, `stride` apart, in the form for the weights.
///
/// # Panics
/// If `x` is too short.
pub(super) fn with_rows(
    weights: &PackedWeights,
    (x, stride): (&[f32], usize),
    count: usize,
    then: impl FnOnce(Rows),
) {
    assert!(count > 0 && x.len() >= (count - 1) * stride + weights.inputs());
    if weights.precision() == Precision::F32 {
        then(Rows {
            data: x.as_ptr().cast(),
            stride: stride * size_of::<f32>(),
            factors: std::ptr::NonNull::dangling().as_ptr(),
            groups: 0,
        });
        return;
    }
    let mut rows = SCRATCH.take();
    // SAFETY: the rows are ours.
    unsafe { rows.prepare(weights, count).round_all(x, stride) };
    then(rows.operand());
    SCRATCH.set(rows);
}

/// Rounds a piece of a row, group by group.
struct Narrow<'a> {
    from: &'a [f32],
    /// Values per group.
    group: usize,
    to: &'a mut [u8],
    /// One per group, or none.
    factors: &'a mut [[f32; 2]],
}

impl DotOperation for Narrow<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        if self.factors.is_empty() {
            d.narrow(self.from, self.to);
            return;
        }
        let groups = self.from.chunks(self.group);
        let bytes = self.to.chunks_mut(self.group.div_ceil(D::STEP) * D::LEFT);
        for ((from, to), factors) in groups.zip(bytes).zip(self.factors) {
            *factors = d.narrow(from, to);
        }
    }
}
