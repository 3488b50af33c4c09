//! One query per row over keys and values wherever they lie: a decoder's cache, in which beams share their past.

use super::panels::MOST_LANES;
use super::stream::Lanes;
use super::{head_size, rows_of_head, target};
use crate::elementwise::{Scale, map};
use crate::gemm::Target;
use crate::isa::{Operation, Simd};
use crate::memory::Aligned;
use crate::parallel::parallel_spans;
use crate::shape::{check_bounds, check_len, check_matrix};
use crate::softmax::{exp_sum, row_max};
use crate::{Isa, KernelError};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::cell::RefCell;
use std::ops::Range;

/// The operands of [`gathered_attention`]: R queries and a cache of S slots, with H heads of size D.
#[derive(Debug, Clone, Copy)]
pub struct GatheredAttention<'a> {
    /// Queries `[R, H·D]`.
    pub query: ArrayView2<'a, f32>,
    /// Keys `[S, H·D]`.
    pub key: ArrayView2<'a, f32>,
    /// Values `[S, H·D]`.
    pub value: ArrayView2<'a, f32>,
    /// The number of heads, H.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// The rows of keys and values that queries attend to, those of the first query first.
    pub slots: &'a [u32],
    /// Where the slots of each query begin and end: R+1 numbers from 0 to the number of slots.
    pub bounds: &'a [usize],
}

/// Query `r` attends to the rows `slots[bounds[r]..bounds[r+1]]` of keys and values, in this order; `out: [R, H·D]`.
///
/// ```text
/// s[r, n] = Q_r · K_slot(n) · scale                 slot(n) = slots[bounds[r] + n]
/// out_r   = Σ_n softmax_n(s[r, :]) · V_slot(n)
/// ```
///
/// Computed in `f32`, on the current rayon pool, and without asking for memory after the first calls on a thread. The
/// bits of a row depend on its query and on the keys and values of its slots, in their order; not on where in the cache
/// these lie, other rows or the number of threads. Rows of the cache that no slot names are not read: they may hold
/// anything.
///
/// # Errors
/// [`KernelError`] if shapes or boundaries do not fit, a slot is not a row of the keys, or a query has no slots.
///
/// ```
/// use deberta_kernels::{GatheredAttention, Isa, gathered_attention};
/// use ndarray::{Array2, array};
/// // Two beams that share slot 0; equal scores average the values. Nobody reads slot 1.
/// let (query, key) = (array![[1.0], [2.0]], array![[0.0], [f32::NAN], [0.0], [0.0]]);
/// let value = array![[1.0], [f32::NAN], [3.0], [5.0]];
/// let mut out = Array2::zeros((2, 1));
/// let attention = GatheredAttention {
///     query: query.view(), key: key.view(), value: value.view(),
///     heads: 1, scale: 1.0, slots: &[0, 2, 0, 3], bounds: &[0, 2, 4],
/// };
/// gathered_attention(Isa::detect(), &attention, out.view_mut())?;
/// assert_eq!(out, array![[2.0], [3.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn gathered_attention(
    isa: Isa,
    attention: &GatheredAttention<'_>,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    /// Multiply-adds that are worth a thread: some 20 microseconds.
    const GRAIN: usize = 1 << 19;
    let size = attention.check(&out.view())?;
    let target = target(&mut out);
    let items = attention.query.nrows() * attention.heads;
    let work = 2 * attention.slots.len() * attention.query.ncols();
    parallel_spans(items, work, GRAIN, |items| {
        SCORES.with_borrow_mut(|scores| {
            isa.dispatch(Gather {
                attention,
                size,
                items: items.clone(),
                scores,
                out: target,
            });
        });
    });
    Ok(())
}

impl GatheredAttention<'_> {
    /// Checks everything against everything, and an output of the queries' shape; returns the head size, D.
    fn check(&self, out: &ArrayView2<'_, f32>) -> Result<usize, KernelError> {
        let (rows, width) = self.query.dim();
        let cached = self.key.nrows();
        check_matrix("query", &self.query, [rows, width])?;
        check_matrix("key", &self.key, [cached, width])?;
        check_matrix("value", &self.value, [cached, width])?;
        check_matrix("out", out, [rows, width])?;
        let size = head_size(width, self.heads)?;
        check_len("bounds", self.bounds.len(), rows + 1)?;
        check_bounds(self.bounds, self.slots.len())?;
        if let Some(query) = self.bounds.windows(2).position(|pair| pair[0] == pair[1]) {
            return Err(KernelError::NoKeys { query });
        }
        match self.slots.iter().find(|&&slot| slot as usize >= cached) {
            Some(&slot) => Err(KernelError::Parameter {
                parameter: "slots",
                reason: "must be rows of the keys",
                found: slot as usize,
            }),
            None => Ok(size),
        }
    }
}

thread_local! {
    /// Scores of one query and head, then weights.
    static SCORES: RefCell<Aligned<f32>> = RefCell::default();
}

/// Some of the work: pairs of a query and a head, the heads of the first query first.
struct Gather<'a, 'b> {
    attention: &'a GatheredAttention<'b>,
    size: usize,
    items: Range<usize>,
    scores: &'a mut Aligned<f32>,
    out: Target,
}

