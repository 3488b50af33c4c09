//! Where a model's weights lie in its files: every tensor by name and shape.
//!
//! The layout is made before anything is read, from the configuration and, where two layouts exist, from the names in
//! the files, so that one check can compare all of it with the files. Loading then follows the same structure.

use super::HeadKind;
mod head;

pub(crate) use head::HeadLayout;

use super::attention::AttentionKind;
use crate::checkpoint::{Checkpoint, Dim, TensorSpec};
use crate::{Config, Error};

/// A weight and its bias: a linear layer, a normalisation or a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Affine {
    pub(crate) weight: TensorSpec,
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
    /// One of each.
    Separate {
        query: Affine,
        key: Affine,
        value: Affine,
    },
    /// Rows `[head][q|k|v][d]` of one matrix, `[3·N, N]`; keys have no bias.
    Interleaved {
        weight: TensorSpec,
        query_bias: TensorSpec,
        value_bias: TensorSpec,
    },
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
    /// The projection of the relative table to position keys; `None`: there is no content-to-position term, or the
    /// layer's own key projection serves.
    pub(crate) position_key: Option<Affine>,
    /// The projection to position queries, likewise.
    pub(crate) position_query: Option<Affine>,
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
        let attention = AttentionKind::new(config, checkpoint)?;
        let mut list = Collector::default();
        let embeddings = embeddings(&mut list, config);
        let relative = attention.relative.map(|relative| RelativeLayout {
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
            tensors: list.0,
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
        projection: (width != config.hidden_size).then(|| Affine {
            weight: list.encoder("embeddings.embed_proj.weight", &[config.hidden_size, width]),
            bias: None,
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
    let (c2p, p2c) = (
        attention.c2p && !attention.shared,
        attention.p2c && !attention.shared,
    );
    let (content, position_key, position_query);
    if attention.interleaved {
        content = ContentLayout::Interleaved {
            weight: list.encoder(&own("in_proj.weight"), &[3 * hidden, hidden]),
            query_bias: list.encoder(&own("q_bias"), &[hidden]),
            value_bias: list.encoder(&own("v_bias"), &[hidden]),
        };
        position_key = c2p.then(|| Affine {
            weight: list.encoder(&own("pos_proj.weight"), &[hidden, hidden]),
            bias: None,
        });
        position_query = p2c.then(|| list.linear(&own("pos_q_proj"), hidden, hidden));
    } else {
        let mut projection = |part| list.linear(&own(part), hidden, hidden);
        content = ContentLayout::Separate {
            query: projection("query_proj"),
            key: projection("key_proj"),
            value: projection("value_proj"),
        };
        position_key = c2p.then(|| projection("pos_key_proj"));
        position_query = p2c.then(|| projection("pos_query_proj"));
    }
    LayerLayout {
        content,
        position_key,
        position_query,
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

/// The word table. The rows of the vocabulary are what the file has: fine-tunes resize the table without telling the
/// configuration.
fn words(config: &Config) -> TensorSpec {
    TensorSpec::encoder(
        "embeddings.word_embeddings.weight",
        vec![Dim::Any, Dim::Exactly(config.embedding_size)],
    )
}

/// Keeps every tensor that a layout names.
#[derive(Default)]
struct Collector(Vec<TensorSpec>);

impl Collector {
    fn encoder(&mut self, name: &str, shape: &[usize]) -> TensorSpec {
        self.keep(TensorSpec::encoder(name, exactly(shape)))
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        Affine {
            weight: self.encoder(&format!("{name}.weight"), &[outputs, inputs]),
            bias: Some(self.encoder(&format!("{name}.bias"), &[outputs])),
        }
    }

    fn norm(&mut self, name: &str, width: usize) -> Affine {
        Affine {
            weight: self.encoder(&format!("{name}.weight"), &[width]),
            bias: Some(self.encoder(&format!("{name}.bias"), &[width])),
        }
    }

    fn head(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        Affine {
            weight: self.head_tensor(&format!("{name}.weight"), &[outputs, inputs]),
            bias: Some(self.head_tensor(&format!("{name}.bias"), &[outputs])),
        }
    }

    fn head_norm(&mut self, name: &str, width: usize) -> Affine {
        Affine {
            weight: self.head_tensor(&format!("{name}.weight"), &[width]),
            bias: Some(self.head_tensor(&format!("{name}.bias"), &[width])),
        }
    }

    fn head_tensor(&mut self, name: &str, shape: &[usize]) -> TensorSpec {
        self.keep(TensorSpec::head(name, exactly(shape)))
    }

    fn keep(&mut self, spec: TensorSpec) -> TensorSpec {
        self.0.push(spec.clone());
        spec
    }
}

fn exactly(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|&size| Dim::Exactly(size)).collect()
}
