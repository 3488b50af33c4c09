//! Attention with every score in memory: for heads that mix, and for those who want to see the scores.

use crate::launch::{Kernel, arguments};
use crate::{Attention, CudaError, Dtype, Gpu, Matrix, Module, Sequences};
use ndarray::{Array2, s};

/// How heads mix: `[H, H]` each, row `g` giving the weights of all heads in the new head `g`.
#[derive(Debug)]
pub struct HeadMixing {
    /// Before the softmax.
    pub logits: Matrix,
    /// After it.
    pub weights: Matrix,
}

/// What one head did with one sequence of L tokens: matrices `[L, L]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreMap {
    /// Index of the sequence.
    pub sequence: usize,
    /// Index of the head.
    pub head: usize,
    /// Row `i` holds the weights with which query `i` takes the values.
    pub probabilities: Array2<f32>,
    /// The scaled terms of the scores, where they were asked for: content to content, content to position, position to
    /// content. `None` where there is no such term.
    pub terms: Option<[Option<Array2<f32>>; 3]>,
}

/// Queries whose scores are in memory at a time.
const QUERIES: usize = 64;
/// Threads of a block: `kernels/explicit.cuh`.
const THREADS: usize = 128;

/// Which terms of the scores to compute.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Terms([bool; 3]);

/// The queries of a sequence whose scores are computed together.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    length: usize,
    first: usize,
    queries: usize,
}

