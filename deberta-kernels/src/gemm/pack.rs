//! Rows of weights into panels, a few at a time.

use super::dot;
use super::quantize::{QuantizeRows, SumGroups};
use super::weights::{Panel, Precision, group_size};
use crate::isa::{Isa, Operation, Simd};
use crate::memory::Aligned;
use std::cell::Cell;
use std::ops::Range;

/// Rows that are read and packed at a time: as many as the widest vector has lanes, and few enough for a near cache.
const BLOCK: usize = 16;

thread_local! {
    /// Memory for a block of rows. Kept, because asking the system for it again takes longer than filling it.
    static SCRATCH: Cell<Aligned<u32>> = Cell::default();
}

/// Calls `run` with memory for that many words, whose values are unspecified.
fn with_scratch<R>(words: usize, run: impl FnOnce(&mut [u32]) -> R) -> R {
    let mut scratch = SCRATCH.take();
    scratch.reserve(words);
    let result = run(&mut scratch[..words]);
    SCRATCH.set(scratch);
    result
}

/// Words as the numbers that their bits are.
fn floats(words: &mut [u32]) -> &mut [f32] {
    // SAFETY: the types have the same size and alignment, and any bits are valid for both.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

/// Words as the bytes that they are made of.
fn bytes(words: &mut [u32]) -> &mut [u8] {
    // SAFETY: a byte needs no alignment, and any bits are valid for both.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Where weights come from.
pub(super) struct Source<'a, R> {
    pub(super) inputs: usize,
    /// A typical input, where drift is asked for.
    pub(super) mean: Option<&'a [f32]>,
    /// Writes some rows of `[outputs, inputs]`.
    pub(super) read: &'a R,
}

impl<R> Source<'_, R> {
    /// Fills a panel in some precision.
    pub(super) fn pack<E>(
        &self,
        isa: Isa,
        precision: Precision,
        mut panel: Panel<'_>,
    ) -> Result<(), E>
    where
        R: Fn(Range<usize>, &mut [f32]) -> Result<(), E>,
    {
        let inputs = self.inputs;
        let pairs = inputs.div_ceil(2);
        with_scratch(BLOCK * (inputs + pairs), |scratch| {
            let (rows, rest) = scratch.split_at_mut(BLOCK * inputs);
            for (outputs, lane) in panel.blocks() {
                let rows = &mut rows[..outputs.len() * inputs];
                (self.read)(outputs, floats(rows))?;
                match precision {
                    Precision::F32 => panel.place(isa, rows, inputs, lane),
                    Precision::Bf16 => {
                        let count = rows.len() / inputs * pairs;
                        pair_up(floats(rows), inputs, &mut rest[..count]);
                        panel.place(isa, &rest[..count], pairs, lane);
                    }
                    Precision::Int8 => isa.dispatch(QuantizeRows {
                        rows: floats(rows),
                        inputs,
                        lane,
                        mean: self.mean,
                        panel: &mut panel,
                    }),
                }
            }
            Ok(())
        })
    }
}

impl Panel<'_> {
    /// Fills the panel with weights that are quantised: `scales` and what `read` gives are those of all outputs.
    pub(super) fn quantized<E>(
        mut self,
        isa: Isa,
        inputs: usize,
        scales: &[f32],
        read: &impl Fn(Range<usize>, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let steps = inputs.div_ceil(4);
        let (size, groups) = (group_size(inputs), self.scales.len() / self.width);
        with_scratch(BLOCK * steps, |scratch| {
            for (outputs, lane) in self.blocks() {
                let rows = &mut scratch[..outputs.len() * steps];
                if inputs == 4 * steps {
                    read(outputs.clone(), bytes(rows))?;
                } else {
                    // Every row begins with a step of its own, the last one of which is filled up with zeros.
                    rows.fill(0);
                    for (row, output) in rows.chunks_exact_mut(steps).zip(outputs.clone()) {
                        read(output..output + 1, &mut bytes(row)[..inputs])?;
                    }
                }
                self.place(isa, rows, steps, lane);
                for (row, output) in rows.chunks_exact_mut(steps).zip(outputs) {
                    let lane = output - self.outputs.start;
                    let of_row = &scales[output * groups..(output + 1) * groups];
                    for (group, &scale) in of_row.iter().enumerate() {
                        self.scales[group * self.width + lane] = scale;
                    }
                    isa.dispatch(SumGroups {
                        row: bytes(row),
                        size,
                        to: self.totals[lane..].iter_mut().step_by(self.width),
                    });
                }
            }
            Ok(())
        })
    }

    /// The outputs of the panel, some at a time, each with its first column.
    fn blocks(&self) -> impl Iterator<Item = (Range<usize>, usize)> + use<> {
        let Range { start, end } = self.outputs;
        (start..end)
            .step_by(BLOCK)
            .map(move |first| (first..end.min(first + BLOCK), first - start))
    }

    /// Makes rows of `steps` words columns, from number `lane` on.
    fn place(&mut self, isa: Isa, rows: &[u32], steps: usize, lane: usize) {
        isa.dispatch(Place {
            rows,
            steps,
            target: &mut self.data[lane..],
            width: self.width,
        });
    }
}

/// Rounds pairs of weights to bf16, a word each.
fn pair_up(rows: &[f32], inputs: usize, to: &mut [u32]) {
    let pairs = to.chunks_exact_mut(inputs.div_ceil(2));
    for (row, pairs) in rows.chunks_exact(inputs).zip(pairs) {
        let (whole, rest) = row.as_chunks::<2>();
        for (pair, [first, second]) in pairs.iter_mut().zip(whole) {
            *pair = dot::pair(*first, *second);
        }
        if let (Some(pair), [single]) = (pairs.last_mut(), rest) {
            *pair = dot::pair(*single, 0.0);
        }
    }
}

/// Transposes rows of words: word `k` of row `r` goes to `target[k·width + r]`.
struct Place<'a> {
    rows: &'a [u32],
    /// Words per row.
    steps: usize,
    target: &'a mut [u32],
    width: usize,
}

impl Operation for Place<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (lanes, steps, width) = (S::LANES, self.steps, self.width);
        let count = self.rows.len() / steps;
        for first in (0..count).step_by(lanes) {
            let height = lanes.min(count - first);
            for k in (0..steps).step_by(lanes) {
                let depth = lanes.min(steps - k);
                let source = &self.rows[first * steps + k..];
                let target = &mut self.target[k * width + first..];
                if height == lanes && depth == lanes {
                    assert!(source.len() >= (lanes - 1) * steps + lanes);
                    assert!(target.len() >= (lanes - 1) * width + lanes);
                    // SAFETY: both hold the whole block, and they are different memory. Moving a word as a number does
                    // not change it.
                    unsafe {
                        let (source, target) = (source.as_ptr().cast(), target.as_mut_ptr().cast());
                        s.transpose(source, steps, target, width);
                    }
                } else {
                    for row in 0..height {
                        for step in 0..depth {
                            target[step * width + row] = source[row * steps + step];
                        }
                    }
                }
            }
        }
    }
}
