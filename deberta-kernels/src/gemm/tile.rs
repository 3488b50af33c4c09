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
use super::dot::{Dot, DotOperation, Edge, Sums, dispatch};
use super::target::Target;
use super::weights::{Packed, Precision};
use crate::isa::{Isa, Simd};
use crate::memory::Aligned;
use std::cell::Cell;
use std::ops::Range;

/// Vectors per row of a register tile: a panel of the right operand is this many vectors wide.
pub(super) const VECTORS: usize = 3;

/// Bytes of a row of the left operand after which the next panel's turn comes. A block of a panel then stays in the
/// second-level cache while the strips of the left operand pass by, and a block of these while the panels do.
pub(super) const BLOCK_BYTES: usize = 768 * 4;
/// Bytes of a panel that are taken apart at a time, or a group if that is more: they stay in the first-level cache.
const WIDE_BYTES: usize = 20 * 1024;
/// Panels are taken apart for more strips of rows than these: for fewer it costs more than it saves.
const WIDENED_STRIPS: usize = 2;

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
    ///
    /// # Safety
    /// `left` is readable: as many rows as `c` has, of as many steps as `right`, made for this instruction set and precision.
    /// `c` is readable and writable, and nothing else reads or writes it meanwhile.
    pub(super) unsafe fn multiply(self, isa: Isa, precision: Precision) {
        match (isa, precision) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512(simd), _) if amx::pays(simd, precision, self.c.rows()) => {
                // SAFETY: passed on from the caller.
                unsafe { amx::multiply(simd, precision, self) };
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
    /// What comes next and is fetched meanwhile, and how many words each turn of the innermost loop goes on.
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
        const {
            assert!(D::LEFT == D::WIDER * D::Wide::LEFT && D::UNROLLED == 1);
            assert!(D::WIDER.is_multiple_of(D::Wide::UNROLLED));
        }
        let width = D::Simd::LANES * VECTORS;
        let (right, c) = (self.right, self.c);
        assert!(right.width == width && self.panels.end <= right.panels());
        assert!(c.columns() == self.panels.len() * width && right.step == D::STEP);
        let group = right.group_steps();
        let block = whole_groups(BLOCK_BYTES / D::LEFT, group);
        // Plain code takes so long to take steps of four apart that it should not do so twice.
        let few = if D::WIDER > 2 {
            0
        } else {
            WIDENED_STRIPS * D::ROWS
        };
        let widened = D::WIDER > 1 && c.rows() > few;
        let mut wide = if widened {
            WIDE.take()
        } else {
            Aligned::default()
        };
        for start in (0..right.steps).step_by(block) {
            let end = right.steps.min(start + block);
            for (index, panel) in self.panels.clone().enumerate() {
                let c = c.part(0..c.rows(), index * width..(index + 1) * width);
                if !widened {
                    let piece = self.piece::<D>(panel, start..end, block);
                    // SAFETY: the piece has as many rows as `c`, and `c` the width of a panel.
                    unsafe { cover(d, piece, (end - start) * width, c, start > 0) };
                    continue;
                }
                let part = whole_groups(WIDE_BYTES / (width * 4 * D::WIDER), group);
                for start in (start..end).step_by(part) {
                    let steps = part.min(end - start);
                    let narrow = self.piece::<D>(panel, start..start + steps, block);
                    wide.reserve(steps * D::WIDER * width);
                    widen(
                        d,
                        &right.panel(panel)[start * width..][..steps * width],
                        &mut wide,
                    );
                    let piece = Piece {
                        right: wide.as_ptr(),
                        steps: narrow.steps * D::WIDER,
                        group: narrow.group * D::WIDER,
                        ..narrow
                    };
                    // SAFETY: as above; each step has become `D::WIDER`, in the left operand too.
                    unsafe { cover(d.wide(), piece, steps * width, c, start > 0) };
                }
            }
        }
        if widened {
            WIDE.set(wide);
        }
    }
}

/// The largest multiple of a group within `most` steps, but one group at least.
fn whole_groups(most: usize, group: Option<usize>) -> usize {
    group.map_or(most, |group| (most / group).max(1) * group)
}

impl Product<'_> {
    /// Some steps of a panel, which begin at a group; with the first row.
    #[inline(always)]
    fn piece<D: Dot>(&self, panel: usize, steps: Range<usize>, block: usize) -> Piece {
        let right = self.right;
        let (data, factors) = (right.panel(panel), right.factors(panel));
        let group = right.group_steps().unwrap_or(block);
        let lane = (steps.start / group) * right.width;
        let next = match panel + 1 {
            // The next block of k begins at the first panel again.
            end if end == self.panels.end => right
                .panel(self.panels.start)
                .as_ptr()
                .wrapping_add((steps.start + block) * right.width),
            next => right.panel(next)[steps.start * right.width..].as_ptr(),
        };
        let mut left = self.left;
        left.data = left.data.wrapping_add(steps.start * D::LEFT);
        left.factors = left.factors.wrapping_add(steps.start / group);
        Piece {
            left,
            right: data[steps.start * right.width..steps.end * right.width].as_ptr(),
            steps: steps.len(),
            group,
            scales: factors.0.get(lane..).unwrap_or_default().as_ptr(),
            totals: factors.1.get(lane..).unwrap_or_default().as_ptr(),
            next,
            pace: 0,
        }
    }
}

