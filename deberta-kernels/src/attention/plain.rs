//! Attention without position terms, as a decoder has it: over what lies before a query, and over another sequence.

use super::tables::of_attention;
use super::tile::{self, Head, Sight};
use super::{Task, Tasks, head_size, rows_of_head, target};
use crate::gemm::Precision;
use crate::parallel::parallel;
use crate::shape::{check_bounds, check_len, check_matrix};
use crate::{Isa, KernelError};
use ndarray::{ArrayView2, ArrayViewMut2};

/// The operands of [`causal_attention`] and [`cross_attention`] over B packed pairs of sequences: Tq queries and Tk keys
/// in all, with H heads of size D.
#[derive(Debug, Clone, Copy)]
pub struct PlainAttention<'a> {
    /// Queries `[Tq, H·D]`.
    pub query: ArrayView2<'a, f32>,
    /// Keys `[Tk, H·D]`.
    pub key: ArrayView2<'a, f32>,
    /// Values `[Tk, H·D]`.
    pub value: ArrayView2<'a, f32>,
    /// The number of heads, H.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// What the operands of products are rounded to. [`Precision::Int8`] computes as [`Precision::F32`].
    pub precision: Precision,
    /// Boundaries of the sequences of queries: B+1 numbers from 0 to Tq.
    pub query_bounds: &'a [usize],
    /// Boundaries of the sequences of keys: B+1 numbers from 0 to Tk. Queries of sequence `b` see keys of sequence `b`.
    pub key_bounds: &'a [usize],
}

/// Every query attends to all keys of its sequence, `out: [Tq, H·D]`: the attention of a decoder to an encoder.
///
/// ```text
/// s[i, j] = Q_i · K_j · scale
/// out_i   = Σ_j softmax_j(s[i, :]) · V_j
/// ```
///
/// Runs on the current rayon pool with memory linear in the length of a sequence. The result of a query depends on the
/// keys and values of its sequence and on nothing else: to the last bit not on other queries, other sequences or the
/// number of threads. Where there are as many queries as keys, it is that of
/// [`disentangled_attention`](super::disentangled_attention) without position terms, to the last bit.
///
/// # Errors
/// [`KernelError`] if shapes or boundaries do not fit, or a sequence has queries and no keys.
///
/// ```
/// use deberta_kernels::{Isa, PlainAttention, Precision, cross_attention};
/// use ndarray::{Array2, array};
/// // One query and two keys, one head of size 1; equal scores average the values.
/// let (query, key, value) = (array![[0.0]], array![[5.0], [7.0]], array![[1.0], [3.0]]);
/// let mut out = Array2::zeros((1, 1));
/// let attention = PlainAttention {
///     query: query.view(), key: key.view(), value: value.view(),
///     heads: 1, scale: 1.0, precision: Precision::F32, query_bounds: &[0, 1], key_bounds: &[0, 2],
/// };
/// cross_attention(Isa::detect(), &attention, out.view_mut())?;
/// assert_eq!(out, array![[2.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn cross_attention(
    isa: Isa,
    attention: &PlainAttention<'_>,
    out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    attention.run(isa, out, false)
}

/// Every query attends to the keys up to its own, `out: [Tq, H·D]`: the attention of a decoder to itself.
///
/// The last of Lq queries stands at the last of `Lk >= Lq` keys of its sequence, the others before it; keys that are
/// more than queries lie in the past.
///
/// ```text
/// s[i, j] = Q_i · K_j · scale                            j <= i + Lk - Lq
/// out_i   = Σ_(j <= i + Lk - Lq) softmax_j(s[i, :]) · V_j
/// ```
///
/// Blocks of keys that all lie in the future are not computed. Later keys and values, so long as the values are finite,
/// change nothing: row `i` has the bits of the last row of a call with queries 0 to `i` and the keys that these see, and
/// also those of a call with query `i` alone and these keys. (A value in the future has the weight zero, which makes
/// NaN of one that is infinite or NaN.) Neither other sequences nor the number of threads change anything.
///
/// # Errors
/// [`KernelError`] if shapes or boundaries do not fit, or a sequence has more queries than keys, the first of which
/// would see none.
///
/// ```
/// use deberta_kernels::{Isa, PlainAttention, Precision, causal_attention};
/// use ndarray::{Array2, array};
/// // Two tokens, one head of size 1; equal scores average the values so far.
/// let (query, value) = (array![[0.0], [0.0]], array![[1.0], [3.0]]);
/// let mut out = Array2::zeros((2, 1));
/// let attention = PlainAttention {
///     query: query.view(), key: query.view(), value: value.view(),
///     heads: 1, scale: 1.0, precision: Precision::F32, query_bounds: &[0, 2], key_bounds: &[0, 2],
/// };
/// causal_attention(Isa::detect(), &attention, out.view_mut())?;
/// assert_eq!(out, array![[1.0], [2.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn causal_attention(
    isa: Isa,
    attention: &PlainAttention<'_>,
    out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    attention.run(isa, out, true)
}

impl<'a> PlainAttention<'a> {
    fn run(
        &self,
        isa: Isa,
        mut out: ArrayViewMut2<'_, f32>,
        causal: bool,
    ) -> Result<(), KernelError> {
        let size = self.check(&out.view(), causal)?;
        let isa = isa.without_tiles();
        let target = target(&mut out);
        let tasks = Tasks::new(self.query_bounds, self.heads);
        parallel(tasks.count(), |index| {
            let Some(task) = tasks.get(index) else { return };
            let inputs = self.head(&task, size, causal);
            let part = task.part(target, size);
            tile::attend(isa, &inputs, task.queries, part);
        });
        Ok(())
    }

    /// Checks everything against everything, and an output of the queries' shape; returns the head size, D.
    fn check(&self, out: &ArrayView2<'_, f32>, causal: bool) -> Result<usize, KernelError> {
        let (queries, width) = self.query.dim();
        let keys = self.key.nrows();
        check_matrix("query", &self.query, [queries, width])?;
        check_matrix("key", &self.key, [keys, width])?;
        check_matrix("value", &self.value, [keys, width])?;
        check_matrix("out", out, [queries, width])?;
        let size = head_size(width, self.heads)?;
        check_bounds(self.query_bounds, queries)?;
        check_bounds(self.key_bounds, keys)?;
        check_len("key_bounds", self.key_bounds.len(), self.query_bounds.len())?;
        let pairs = self.query_bounds.windows(2).zip(self.key_bounds.windows(2));
        for (queries, keys) in pairs {
            let needed = match queries[1] - queries[0] {
                count if causal => count,
                count => count.min(1),
            };
            if keys[1] - keys[0] < needed {
                return Err(KernelError::NoKeys { query: queries[0] });
            }
        }
        Ok(size)
    }

    /// One head of one sequence, after [`PlainAttention::check`].
    fn head(&self, task: &Task, size: usize, causal: bool) -> Head<'a> {
        let columns = task.head * size..(task.head + 1) * size;
        let keys = self.key_bounds[task.index]..self.key_bounds[task.index + 1];
        Head {
            query: rows_of_head(self.query, &task.sequence, &columns),
            key: rows_of_head(self.key, &keys, &columns),
            value: rows_of_head(self.value, &keys, &columns),
            length: keys.len(),
            sight: if causal {
                Sight::Past(keys.len() - task.sequence.len())
            } else {
                Sight::All
            },
            size,
            scale: self.scale,
            precision: of_attention(self.precision),
            positions: None,
            relative: None,
        }
    }
}