impl Operation for Gather<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            attention,
            size,
            items,
            scores,
            out,
        } = self;
        let all = |matrix: ArrayView2<'_, f32>| 0..matrix.nrows();
        for item in items {
            let (row, head) = (item / attention.heads, item % attention.heads);
            let columns = head * size..(head + 1) * size;
            let of_head = |matrix| rows_of_head(matrix, &all(matrix), &columns);
            let slots = &attention.slots[attention.bounds[row]..attention.bounds[row + 1]];
            let (query, _) = rows_of_head(attention.query, &(row..row + 1), &columns);
            // Caches grow by a token at a time, memory seldom.
            scores.reserve((slots.len() + MOST_LANES).next_power_of_two());
            let key = Rows::new(of_head(attention.key), size);
            score(s, &query[..size], key, slots, attention.scale, scores);
            let weights = &mut scores[..slots.len()];
            let max = row_max(s, weights);
            let sum = exp_sum(s, weights, max);
            // SAFETY: the task has this row of the output, in the columns of this head, to itself.
            let out = unsafe { out.part(row..row + 1, columns.clone()).row(0) };
            let value = Rows::new(of_head(attention.value), size);
            weigh(s, weights, value, slots, out);
            map(s, out, Scale(1.0 / sum));
        }
    }
}

/// The rows of one head in a cache.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    stride: usize,
    size: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    fn new((values, stride): (&'a [f32], usize), size: usize) -> Self {
        Self {
            values,
            stride,
            size,
        }
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> &'a [f32] {
        &self.values[slot as usize * self.stride..][..self.size]
    }
}

/// `scores[n] = query · key[slot(n)] · scale`; a vector of scores is written even where fewer slots are left.
///
/// Each product is a sum per lane over ascending vectors, then the sum of the lanes. As many slots as there are lanes
/// are transposed for that, so that lanes are summed for all of them at a time.
#[inline(always)]
fn score<S: Simd>(
    s: S,
    query: &[f32],
    key: Rows<'_>,
    slots: &[u32],
    scale: f32,
    scores: &mut [f32],
) {
    let scale = s.splat(scale);
    let whole = query.len() / S::LANES * S::LANES;
    let (query, rest) = query.split_at(whole);
    let end = s.load_partial(rest, 0.0);
    let mut per_lane = Lanes::ZEROS;
    let groups = slots.chunks(S::LANES);
    for (slots, scores) in groups.zip(scores.chunks_mut(S::LANES)) {
        for (n, &slot) in slots.iter().enumerate() {
            let (key, key_rest) = key.get(slot).split_at(whole);
            let mut sum = s.splat(0.0);
            let pairs = query.chunks_exact(S::LANES).zip(key.chunks_exact(S::LANES));
            for (q, k) in pairs {
                sum = s.mul_add(s.load_slice(q), s.load_slice(k), sum);
            }
            if !key_rest.is_empty() {
                sum = s.mul_add(end, s.load_partial(key_rest, 0.0), sum);
            }
            per_lane.set(s, n, sum);
        }
        let turned = per_lane.transposed(s);
        let mut sum = turned.get(s, 0);
        for lane in 1..S::LANES {
            sum = s.add(sum, turned.get(s, lane));
        }
        s.store_slice(s.mul(sum, scale), scores);
    }
}

/// `out = Σ_n weights[n] · value[slot(n)]`: one chain over ascending `n` per value, whatever is computed beside it.
#[inline(always)]
fn weigh<S: Simd>(s: S, weights: &[f32], value: Rows<'_>, slots: &[u32], out: &mut [f32]) {
    let whole = out.len() / S::LANES;
    let mut vector = 0;
    macro_rules! vectors {
        ($($count:literal)*) => {$(
            while whole - vector >= $count {
                weigh_vectors::<S, $count>(s, weights, value, slots, vector * S::LANES, out);
                vector += $count;
            }
        )*};
    }
    vectors!(8 4 2 1);
    let first = whole * S::LANES;
    if first < out.len() {
        let mut sum = s.splat(0.0);
        for (&weight, &slot) in weights.iter().zip(slots) {
            let values = s.load_partial(&value.get(slot)[first..], 0.0);
            sum = s.mul_add(s.splat(weight), values, sum);
        }
        s.store_partial(sum, &mut out[first..]);
    }
}

/// The same for some vectors from column `first` on, whose sums stay in registers.
#[inline(always)]
fn weigh_vectors<S: Simd, const VECTORS: usize>(
    s: S,
    weights: &[f32],
    value: Rows<'_>,
    slots: &[u32],
    first: usize,
    out: &mut [f32],
) {
    let columns = first..first + VECTORS * S::LANES;
    let mut sums = [s.splat(0.0); VECTORS];
    for (&weight, &slot) in weights.iter().zip(slots) {
        let weight = s.splat(weight);
        let values = &value.get(slot)[columns.clone()];
        for (sum, values) in sums.iter_mut().zip(values.chunks_exact(S::LANES)) {
            *sum = s.mul_add(weight, s.load_slice(values), *sum);
        }
    }
    let out = out[columns].chunks_exact_mut(S::LANES);
    for (sum, out) in sums.into_iter().zip(out) {
        s.store_slice(sum, out);
    }
}
