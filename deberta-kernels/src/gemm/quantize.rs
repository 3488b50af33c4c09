//! Weights to 8 bits.
//!
//! Each output has a scale for every group of inputs ([`group_size`]): `w ≈ scale·p` with `p` from -127 to 127 and
//! `scale = max |w| / 127`.

use super::weights::{LARGEST_GROUP, Panel, group_size};
use crate::isa::{Operation, Simd};

/// The largest quantised weight.
const LARGEST: f32 = 127.0;

/// Packs rows as the columns of a panel from number `lane` on, four values per step, with the scale and the sum of each
/// group of each row; and, with a typical input, adds what rounding takes from its product: `Σ_k (w_k - ŵ_k)·mean_k`.
///
/// NaN or an infinity makes the scale of its group NaN.
pub(super) struct QuantizeRows<'a, 'b> {
    /// `[rows, inputs]`
    pub(super) rows: &'a [f32],
    pub(super) inputs: usize,
    pub(super) lane: usize,
    pub(super) mean: Option<&'a [f32]>,
    pub(super) panel: &'a mut Panel<'b>,
}

impl Operation for QuantizeRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Panel {
            data,
            width,
            scales,
            totals,
            drift,
            ..
        } = self.panel;
        let (width, size) = (*width, group_size(self.inputs));
        let mut bytes = [0; LARGEST_GROUP];
        for (row, lane) in self.rows.chunks_exact(self.inputs).zip(self.lane..) {
            for (index, group) in row.chunks(size).enumerate() {
                let bytes = &mut bytes[..group.len().next_multiple_of(4)];
                let scale = quantize(s, group, bytes);
                if let (Some(mean), Some(drift)) = (self.mean, drift.as_mut()) {
                    let mean = &mean[index * size..][..group.len()];
                    drift[lane] += lost(group, bytes, scale, mean);
                }
                scales[index * width + lane] = scale;
                totals[index * width + lane] = total(bytes);
                let steps = data[index * size / 4 * width..].chunks_mut(width);
                for (columns, quad) in steps.zip(bytes.as_chunks::<4>().0) {
                    columns[lane] = u32::from_le_bytes(*quad);
                }
            }
        }
    }
}

/// Writes the sum of each group of a row of signed bytes.
pub(super) struct SumGroups<'a, T> {
    pub(super) row: &'a [u8],
    /// Bytes per group.
    pub(super) size: usize,
    pub(super) to: T,
}

impl<'a, T: Iterator<Item = &'a mut f32>> Operation for SumGroups<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (group, to) in self.row.chunks(self.size).zip(self.to) {
            *to = total(group);
        }
    }
}

/// The sum of signed bytes.
#[inline(always)]
fn total(bytes: &[u8]) -> f32 {
    let total: i32 = bytes.iter().map(|&p| i32::from(p.cast_signed())).sum();
    total as f32
}

/// A vector, or less than one filled up with zeros.
#[inline(always)]
fn load<S: Simd>(s: S, chunk: &[f32]) -> S::Vector {
    if chunk.len() == S::LANES {
        s.load_slice(chunk)
    } else {
        s.load_partial(chunk, 0.0)
    }
}

/// What rounding takes from the product of a group with an input.
#[inline(always)]
fn lost(group: &[f32], bytes: &[u8], scale: f32, mean: &[f32]) -> f32 {
    // As many sums as a vector has lanes, so that the compiler may use vectors without changing the order.
    let mut sums = [0.0f32; 16];
    for ((w, p), m) in group.chunks(16).zip(bytes.chunks(16)).zip(mean.chunks(16)) {
        for (((sum, w), p), m) in sums.iter_mut().zip(w).zip(p).zip(m) {
            *sum += (w - scale * f32::from(p.cast_signed())) * m;
        }
    }
    sums.iter().sum()
}

/// Rounds a group to signed bytes, zero where there are more bytes than values, and returns its scale.
#[inline(always)]
fn quantize<S: Simd>(s: S, group: &[f32], bytes: &mut [u8]) -> f32 {
    let (mut largest, mut doubt) = (s.splat(0.0), s.splat(0.0));
    for chunk in group.chunks(S::LANES) {
        let x = load(s, chunk);
        largest = s.max(largest, s.abs(x));
        // Zero, or NaN where x is not finite.
        doubt = s.add(doubt, s.mul(x, s.splat(0.0)));
    }
    let scale = s.max_lanes(largest) / LARGEST + s.sum_lanes(doubt);
    let inverse = s.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
    // Bytes are written unsigned, from 1 to 255 with zero at 128.
    const ZERO: f32 = 128.0;
    for (chunk, bytes) in group.chunks(S::LANES).zip(bytes.chunks_mut(S::LANES)) {
        let p = s.round(s.mul(load(s, chunk), inverse));
        let p = s.min(s.max(p, s.splat(-LARGEST)), s.splat(LARGEST));
        let mut written = [0; 16];
        // SAFETY: no vector has more than 16 lanes.
        unsafe { s.store_bytes(s.add(p, s.splat(ZERO)), written.as_mut_ptr()) };
        for (byte, written) in bytes.iter_mut().zip(written) {
            *byte = written ^ 0x80;
        }
    }
    // Missing lanes were zero; a group that ends with a whole vector may have further bytes.
    bytes[group.len()..].fill(0);
    scale
}
