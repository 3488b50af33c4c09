//! The two attentions of a decoder, over whole sequences or step by step over caches.

use super::decoder::Decoder;
use crate::Error;
use crate::backend::{Cpu, Matrix};
use crate::generate::NextToken;
use deberta_kernels::{
    GatheredAttention, PackedKeyValues, PlainAttention, Precision, attend_packed, causal_attention,
    cross_attention, gathered_attention,
};
use ndarray::{Array2, ArrayView2, s};

/// How the rows of a decoder attend.
pub(super) trait Attend {
    /// Each row to what precedes it and itself: queries, keys and values side by side, `[R, 3·N] -> [R, N]`.
    fn itself(
        &mut self,
        cpu: &Cpu,
        layer: usize,
        content: &Matrix,
        scale: f32,
    ) -> Result<Matrix, Error>;
    /// Each row's query to all that the encoder has read for it, `[R, N] -> [R, N]`.
    fn encoder(
        &mut self,
        cpu: &Cpu,
        layer: usize,
        queries: &Matrix,
        scale: f32,
    ) -> Result<Matrix, Error>;
}

/// Sequences that are known from beginning to end.
pub(super) struct Whole<'a> {
    pub(super) decoder: &'a Decoder,
    /// What the encoder has read, `[T, N]`.
    pub(super) hidden: Matrix,
    /// The boundaries of its sequences.
    pub(super) bounds: &'a [usize],
    /// Those of the decoder's.
    pub(super) own: &'a [usize],
}

impl<'a> Whole<'a> {
    /// The operands of attention by the decoder's rows to those of `key_bounds`.
    fn attention<'b>(
        &self,
        [query, key, value]: [ArrayView2<'b, f32>; 3],
        key_bounds: &'b [usize],
        scale: f32,
    ) -> PlainAttention<'b>
    where
        'a: 'b,
    {
        PlainAttention {
            query,
            key,
            value,
            heads: self.decoder.heads(),
            scale,
            precision: Precision::F32,
            query_bounds: self.own,
            key_bounds,
        }
    }
}

impl Attend for Whole<'_> {
    fn itself(
        &mut self,
        cpu: &Cpu,
        _layer: usize,
        content: &Matrix,
        scale: f32,
    ) -> Result<Matrix, Error> {
        let width = self.decoder.width();
        let mut out = cpu.matrix_of(content.rows(), width);
        let attention = self.attention(parts(content, width), self.own, scale);
        causal_attention(cpu.isa(), &attention, out.view_mut())?;
        Ok(out)
    }

    fn encoder(
        &mut self,
        cpu: &Cpu,
        layer: usize,
        queries: &Matrix,
        scale: f32,
    ) -> Result<Matrix, Error> {
        let width = self.decoder.width();
        let memory = self.decoder.layers[layer].memory(cpu, &self.hidden)?;
        let [key, value] = parts(&memory, width);
        let mut out = cpu.matrix_of(queries.rows(), width);
        let attention = self.attention([queries.view(), key, value], self.bounds, scale);
        cross_attention(cpu.isa(), &attention, out.view_mut())?;
        Ok(out)
    }
}

/// Matrices of `width` columns that lie side by side.
fn parts<const COUNT: usize>(matrix: &Matrix, width: usize) -> [ArrayView2<'_, f32>; COUNT] {
    std::array::from_fn(|part| {
        let all = matrix.view();
        all.slice_move(s![.., part * width..(part + 1) * width])
    })
}

/// Decoding step by step. Nothing is computed twice: keys and values of a token are kept in the row where they were
/// first written, and a hypothesis is the list of the rows that it consists of, so that hypotheses which part, or are
/// given up, move no numbers.
pub(super) struct Stepwise<'a> {
    decoder: &'a Decoder,
    /// Keys and values of cross-attention, for each layer.
    memory: Vec<PackedKeyValues>,
    /// Keys and values of self-attention, for each layer.
    cache: Vec<Cache>,
    /// What the rows of the last call are.
    hypotheses: Vec<Hypothesis>,
}

/// Keys and values of one layer: `[S, N]` each, a row for every row of every call.
#[derive(Default)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// What a row has written so far.
#[derive(Clone)]
struct Hypothesis {
    /// The sequence of the encoder that it is about.
    input: u32,
    /// The rows of the caches that hold its tokens.
    slots: Vec<u32>,
}

