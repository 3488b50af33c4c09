//! Disentangled attention: the fused kernel.

use crate::launch::{Kernel, arguments};
use crate::{CudaError, Dtype, Gpu, Indices, Matrix, Module, Sequences};
use deberta_kernels::RelativePositions;

/// The projected position tables of one layer, `[2·span, H·D]` each.
#[derive(Debug)]
pub struct PositionTables {
    /// Position keys, PK, where queries look for positions.
    pub keys: Option<Matrix>,
    /// Position queries, PQ, where positions look for keys.
    pub queries: Option<Matrix>,
}

impl PositionTables {
    /// One of them, to know their shape by.
    fn either(&self) -> Option<&Matrix> {
        self.keys.as_ref().or(self.queries.as_ref())
    }
}

/// The slots of all distances.
#[derive(Debug)]
pub struct Slots {
    table: Indices,
    /// Distances beyond this have the slots of this one.
    reach: usize,
    /// Rows of the tables.
    rows: usize,
    /// Whether some neighbouring distances are more than one slot apart, as coarse buckets make them.
    jumps: bool,
}

impl Slots {
    /// Tabulates the slots from the most negative distance that differs from those beyond it to the largest.
    ///
    /// # Errors
    /// [`CudaError`] where memory does not suffice.
    pub fn new(gpu: &Gpu, relative: RelativePositions) -> Result<Self, CudaError> {
        let far = 1_i64 << 25; // no model has positions beyond 2^24
        let settled = |reach: i64| {
            relative.slot(reach) == relative.slot(far)
                && relative.slot(-reach) == relative.slot(-far)
        };
        let (mut low, mut high) = (0, far);
        while low < high {
            let middle = (low + high) / 2;
            if settled(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let reach = high.max(1);
        let slots: Vec<i32> = (-reach..=reach)
            .map(|distance| relative.slot(distance) as i32)
            .collect();
        Ok(Self {
            table: Indices::new(gpu, &slots)?,
            reach: reach as usize,
            rows: 2 * relative.span(),
            jumps: slots.windows(2).any(|pair| pair[1] - pair[0] > 1),
        })
    }

    pub(crate) fn table(&self) -> &Indices {
        &self.table
    }

    pub(crate) fn reach(&self) -> usize {
        self.reach
    }
}

/// Some columns of a matrix, from the first on.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// The matrix.
    pub matrix: &'a Matrix,
    /// The first of the columns.
    pub first: usize,
}

impl Columns<'_> {
    fn check(
        &self,
        argument: &'static str,
        rows: usize,
        width: usize,
        dtype: Dtype,
    ) -> Result<(), CudaError> {
        let columns = self.matrix.columns();
        self.matrix.check(argument, rows, columns, dtype)?;
        if self.first + width > columns {
            return Err(CudaError::Shape {
                argument,
                expected: vec![rows, self.first + width],
                found: vec![rows, columns],
            });
        }
        Ok(())
    }

    pub(crate) fn pointer(&self) -> crate::launch::Pointer {
        self.matrix.pointer_to(self.first)
    }
}

/// The operands of attention over packed sequences of T tokens with H heads of size D: `[T, H·D]` each.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Queries.
    pub query: Columns<'a>,
    /// Keys.
    pub key: Columns<'a>,
    /// Values, in a matrix of as many columns as that of the keys.
    pub value: Columns<'a>,
    /// H·D.
    pub width: usize,
    /// The number of heads, H.
    pub heads: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// The position terms: none for plain attention.
    pub relative: Option<(&'a PositionTables, &'a Slots)>,
}

/// The largest head that the fused kernel takes.
const LARGEST_HEAD: usize = 128;

/// The head size that a kernel is made for, and its queries and keys of a tile: `kernels/attention_*.cu`.
fn tile(dtype: Dtype, size: usize) -> (usize, usize) {
    match (dtype, size) {
        (Dtype::F32, ..=32) => (32, 32),
        (Dtype::F32, ..=64) => (64, 32),
        (Dtype::F32, _) => (128, 16),
        (_, ..=32) => (32, 64),
        (_, ..=64) => (64, 64),
        _ => (128, 32),
    }
}

/// Queries of a task of attention, for [`Sequences::new`].
pub fn queries_per_task(dtype: Dtype, head_size: usize) -> usize {
    tile(dtype, head_size).1
}

/// Bytes of shared memory that a block of the fused kernel takes, which limits how many run at the same time.
pub fn shared_bytes_per_block(dtype: Dtype, head_size: usize) -> usize {
    let (head, block) = tile(dtype, head_size);
    shared_bytes(dtype, head, block)
}

