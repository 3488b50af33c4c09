//! The register tile of attention: a few rows times a few vectors of columns, summed in registers.
//!
//! The products of attention are small, their operands are in cache, and their left operand lies in rows; that sets
//! them apart from the linear layers, whose products are blocked for memory.
//!
//! Each sum is one chain of multiply-adds over ascending `k`, whatever the tile around it: results do not depend on
//! how rows and columns were cut.

use super::panels::Right;
use crate::isa::{Operation, Simd};

/// Steps of `k` per turn of the innermost loop: the addresses of rows are computed once per turn.
const UNROLLED: usize = 4;

/// `out (+)= left·right` for `rows` rows and `vectors` vectors of columns.
pub(super) struct Product<'a> {
    /// Element `(i, k)` at `i·left_stride + k`.
    pub(super) left: &'a [f32],
    pub(super) left_stride: usize,
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

impl Operation for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, depth, .. } = self;
        if rows == 0 || self.vectors == 0 {
            return;
        }
        let last = |count: usize| count.saturating_sub(1);
        let right = self.right;
        assert!(self.left.len() >= last(rows) * self.left_stride + depth);
        assert!(
            depth == 0 || right.data.len() >= last(self.vectors) * right.across + depth * S::LANES
        );
        assert!(self.out_stride >= self.vectors * S::LANES || rows == 1);
        assert!(self.out.len() >= last(rows) * self.out_stride + self.vectors * S::LANES);
        // Strips of rows within columns, so that the columns of a tile stay in the first cache.
        for (vector, width) in cuts(self.vectors, tile_vectors::<S>()) {
            for (row, height) in cuts(rows, tile_rows::<S>()) {
                // SAFETY: the operands were checked to hold all rows, vectors and steps, and cuts lie within them.
                unsafe {
                    let tile = Tile {
                        left: self.left.as_ptr().add(row * self.left_stride),
                        left_stride: self.left_stride,
                        depth,
                        right: right.data.as_ptr().add(vector * right.across),
                        across: right.across,
                        out: self
                            .out
                            .as_mut_ptr()
                            .add(row * self.out_stride + vector * S::LANES),
                        out_stride: self.out_stride,
                        accumulate: self.accumulate,
                    };
                    match width {
                        1 => tile.run::<S, 1>(s, height),
                        2 => tile.run::<S, 2>(s, height),
                        3 if tile_vectors::<S>() == 3 => tile.run::<S, 3>(s, height),
                        _ => unreachable!("tiles are at most {} vectors wide", tile_vectors::<S>()),
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
    left: *const f32,
    left_stride: usize,
    depth: usize,
    right: *const f32,
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
    unsafe fn run<S: Simd, const VECTORS: usize>(self, s: S, rows: usize) {
        macro_rules! heights {
            ($($height:literal)*) => {
                match rows {
                    $($height if $height <= tile_rows::<S>() => {
                        // SAFETY: passed on from the caller; the constant equals `rows`.
                        unsafe { self.fixed::<S, $height, VECTORS>(s) }
                    })*
                    _ => unreachable!("tiles are at most {} rows high", tile_rows::<S>()),
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
    unsafe fn fixed<S: Simd, const ROWS: usize, const VECTORS: usize>(self, s: S) {
        let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
        // SAFETY: the caller promises operands of these sizes.
        unsafe {
            if self.accumulate {
                for (i, sum) in sums.iter_mut().enumerate() {
                    for (v, value) in sum.iter_mut().enumerate() {
                        *value = s.load(self.out.add(i * self.out_stride + v * S::LANES));
                    }
                }
            }
            let (mut left, mut right) = (self.left, self.right);
            for _ in 0..self.depth / UNROLLED {
                for k in 0..UNROLLED {
                    self.step(s, &mut sums, left.add(k), right.add(k * S::LANES));
                }
                left = left.add(UNROLLED);
                right = right.add(UNROLLED * S::LANES);
            }
            for k in 0..self.depth % UNROLLED {
                self.step(s, &mut sums, left.add(k), right.add(k * S::LANES));
            }
            for (i, sum) in sums.iter().enumerate() {
                for (v, value) in sum.iter().enumerate() {
                    s.store(*value, self.out.add(i * self.out_stride + v * S::LANES));
                }
            }
        }
    }

    /// One step of `k`: a row of the right operand times a column of the left one.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    unsafe fn step<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        s: S,
        sums: &mut [[S::Vector; VECTORS]; ROWS],
        left: *const f32,
        right: *const f32,
    ) {
        let mut columns = [s.splat(0.0); VECTORS];
        // SAFETY: the caller promises operands of these sizes.
        unsafe {
            for (v, column) in columns.iter_mut().enumerate() {
                *column = s.load(right.add(v * self.across));
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                let value = s.splat(*left.add(i * self.left_stride));
                for (total, column) in sum.iter_mut().zip(columns) {
                    *total = s.mul_add(value, column, *total);
                }
            }
        }
    }
}
