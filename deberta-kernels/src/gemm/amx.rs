//! Blocks of a product by AMX, whose registers are tiles: sixteen rows of 64 bytes.
//!
//! One instruction multiplies sixteen rows by sixteen columns over sixteen steps of k. Panels and rounded rows already
//! lie as tiles want them: a step of a row or of a column takes 32 bits, so that sixteen steps of sixteen rows are a tile
//! of the left operand, and sixteen steps of a third of a panel one of the right.
//!
//! ```text
//!                      right, 48 columns
//!                    ┌─────┬─────┬─────┐
//!            k ↓     │    in turn 7    │            a strip of 32 rows holds six tiles of sums in registers 0 to 5;
//!                    └─────┴─────┴─────┘            six multiplications for eight loads, which are the faster half
//!   left    ┌─────┐  ┌─────┬─────┬─────┐
//!   32 rows │  6  │  │  0  │  1  │  2  │
//!           │ 6   │  │  3  │  4  │  5  │
//!           └─────┘  └─────┴─────┴─────┘
//! ```
//!
//! In bf16 the sums of the even and of the odd values of a tile's 32 are chains of their own, which are added to what the
//! tiles before gave: results differ from `vdpbf16ps` in the last bits, and do not depend on how rows and columns were cut.
//! In int8 they are the same integers as everywhere.

use super::dot::{Edge, Sums, Vnni};
use super::tile::{Product, VECTORS};
use super::weights::Precision;
use crate::isa::Avx512;
use std::arch::asm;
use std::arch::x86_64::_mm512_loadu_si512;
use std::time::Instant;

/// Rows of a tile, columns of a tile of sums, and steps of a tile of operands.
const EDGE: usize = 16;
/// Columns of a panel.
const WIDTH: usize = EDGE * VECTORS;
/// Bytes of a step of a panel.
const STEP_BYTES: usize = WIDTH * 4;
/// Rows of a strip.
const STRIP: usize = 2 * EDGE;
/// Steps of k after which the next panel's turn comes: few enough for the second-level cache, and many, because beginning
/// and ending a strip takes as long as ten steps of tiles.
const BLOCK_STEPS: usize = 768;

/// Bytes of the next panel that are fetched per tile of this one: with four strips, all of it.
const PACE: usize = 12 * 64;
/// Rows from which on tiles are faster than `vpdpbusd`, whose integers are the same.
const LEAST_ROWS_OF_INT8: usize = 5;

/// Whether products of so many rows are computed here. In bf16, where it changes the bits, that depends on the processor
/// alone.
pub(super) fn pays(simd: Avx512, precision: Precision, rows: usize) -> bool {
    simd.has_amx()
        && match precision {
            Precision::F32 => false,
            Precision::Bf16 => true,
            Precision::Int8 => rows >= LEAST_ROWS_OF_INT8,
        }
}

/// `c = a·b` in bf16 or int8.
///
/// # Safety
/// As [`Product::multiply`].
///
/// # Panics
/// If the processor lacks the instructions, or the right operand was not made for it.
pub(super) unsafe fn multiply(simd: Avx512, precision: Precision, product: Product<'_>) {
    assert!(simd.has_amx() && product.right.width == WIDTH);
    assert!(product.c.columns() == product.panels.len() * WIDTH);
    match precision {
        Precision::Bf16 => bf16(product),
        Precision::Int8 => {
            let dot = Vnni::new(simd).expect("processors with AMX have VNNI");
            // SAFETY: the type proves the instructions.
            unsafe { int8(dot, product) }
        }
        Precision::F32 => unreachable!("AMX has no products of f32"),
    }
}

