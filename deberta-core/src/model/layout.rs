//! Where a model's weights lie in its files: every tensor by name and shape.
//!
//! The layout is made from the configuration before anything is read, so that one check can compare all of it with
//! the files. Loading then follows the same structure.

use crate::checkpoint::{Dim, TensorSpec};
use crate::config::Config;
use crate::model::HeadKind;

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

/// One layer of the encoder.
#[derive(Debug)]
pub(crate) struct LayerLayout {
    pub(crate) query: Affine,
    pub(crate) key: Affine,
    pub(crate) value: Affine,
    /// The projection of the relative table to position keys; `None`: there is no content-to-position term, or the
    /// layer's own key projection serves.
    pub(crate) position_key: Option<Affine>,
    /// The projection to position queries, likewise.
    pub(crate) position_query: Option<Affine>,
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

/// The head.
#[derive(Debug)]
pub(crate) enum HeadLayout {
    Base,
    Sequence { pooler: Affine, classifier: Affine },
    Token { classifier: Affine },
}

/// All tensors of a model.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) embeddings: EmbeddingsLayout,
    pub(crate) relative: Option<RelativeLayout>,
    pub(crate) layers: Vec<LayerLayout>,
    pub(crate) conv: Option<ConvLayout>,
    pub(crate) head: HeadLayout,
    /// The same tensors as one list.
    pub(crate) tensors: Vec<TensorSpec>,
}

impl Layout {
    /// The layout of DeBERTa v2 and v3 in Hugging Face's naming.
    pub(crate) fn new(config: &Config, head: HeadKind) -> Self {
        let mut list = Collector::default();
        let embeddings = embeddings(&mut list, config);
        let terms = config.pos_att_type;
        let has_terms = config.relative_attention && (terms.c2p || terms.p2c);
        let relative = has_terms.then(|| RelativeLayout {
            table: list.encoder(
                "encoder.rel_embeddings.weight",
                &[2 * config.span(), config.hidden_size],
            ),
            norm: config
                .norm_rel_ebd
                .then(|| list.norm("encoder.LayerNorm", config.hidden_size)),
        });
        let layers = (0..config.num_hidden_layers)
            .map(|index| layer(&mut list, config, index))
            .collect();
        let conv = config.conv.map(|conv| ConvLayout {
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
        let (hidden, labels) = (config.hidden_size, config.num_labels());
        let head = match head {
            HeadKind::Base => HeadLayout::Base,
            HeadKind::SequenceClassification => HeadLayout::Sequence {
                pooler: list.head("pooler.dense", config.pooler_hidden_size, hidden),
                classifier: list.head("classifier", labels, config.pooler_hidden_size),
            },
            HeadKind::TokenClassification => HeadLayout::Token {
                classifier: list.head("classifier", labels, hidden),
            },
            HeadKind::QuestionAnswering => HeadLayout::Token {
                classifier: list.head("qa_outputs", 2, hidden),
            },
        };
        Self {
            embeddings,
            relative,
            layers,
            conv,
            head,
            tensors: list.0,
        }
    }
}

fn embeddings(list: &mut Collector, config: &Config) -> EmbeddingsLayout {
    let width = config.embedding_size;
    // The rows of the vocabulary are what the file has: fine-tunes resize the table without telling the config.
    let words = TensorSpec::encoder(
        "embeddings.word_embeddings.weight",
        vec![Dim::Any, Dim::Exactly(width)],
    );
    list.0.push(words.clone());
    EmbeddingsLayout {
        words,
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

fn layer(list: &mut Collector, config: &Config, index: usize) -> LayerLayout {
    let name = |part: &str| format!("encoder.layer.{index}.{part}");
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let own = config.relative_attention && !config.share_att_key;
    let terms = config.pos_att_type;
    let mut projection = |part| list.linear(&name(part), hidden, hidden);
    LayerLayout {
        query: projection("attention.self.query_proj"),
        key: projection("attention.self.key_proj"),
        value: projection("attention.self.value_proj"),
        position_key: (own && terms.c2p).then(|| projection("attention.self.pos_key_proj")),
        position_query: (own && terms.p2c).then(|| projection("attention.self.pos_query_proj")),
        attention_output: projection("attention.output.dense"),
        attention_norm: list.norm(&name("attention.output.LayerNorm"), hidden),
        up: list.linear(&name("intermediate.dense"), inner, hidden),
        down: list.linear(&name("output.dense"), hidden, inner),
        output_norm: list.norm(&name("output.LayerNorm"), hidden),
    }
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
            weight: self.keep(TensorSpec::head(
                format!("{name}.weight"),
                exactly(&[outputs, inputs]),
            )),
            bias: Some(self.keep(TensorSpec::head(
                format!("{name}.bias"),
                exactly(&[outputs]),
            ))),
        }
    }

    fn keep(&mut self, spec: TensorSpec) -> TensorSpec {
        self.0.push(spec.clone());
        spec
    }
}

fn exactly(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|&size| Dim::Exactly(size)).collect()
}
