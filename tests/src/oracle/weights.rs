//! The tensors by their place in the model.

use super::Rows;
use super::config::Config;
use super::maths::{linear, normalize};
use super::tensors::Tensors;

/// What only models in the layout of `transformers`' v1 have.
pub(super) const IN_PROJ: &str = "encoder.layer.0.attention.self.in_proj.weight";

/// `W·x + b`: `weight[output][input]`, `bias[output]`.
pub struct Linear {
    /// W.
    pub weight: Vec<Vec<f32>>,
    /// b.
    pub bias: Vec<f32>,
}

/// The parameters of a layer normalisation.
pub struct Norm {
    /// What the normalised values are multiplied by.
    pub weight: Vec<f32>,
    /// What is then added.
    pub bias: Vec<f32>,
}

/// Everything in front of the first layer.
pub struct Embeddings {
    /// A row per id.
    pub words: Vec<Vec<f32>>,
    /// A row per absolute position. Fill-mask models have them even where they are not added to the words.
    pub positions: Option<Vec<Vec<f32>>>,
    /// A row per token type.
    pub types: Option<Vec<Vec<f32>>>,
    /// From the width of the tables to that of the hidden states, without bias.
    pub projection: Option<Linear>,
    /// What comes last.
    pub norm: Norm,
}

/// One layer.
pub struct Layer {
    /// Q of content.
    pub query: Linear,
    /// K of content.
    pub key: Linear,
    /// V.
    pub value: Linear,
    /// PK: a row per slot.
    pub position_keys: Option<Rows>,
    /// PQ: a row per slot.
    pub position_queries: Option<Rows>,
    /// How heads mix, if they do.
    pub talking_heads: Option<TalkingHeads>,
    /// After the heads are put together.
    pub attention_output: Linear,
    /// After the first residual.
    pub attention_norm: Norm,
    /// Into the feed-forward network.
    pub up: Linear,
    /// And out of it.
    pub down: Linear,
    /// After the second residual.
    pub output_norm: Norm,
}

/// Two matrices `[H][H]`.
pub struct TalkingHeads {
    /// What mixes the scores of the heads, before the softmax.
    pub before: Vec<Vec<f32>>,
    /// What mixes their probabilities.
    pub after: Vec<Vec<f32>>,
}

/// The convolution beside the first layer.
pub struct Conv {
    /// `[channel][channel within the group · kernel + tap]`
    pub conv: Linear,
    /// After the sum with the first layer's output.
    pub norm: Norm,
}

/// A dense layer, an activation (not a weight), and a normalisation.
pub struct Transform {
    /// The dense layer.
    pub dense: Linear,
    /// The normalisation.
    pub norm: Norm,
}

/// All weights. The heads that a file lacks are `None`.
pub struct Weights {
    /// Ids to vectors.
    pub embeddings: Embeddings,
    /// The layers.
    pub layers: Vec<Layer>,
    /// The convolution.
    pub conv: Option<Conv>,
    /// `pooler.dense`
    pub pooler: Option<Linear>,
    /// `classifier`
    pub classifier: Option<Linear>,
    /// `qa_outputs`
    pub question: Option<Linear>,
    /// `cls.predictions`: a transform, and a row per id.
    pub legacy_lm: Option<(Transform, Linear)>,
    /// `lm_predictions.lm_head`, likewise.
    pub lm: Option<(Transform, Linear)>,
    /// `mask_predictions`, and its classifier.
    pub detector: Option<(Transform, Linear)>,
}

impl Linear {
    fn read(tensors: &Tensors, name: &str) -> Self {
        let weight = tensors.rows(&format!("{name}.weight"));
        let bias = format!("{name}.bias");
        let bias = match tensors.has(&bias) {
            true => tensors.vector(&bias),
            false => vec![0.0; weight.len()],
        };
        Self { weight, bias }
    }

    fn if_there(tensors: &Tensors, name: &str) -> Option<Self> {
        let there = tensors.has(&format!("{name}.weight"));
        there.then(|| Self::read(tensors, name))
    }
}

impl Norm {
    fn read(tensors: &Tensors, name: &str) -> Self {
        Self {
            weight: tensors.vector(&format!("{name}.weight")),
            bias: tensors.vector(&format!("{name}.bias")),
        }
    }
}