/// Calls `strip(panel, first step, steps, first row, rows)` for all of a product, where blocks of k are multiples of
/// `group` steps.
fn strips(
    product: &Product<'_>,
    block: usize,
    mut strip: impl FnMut(usize, usize, usize, usize, usize),
) {
    let (rows, steps) = (product.c.rows(), product.right.steps);
    // With one strip nothing is read twice, and memory is best read in one sweep.
    let block = if rows <= STRIP { steps } else { block };
    for start in (0..steps).step_by(block.max(1)) {
        let steps = block.min(steps - start);
        for panel in product.panels.clone() {
            let mut first = 0;
            while first < rows {
                // Both halves of a strip have sixteen rows; what is less comes alone.
                let height = match rows - first {
                    STRIP.. => STRIP,
                    rest => rest.min(EDGE),
                };
                strip(panel, start, steps, first, height);
                first += height;
            }
        }
    }
}

/// Where to fetch from while the strip at row `first` is multiplied: the same steps of the next panel, or those that
/// follow of the first one.
fn next(
    product: &Product<'_>,
    panel: usize,
    start: usize,
    steps: usize,
    first: usize,
) -> *const u32 {
    let right = product.right;
    let begin = if panel + 1 < product.panels.end {
        right.panel(panel + 1)[start * WIDTH..].as_ptr()
    } else {
        let first = right.panel(product.panels.start).as_ptr();
        first.wrapping_add((start + steps) * WIDTH)
    };
    begin.wrapping_byte_add(first / STRIP * (steps / EDGE) * PACE)
}

fn bf16(product: Product<'_>) {
    let (left, right) = (product.left, product.right);
    strips(&product, BLOCK_STEPS, |panel, start, steps, first, rows| {
        let column = (panel - product.panels.start) * WIDTH;
        let c = product.c.part(first..first + rows, column..column + WIDTH);
        let operands = Operands {
            // SAFETY: the strip lies within the operand, whose rows hold this many steps.
            left: unsafe { left.from(first).data.add(start * 4) },
            left_stride: left.stride,
            right: right.panel(panel)[start * WIDTH..][..steps * WIDTH].as_ptr(),
            steps,
            rows,
            next: next(&product, panel, start, steps, first),
        };
        let sums = Sink {
            to: c.address().cast(),
            stride: c.stride() * 4,
            accumulate: start > 0,
        };
        // SAFETY: the caller of `multiply` promises the operands, and `c` has these rows.
        unsafe { operands.multiply::<Bf16>(sums) };
    });
}

/// Integers of a strip before they become numbers.
#[repr(align(64))]
struct Integers([i32; STRIP * WIDTH]);

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn int8(dot: Vnni, product: Product<'_>) {
    let (left, right) = (product.left, product.right);
    let group = right.group_steps().expect("weights of 8 bits have groups");
    let mut integers = Integers([0; STRIP * WIDTH]);
    strips(&product, group, |panel, start, steps, first, rows| {
        let column = (panel - product.panels.start) * WIDTH;
        let c = product.c.part(first..first + rows, column..column + WIDTH);
        let (scales, totals) = right.factors(panel);
        // SAFETY: the strip lies within the operand.
        let left = unsafe { left.from(first) };
        for start in (start..start + steps).step_by(group) {
            let steps = group.min(right.steps - start);
            let operands = Operands {
                // SAFETY: rows hold this many steps.
                left: unsafe { left.data.add(start * 4) },
                left_stride: left.stride,
                right: right.panel(panel)[start * WIDTH..][..steps * WIDTH].as_ptr(),
                steps,
                rows,
                next: next(&product, panel, start, steps, first),
            };
            let sums = Sink {
                to: integers.0.as_mut_ptr().cast(),
                stride: STEP_BYTES,
                accumulate: false,
            };
            // SAFETY: the caller of `multiply` promises the operands, and there is room for a strip of integers.
            unsafe { operands.multiply::<Int8>(sums) };
            let index = start / group;
            let lane = index * WIDTH;
            let (scales, totals) = (&scales[lane..][..WIDTH], &totals[lane..][..WIDTH]);
            for (i, row) in integers.0.as_chunks::<WIDTH>().0[..rows].iter().enumerate() {
                for v in (0..WIDTH).step_by(EDGE) {
                    let edge = Edge {
                        row: left.factors.wrapping_add(i * left.groups + index),
                        scales: scales[v..].as_ptr(),
                        totals: totals[v..].as_ptr(),
                    };
                    // SAFETY: rows and factors hold a vector from here on, and the strip of `c` is ours.
                    unsafe {
                        let sum = _mm512_loadu_si512(row[v..].as_ptr().cast());
                        let to = c.address().add(i * c.stride() + v);
                        dot.end(sum, to, start > 0, edge);
                    }
                }
            }
        }
    });
}

