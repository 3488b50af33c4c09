//! The register tile, and how tiles cover a block of a product.
//!
//! A tile holds up to [`Dot::ROWS`] rows by [`VECTORS`] vectors of sums in registers. For every step of k it reads three
//! vectors of the right operand, spreads one step of each row of the left one over a register, and multiplies: 8 rows of
//! three vectors of 16 keep both multipliers of an AVX-512 core busy with 11 loads for 24 multiply-adds.
//!
//! Each sum is one chain over ascending k, whatever the tile around it: results do not depend on how rows and columns
//! were cut.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::dot::{Dot, DotOperation, Edge, dispatch};
use super::target::Target;
use super::weights::{Packed, Precision};
use crate::isa::{Isa, Simd};
use std::ops::Range;

/// Vectors per row of a register tile: a panel of the right operand is this many vectors wide.
pub(super) const VECTORS: usize = 3;

/// Steps of k after which the next panel's turn comes. A block of a panel then stays in the second-level cache while the
/// strips of the left operand pass by, and a block of these while the panels do.
const BLOCK_STEPS: usize = 768;

/// The left operand of a product in the form that the precision asks for: rows of steps.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) data: *const u8,
    /// Bytes from one row to the next.
    pub(super) stride: usize,
    /// What undoes the rounding of each group of each row: see [`Edge::row`].
    pub(super) factors: *const [f32; 2],
    /// Groups per row.
    pub(super) groups: usize,
}

// SAFETY: rows are addresses that are only read; what they point to is borrowed by whoever starts the product.
unsafe impl Send for Rows {}
// SAFETY: as above.
unsafe impl Sync for Rows {}

impl Rows {
    /// The same from row `first` on.
    ///
    /// # Safety
    /// There is such a row, or it is the end.
    #[inline(always)]
    pub(super) unsafe fn from(self, first: usize) -> Self {
        // SAFETY: the caller promises that the row lies within the operand.
        unsafe {
            Self {
                data: self.data.add(first * self.stride),
                factors: self.factors.add(first * self.groups),
                ..self
            }
        }
    }
}

/// `c = a·b` for a block of rows and some panels of the right operand.
pub(super) struct Product<'a> {
    /// As many rows as `c` has.
    pub(super) left: Rows,
    pub(super) right: &'a Packed,
    /// Panels of the right operand.
    pub(super) panels: Range<usize>,
    /// As wide as these panels.
    pub(super) c: Target,
}

impl Product<'_> {
    /// Computes it in the precision that the operands were made for.
    pub(super) fn multiply(self, isa: Isa, precision: Precision) {
        match (isa, precision) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512(simd), _) if amx::pays(simd, precision, self.c.rows()) => {
                amx::multiply(simd, precision, self);
            }
            _ => dispatch(isa, precision, self),
        }
    }
}

/// One tile's share of a block.
#[derive(Clone, Copy)]
struct Piece {
    left: Rows,
    right: *const u32,
    steps: usize,
    /// Steps per group.
    group: usize,
    scales: *const f32,
    totals: *const f32,
    /// From where on the memory that comes next is fetched, and how far each step goes.
    next: *const u32,
    pace: usize,
}

/// Heights of the strips into which `rows` rows are cut: as few as possible, as equal as possible.
///
/// Yields the first row and the height of each.
pub(super) fn strips(rows: usize, tallest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(tallest);
    (0..count).map(move |i| {
        let (first, end) = (i * rows / count, (i + 1) * rows / count);
        (first, end - first)
    })
}

impl DotOperation for Product<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        let width = D::Simd::LANES * VECTORS;
        let Self {
            left,
            right,
            panels,
            c,
        } = self;
        assert!(right.width == width && panels.end <= right.panels());
        assert!(c.columns() == panels.len() * width && right.step == D::STEP);
        let group = right.group_steps().unwrap_or(BLOCK_STEPS);
        let block = BLOCK_STEPS / group * group;
        for start in (0..right.steps).step_by(block) {
            let steps = block.min(right.steps - start);
            for (index, panel) in panels.clone().enumerate() {
                let strip_count = c.rows().div_ceil(D::ROWS);
                let lane = (start / group) * width;
                let (scales, totals) = right.factors(panel);
                let data = &right.panel(panel)[start * width..][..steps * width];
                let next = match panels.len() - index {
                    // The next block of k begins at the first panel again.
                    1 => right
                        .panel(panels.start)
                        .as_ptr()
                        .wrapping_add((start + block) * width),
                    _ => right.panel(panel + 1)[start * width..].as_ptr(),
                };
                let mut piece = Piece {
                    left,
                    right: data.as_ptr(),
                    steps,
                    group,
                    scales: scales.get(lane..).unwrap_or_default().as_ptr(),
                    totals: totals.get(lane..).unwrap_or_default().as_ptr(),
                    next,
                    pace: width.div_ceil(strip_count),
                };
                for (first, height) in strips(c.rows(), D::ROWS) {
                    let columns = index * width..(index + 1) * width;
                    let target = c.part(first..first + height, columns);
                    // SAFETY: the strip lies within the operand, whose rows hold `steps` more steps.
                    piece.left = unsafe { left.from(first) };
                    piece.left.data = piece.left.data.wrapping_add(start * D::LEFT);
                    piece.left.factors = piece.left.factors.wrapping_add(start / group);
                    // SAFETY: the assertions above, and what the caller of the product promises of its operands.
                    unsafe { tile(d, height, piece, target, start > 0) };
                    piece.next = piece.next.wrapping_add(piece.pace * steps);
                }
            }
        }
    }
}