impl Weights {
    pub(super) fn read(config: &Config, tensors: &Tensors) -> Self {
        let table = |name: &str| {
            let name = format!("embeddings.{name}_embeddings.weight");
            tensors.has(&name).then(|| tensors.rows(&name))
        };
        let relative = relative_table(config, tensors);
        let transform = |name: &str| {
            let dense = Linear::if_there(tensors, &format!("{name}.dense"))?;
            let norm = Norm::read(tensors, &format!("{name}.LayerNorm"));
            Some(Transform { dense, norm })
        };
        // Words are scored with their embeddings, unless the file has another matrix for that.
        let tied = |bias: &str| Linear {
            weight: table("word").expect("words"),
            bias: tensors.vector(bias),
        };
        let decoder = || {
            Linear::if_there(tensors, "cls.predictions.decoder")
                .unwrap_or_else(|| tied("cls.predictions.bias"))
        };
        Self {
            embeddings: Embeddings {
                words: table("word").expect("words"),
                positions: table("position"),
                types: table("token_type").filter(|_| config.types > 0),
                projection: Linear::if_there(tensors, "embeddings.embed_proj"),
                norm: Norm::read(tensors, "embeddings.LayerNorm"),
            },
            layers: (0..config.layers)
                .map(|i| Layer::read(config, tensors, i, &relative))
                .collect(),
            conv: config.conv.map(|_| Conv {
                conv: Linear::read(tensors, "encoder.conv.conv"),
                norm: Norm::read(tensors, "encoder.conv.LayerNorm"),
            }),
            pooler: Linear::if_there(tensors, "pooler.dense"),
            classifier: Linear::if_there(tensors, "classifier"),
            question: Linear::if_there(tensors, "qa_outputs"),
            legacy_lm: transform("cls.predictions.transform").map(|t| (t, decoder())),
            lm: transform("lm_predictions.lm_head")
                .map(|t| (t, tied("lm_predictions.lm_head.bias"))),
            detector: transform("mask_predictions")
                .map(|t| (t, Linear::read(tensors, "mask_predictions.classifier"))),
        }
    }
}

/// The table of distances that all layers share, normalised where the configuration says so: a row per slot.
fn relative_table(config: &Config, tensors: &Tensors) -> Rows {
    if !config.has_term("c2p") && !config.has_term("p2c") {
        return Rows::new();
    }
    let stored = tensors.rows("encoder.rel_embeddings.weight");
    let table = stored
        .iter()
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect();
    match config.norm_rel_ebd {
        true => normalize(
            &table,
            &Norm::read(tensors, "encoder.LayerNorm"),
            config.eps,
        ),
        false => table,
    }
}

impl Layer {
    fn read(config: &Config, tensors: &Tensors, index: usize, relative: &Rows) -> Self {
        let part = |name: &str| format!("encoder.layer.{index}.{name}");
        let attention = |name: &str| part(&format!("attention.self.{name}"));
        let read = |name: &str| Linear::read(tensors, name);
        let [query, key, value] = match config.interleaved {
            true => in_proj(tensors, &attention(""), config.heads),
            false => ["query_proj", "key_proj", "value_proj"].map(|name| read(&attention(name))),
        };
        let (key_name, query_name) = match config.interleaved {
            true => ("pos_proj", "pos_q_proj"),
            false => ("pos_key_proj", "pos_query_proj"),
        };
        let project = |term: &str, own: &str, shared: &Linear| {
            config.has_term(term).then(|| match config.share_att_key {
                true => linear(relative, shared),
                false => linear(relative, &read(&attention(own))),
            })
        };
        Self {
            position_keys: project("c2p", key_name, &key),
            position_queries: project("p2c", query_name, &query),
            query,
            key,
            value,
            talking_heads: config.talking_head.then(|| TalkingHeads {
                before: tensors.rows(&attention("head_logits_proj.weight")),
                after: tensors.rows(&attention("head_weights_proj.weight")),
            }),
            attention_output: read(&part("attention.output.dense")),
            attention_norm: Norm::read(tensors, &part("attention.output.LayerNorm")),
            up: read(&part("intermediate.dense")),
            down: read(&part("output.dense")),
            output_norm: Norm::read(tensors, &part("output.LayerNorm")),
        }
    }
}

/// Takes v1's joint projection apart: its rows are ordered `[head][query, key, value][channel]`. Keys have no bias.
fn in_proj(tensors: &Tensors, attention: &str, heads: usize) -> [Linear; 3] {
    let joint = tensors.rows(&format!("{attention}in_proj.weight"));
    let size = joint.len() / heads / 3;
    let part = |which: usize, bias: Vec<f32>| Linear {
        weight: (0..heads)
            .flat_map(|head| joint[(3 * head + which) * size..][..size].to_vec())
            .collect(),
        bias,
    };
    [
        part(0, tensors.vector(&format!("{attention}q_bias"))),
        part(1, vec![0.0; heads * size]),
        part(2, tensors.vector(&format!("{attention}v_bias"))),
    ]
}
