//! Keys and values that are packed once and attended to by many later queries: the cross-attention of a decoding step.

use super::tables::of_attention;
use super::tile::{self, Head, Packed, Sight};
use super::{head_size, rows_of_head, target};
use crate::gemm::Precision;
use crate::parallel::parallel_spans;
use crate::shape::{check_bounds, check_len, check_matrix};
use crate::{Isa, KernelError};
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Keys and values of B sequences, packed per head in the order in which register tiles read them.
///
/// A decoder attends to the same encoded text for every token that it makes: [`attend_packed`] then only reads.
#[derive(Debug, Clone)]
pub struct PackedKeyValues {
    isa: Isa,
    precision: Precision,
    heads: usize,
    /// D.
    size: usize,
    /// The number of keys of each sequence.
    lengths: Vec<usize>,
    /// The heads of the first sequence, of the second, …
    packed: Vec<Packed>,
}

impl PackedKeyValues {
    /// Packs keys and values, `[T, H·D]` each, of sequences that lie between `bounds`: B+1 numbers from 0 to T.
    ///
    /// Products round their operands to `precision`; [`Precision::Int8`] computes as [`Precision::F32`]. Runs on the
    /// current rayon pool.
    ///
    /// # Errors
    /// [`KernelError`] if shapes, heads or boundaries do not fit.
    ///
    /// ```
    /// use deberta_kernels::{Isa, PackedKeyValues, Precision};
    /// use ndarray::Array2;
    /// // Sequences of 3 and 2 keys, two heads of size 4.
    /// let key = Array2::ones((5, 8));
    /// let packed = PackedKeyValues::new(Isa::detect(), Precision::F32, key.view(), key.view(), 2, &[0, 3, 5])?;
    /// assert_eq!(packed.sequences(), 2);
    /// # Ok::<(), deberta_kernels::KernelError>(())
    /// ```
    pub fn new(
        isa: Isa,
        precision: Precision,
        key: ArrayView2<'_, f32>,
        value: ArrayView2<'_, f32>,
        heads: usize,
        bounds: &[usize],
    ) -> Result<Self, KernelError> {
        let (tokens, width) = key.dim();
        check_matrix("key", &key, [tokens, width])?;
        check_matrix("value", &value, [tokens, width])?;
        let size = head_size(width, heads)?;
        check_bounds(bounds, tokens)?;
        let (isa, precision) = (isa.without_tiles(), of_attention(precision));
        let lengths: Vec<usize> = bounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let pack = |index: usize| {
            let (sequence, head) = (index / heads, index % heads);
            let rows = bounds[sequence]..bounds[sequence + 1];
            let columns = head * size..(head + 1) * size;
            let head = Head {
                key: rows_of_head(key, &rows, &columns),
                value: rows_of_head(value, &rows, &columns),
                ..plain_head(size, precision, rows.len())
            };
            let mut packed = Packed::default();
            packed.pack(isa, &head, 1.0);
            packed
        };
        let packed = (0..lengths.len() * heads).into_par_iter().map(pack);
        Ok(Self {
            isa,
            precision,
            heads,
            size,
            packed: packed.collect(),
            lengths,
        })
    }

    /// The number of sequences, B.
    pub fn sequences(&self) -> usize {
        self.lengths.len()
    }

    /// The memory that keys and values take.
    pub fn bytes(&self) -> usize {
        self.packed.iter().map(Packed::bytes).sum()
    }