/// The shape of all tile registers, as `ldtilecfg` reads it.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes per row of each register.
    bytes: [u16; 16],
    /// Rows of each register.
    rows: [u8; 16],
}

impl Shape {
    /// For products of so many rows of the left operand at a time, of sixteen at most.
    const fn of(rows: usize) -> Self {
        let mut shape = Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes: [0; 16],
            rows: [0; 16],
        };
        let mut register = 0;
        while register < 8 {
            shape.bytes[register] = 64;
            shape.rows[register] = if register < 7 { rows as u8 } else { EDGE as u8 };
            register += 1;
        }
        shape
    }
}

/// The shapes for 0 to 16 rows. What was just written could not be read as fast.
static SHAPES: [Shape; EDGE + 1] = {
    let mut shapes = [const { Shape::of(0) }; EDGE + 1];
    let mut rows = 0;
    while rows <= EDGE {
        shapes[rows] = Shape::of(rows);
        rows += 1;
    }
    shapes
};

/// Some rows of the left operand and a panel of the right one, over some steps.
#[derive(Clone, Copy)]
struct Operands {
    left: *const u8,
    /// Bytes from one row to the next.
    left_stride: usize,
    right: *const u32,
    steps: usize,
    /// Up to sixteen, or [`STRIP`].
    rows: usize,
    /// What is fetched meanwhile, [`PACE`] bytes per tile: no more than an address.
    next: *const u32,
}

/// Where the sums of a strip go: numbers of 32 bits.
#[derive(Clone, Copy)]
struct Sink {
    to: *mut u32,
    /// Bytes from one row to the next.
    stride: usize,
    /// Whether they go on from what is there.
    accumulate: bool,
}

impl Operands {
    /// Multiplies all steps; what is left over of a tile is filled up with zeros.
    ///
    /// # Safety
    /// The processor has the instructions. The operands have these rows, steps and columns, and `sums` can be written,
    /// and read if it accumulates.
    unsafe fn multiply<I: Instruction>(self, mut sums: Sink) {
        let (whole, rest) = (self.steps / EDGE, self.steps % EDGE);
        if whole > 0 {
            // SAFETY: passed on from the caller.
            unsafe { I::run(self, whole, sums) };
            sums.accumulate = true;
        }
        if rest > 0 {
            let mut left = [[0u8; 4 * EDGE]; STRIP];
            let mut right = [0u32; EDGE * WIDTH];
            let done = whole * EDGE;
            // SAFETY: the operands hold `rest` more steps, and the copies a tile each.
            unsafe {
                for (i, row) in left.iter_mut().take(self.rows).enumerate() {
                    let from = self.left.add(i * self.left_stride + done * 4);
                    from.copy_to_nonoverlapping(row.as_mut_ptr(), rest * 4);
                }
                let from = self.right.add(done * WIDTH);
                from.copy_to_nonoverlapping(right.as_mut_ptr(), rest * WIDTH);
                let last = Self {
                    left: left.as_ptr().cast(),
                    left_stride: 4 * EDGE,
                    right: right.as_ptr(),
                    ..self
                };
                I::run(last, 1, sums);
            }
        }
    }
}

/// The multiplication of tiles of a precision.
trait Instruction {
    /// Adds the products of whole tiles, `tiles` of them along k. Tile registers are free again afterwards.
    ///
    /// # Safety
    /// As [`Operands::multiply`], where the operands have `16 · tiles` steps.
    unsafe fn run(operands: Operands, tiles: usize, sums: Sink);

    /// Multiplies six pairs of tiles of zeros `count` times.
    ///
    /// # Safety
    /// The processor has the instruction.
    unsafe fn repeat(count: usize);
}

struct Bf16;
struct Int8;

