//! Where a model's weights lie in its files: every tensor by name and shape.
//!
//! The layout is made before anything is read, from the configuration and, where two layouts exist, from the names in
//! the files, so that one check can compare all of it with the files. Loading then follows the same structure.

use super::HeadKind;
mod head;

pub(crate) use head::HeadLayout;

use super::attention::AttentionKind;
use crate::checkpoint::{Checkpoint, Dim, ElementKind, TensorSpec};
use crate::{Config, Error};
use deberta_kernels::PackedWeights;

/// A weight and its bias: a linear layer, a normalisation or a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    pub(crate) weight: TensorSpec,
    /// Of weights in 8 bits: one for every output and group of inputs.
    pub(crate) scales: Option<TensorSpec>,
    pub(crate) bias: Option<TensorSpec>,
}

/// The tables and projections in front of the encoder.
#[derive(Debug)]
pub(crate) struct EmbeddingsLayout {
    pub(crate) words: TensorSpec,
    pub(crate) positions: Option<TensorSpec>,
    pub(crate) types: Option<TensorSpec>,
    pub(crate) projection: Option<Affine>,
    pub(crate) norm: Affine,
}

/// The relative-position table, `[2·span, N]`, that all layers project.
#[derive(Debug)]
pub(crate) struct RelativeLayout {
    pub(crate) table: TensorSpec,
    pub(crate) norm: Option<Affine>,
}

/// The projections of the hidden states.
#[derive(Debug)]
pub(crate) enum ContentLayout {
    /// One of each: queries, keys, values.
    Separate(Box<[Affine; 3]>),
    /// Rows `[head][q|k|v][d]` of one matrix, `[3·N, N]`.
    Interleaved(Box<InterleavedLayout>),
}

/// One matrix for queries, keys and values.
#[derive(Debug)]
pub(crate) struct InterleavedLayout {
    pub(crate) weight: TensorSpec,
    pub(crate) scales: Option<TensorSpec>,
    /// Of queries, keys and values. Keys have one only where the weights are in 8 bits: it holds what rounding has taken.
    pub(crate) biases: [Option<TensorSpec>; 3],
}

/// The position keys and position queries of a layer. An absent part is a term that the model does not have.
#[derive(Debug)]
pub(crate) enum PositionLayout {
    /// To be projected from the relative table.
    Projected {
        key: Option<PositionProjection>,
        query: Option<PositionProjection>,
    },
    /// As the file has them, `[2·span, N]` each.
    Tables {
        keys: Option<TensorSpec>,
        queries: Option<TensorSpec>,
    },
}

/// What the relative table is projected with.
#[derive(Debug)]
pub(crate) enum PositionProjection {
    /// A projection for positions alone.
    Own(Box<Affine>),
    /// That of the content's keys or queries.
    Shared,
}

/// The two matrices that mix heads, `[H, H]`.
#[derive(Debug)]
pub(crate) struct MixingLayout {
    pub(crate) logits: TensorSpec,
    pub(crate) weights: TensorSpec,
}

/// One layer of the encoder.
#[derive(Debug)]
pub(crate) struct LayerLayout {
    pub(crate) content: ContentLayout,
    pub(crate) positions: PositionLayout,
    pub(crate) mixing: Option<MixingLayout>,
    pub(crate) attention_output: Affine,
    pub(crate) attention_norm: Affine,
    pub(crate) up: Affine,
    pub(crate) down: Affine,
    pub(crate) output_norm: Affine,
}

/// The convolution beside the first layer.
#[derive(Debug)]
pub(crate) struct ConvLayout {
    pub(crate) conv: Affine,
    pub(crate) norm: Affine,
}

/// All tensors of a model.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) attention: AttentionKind,
    pub(crate) embeddings: EmbeddingsLayout,
    pub(crate) relative: Option<RelativeLayout>,
    pub(crate) layers: Vec<LayerLayout>,
    pub(crate) conv: Option<ConvLayout>,
    pub(crate) head: HeadLayout,
    /// The same tensors as one list.
    pub(crate) tensors: Vec<TensorSpec>,
}

impl Layout {
    /// The layout of a configuration and a head in a checkpoint.
    pub(crate) fn new(
        config: &Config,
        checkpoint: &Checkpoint,
        head: HeadKind,
    ) -> Result<Self, Error> {
        Self::in_form(config, checkpoint, head, checkpoint.is_int8())
    }

