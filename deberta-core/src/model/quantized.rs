//! A model whose linear layers are in 8 bits as the tensors of a file: see the documentation of
//! [`convert`](crate::convert).

use super::encoder::Encoder;
use super::layout::{Affine, ContentLayout, Layout, PositionLayout};
use super::load::{Content, Loader};
use super::self_attention::position_table;
use crate::backend::{Backend, Cpu, Linear};
use crate::checkpoint::{Checkpoint, Dtype, TensorSpec};
use crate::{Config, Error, HeadKind, Precision};
use std::collections::HashSet;
use std::io::{self, Write};

/// A model of another checkpoint, rounded.
pub(crate) struct Quantized<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a Config,
    /// Where the weights come from.
    from: &'a Layout,
    /// Where they go.
    to: Layout,
    backend: Cpu,
    encoder: Encoder<Cpu>,
    relative: Option<<Cpu as Backend>::Matrix>,
}

/// A tensor of a rounded model.
pub(crate) struct Made<'a> {
    /// The canonical name, relative to the encoder.
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    values: Values<'a>,
}

/// What a tensor is made of.
enum Values<'a> {
    /// Some outputs of a linear layer, in this order: their weights, scales, or biases.
    Weights(&'a Linear, Vec<usize>),
    Scales(&'a Linear, Vec<usize>),
    Biases(&'a Linear, Vec<usize>),
    /// The position keys or queries of a layer.
    Positions(usize, Content),
}

impl<'a> Quantized<'a> {
    /// Loads the encoder in 8 bits.
    pub(crate) fn new(
        checkpoint: &'a Checkpoint,
        config: &'a Config,
        from: &'a Layout,
    ) -> Result<Self, Error> {
        let backend = Cpu::new()?;
        let loader = Loader {
            backend: &backend,
            checkpoint,
            precision: Precision::Int8,
        };
        let encoder = Encoder::load(&loader, from, config)?;
        let relative = loader.relative_table(from, config)?;
        Ok(Self {
            checkpoint,
            config,
            from,
            to: Layout::in_form(config, checkpoint, HeadKind::Base, true)?,
            backend,
            encoder,
            relative,
        })
    }

    /// The names of the tensors whose content is in made ones of other names.
    pub(crate) fn superseded(&self) -> HashSet<&str> {
        let names = |layout: &'a Layout| layout.tensors.iter().map(|spec| spec.name.as_str());
        let kept: HashSet<&str> = self
            .to
            .tensors
            .iter()
            .map(|spec| spec.name.as_str())
            .collect();
        names(self.from)
            .filter(|name| !kept.contains(name))
            .collect()
    }

    /// The tensors that are made.
    pub(crate) fn tensors(&self) -> Vec<Made<'_>> {
        let mut list = Vec::new();
        let projection = self.to.embeddings.projection.as_ref();
        if let Some((affine, linear)) = projection.zip(self.encoder.embedding_projection()) {
            add(&mut list, linear, affine);
        }
        let layers = self.to.layers.iter().zip(self.encoder.layers());
        for (index, (layout, layer)) in layers.enumerate() {
            self.add_content(&mut list, layer.content(), &layout.content);
            let affines = [&layout.attention_output, &layout.up, &layout.down];
            for (affine, linear) in affines.into_iter().zip(layer.linears()) {
                add(&mut list, linear, affine);
            }
            if let PositionLayout::Tables { keys, queries } = &layout.positions {
                let tables = [(keys, Content::Keys), (queries, Content::Queries)];
                for (spec, part) in tables {
                    let values = Values::Positions(index, part);
                    let table = spec.as_ref().map(|spec| made(spec, Dtype::F32, values));
                    list.extend(table);
                }
            }
        }
        list
    }

    /// The projection to queries, keys and values, in the order that the file has.
    fn add_content<'b>(
        &'b self,
        list: &mut Vec<Made<'b>>,
        linear: &'b Linear,
        layout: &ContentLayout,
    ) {
        let width = self.config.hidden_size;
        let part = |number: usize| (number * width..(number + 1) * width).collect::<Vec<_>>();
        match layout {
            ContentLayout::Separate(parts) => {
                for (number, affine) in parts.iter().enumerate() {
                    add_outputs(list, linear, affine, &part(number));
                }
            }
            ContentLayout::Interleaved(layout) => {
                let (heads, size) = (self.config.num_attention_heads, self.config.head_size());
                let order: Vec<usize> = (0..heads)
                    .flat_map(|head| (0..3).map(move |part| part * width + head * size))
                    .flat_map(|first| first..first + size)
                    .collect();
                let weights = Affine {
                    weight: layout.weight.clone(),
                    scales: layout.scales.clone(),
                    bias: None,
                };
                add_outputs(list, linear, &weights, &order);
                for (number, spec) in layout.biases.iter().enumerate() {
                    let values = Values::Biases(linear, part(number));
                    list.extend(spec.as_ref().map(|spec| made(spec, Dtype::F32, values)));
                }
            }
        }
    }

    /// Writes the elements of a tensor.
    pub(crate) fn write(&self, made: &Made<'_>, out: &mut impl Write) -> Result<(), Error> {
        let failed = |source| Error::Output {
            tensor: made.name.clone(),
            source,
        };
        match &made.values {
            Values::Weights(linear, outputs) => outputs.iter().try_for_each(|&output| {
                let (row, _) = row(linear, output).map_err(failed)?;
                let bytes: Vec<u8> = row.into_iter().map(i8::cast_unsigned).collect();
                out.write_all(&bytes).map_err(failed)
            }),
            Values::Scales(linear, outputs) => outputs.iter().try_for_each(|&output| {
                let (_, scales) = row(linear, output).map_err(failed)?;
                write_floats(out, scales).map_err(failed)
            }),
            Values::Biases(linear, outputs) => {
                let bias = linear.bias().unwrap_or_default();
                let values = outputs.iter().map(|&output| bias.get(output).copied());
                write_floats(out, values.map(Option::unwrap_or_default)).map_err(failed)
            }
            Values::Positions(layer, part) => {
                let loader = Loader {
                    backend: &self.backend,
                    checkpoint: self.checkpoint,
                    precision: Precision::Int8,
                };
                let (layout, heads) = (&self.from.layers[*layer], self.config.num_attention_heads);
                let table = position_table(&loader, layout, heads, self.relative.as_ref(), *part)?;
                let table = table.map(|table| self.backend.peek(&table)).transpose()?;
                write_floats(out, table.into_iter().flatten()).map_err(failed)
            }
        }
    }
}