thread_local! {
    /// Part of a panel, taken apart.
    static WIDE: Cell<Aligned<u32>> = Cell::default();
}

/// Takes all steps of a part of a panel apart.
///
/// # Panics
/// If `to` is too short.
#[inline(always)]
fn widen<D: Dot>(d: D, from: &[u32], to: &mut [u32]) {
    let lanes = D::Simd::LANES;
    let width = lanes * VECTORS;
    let steps = to.chunks_exact_mut(D::WIDER * width);
    assert!(steps.len() >= from.len() / width);
    for (from, to) in from.chunks_exact(width).zip(steps) {
        for v in 0..VECTORS {
            // SAFETY: a step has as many vectors, and there is room for it `D::WIDER` times.
            unsafe {
                let (from, to) = (from.as_ptr().add(v * lanes), to.as_mut_ptr());
                d.widen(from, to.add(v * lanes), width);
            }
        }
    }
}

/// One panel's block, in tiles one below the other, while `fetch` words of what comes next are fetched.
///
/// # Safety
/// The piece's pointers are valid for reading what tiles of as many rows as `c` has read, `c` for reading and writing, and
/// `c` is as wide as a panel.
#[inline(always)]
unsafe fn cover<S: Sums>(s: S, mut piece: Piece, fetch: usize, c: Target, accumulate: bool) {
    // Every turn of the innermost loop of every strip fetches its share.
    let turns = piece.steps / S::UNROLLED;
    let strip_count = c.rows().div_ceil(S::ROWS);
    piece.pace = fetch.div_ceil((strip_count * turns).max(1));
    let mut next = piece.next;
    for (first, height) in strips(c.rows(), S::ROWS) {
        // SAFETY: the strip lies within the operand and `c`; the rest is passed on from the caller.
        unsafe {
            let left = piece.left.from(first);
            let rows = c.part(first..first + height, 0..c.columns());
            tile(
                s,
                height,
                Piece {
                    left,
                    next,
                    ..piece
                },
                rows,
                accumulate,
            );
        }
        next = next.wrapping_add(piece.pace * turns);
    }
}

/// One register tile of `rows` rows.
///
/// # Safety
/// The piece's pointers are valid for reading what a tile of this height reads, `c` for reading and writing `rows` full
/// panel rows.
#[inline(always)]
unsafe fn tile<S: Sums>(s: S, rows: usize, piece: Piece, c: Target, accumulate: bool) {
    macro_rules! heights {
        ($($height:literal)*) => {
            match rows {
                $($height if $height <= S::ROWS => {
                    // SAFETY: passed on from the caller; the constant equals `rows`.
                    unsafe { fixed::<S, $height>(s, piece, c, accumulate) }
                })*
                _ => unreachable!("strips are at most {} rows high", S::ROWS),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8)
}

/// [`tile`] with the number of rows known to the compiler, so that the sums live in registers.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn fixed<S: Sums, const ROWS: usize>(
    s: S,
    mut piece: Piece,
    c: Target,
    mut accumulate: bool,
) {
    let lanes = S::Simd::LANES;
    let stride = piece.left.stride;
    let mut remaining = piece.steps;
    while remaining > 0 {
        let steps = piece.group.min(remaining);
        remaining -= steps;
        // No closures in what follows: nothing makes the compiler inline one, and a call in here is slower by far.
        // SAFETY: `tile` promises operands of these sizes.
        unsafe {
            let mut sums = [[s.begin(c.address(), accumulate); VECTORS]; ROWS];
            for (i, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = s.begin(c.address().add(i * c.stride() + v * lanes), accumulate);
                }
            }
            let (mut left, mut right) = (piece.left.data, piece.right);
            for _ in 0..steps / S::UNROLLED {
                prefetch(piece.next);
                piece.next = piece.next.wrapping_add(piece.pace);
                for _ in 0..S::UNROLLED {
                    let mut columns = [s.columns(right); VECTORS];
                    for (v, columns) in columns.iter_mut().enumerate() {
                        *columns = s.columns(right.add(v * lanes));
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let spread = s.spread(left.add(i * stride));
                        for (sum, columns) in sums.iter_mut().zip(columns) {
                            *sum = s.dot(*sum, spread, columns);
                        }
                    }
                    left = left.add(S::LEFT);
                    right = right.add(VECTORS * lanes);
                }
            }
            (piece.left.data, piece.right) = (left, right);
            // One call per vector: in a loop the compiler would look the sums up in memory.
            const { assert!(VECTORS == 3) };
            end::<S, 0, ROWS>(s, &sums, piece, c, accumulate);
            end::<S, 1, ROWS>(s, &sums, piece, c, accumulate);
            end::<S, 2, ROWS>(s, &sums, piece, c, accumulate);
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
unsafe fn end<S: Sums, const V: usize, const ROWS: usize>(
    s: S,
    sums: &[[S::Sum; VECTORS]; ROWS],
    piece: Piece,
    c: Target,
    accumulate: bool,
) {
    let offset = V * S::Simd::LANES;
    for (i, sums) in sums.iter().enumerate() {
        let edge = Edge {
            row: piece.left.factors.wrapping_add(i * piece.left.groups),
            scales: piece.scales.wrapping_add(offset),
            totals: piece.totals.wrapping_add(offset),
        };
        // SAFETY: passed on from the caller.
        unsafe {
            s.end(
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