/// Shared memory of a block: `BYTES` of `kernels/attention.cuh`.
fn shared_bytes(dtype: Dtype, head: usize, block: usize) -> usize {
    let row = head * dtype.bytes() + 16;
    let (tile, ring) = (block * row, 2 * block * row);
    let near = block + 16;
    let (terms, window) = (block * (near + 4 + near + 5) * 4, 2 * (2 * block) * 2);
    let held = head * dtype.bytes() <= 256;
    2 * tile + 2 * ring + window + if held { terms.max(tile) } else { terms + tile }
}

impl Attention<'_> {
    /// Checks everything against everything; returns the type and the head size, D.
    pub(crate) fn check(&self, sequences: &Sequences) -> Result<(Dtype, usize), CudaError> {
        let (dtype, rows) = (self.query.matrix.dtype(), sequences.shape().tokens);
        for (argument, columns) in [
            ("query", self.query),
            ("key", self.key),
            ("value", self.value),
        ] {
            columns.check(argument, rows, self.width, dtype)?;
        }
        let columns = self.key.matrix.columns();
        self.value.matrix.check("value", rows, columns, dtype)?;
        let heads = self.heads;
        if heads == 0 || self.width == 0 || !self.width.is_multiple_of(heads) {
            return Err(CudaError::Argument {
                argument: "heads",
                expected: format!("a divisor of {}", self.width),
                found: heads.to_string(),
            });
        }
        if let Some((tables, slots)) = self.relative {
            for table in [&tables.keys, &tables.queries].into_iter().flatten() {
                table.check("position tables", slots.rows, self.width, dtype)?;
            }
        }
        Ok((dtype, self.width / heads))
    }

    /// Whether the fused kernel takes heads of this size.
    pub fn is_fused(size: usize) -> bool {
        size <= LARGEST_HEAD
    }

    /// Computes attention for every sequence and head: `[T, H·D]`.
    ///
    /// # Errors
    /// [`CudaError`] where shapes or types differ, heads have more than 128 numbers, or memory does not suffice.
    pub fn apply(&self, gpu: &Gpu, sequences: &Sequences) -> Result<Matrix, CudaError> {
        let (dtype, size) = self.check(sequences)?;
        let (head, block) = tile(dtype, size);
        let (tasks, queries) = sequences.attention_tasks();
        if !Self::is_fused(size) || queries != block {
            return Err(CudaError::Argument {
                argument: "head size",
                expected: format!("at most {LARGEST_HEAD}, and tasks of {block} queries"),
                found: format!("{size}, and tasks of {queries}"),
            });
        }
        let out = Matrix::new(gpu, sequences.shape().tokens, self.width, dtype)?;
        let tables = self
            .relative
            .filter(|(tables, _)| tables.either().is_some());
        let table = |part: fn(&PositionTables) -> Option<&Matrix>| {
            tables
                .and_then(|(tables, _)| part(tables))
                .map(Matrix::pointer)
        };
        let table_stride = tables
            .and_then(|(tables, _)| tables.either())
            .map_or(0, Matrix::stride);
        let slots = tables.map(|(_, slots)| slots);
        // The general kernel, for distances between neighbours in a tile that are not 1.
        let positions = sequences.shape().positions;
        let holes = tables.is_some() && (positions || slots.is_some_and(|slots| slots.jumps));
        let name = format!(
            "attention_{}{head}_{dtype}",
            if holes { "holes_" } else { "" }
        );
        let kernel = Kernel {
            module: Module::Attention(dtype),
            name: &name,
            blocks: [tasks.len() / 4, self.heads],
            threads: block / 16 * 32,
            shared_bytes: shared_bytes(dtype, head, block),
        };
        let arguments = arguments![
            self.query.pointer(),
            self.query.matrix.stride(),
            self.key.pointer(),
            self.value.pointer(),
            self.key.matrix.stride(),
            table(|tables| tables.keys.as_ref()),
            table(|tables| tables.queries.as_ref()),
            table_stride,
            slots.map(|slots| slots.table.pointer()),
            slots.map_or(0, Slots::reach),
            positions.then(|| sequences.positions().pointer()),
            tasks.pointer(),
            out.pointer(),
            out.stride(),
            size,
            self.scale * std::f32::consts::LOG2_E,
        ];
        // SAFETY: these are the kernel's parameters; shapes were checked, tasks are of tokens that are there.
        unsafe { kernel.enqueue(gpu, arguments)? };
        Ok(out)
    }
}