    /// The same, were the linear layers of the encoder in 8 bits or not.
    pub(crate) fn in_form(
        config: &Config,
        checkpoint: &Checkpoint,
        head: HeadKind,
        int8: bool,
    ) -> Result<Self, Error> {
        let attention = AttentionKind::new(config, checkpoint)?;
        let mut list = Collector {
            tensors: Vec::new(),
            int8,
        };
        let embeddings = embeddings(&mut list, config);
        let relative = attention.relative.filter(|_| !int8);
        let relative = relative.map(|relative| RelativeLayout {
            table: list.encoder(
                "encoder.rel_embeddings.weight",
                &[2 * relative.span(), config.hidden_size],
            ),
            norm: attention
                .normed
                .then(|| list.norm("encoder.LayerNorm", config.hidden_size)),
        });
        let layers = (0..config.num_hidden_layers)
            .map(|index| layer(&mut list, config, attention, index))
            .collect();
        // The reference for the interleaved layout knows no conv.
        let conv = config.conv.filter(|_| !attention.interleaved);
        let conv = conv.map(|conv| ConvLayout {
            conv: Affine {
                weight: list.encoder(
                    "encoder.conv.conv.weight",
                    &[
                        config.hidden_size,
                        config.hidden_size / conv.groups,
                        conv.kernel_size,
                    ],
                ),
                scales: None,
                bias: Some(list.encoder("encoder.conv.conv.bias", &[config.hidden_size])),
            },
            norm: list.norm("encoder.conv.LayerNorm", config.hidden_size),
        });
        let head = HeadLayout::new(&mut list, config, checkpoint, head)?;
        Ok(Self {
            attention,
            embeddings,
            relative,
            layers,
            conv,
            head,
            tensors: list.tensors,
        })
    }
}

impl Layout {
    /// Whether the head begins with the enhanced mask decoder.
    pub(crate) fn has_mask_decoder(&self) -> bool {
        matches!(
            self.head,
            HeadLayout::MaskedLm {
                positions: Some(_),
                ..
            }
        )
    }

    /// Whether the head is Microsoft's, which was trained behind the enhanced mask decoder, and the decoder's positions are
    /// not in the file, nor added to the input.
    pub(crate) fn has_lost_mask_decoder(&self, config: &Config) -> bool {
        match &self.head {
            HeadLayout::MaskedLm {
                dense,
                positions: None,
                ..
            } => !config.position_biased_input && dense.weight.name.starts_with(head::MICROSOFT),
            _ => false,
        }
    }

    /// Values of the projected position tables of all layers.
    pub(crate) fn position_values(&self, config: &Config) -> usize {
        let Some(relative) = self.attention.relative else {
            return 0;
        };
        let tables = usize::from(self.attention.c2p) + usize::from(self.attention.p2c);
        tables * 2 * relative.span() * config.hidden_size * config.num_hidden_layers
    }
}

fn embeddings(list: &mut Collector, config: &Config) -> EmbeddingsLayout {
    let width = config.embedding_size;
    EmbeddingsLayout {
        words: list.keep(words(config)),
        positions: config.position_biased_input.then(|| {
            list.encoder(
                "embeddings.position_embeddings.weight",
                &[config.max_position_embeddings, width],
            )
        }),
        types: (config.type_vocab_size > 0).then(|| {
            list.encoder(
                "embeddings.token_type_embeddings.weight",
                &[config.type_vocab_size, width],
            )
        }),
        projection: (width != config.hidden_size).then(|| {
            let (weight, scales) = list.weights("embeddings.embed_proj", config.hidden_size, width);
            Affine {
                weight,
                scales,
                bias: None,
            }
        }),
        norm: list.norm("embeddings.LayerNorm", config.hidden_size),
    }
}

fn layer(
    list: &mut Collector,
    config: &Config,
    attention: AttentionKind,
    index: usize,
) -> LayerLayout {
    let name = |part: &str| format!("encoder.layer.{index}.{part}");
    let own = |part: &str| name(&format!("attention.self.{part}"));
    let (hidden, inner, heads) = (
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
    );
    let content = if attention.interleaved {
        let (weight, scales) = list.weights(&own("in_proj"), 3 * hidden, hidden);
        let has_bias = [("q_bias", true), ("k_bias", list.int8), ("v_bias", true)];
        ContentLayout::Interleaved(Box::new(InterleavedLayout {
            weight,
            scales,
            biases: has_bias
                .map(|(part, there)| there.then(|| list.encoder(&own(part), &[hidden]))),
        }))
    } else {
        let parts = ["query_proj", "key_proj", "value_proj"];
        ContentLayout::Separate(Box::new(
            parts.map(|part| list.linear(&own(part), hidden, hidden)),
        ))
    };
    LayerLayout {
        content,
        positions: positions(list, attention, hidden, own),
        mixing: attention.talking.then(|| MixingLayout {
            logits: list.encoder(&own("head_logits_proj.weight"), &[heads, heads]),
            weights: list.encoder(&own("head_weights_proj.weight"), &[heads, heads]),
        }),
        attention_output: list.linear(&name("attention.output.dense"), hidden, hidden),
        attention_norm: list.norm(&name("attention.output.LayerNorm"), hidden),
        up: list.linear(&name("intermediate.dense"), inner, hidden),
        down: list.linear(&name("output.dense"), hidden, inner),
        output_norm: list.norm(&name("output.LayerNorm"), hidden),
    }
}

