//! Where the sequences of a batch begin and end, on the device.

use crate::{CudaError, Gpu, Indices};
use std::sync::Arc;

/// The sizes that the memory of a batch is made for.
///
/// Batches of different sizes that fall into one shape use the same memory and the same grids, so that what was recorded
/// for one can be replayed for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Tokens in all.
    pub tokens: usize,
    /// Sequences.
    pub sequences: usize,
    /// Whether tokens have positions of their own.
    pub positions: bool,
}

impl Shape {
    /// The shape of just this batch.
    pub fn exact(tokens: usize, sequences: usize, positions: bool) -> Self {
        Self {
            tokens,
            sequences,
            positions,
        }
    }

    /// The shape that batches of about this size share: at most an eighth more tokens, or 16, and up to twice the
    /// sequences.
    pub fn bucket(self) -> Self {
        let step = (self.tokens.next_power_of_two() / 16).max(16);
        Self {
            tokens: self.tokens.next_multiple_of(step),
            sequences: self.sequences.next_power_of_two(),
            ..self
        }
    }

    /// Tasks of attention at most, where each has so many queries.
    fn tasks(self, queries: usize) -> usize {
        self.tokens / queries + self.sequences
    }
}

/// A batch as the kernels want it, in memory of a [`Shape`].
///
/// Rows of tokens that the shape has more than the batch are computed like others and mean nothing.
#[derive(Debug, Clone)]
pub struct Sequences {
    memory: Indices,
    shape: Shape,
    /// Queries of a task of attention.
    queries: usize,
    /// Begin and end of each sequence of the batch.
    bounds: Vec<usize>,
}

/// What a batch consists of: of T tokens in B sequences.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// `[T]`
    pub ids: &'a [u32],
    /// `[T]`
    pub type_ids: &'a [u32],
    /// `[B + 1]`
    pub bounds: &'a [usize],
    /// `[T]`, rising within a sequence; `None`: 0, 1, 2, …
    pub positions: Option<&'a [u32]>,
}

/// The parts of the memory, in their order.
#[derive(Clone, Copy)]
enum Part {
    Ids,
    TypeIds,
    Positions,
    /// Of each token's sequence.
    Begin,
    End,
    First,
    Bounds,
    Tasks,
}

impl Sequences {
    /// Memory for batches of a shape, for attention in tasks of so many queries.
    ///
    /// # Errors
    /// [`CudaError`] where memory does not suffice.
    pub fn new(gpu: &Gpu, shape: Shape, queries: usize) -> Result<Self, CudaError> {
        let mut sequences = Self {
            memory: Indices::new(gpu, &[])?,
            shape,
            queries: queries.max(1),
            bounds: vec![0],
        };
        let (first, len) = sequences.place(Part::Tasks);
        let memory = gpu.pool().take((first + len) * size_of::<i32>())?;
        sequences.memory = Indices::of(Arc::new(memory), 0, first + len);
        Ok(sequences)
    }

    /// Where a part is, and how long.
    fn place(&self, part: Part) -> (usize, usize) {
        let Shape {
            tokens, sequences, ..
        } = self.shape;
        // Tasks, of 16 bytes each, come last and are aligned.
        let aligned = (5 * tokens + 2 * sequences + 1).next_multiple_of(4);
        match part {
            Part::Ids => (0, tokens),
            Part::TypeIds => (tokens, tokens),
            Part::Positions => (2 * tokens, tokens),
            Part::Begin => (3 * tokens, tokens),
            Part::End => (4 * tokens, tokens),
            Part::First => (5 * tokens, sequences),
            Part::Bounds => (5 * tokens + sequences, sequences + 1),
            Part::Tasks => (aligned, 4 * self.shape.tasks(self.queries)),
        }
    }

    fn part(&self, part: Part) -> Indices {
        let (first, len) = self.place(part);
        self.memory.part(first, len)
    }