    /// The shapes fit, and every row has a sequence, with keys.
    fn check(
        &self,
        query: &ArrayView2<'_, f32>,
        sequence_of_row: &[u32],
        out: &ArrayView2<'_, f32>,
    ) -> Result<(), KernelError> {
        let shape = [query.nrows(), self.heads * self.size];
        check_matrix("query", query, shape)?;
        check_matrix("out", out, shape)?;
        check_len("sequence_of_row", sequence_of_row.len(), shape[0])?;
        for (query, &sequence) in sequence_of_row.iter().enumerate() {
            match self.lengths.get(sequence as usize) {
                None => {
                    return Err(KernelError::Parameter {
                        parameter: "sequence_of_row",
                        reason: "must be the index of a packed sequence",
                        found: sequence as usize,
                    });
                }
                Some(0) => return Err(KernelError::NoKeys { query }),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// A head with keys of which all are seen, without its operands.
fn plain_head<'a>(size: usize, precision: Precision, length: usize) -> Head<'a> {
    Head {
        query: (&[], 0),
        key: (&[], 0),
        value: (&[], 0),
        length,
        sight: Sight::All,
        size,
        scale: 1.0,
        precision,
        positions: None,
        relative: None,
    }
}

thread_local! {
    /// Memory for the runs of a call.
    static RUNS: RefCell<Vec<Range<usize>>> = const { RefCell::new(Vec::new()) };
}

/// Query row `r` of R attends to all keys of the packed sequence `b = sequence_of_row[r]`, `out: [R, H·D]`.
///
/// ```text
/// s[r, j] = Q_r · K_b,j · scale
/// out_r   = Σ_j softmax_j(s[r, :]) · V_b,j
/// ```
///
/// Rows that follow each other with the same number are computed together, which reads keys and values once for all of
/// them: the beams of one input belong side by side. Runs on the current rayon pool, and asks for no memory after the
/// first call on a thread. The bits of a row are those of [`cross_attention`](super::cross_attention) in the same
/// precision; they depend on its query and its sequence alone.
///
/// # Errors
/// [`KernelError`] if shapes do not fit, a number is not that of a packed sequence, or the sequence has no keys.
///
/// ```
/// use deberta_kernels::{Isa, PackedKeyValues, Precision, attend_packed};
/// use ndarray::{Array2, array};
/// // Two sequences of one and two keys, one head of size 1; equal scores average the values.
/// let (key, value) = (array![[0.0], [0.0], [0.0]], array![[5.0], [1.0], [3.0]]);
/// let packed = PackedKeyValues::new(Isa::detect(), Precision::F32, key.view(), value.view(), 1, &[0, 1, 3])?;
/// let (query, mut out) = (array![[7.0], [8.0], [9.0]], Array2::zeros((3, 1)));
/// attend_packed(query.view(), &[1, 1, 0], &packed, 1.0, out.view_mut())?;
/// assert_eq!(out, array![[2.0], [2.0], [5.0]]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
pub fn attend_packed(
    query: ArrayView2<'_, f32>,
    sequence_of_row: &[u32],
    packed: &PackedKeyValues,
    scale: f32,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<(), KernelError> {
    /// Multiply-adds that are worth a thread: some 20 microseconds.
    const GRAIN: usize = 1 << 20;
    packed.check(&query, sequence_of_row, &out.view())?;
    let (heads, size) = (packed.heads, packed.size);
    let target = target(&mut out);
    // Taken, not borrowed: while this thread waits for others it may run another call.
    let mut runs = RUNS.take();
    runs.clear();
    let (mut first, mut keys) = (0, 0);
    for run in sequence_of_row.chunk_by(|a, b| a == b) {
        runs.push(first..first + run.len());
        first += run.len();
        keys += run.len() * packed.lengths[run[0] as usize];
    }
    let work = 2 * keys * heads * size;
    parallel_spans(runs.len() * heads, work, GRAIN, |items| {
        for item in items {
            let (rows, head) = (&runs[item / heads], item % heads);
            let sequence = sequence_of_row[rows.start] as usize;
            let columns = head * size..(head + 1) * size;
            let inputs = Head {
                query: rows_of_head(query, rows, &columns),
                scale,
                ..plain_head(size, packed.precision, packed.lengths[sequence])
            };
            let keys_values = &packed.packed[sequence * heads + head];
            let part = target.part(rows.clone(), columns);
            tile::attend_packed(packed.isa, &inputs, keys_values, 0..rows.len(), part);
        }
    });
    RUNS.set(runs);
    Ok(())
}