/// Implements the trait for an instruction. Each block of assembly configures the registers, uses and releases them: the
/// compiler need not know that they exist.
macro_rules! instruction {
    ($name:ident, $multiply:literal) => {
        impl Instruction for $name {
            unsafe fn run(operands: Operands, tiles: usize, sums: Sink) {
                let Operands {
                    left,
                    left_stride,
                    right,
                    rows,
                    ..
                } = operands;
                let shape = &SHAPES[rows.min(EDGE)];
                let first = sums.to;
                if rows == STRIP {
                    let below = left.wrapping_add(EDGE * left_stride);
                    let second = first.wrapping_byte_add(EDGE * sums.stride);
                    // SAFETY: the caller promises operands and sums; the assembly reads and writes nothing else.
                    unsafe {
                        asm!(
                            "ldtilecfg [{shape}]",
                            "test {accumulate}, {accumulate}",
                            "jz 2f",
                            "tileloadd tmm0, [{first} + {stride}*1]",
                            "tileloadd tmm1, [{first} + {stride}*1 + 64]",
                            "tileloadd tmm2, [{first} + {stride}*1 + 128]",
                            "tileloadd tmm3, [{second} + {stride}*1]",
                            "tileloadd tmm4, [{second} + {stride}*1 + 64]",
                            "tileloadd tmm5, [{second} + {stride}*1 + 128]",
                            "jmp 3f",
                            "2:",
                            "tilezero tmm0",
                            "tilezero tmm1",
                            "tilezero tmm2",
                            "tilezero tmm3",
                            "tilezero tmm4",
                            "tilezero tmm5",
                            "3:",
                            "tileloadd tmm6, [{left} + {left_stride}*1]",
                            "tileloadd tmm7, [{right} + {step}*1]",
                            concat!($multiply, " tmm0, tmm6, tmm7"),
                            "tileloadd tmm7, [{right} + {step}*1 + 64]",
                            concat!($multiply, " tmm1, tmm6, tmm7"),
                            "tileloadd tmm7, [{right} + {step}*1 + 128]",
                            concat!($multiply, " tmm2, tmm6, tmm7"),
                            // Back over the columns, the last of which are still in their register.
                            "tileloadd tmm6, [{below} + {left_stride}*1]",
                            concat!($multiply, " tmm5, tmm6, tmm7"),
                            "tileloadd tmm7, [{right} + {step}*1 + 64]",
                            concat!($multiply, " tmm4, tmm6, tmm7"),
                            "tileloadd tmm7, [{right} + {step}*1]",
                            concat!($multiply, " tmm3, tmm6, tmm7"),
                            "prefetcht1 [{next}]",
                            "prefetcht1 [{next} + 64]",
                            "prefetcht1 [{next} + 128]",
                            "prefetcht1 [{next} + 192]",
                            "prefetcht1 [{next} + 256]",
                            "prefetcht1 [{next} + 320]",
                            "prefetcht1 [{next} + 384]",
                            "prefetcht1 [{next} + 448]",
                            "prefetcht1 [{next} + 512]",
                            "prefetcht1 [{next} + 576]",
                            "prefetcht1 [{next} + 640]",
                            "prefetcht1 [{next} + 704]",
                            "add {next}, {pace}",
                            "add {left}, 64",
                            "add {below}, 64",
                            "add {right}, {tile}",
                            "dec {tiles}",
                            "jnz 3b",
                            "tilestored [{first} + {stride}*1], tmm0",
                            "tilestored [{first} + {stride}*1 + 64], tmm1",
                            "tilestored [{first} + {stride}*1 + 128], tmm2",
                            "tilestored [{second} + {stride}*1], tmm3",
                            "tilestored [{second} + {stride}*1 + 64], tmm4",
                            "tilestored [{second} + {stride}*1 + 128], tmm5",
                            "tilerelease",
                            shape = in(reg) shape,
                            accumulate = in(reg) usize::from(sums.accumulate),
                            first = in(reg) first,
                            second = in(reg) second,
                            stride = in(reg) sums.stride,
                            left = inout(reg) left => _,
                            below = inout(reg) below => _,
                            left_stride = in(reg) left_stride,
                            right = inout(reg) right => _,
                            step = in(reg) STEP_BYTES,
                            tiles = inout(reg) tiles => _,
                            next = inout(reg) operands.next => _,
                            tile = const EDGE * STEP_BYTES,
                            pace = const PACE,
                            options(nostack),
                        );
                    }
                } else {
                    // SAFETY: as above.
                    unsafe {
                        asm!(
                            "ldtilecfg [{shape}]",
                            "test {accumulate}, {accumulate}",
                            "jz 2f",
                            "tileloadd tmm0, [{first} + {stride}*1]",
                            "tileloadd tmm1, [{first} + {stride}*1 + 64]",
                            "tileloadd tmm2, [{first} + {stride}*1 + 128]",
                            "jmp 3f",
                            "2:",
                            "tilezero tmm0",
                            "tilezero tmm1",
                            "tilezero tmm2",
                            "3:",
                            "tileloadd tmm6, [{left} + {left_stride}*1]",
                            "tileloadd tmm7, [{right} + {step}*1]",
                            concat!($multiply, " tmm0, tmm6, tmm7"),
                            "tileloadd tmm7, [{right} + {step}*1 + 64]",
                            concat!($multiply, " tmm1, tmm6, tmm7"),
                            "tileloadd tmm7, [{right} + {step}*1 + 128]",
                            concat!($multiply, " tmm2, tmm6, tmm7"),
                            "add {left}, 64",
                            "add {right}, {tile}",
                            "dec {tiles}",
                            "jnz 3b",
                            "tilestored [{first} + {stride}*1], tmm0",
                            "tilestored [{first} + {stride}*1 + 64], tmm1",
                            "tilestored [{first} + {stride}*1 + 128], tmm2",
                            "tilerelease",
                            shape = in(reg) shape,
                            accumulate = in(reg) usize::from(sums.accumulate),
                            first = in(reg) first,
                            stride = in(reg) sums.stride,
                            left = inout(reg) left => _,
                            left_stride = in(reg) left_stride,
                            right = inout(reg) right => _,
                            step = in(reg) STEP_BYTES,
                            tiles = inout(reg) tiles => _,
                            tile = const EDGE * STEP_BYTES,
                            options(nostack),
                        );
                    }
                }
            }

            unsafe fn repeat(count: usize) {
                let shape = &SHAPES[EDGE];
                // SAFETY: the caller promises the instruction; no memory but the shape is touched.
                unsafe {
                    asm!(
                        "ldtilecfg [{shape}]",
                        "2:",
                        concat!($multiply, " tmm0, tmm6, tmm7"),
                        concat!($multiply, " tmm1, tmm6, tmm7"),
                        concat!($multiply, " tmm2, tmm6, tmm7"),
                        concat!($multiply, " tmm3, tmm6, tmm7"),
                        concat!($multiply, " tmm4, tmm6, tmm7"),
                        concat!($multiply, " tmm5, tmm6, tmm7"),
                        "dec {count}",
                        "jnz 2b",
                        "tilerelease",
                        shape = in(reg) shape,
                        count = inout(reg) count => _,
                        options(nostack),
                    );
                }
            }
        }
    };
}
instruction!(Bf16, "tdpbf16ps");
instruction!(Int8, "tdpbusd");

/// Operations per second of one core in registers alone, the best of `runs`.
pub(super) fn peak(simd: Avx512, precision: Precision, runs: usize) -> f64 {
    assert!(simd.has_amx());
    const COUNT: usize = 20_000;
    let (step, repeat): (usize, unsafe fn(usize)) = match precision {
        Precision::Int8 => (4, Int8::repeat),
        _ => (2, Bf16::repeat),
    };
    let operations = (COUNT * 2 * VECTORS * EDGE * EDGE * EDGE * step * 2) as f64;
    let rates = (0..runs).map(|_| {
        let start = Instant::now();
        // SAFETY: the assertion.
        unsafe { repeat(COUNT) };
        operations / start.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}
