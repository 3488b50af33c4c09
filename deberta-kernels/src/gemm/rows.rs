//! The left operand: rows of activations in the form that the precision asks for.
//!
//! `f32` is read where it lies. Otherwise every row is rounded once, before the tiles start, and not once per block.

use super::dot::{Dot, DotOperation, dispatch};
use super::tile::Rows;
use super::weights::{Packed, Precision};
use crate::isa::Isa;
use crate::memory::Aligned;
use crate::parallel::{parallel, wanted_tasks};
use std::cell::Cell;

/// Memory for rounded rows.
#[derive(Default)]
struct Scratch {
    bytes: Aligned<u8>,
    factors: Vec<[f32; 2]>,
}

thread_local! {
    /// The memory of the last product that this thread began. A thread that waits for its product may begin another
    /// one, which then finds none here and makes its own.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Fewest values per task: less is done sooner than handed over.
const LEAST: usize = 16 * 1024;

/// Calls `then` with `count` rows of `x`, each `inputs` values and `stride` apart, in the form for `right`.
///
/// # Panics
/// If `x` is too short.
pub(super) fn with_rows(
    isa: Isa,
    precision: Precision,
    (x, stride): (&[f32], usize),
    count: usize,
    inputs: usize,
    right: &Packed,
    then: impl FnOnce(Rows),
) {
    assert!(count > 0 && x.len() >= (count - 1) * stride + inputs);
    if precision == Precision::F32 {
        then(Rows {
            data: x.as_ptr().cast(),
            stride: stride * size_of::<f32>(),
            factors: std::ptr::NonNull::dangling().as_ptr(),
            groups: 0,
        });
        return;
    }
    let groups = right.group_count();
    let group = right
        .group_steps()
        .map_or(inputs, |steps| steps * right.step);
    let bytes = right.steps * left_bytes(isa, precision);
    // An odd number of cache lines: rows at a power of two would share a few places of the cache.
    let row = (bytes.div_ceil(64) | 1) * 64;
    let mut scratch = SCRATCH.take();
    scratch.bytes.reserve(count * row);
    if scratch.factors.len() < count * groups {
        scratch.factors.resize(count * groups, [0.0; 2]);
    }
    let per_task = count
        .div_ceil(wanted_tasks())
        .max(LEAST.div_ceil(inputs).min(count));
    let places = Places {
        bytes: scratch.bytes.as_mut_ptr(),
        factors: scratch.factors.as_mut_ptr(),
    };
    parallel(count.div_ceil(per_task), |task| {
        for i in (task * per_task..count).take(per_task) {
            let places = &places;
            // SAFETY: the memory holds `count` rows of both, and each row belongs to one task.
            let (to, factors) = unsafe {
                (
                    std::slice::from_raw_parts_mut(places.bytes.add(i * row), bytes),
                    std::slice::from_raw_parts_mut(places.factors.add(i * groups), groups),
                )
            };
            let from = &x[i * stride..][..inputs];
            let narrow = Narrow {
                from,
                group,
                to,
                factors,
            };
            dispatch(isa, precision, narrow);
        }
    });
    then(Rows {
        data: scratch.bytes.as_ptr(),
        stride: row,
        factors: scratch.factors.as_ptr(),
        groups,
    });
    SCRATCH.set(scratch);
}

/// Where tasks write their rows.
struct Places {
    bytes: *mut u8,
    factors: *mut [f32; 2],
}

// SAFETY: addresses of memory that is divided among the tasks.
unsafe impl Sync for Places {}

/// Rounds one row, group by group.
struct Narrow<'a> {
    from: &'a [f32],
    /// Values per group.
    group: usize,
    to: &'a mut [u8],
    factors: &'a mut [[f32; 2]],
}

impl DotOperation for Narrow<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        let groups = self.from.chunks(self.group);
        let bytes = self.to.chunks_mut(self.group.div_ceil(D::STEP) * D::LEFT);
        for ((from, to), factors) in groups.zip(bytes).zip(self.factors) {
            *factors = d.narrow(from, to);
        }
    }
}

/// Bytes of a step of the left operand.
fn left_bytes(isa: Isa, precision: Precision) -> usize {
    struct Ask<'a>(&'a mut usize);
    impl DotOperation for Ask<'_> {
        fn run<D: Dot>(self, _: D) {
            *self.0 = D::LEFT;
        }
    }
    let mut bytes = 0;
    dispatch(isa, precision, Ask(&mut bytes));
    bytes
}