/// One register tile of `rows` rows.
///
/// # Safety
/// The piece's pointers are valid for reading what a tile of this height reads, `c` for reading and writing `rows` full
/// panel rows.
#[inline(always)]
unsafe fn tile<D: Dot>(d: D, rows: usize, piece: Piece, c: Target, accumulate: bool) {
    macro_rules! heights {
        ($($height:literal)*) => {
            match rows {
                $($height if $height <= D::ROWS => {
                    // SAFETY: passed on from the caller; the constant equals `rows`.
                    unsafe { fixed::<D, $height>(d, piece, c, accumulate) }
                })*
                _ => unreachable!("strips are at most {} rows high", D::ROWS),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8)
}

/// [`tile`] with the number of rows known to the compiler, so that the sums live in registers.
#[inline(always)]
unsafe fn fixed<D: Dot, const ROWS: usize>(
    d: D,
    mut piece: Piece,
    c: Target,
    mut accumulate: bool,
) {
    let lanes = D::Simd::LANES;
    let stride = piece.left.stride;
    let mut remaining = piece.steps;
    while remaining > 0 {
        let steps = piece.group.min(remaining);
        remaining -= steps;
        // No closures in what follows: nothing makes the compiler inline one, and a call in here is slower by far.
        // SAFETY: `tile` promises operands of these sizes.
        unsafe {
            let mut sums = [[d.begin(c.address(), accumulate); VECTORS]; ROWS];
            for (i, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = d.begin(c.address().add(i * c.stride() + v * lanes), accumulate);
                }
            }
            let (mut left, mut right) = (piece.left.data, piece.right);
            for _ in 0..steps {
                prefetch(piece.next);
                piece.next = piece.next.wrapping_add(piece.pace);
                let mut columns = [d.columns(right); VECTORS];
                for (v, columns) in columns.iter_mut().enumerate() {
                    *columns = d.columns(right.add(v * lanes));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let spread = d.spread(left.add(i * stride));
                    for (sum, columns) in sums.iter_mut().zip(columns) {
                        *sum = d.dot(*sum, spread, columns);
                    }
                }
                left = left.add(D::LEFT);
                right = right.add(VECTORS * lanes);
            }
            (piece.left.data, piece.right) = (left, right);
            // One call per vector: in a loop the compiler would look the sums up in memory.
            const { assert!(VECTORS == 3) };
            end::<D, 0, ROWS>(d, &sums, piece, c, accumulate);
            end::<D, 1, ROWS>(d, &sums, piece, c, accumulate);
            end::<D, 2, ROWS>(d, &sums, piece, c, accumulate);
        }
        accumulate = true;
        piece.left.factors = piece.left.factors.wrapping_add(1);
        piece.scales = piece.scales.wrapping_add(VECTORS * lanes);
        piece.totals = piece.totals.wrapping_add(VECTORS * lanes);
    }
}

/// Writes vector `V` of every row of sums.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn end<D: Dot, const V: usize, const ROWS: usize>(
    d: D,
    sums: &[[D::Sum; VECTORS]; ROWS],
    piece: Piece,
    c: Target,
    accumulate: bool,
) {
    let offset = V * D::Simd::LANES;
    for (i, sums) in sums.iter().enumerate() {
        let edge = Edge {
            row: piece.left.factors.wrapping_add(i * piece.left.groups),
            scales: piece.scales.wrapping_add(offset),
            totals: piece.totals.wrapping_add(offset),
        };
        // SAFETY: passed on from the caller.
        unsafe {
            d.end(
                sums[V],
                c.address().add(i * c.stride() + offset),
                accumulate,
                edge,
            )
        };
    }
}

/// Asks for the cache line at `p`, which need not be valid, to come into the second-level cache.
#[inline(always)]
fn prefetch(p: *const u32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is part of the baseline and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}