impl Attention<'_> {
    /// The same as [`Attention::apply`], with mixed heads where `mixing` is given, and shows what some heads do, with the
    /// terms of their scores if asked for. Waits where there is something to show.
    ///
    /// # Errors
    /// As [`Attention::apply`], without a limit to the size of heads.
    pub fn apply_explicitly(
        &self,
        gpu: &Gpu,
        sequences: &Sequences,
        mixing: Option<&HeadMixing>,
        shown: &[usize],
        terms: bool,
    ) -> Result<(Matrix, Vec<ScoreMap>), CudaError> {
        let (dtype, size) = self.check(sequences)?;
        if let Some(mixing) = mixing {
            for matrix in [&mixing.logits, &mixing.weights] {
                matrix.check("mixing", self.heads, self.heads, Dtype::F32)?;
            }
        }
        let out = Matrix::new(gpu, sequences.shape().tokens, self.width, dtype)?;
        let mut maps = Vec::new();
        for (sequence, bounds) in sequences.host_bounds().windows(2).enumerate() {
            let length = bounds[1] - bounds[0];
            let first_map = maps.len();
            let empty = || Array2::zeros((length, length));
            maps.extend(shown.iter().map(|&head| ScoreMap {
                sequence,
                head,
                probabilities: empty(),
                terms: terms.then(|| self.terms().0.map(|there| there.then(empty))),
            }));
            for first in (0..length).step_by(QUERIES) {
                let part = Part {
                    start: bounds[0],
                    length,
                    first,
                    queries: QUERIES.min(length - first),
                };
                let rows = first..first + part.queries;
                let mut scores = self.scores(gpu, sequences, part, self.terms())?;
                if let Some(mixing) = mixing {
                    scores = self.mix(gpu, &mixing.logits, &scores)?;
                }
                softmax(gpu, &scores, self.heads * part.queries)?;
                if let Some(mixing) = mixing {
                    scores = self.mix(gpu, &mixing.weights, &scores)?;
                }
                self.context(gpu, &scores, part, size, &out)?;
                let maps = &mut maps[first_map..];
                let show = |of: &Matrix, to: &mut dyn FnMut(usize, Array2<f32>)| {
                    let all = of.to_f32()?;
                    for (index, &head) in shown.iter().enumerate() {
                        let of_head = all.row(head).to_owned();
                        let shape = (part.queries, length);
                        if let Ok(of_head) = of_head.into_shape_with_order(shape) {
                            to(index, of_head);
                        }
                    }
                    Ok::<_, CudaError>(())
                };
                if shown.is_empty() {
                    continue;
                }
                show(&scores, &mut |index, values| {
                    maps[index]
                        .probabilities
                        .slice_mut(s![rows.clone(), ..])
                        .assign(&values);
                })?;
                for term in (0..3).filter(|&term| terms && self.terms().0[term]) {
                    let alone = Terms([0, 1, 2].map(|other| other == term));
                    let scores = self.scores(gpu, sequences, part, alone)?;
                    show(&scores, &mut |index, values| {
                        let all = maps[index].terms.as_mut();
                        if let Some(to) = all.and_then(|terms| terms[term].as_mut()) {
                            to.slice_mut(s![rows.clone(), ..]).assign(&values);
                        }
                    })?;
                }
            }
        }
        Ok((out, maps))
    }

    /// The terms that there are.
    fn terms(&self) -> Terms {
        let tables = self.relative.map(|(tables, _)| tables);
        let has = |there: Option<bool>| there == Some(true);
        Terms([
            true,
            has(tables.map(|tables| tables.keys.is_some())),
            has(tables.map(|tables| tables.queries.is_some())),
        ])
    }

    /// `[H, queries·L]`
    fn scores(
        &self,
        gpu: &Gpu,
        sequences: &Sequences,
        part: Part,
        Terms([content, c2p, p2c]): Terms,
    ) -> Result<Matrix, CudaError> {
        let count = part.queries * part.length;
        // Rows one after the other, without the alignment of a matrix: one row.
        let scores = Matrix::new(gpu, 1, self.heads * count, Dtype::F32)?;
        let dtype = self.query.matrix.dtype();
        let rows = |columns: crate::Columns<'_>| {
            let bytes = part.start * columns.matrix.stride() * dtype.bytes();
            columns.pointer().after(bytes)
        };
        let tables = self.relative.map(|(tables, _)| tables);
        let keys = tables
            .and_then(|tables| tables.keys.as_ref())
            .filter(|_| c2p);
        let queries = tables
            .and_then(|tables| tables.queries.as_ref())
            .filter(|_| p2c);
        let slots = self.relative.map(|(_, slots)| slots);
        let positions = sequences.shape().positions;
        let positions = positions.then(|| {
            let all = sequences.positions().pointer();
            all.after(part.start * size_of::<i32>())
        });
        let name = format!("explicit_scores_{dtype}");
        // SAFETY: these are the kernel's parameters; shapes were checked.
        unsafe {
            kernel(&name, [count.div_ceil(THREADS), self.heads]).enqueue(
                gpu,
                arguments![
                    rows(self.query),
                    self.query.matrix.stride(),
                    rows(self.key),
                    self.key.matrix.stride(),
                    keys.map(Matrix::pointer),
                    queries.map(Matrix::pointer),
                    keys.or(queries).map_or(0, Matrix::stride),
                    slots.map(|slots| slots.table().pointer()),
                    slots.map_or(0, crate::Slots::reach),
                    positions,
                    usize::from(content),
                    part.first,
                    part.queries,
                    part.length,
                    self.width / self.heads,
                    self.scale,
                    scores.pointer(),
                ],
            )?;
        }
        scores.reshape(self.heads, count)
    }

    /// `[H, count] -> [H, count]`
    fn mix(&self, gpu: &Gpu, by: &Matrix, scores: &Matrix) -> Result<Matrix, CudaError> {
        let count = scores.columns();
        let out = Matrix::new(gpu, 1, self.heads * count, Dtype::F32)?;
        // SAFETY: these are the kernel's parameters, and both arrays have `count` numbers per head.
        unsafe {
            kernel("mix_heads", [count.div_ceil(THREADS), self.heads]).enqueue(
                gpu,
                arguments![
                    by.pointer(),
                    by.stride(),
                    scores.pointer(),
                    out.pointer(),
                    self.heads,
                    count
                ],
            )?;
        }
        out.reshape(self.heads, count)
    }

    /// The rows of `out` that belong to some queries.
    fn context(
        &self,
        gpu: &Gpu,
        weights: &Matrix,
        part: Part,
        size: usize,
        out: &Matrix,
    ) -> Result<(), CudaError> {
        let bytes = |row: usize, stride: usize| row * stride * out.dtype().bytes();
        let value = self.value;
        let values = value
            .pointer()
            .after(bytes(part.start, value.matrix.stride()));
        let to = out
            .pointer()
            .after(bytes(part.start + part.first, out.stride()));
        let name = format!("explicit_context_{}", out.dtype());
        // SAFETY: these are the kernel's parameters; the rows are those of the part's sequence and queries.
        unsafe {
            kernel(&name, [self.width.div_ceil(THREADS), part.queries]).enqueue(
                gpu,
                arguments![
                    weights.pointer(),
                    values,
                    value.matrix.stride(),
                    part.queries,
                    part.length,
                    size,
                    self.heads,
                    to,
                    out.stride(),
                ],
            )
        }
    }
}

fn softmax(gpu: &Gpu, scores: &Matrix, rows: usize) -> Result<(), CudaError> {
    let length = scores.rows() * scores.columns() / rows.max(1);
    // SAFETY: these are the kernel's parameters, and the scores are so many rows of this length.
    unsafe {
        kernel("softmax_rows", [rows.div_ceil(THREADS / 32), 1])
            .enqueue(gpu, arguments![scores.pointer(), rows, length])
    }
}

fn kernel(name: &str, blocks: [usize; 2]) -> Kernel<'_> {
    Kernel {
        module: Module::Explicit,
        name,
        blocks,
        threads: THREADS,
        shared_bytes: 0,
    }
}
