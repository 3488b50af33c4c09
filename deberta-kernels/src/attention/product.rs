//! The register tile of attention: a few rows times a few vectors of columns, summed in registers.
//!
//! The products of attention are small, their operands are in cache, and their left operand lies in rows; that sets
//! them apart from the linear layers, whose products are blocked for memory.
//!
//! Each sum is one chain of multiply-adds over ascending `k`, whatever the tile around it: results do not depend on
//! how rows and columns were cut.

use super::left::Left;
use super::panels::Right;
use crate::gemm::dot::{Dot, DotOperation, Edge};
use crate::isa::Simd;

/// Steps of `k` per turn of the innermost loop: the addresses of rows are computed once per turn.
const UNROLLED: usize = 4;

/// `out (+)= left·right` for `rows` rows and `vectors` vectors of columns, in `f32` or bf16.
pub(super) struct Product<'a> {
    pub(super) left: Left<'a>,
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) right: Right<'a>,
    pub(super) vectors: usize,
    /// Element `(i, n)` at `i·out_stride + n`.
    pub(super) out: &'a mut [f32],
    pub(super) out_stride: usize,
    /// Whether sums go on from what `out` holds.
    pub(super) accumulate: bool,
}

impl DotOperation for Product<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        assert!(D::STEP <= 2, "attention is not computed in 8 bits");
        let Self {
            rows, left, right, ..
        } = self;
        if rows == 0 || self.vectors == 0 {
            return;
        }
        let (lanes, steps) = (D::Simd::LANES, self.depth.div_ceil(D::STEP));
        let last = |count: usize| count.saturating_sub(1);
        assert!(left.data.len() >= last(rows) * left.stride + steps * D::LEFT);
        assert!(
            steps == 0 || right.data.len() >= last(self.vectors) * right.across + steps * lanes
        );
        assert!(self.out_stride >= self.vectors * lanes || rows == 1);
        assert!(self.out.len() >= last(rows) * self.out_stride + self.vectors * lanes);
        // Strips of rows within columns, so that the columns of a tile stay in the first cache.
        for (vector, width) in cuts(self.vectors, tile_vectors::<D::Simd>()) {
            for (row, height) in cuts(rows, tile_rows::<D::Simd>()) {
                // SAFETY: the operands were checked to hold all rows, vectors and steps, and cuts lie within them.
                unsafe {
                    let tile = Tile {
                        left: left.data.as_ptr().add(row * left.stride),
                        left_stride: left.stride,
                        steps,
                        right: right.data.as_ptr().add(vector * right.across),
                        across: right.across,
                        out: self
                            .out
                            .as_mut_ptr()
                            .add(row * self.out_stride + vector * lanes),
                        out_stride: self.out_stride,
                        accumulate: self.accumulate,
                    };
                    match width {
                        1 => tile.run::<D, 1>(d, height),
                        2 => tile.run::<D, 2>(d, height),
                        3 if tile_vectors::<D::Simd>() == 3 => tile.run::<D, 3>(d, height),
                        _ => unreachable!("tiles are no wider than that"),
                    }
                }
            }
        }
    }
}

/// Rows of the largest tile. Its sums, a row of vectors and one value of the left operand fill the registers: 8 rows of
/// three vectors where there are 32 of them, 6 rows of two vectors where there are 16.
const fn tile_rows<S: Simd>() -> usize {
    if S::LANES > 8 { 8 } else { 6 }
}

/// Vectors per row of the largest tile.
const fn tile_vectors<S: Simd>() -> usize {
    if S::LANES > 8 { 3 } else { 2 }
}

/// Cuts `count` into as few parts of at most `most` as possible, as equal as possible: begin and length of each.
#[inline(always)]
fn cuts(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |i| {
        let (first, end) = (i * count / parts, (i + 1) * count / parts);
        (first, end - first)
    })
}

struct Tile {
    left: *const u8,
    left_stride: usize,
    steps: usize,
    right: *const u32,
    across: usize,
    out: *mut f32,
    out_stride: usize,
    accumulate: bool,
}

impl Tile {
    /// Computes a tile of `rows` rows and `VECTORS` vectors.
    ///
    /// # Safety
    /// The operands hold this many rows, vectors and steps.
    #[inline(always)]
    unsafe fn run<D: Dot, const VECTORS: usize>(self, d: D, rows: usize) {
        macro_rules! heights {
            ($($height:literal)*) => {
                match rows {
                    $($height if $height <= tile_rows::<D::Simd>() => {
                        // SAFETY: passed on from the caller; the constant equals `rows`.
                        unsafe { self.fixed::<D, $height, VECTORS>(d) }
                    })*
                    _ => unreachable!("tiles are no higher than that"),
                }
            };
        }
        heights!(1 2 3 4 5 6 7 8)
    }

    /// The same with the number of rows known to the compiler, so that the sums live in registers.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn fixed<D: Dot, const ROWS: usize, const VECTORS: usize>(self, d: D) {
        let lanes = D::Simd::LANES;
        // SAFETY: the caller promises operands of these sizes. Real sums need no factors at their end.
        unsafe {
            let mut sums = [[d.begin(self.out, false); VECTORS]; ROWS];
            if self.accumulate {
                for (i, sum) in sums.iter_mut().enumerate() {
                    for (v, value) in sum.iter_mut().enumerate() {
                        *value = d.begin(self.out.add(i * self.out_stride + v * lanes), true);
                    }
                }
            }
            let (mut left, mut right) = (self.left, self.right);
            for _ in 0..self.steps / UNROLLED {
                for k in 0..UNROLLED {
                    self.step(d, &mut sums, left.add(k * D::LEFT), right.add(k * lanes));
                }
                left = left.add(UNROLLED * D::LEFT);
                right = right.add(UNROLLED * lanes);
            }
            for k in 0..self.steps % UNROLLED {
                self.step(d, &mut sums, left.add(k * D::LEFT), right.add(k * lanes));
            }
            for (i, sum) in sums.iter().enumerate() {
                for (v, value) in sum.iter().enumerate() {
                    let out = self.out.add(i * self.out_stride + v * lanes);
                    d.end(*value, out, self.accumulate, Edge::NONE);
                }
            }
        }
    }

    /// One step of `k`: a row of the right operand times a column of the left one.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn step<D: Dot, const ROWS: usize, const VECTORS: usize>(
        &self,
        d: D,
        sums: &mut [[D::Sum; VECTORS]; ROWS],
        left: *const u8,
        right: *const u32,
    ) {
        // SAFETY: the caller promises operands of these sizes.
        unsafe {
            let mut columns = [d.columns(right); VECTORS];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = d.columns(right.add(v * self.across));
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                let value = d.spread(left.add(i * self.left_stride));
                for (total, column) in sum.iter_mut().zip(columns) {
                    *total = d.dot(*total, value, column);
                }
            }
        }
    }
}