    /// Copies a batch there.
    ///
    /// # Errors
    /// [`CudaError::Argument`] where it does not have this shape, and [`CudaError::Driver`].
    pub fn write(&mut self, gpu: &Gpu, contents: Contents<'_>) -> Result<(), CudaError> {
        let Contents { ids, bounds, .. } = contents;
        let found = Shape::exact(
            ids.len(),
            bounds.len().saturating_sub(1),
            contents.positions.is_some(),
        );
        let fits = found.tokens <= self.shape.tokens
            && found.sequences <= self.shape.sequences
            && found.positions == self.shape.positions
            && contents.type_ids.len() == ids.len()
            && contents.positions.is_none_or(|p| p.len() == ids.len())
            && bounds.first() == Some(&0)
            && bounds.last() == Some(&ids.len())
            && bounds.is_sorted();
        if !fits {
            return Err(CudaError::Argument {
                argument: "batch",
                expected: format!("what fits {:?}", self.shape),
                found: format!("{found:?}"),
            });
        }
        let mut values = vec![0_i32; self.memory.len()];
        let mut fill = |part: Part, numbers: &mut dyn Iterator<Item = usize>| {
            let (first, len) = self.place(part);
            let to = &mut values[first..first + len];
            // Everything is below 2^31: memory of more tokens cannot be made.
            to.iter_mut()
                .zip(numbers)
                .for_each(|(to, n)| *to = n as i32);
        };
        let lengths = || bounds.windows(2).map(|pair| pair[1] - pair[0]);
        let of_tokens = |value: fn(&[usize]) -> usize| {
            bounds
                .windows(2)
                .flat_map(move |pair| std::iter::repeat_n(value(pair), pair[1] - pair[0]))
        };
        fill(Part::Ids, &mut ids.iter().map(|&id| id as usize));
        fill(
            Part::TypeIds,
            &mut contents.type_ids.iter().map(|&id| id as usize),
        );
        match contents.positions {
            Some(positions) => fill(Part::Positions, &mut positions.iter().map(|&p| p as usize)),
            None => fill(Part::Positions, &mut lengths().flat_map(|length| 0..length)),
        }
        fill(Part::Begin, &mut of_tokens(|pair| pair[0]));
        fill(Part::End, &mut of_tokens(|pair| pair[1]));
        let last = std::iter::repeat(ids.len());
        // The index of an empty sequence's first token may be beyond the last one; nobody may read there.
        let index = |&bound: &usize| if bound < ids.len() { bound } else { 0 };
        fill(
            Part::First,
            &mut bounds[..found.sequences].iter().map(index),
        );
        fill(Part::Bounds, &mut bounds.iter().copied().chain(last));
        fill(Part::Tasks, &mut self.tasks(bounds).into_iter().flatten());
        self.memory.write(gpu, &values)?;
        self.bounds = bounds.to_vec();
        Ok(())
    }

    /// Start, length and first query of each task, long sequences first: what takes longest should not begin last.
    fn tasks(&self, bounds: &[usize]) -> Vec<[usize; 4]> {
        let mut sequences: Vec<[usize; 2]> = bounds
            .windows(2)
            .map(|pair| [pair[0], pair[1] - pair[0]])
            .collect();
        sequences.sort_by_key(|&[start, length]| (std::cmp::Reverse(length), start));
        let of_sequence = |[start, length]: [usize; 2]| {
            let firsts = (0..length).step_by(self.queries);
            firsts.map(move |first| [start, length, first, 0])
        };
        sequences.into_iter().flat_map(of_sequence).collect()
    }

    /// The shape of its memory.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Token ids, `[tokens]`.
    pub fn ids(&self) -> Indices {
        self.part(Part::Ids)
    }

    /// Token types, `[tokens]`.
    pub fn type_ids(&self) -> Indices {
        self.part(Part::TypeIds)
    }

    /// The position of every token within its sequence, `[tokens]`.
    pub fn positions(&self) -> Indices {
        self.part(Part::Positions)
    }

    /// The first token of every sequence, `[sequences]`.
    pub fn first_tokens(&self) -> Indices {
        self.part(Part::First)
    }

    /// The first token of every token's sequence, `[tokens]`.
    pub fn begin(&self) -> Indices {
        self.part(Part::Begin)
    }

    /// One past the last token of every token's sequence, `[tokens]`.
    pub(crate) fn end(&self) -> Indices {
        self.part(Part::End)
    }

    /// Begin and end of the sequences, `[sequences + 1]`.
    pub fn bounds(&self) -> Indices {
        self.part(Part::Bounds)
    }

    /// Begin and end of the batch's sequences.
    pub(crate) fn host_bounds(&self) -> &[usize] {
        &self.bounds
    }

    /// Tasks of attention and the queries of each.
    pub(crate) fn attention_tasks(&self) -> (Indices, usize) {
        (self.part(Part::Tasks), self.queries)
    }
}
