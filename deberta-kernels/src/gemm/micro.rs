//! The micro-kernel: register tiles of a matrix product.
//!
//! Everything that multiplies matrices in this crate, the linear layers and the attention alike, ends here. A tile
//! holds up to [`Simd::TILE_ROWS`] rows by [`TILE_VECTORS`] vectors of sums in registers; each step of `k` loads the
//! vectors of one row of the right operand, and for every row of the left operand broadcasts one value and multiplies.
//!
//! Each sum is one chain of multiply-adds over ascending `k`, whatever the tile around it: results do not depend on
//! how rows and columns were cut.

use super::pack::Panels;
use crate::isa::{Isa, Operation, Simd};
use std::ops::Range;

/// Vectors per row of a register tile: a panel is this many vectors wide.
pub(crate) const TILE_VECTORS: usize = 2;

/// Values of the largest register tile of any instruction set: 12 rows of two vectors of 16.
const LARGEST_TILE: usize = 12 * 32;

/// The left operand of a product, `[rows, depth]`.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Row-major: element `(i, k)` at `i·stride + k`.
    Rows { data: &'a [f32], stride: usize },
    /// Packed by [`pack_strips`] for the same number of rows.
    Strips { data: &'a [f32] },
}

/// A matrix that a product is written to: row `i` begins at `i·stride`.
///
/// A pointer and not a slice, because tasks on other threads write other columns of the same rows.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    data: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
}

// SAFETY: a target is an address; what may be written through it, and by whom, is the contract of `product`.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The matrix `[rows, columns]` in `data`.
    ///
    /// # Panics
    /// If the slice is too short for it.
    pub(crate) fn new(data: &mut [f32], stride: usize, rows: usize, columns: usize) -> Self {
        assert!(rows == 0 || columns == 0 || data.len() >= (rows - 1) * stride + columns);
        assert!(columns <= stride || rows <= 1);
        Self {
            data: data.as_mut_ptr(),
            stride,
            rows,
            columns,
        }
    }

    /// A matrix at an address.
    ///
    /// # Safety
    /// Every row is valid for reading and writing while the target is in use.
    pub(crate) unsafe fn from_raw(
        data: *mut f32,
        stride: usize,
        rows: usize,
        columns: usize,
    ) -> Self {
        Self {
            data,
            stride,
            rows,
            columns,
        }
    }

    /// Part of the matrix.
    ///
    /// # Panics
    /// If the ranges are not within the matrix.
    pub(crate) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && columns.end <= self.columns);
        // SAFETY: the first element of the part lies within (or, if it is empty, at the end of) the matrix.
        let data = unsafe { self.data.add(rows.start * self.stride + columns.start) };
        Self {
            data,
            stride: self.stride,
            rows: rows.len(),
            columns: columns.len(),
        }
    }

    /// The distance between the beginnings of rows.
    pub(crate) fn stride(self) -> usize {
        self.stride
    }

    /// One row of the matrix.
    ///
    /// # Safety
    /// Nothing else reads or writes these columns of the row while the slice lives.
    pub(crate) unsafe fn row<'a>(self, index: usize) -> &'a mut [f32] {
        assert!(index < self.rows);
        // SAFETY: the row lies within the matrix, and the caller has it to itself.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(index * self.stride), self.columns) }
    }
}

/// Heights of the strips into which `rows` rows are cut: as few as possible, as equal as possible.
///
/// Yields the first row and the height of each.
pub(crate) fn strips(rows: usize, tallest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(tallest);
    (0..count).map(move |i| {
        let (first, end) = (i * rows / count, (i + 1) * rows / count);
        (first, end - first)
    })
}

/// Copies columns `depth` of the row-major matrix `x` (rows at `stride`) into strips: within one strip of height `h`,
/// element `(i, k)` lies at `k·h + i`, so that a tile reads its left operand in one forward sweep.
pub(crate) fn pack_strips(
    x: &[f32],
    stride: usize,
    rows: usize,
    depth: Range<usize>,
    tallest: usize,
    packed: &mut [f32],
) {
    for (first, height) in strips(rows, tallest) {
        let strip = &mut packed[first * depth.len()..][..height * depth.len()];
        for i in 0..height {
            let row = &x[(first + i) * stride..][depth.clone()];
            for (group, &value) in strip.chunks_exact_mut(height).zip(row) {
                group[i] = value;
            }
        }
    }
}

/// `c (+)= a·b` over the panels `panels` and the rows `depth` of `b`, where `c` begins at the first of those panels.
///
/// With `accumulate` the sums go on from what `c` holds. `c.columns` may end inside the last panel.
///
/// # Safety
/// The rows of `c` are readable and writable and nothing else uses them meanwhile.
///
/// # Panics
/// If an operand is too small.
pub(crate) unsafe fn product(
    isa: Isa,
    a: Left<'_>,
    b: &Panels,
    panels: Range<usize>,
    depth: Range<usize>,
    c: Target,
    accumulate: bool,
) {
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    assert!(depth.end <= b.depth && panels.end <= b.count() && c.columns <= panels.len() * b.width);
    match a {
        Left::Rows { data, stride } => assert!(data.len() >= (c.rows - 1) * stride + depth.len()),
        Left::Strips { data } => assert!(data.len() >= c.rows * depth.len()),
    }
    isa.dispatch(Product {
        a,
        b,
        panels,
        depth,
        c,
        accumulate,
    });
}

