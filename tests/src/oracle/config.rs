//! What a `config.json` says, with the reference's defaults.

use deberta_kernels::{Activation, RelativePositions};
use serde_json::Value;

/// The keys that change the result.
#[derive(Debug)]
pub struct Config {
    /// Whether the tensors are laid out as `transformers` does for v1, with a joint `in_proj`. It is this and not
    /// `model_type` that tells v1 apart: Microsoft's own v1 models have the names of v2, and its computation.
    pub interleaved: bool,
    /// Layers.
    pub layers: usize,
    /// Attention heads, H.
    pub heads: usize,
    /// Activation of the feed-forward network and of the language-model heads.
    pub hidden_act: Activation,
    /// Added to the variance in every normalisation.
    pub eps: f32,
    /// How distances map to rows of the relative table; `None`: attention sees no positions.
    pub relative: Option<RelativePositions>,
    /// The entries of `pos_att_type`.
    pub position_terms: Vec<String>,
    /// Whether the table of distances is projected by the layer's own key and query projections.
    pub share_att_key: bool,
    /// Whether the table of distances is normalised.
    pub norm_rel_ebd: bool,
    /// Whether absolute positions are added to the embeddings.
    pub position_biased_input: bool,
    /// Token types; 0: no table.
    pub types: usize,
    /// Groups and activation of the convolution beside the first layer.
    pub conv: Option<(usize, Activation)>,
    /// Whether heads are mixed before and after the softmax.
    pub talking_head: bool,
    /// Activation of the pooler.
    pub pooler_act: Activation,
}

impl Config {
    pub(super) fn read(json: &Value, interleaved: bool) -> Self {
        // Absent, null, 0 and -1 all stand for "none".
        let size = |key: &str| match json[key].as_i64() {
            Some(n) if n > 0 => Some(n as usize),
            _ => None,
        };
        let flag = |key: &str, default: bool| json[key].as_bool().unwrap_or(default);
        let text = |key: &str, default: &'static str| match json[key].as_str() {
            Some(text) => text.to_owned(),
            None => default.to_owned(),
        };
        let act = |key: &str, default| Activation::from_name(&text(key, default)).expect("known");
        let (layers, heads) = match json["model_type"] == "deberta" {
            true => (12, 12),
            false => (24, 24),
        };
        let positions = size("max_position_embeddings").unwrap_or(512);
        let farthest = size("max_relative_positions").unwrap_or(positions);
        let buckets = size("position_buckets").filter(|_| !interleaved);
        Self {
            interleaved,
            layers: size("num_hidden_layers").unwrap_or(layers),
            heads: size("num_attention_heads").unwrap_or(heads),
            hidden_act: act("hidden_act", "gelu"),
            eps: json["layer_norm_eps"].as_f64().unwrap_or(1e-7) as f32,
            relative: flag("relative_attention", false)
                .then(|| RelativePositions::new(buckets, farthest).expect("valid")),
            position_terms: match &json["pos_att_type"] {
                Value::Null => Vec::new(),
                Value::Array(entries) => entries
                    .iter()
                    .map(|entry| entry.as_str().expect("a string").to_owned())
                    .collect(),
                text => separated(text.as_str().expect("a list or a string")),
            },
            share_att_key: !interleaved && flag("share_att_key", false),
            norm_rel_ebd: !interleaved
                && separated(&text("norm_rel_ebd", "none")).contains(&"layer_norm".to_owned()),
            position_biased_input: flag("position_biased_input", true),
            types: size("type_vocab_size").unwrap_or(0),
            conv: size("conv_kernel_size")
                .filter(|_| !interleaved)
                .map(|_| (size("conv_groups").unwrap_or(1), act("conv_act", "tanh"))),
            talking_head: interleaved && flag("talking_head", false),
            pooler_act: act("pooler_hidden_act", "gelu"),
        }
    }

    /// Whether scores have the term `c2p` or `p2c`.
    pub fn has_term(&self, term: &str) -> bool {
        self.relative.is_some() && self.position_terms.iter().any(|entry| entry == term)
    }
}

/// The entries of a `|`-separated string. The empty string has one entry, too.
fn separated(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split('|')
        .map(|entry| entry.trim().to_owned())
        .collect()
}