/// All outputs of a linear layer.
fn add<'a>(list: &mut Vec<Made<'a>>, linear: &'a Linear, affine: &Affine) {
    let outputs: Vec<usize> = (0..linear.weights().outputs()).collect();
    add_outputs(list, linear, affine, &outputs);
}

/// Some outputs of a linear layer.
fn add_outputs<'a>(
    list: &mut Vec<Made<'a>>,
    linear: &'a Linear,
    affine: &Affine,
    outputs: &[usize],
) {
    let outputs = || outputs.to_vec();
    list.push(made(
        &affine.weight,
        Dtype::I8,
        Values::Weights(linear, outputs()),
    ));
    let (scales, bias) = (affine.scales.iter(), affine.bias.iter());
    list.extend(scales.map(|spec| made(spec, Dtype::F32, Values::Scales(linear, outputs()))));
    list.extend(bias.map(|spec| made(spec, Dtype::F32, Values::Biases(linear, outputs()))));
}

fn made<'a>(spec: &TensorSpec, dtype: Dtype, values: Values<'a>) -> Made<'a> {
    Made {
        name: spec.name.clone(),
        dtype,
        shape: spec.exact_shape(),
        values,
    }
}

/// The weights and scales of an output.
fn row(linear: &Linear, output: usize) -> io::Result<(Vec<i8>, Vec<f32>)> {
    let row = linear.weights().quantized_row(output);
    row.ok_or_else(|| io::Error::other(format!("no weights in 8 bits for output {output}")))
}

fn write_floats(out: &mut impl Write, values: impl IntoIterator<Item = f32>) -> io::Result<()> {
    let mut values = values.into_iter();
    values.try_for_each(|value| out.write_all(&value.to_le_bytes()))
}