struct Product<'a> {
    a: Left<'a>,
    b: &'a Panels,
    panels: Range<usize>,
    depth: Range<usize>,
    c: Target,
    accumulate: bool,
}

impl Operation for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = S::LANES * TILE_VECTORS;
        assert_eq!(
            self.b.width, width,
            "panels packed for another instruction set"
        );
        let depth = self.depth.len();
        let mut buffer = [0.0f32; LARGEST_TILE];
        for (index, panel) in self.panels.clone().enumerate() {
            let right = &self.b.panel(panel)[self.depth.start * width..self.depth.end * width];
            let columns = width.min(self.c.columns.saturating_sub(index * width));
            if columns == 0 {
                break;
            }
            for (first, height) in strips(self.c.rows, S::TILE_ROWS) {
                let target = self.c.part(
                    first..first + height,
                    index * width..index * width + columns,
                );
                // A tile writes full vectors: the last columns of a narrow matrix take the way round by a buffer.
                let full = if columns == width {
                    target
                } else {
                    if self.accumulate {
                        for i in 0..height {
                            // SAFETY: the caller of `product` has these rows to itself.
                            buffer[i * width..][..columns]
                                .copy_from_slice(unsafe { target.row(i) });
                        }
                    }
                    Target::new(&mut buffer, width, height, width)
                };
                // SAFETY: `product` checked the operands; the strips and panels lie within them; `full` has a full
                // panel of columns.
                unsafe {
                    match self.a {
                        Left::Rows { data, stride } => {
                            let left = &data[first * stride..];
                            tile::<S, false>(
                                s,
                                height,
                                left,
                                stride,
                                depth,
                                right,
                                full,
                                self.accumulate,
                            );
                        }
                        Left::Strips { data } => {
                            let left = &data[first * depth..];
                            tile::<S, true>(
                                s,
                                height,
                                left,
                                1,
                                depth,
                                right,
                                full,
                                self.accumulate,
                            );
                        }
                    }
                }
                if columns < width {
                    for i in 0..height {
                        // SAFETY: the caller of `product` has these rows to itself.
                        unsafe { target.row(i) }.copy_from_slice(&buffer[i * width..][..columns]);
                    }
                }
            }
        }
    }
}

/// One register tile of `rows` rows; `STRIP` tells the layout of the left operand.
///
/// # Safety
/// `a` holds `rows` by `depth` values in its layout, `b` holds `depth` rows of a panel, `c` is readable and writable for
/// `rows` full panel rows.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // the operands of a product, spelled out
unsafe fn tile<S: Simd, const STRIP: bool>(
    s: S,
    rows: usize,
    a: &[f32],
    stride: usize,
    depth: usize,
    b: &[f32],
    c: Target,
    accumulate: bool,
) {
    macro_rules! heights {
        ($($height:literal)*) => {
            match rows {
                $($height if $height <= S::TILE_ROWS => {
                    // SAFETY: passed on from the caller; the constant equals `rows`.
                    unsafe { fixed::<S, STRIP, $height>(s, a, stride, depth, b, c, accumulate) }
                })*
                _ => unreachable!("strips are at most {} rows high", S::TILE_ROWS),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// [`tile`] with the number of rows known to the compiler, so that the sums live in registers.
#[inline(always)]
unsafe fn fixed<S: Simd, const STRIP: bool, const ROWS: usize>(
    s: S,
    a: &[f32],
    stride: usize,
    depth: usize,
    b: &[f32],
    c: Target,
    accumulate: bool,
) {
    let (row, step) = if STRIP { (1, ROWS) } else { (stride, 1) };
    let mut sums = [[s.splat(0.0); TILE_VECTORS]; ROWS];
    // SAFETY: `tile` promises operands of these sizes.
    unsafe {
        if accumulate {
            for (i, sum) in sums.iter_mut().enumerate() {
                for (v, value) in sum.iter_mut().enumerate() {
                    *value = s.load(c.data.add(i * c.stride + v * S::LANES));
                }
            }
        }
        let (mut left, mut right) = (a.as_ptr(), b.as_ptr());
        for _ in 0..depth {
            let mut vectors = [s.splat(0.0); TILE_VECTORS];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = s.load(right.add(v * S::LANES));
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                let value = s.splat(*left.add(i * row));
                for (total, vector) in sum.iter_mut().zip(vectors) {
                    *total = s.mul_add(value, vector, *total);
                }
            }
            left = left.add(step);
            right = right.add(TILE_VECTORS * S::LANES);
        }
        for (i, sum) in sums.iter().enumerate() {
            for (v, value) in sum.iter().enumerate() {
                s.store(*value, c.data.add(i * c.stride + v * S::LANES));
            }
        }
    }
}
