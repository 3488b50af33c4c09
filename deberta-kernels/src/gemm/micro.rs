//! The micro-kernel: register tiles of a matrix product.
//!
//! Everything that multiplies matrices in this crate, the linear layers and the attention alike, ends here. A tile
//! holds up to [`Simd::TILE_ROWS`] rows by [`TILE_VECTORS`] vectors of sums in registers; each step of `k` loads the
//! vectors of one row of the right operand, and for every row of the left operand broadcasts one value and multiplies.
//!
//! Each sum is one chain of multiply-adds over ascending `k`, whatever the tile around it: results do not depend on
//! how rows and columns were cut.

use super::pack::Panels;
pub(crate) use super::target::Target;
use super::tile::strips;
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
    if c.rows() == 0 || c.columns() == 0 {
        return;
    }
    assert!(
        depth.end <= b.depth && panels.end <= b.count() && c.columns() <= panels.len() * b.width
    );
    match a {
        Left::Rows { data, stride } => assert!(data.len() >= (c.rows() - 1) * stride + depth.len()),
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
            let columns = width.min(self.c.columns().saturating_sub(index * width));
            if columns == 0 {
                break;
            }
            for (first, height) in strips(self.c.rows(), S::TILE_ROWS) {
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
                            tile::<S>(s, height, left, stride, depth, right, full, self.accumulate);
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

/// One register tile of `rows` rows.
///
/// # Safety
/// `a` holds `rows` by `depth` values in its layout, `b` holds `depth` rows of a panel, `c` is readable and writable for
/// `rows` full panel rows.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // the operands of a product, spelled out
unsafe fn tile<S: Simd>(
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
                    unsafe { fixed::<S, $height>(s, a, stride, depth, b, c, accumulate) }
                })*
                _ => unreachable!("strips are at most {} rows high", S::TILE_ROWS),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// [`tile`] with the number of rows known to the compiler, so that the sums live in registers.
#[inline(always)]
unsafe fn fixed<S: Simd, const ROWS: usize>(
    s: S,
    a: &[f32],
    stride: usize,
    depth: usize,
    b: &[f32],
    c: Target,
    accumulate: bool,
) {
    let (row, step) = (stride, 1);
    let mut sums = [[s.splat(0.0); TILE_VECTORS]; ROWS];
    // SAFETY: `tile` promises operands of these sizes.
    unsafe {
        if accumulate {
            for (i, sum) in sums.iter_mut().enumerate() {
                for (v, value) in sum.iter_mut().enumerate() {
                    *value = s.load(c.address().add(i * c.stride() + v * S::LANES));
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
                s.store(*value, c.address().add(i * c.stride() + v * S::LANES));
            }
        }
    }
}