fn positions(
    list: &mut Collector,
    attention: AttentionKind,
    hidden: usize,
    name: impl Fn(&str) -> String,
) -> PositionLayout {
    let AttentionKind {
        c2p,
        p2c,
        shared,
        interleaved,
        ..
    } = attention;
    if list.int8 {
        let slots = 2 * attention.relative.map_or(0, |relative| relative.span());
        let mut table = |part| list.encoder(&name(part), &[slots, hidden]);
        return PositionLayout::Tables {
            keys: c2p.then(|| table("position_keys")),
            queries: p2c.then(|| table("position_queries")),
        };
    }
    let mut projection = |part, has_bias: bool| {
        if shared {
            return PositionProjection::Shared;
        }
        PositionProjection::Own(Box::new(match has_bias {
            true => list.linear(&name(part), hidden, hidden),
            false => Affine {
                weight: list.encoder(&format!("{}.weight", name(part)), &[hidden, hidden]),
                scales: None,
                bias: None,
            },
        }))
    };
    let (key, query) = match interleaved {
        true => ("pos_proj", "pos_q_proj"),
        false => ("pos_key_proj", "pos_query_proj"),
    };
    PositionLayout::Projected {
        key: c2p.then(|| projection(key, !interleaved)),
        query: p2c.then(|| projection(query, true)),
    }
}

/// The word table. The rows of the vocabulary are what the file has: fine-tunes resize the table without telling the
/// configuration.
fn words(config: &Config) -> TensorSpec {
    TensorSpec::encoder(
        "embeddings.word_embeddings.weight",
        vec![Dim::Any, Dim::Exactly(config.embedding_size)],
    )
}

/// Keeps every tensor that a layout names.
struct Collector {
    tensors: Vec<TensorSpec>,
    /// Whether the linear layers of the encoder are in 8 bits.
    int8: bool,
}

impl Collector {
    fn encoder(&mut self, name: &str, shape: &[usize]) -> TensorSpec {
        self.keep(TensorSpec::encoder(name, exactly(shape)))
    }

    /// The weights of a linear layer of the encoder, and their scales in 8 bits.
    fn weights(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> (TensorSpec, Option<TensorSpec>) {
        let mut weight = TensorSpec::encoder(format!("{name}.weight"), exactly(&[outputs, inputs]));
        if !self.int8 {
            return (self.keep(weight), None);
        }
        weight.elements = ElementKind::Int8;
        let groups = PackedWeights::quantized_groups(inputs);
        let scales = self.encoder(&format!("{name}.weight_scale"), &[outputs, groups]);
        (self.keep(weight), Some(scales))
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        let (weight, scales) = self.weights(name, outputs, inputs);
        Affine {
            weight,
            scales,
            bias: Some(self.encoder(&format!("{name}.bias"), &[outputs])),
        }
    }

    fn norm(&mut self, name: &str, width: usize) -> Affine {
        Affine {
            weight: self.encoder(&format!("{name}.weight"), &[width]),
            scales: None,
            bias: Some(self.encoder(&format!("{name}.bias"), &[width])),
        }
    }

    fn head(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        Affine {
            weight: self.head_tensor(&format!("{name}.weight"), &[outputs, inputs]),
            scales: None,
            bias: Some(self.head_tensor(&format!("{name}.bias"), &[outputs])),
        }
    }

    fn head_norm(&mut self, name: &str, width: usize) -> Affine {
        Affine {
            weight: self.head_tensor(&format!("{name}.weight"), &[width]),
            scales: None,
            bias: Some(self.head_tensor(&format!("{name}.bias"), &[width])),
        }
    }

    fn head_tensor(&mut self, name: &str, shape: &[usize]) -> TensorSpec {
        self.keep(TensorSpec::head(name, exactly(shape)))
    }

    fn keep(&mut self, spec: TensorSpec) -> TensorSpec {
        self.tensors.push(spec.clone());
        spec
    }
}

fn exactly(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|&size| Dim::Exactly(size)).collect()
}