impl<'a> Stepwise<'a> {
    /// At the beginning, with a hypothesis without any token for each sequence that the encoder has read.
    pub(super) fn new(
        decoder: &'a Decoder,
        hidden: ArrayView2<'_, f32>,
        bounds: &[usize],
    ) -> Result<Self, Error> {
        let hidden = decoder.projected(hidden)?;
        let (cpu, width) = (&decoder.cpu, decoder.width());
        let memory = decoder.layers.iter().map(|layer| {
            let memory = layer.memory(cpu, &hidden)?;
            let [key, value] = parts(&memory, width);
            let (isa, heads) = (cpu.isa(), decoder.heads());
            let packed = PackedKeyValues::new(isa, Precision::F32, key, value, heads, bounds)?;
            Ok(packed)
        });
        let inputs = 0..bounds.len().saturating_sub(1) as u32;
        Ok(Self {
            decoder,
            memory: memory.collect::<Result<_, Error>>()?,
            cache: decoder.layers.iter().map(|_| Cache::default()).collect(),
            hypotheses: inputs
                .map(|input| Hypothesis {
                    input,
                    slots: Vec::new(),
                })
                .collect(),
        })
    }
}

impl NextToken for Stepwise<'_> {
    fn vocabulary(&self) -> usize {
        self.decoder.vocabulary()
    }

    fn advance(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Array2<f32>, Error> {
        let Self {
            decoder,
            memory,
            cache,
            hypotheses,
        } = self;
        let first = cache.first().map_or(0, |c| c.keys.len()) / decoder.width();
        let mut next = Vec::with_capacity(parents.len());
        let mut positions = Vec::with_capacity(parents.len());
        for (row, (&parent, &token)) in parents.iter().zip(tokens).enumerate() {
            let parent = &hypotheses[parent];
            positions.push(decoder.position(token, parent.slots.len()));
            let mut slots = Vec::with_capacity(parent.slots.len() + 1);
            slots.extend_from_slice(&parent.slots);
            slots.push((first + row) as u32);
            next.push(Hypothesis {
                input: parent.input,
                slots,
            });
        }
        let mut bounds = vec![0];
        for hypothesis in &next {
            bounds.push(bounds[bounds.len() - 1] + hypothesis.slots.len());
        }
        let mut step = Step {
            width: decoder.width(),
            heads: decoder.heads(),
            memory,
            cache,
            inputs: next.iter().map(|row| row.input).collect(),
            slots: next
                .iter()
                .flat_map(|row| row.slots.iter().copied())
                .collect(),
            bounds,
        };
        let scores = decoder.forward(tokens, &positions, &mut step)?;
        *hypotheses = next;
        Ok(scores)
    }
}

/// One step: a token for each row.
struct Step<'a> {
    width: usize,
    heads: usize,
    memory: &'a [PackedKeyValues],
    cache: &'a mut [Cache],
    /// The encoder's sequence of each row.
    inputs: Vec<u32>,
    /// The rows of the caches that each row attends to, end to end, and their boundaries.
    slots: Vec<u32>,
    bounds: Vec<usize>,
}

impl Attend for Step<'_> {
    fn itself(
        &mut self,
        cpu: &Cpu,
        layer: usize,
        content: &Matrix,
        scale: f32,
    ) -> Result<Matrix, Error> {
        let [query, key, value] = parts(content, self.width);
        let Cache { keys, values } = &mut self.cache[layer];
        for (cache, new) in [(&mut *keys, key), (&mut *values, value)] {
            for row in new.outer_iter() {
                cache.extend(row.iter());
            }
        }
        let shape = (keys.len() / self.width, self.width);
        let view = |cache| ArrayView2::from_shape(shape, cache).expect("whole rows");
        let mut out = cpu.matrix_of(content.rows(), self.width);
        let attention = GatheredAttention {
            query,
            key: view(keys.as_slice()),
            value: view(values.as_slice()),
            heads: self.heads,
            scale,
            slots: &self.slots,
            bounds: &self.bounds,
        };
        gathered_attention(cpu.isa(), &attention, out.view_mut())?;
        Ok(out)
    }

    fn encoder(
        &mut self,
        cpu: &Cpu,
        layer: usize,
        queries: &Matrix,
        scale: f32,
    ) -> Result<Matrix, Error> {
        let mut out = cpu.matrix_of(queries.rows(), self.width);
        let memory = &self.memory[layer];
        attend_packed(queries.view(), &self.inputs, memory, scale, out.view_mut())?;
        Ok(out)
    }
}
