//! The configuration of a random model.

use super::plan::{Family, Plan};
use crate::oracle::heads::Head;
use serde_json::{Map, Value, json};

impl Plan {
    /// `config.json`.
    ///
    /// # Panics
    /// Where `pos_att_type` is no JSON.
    pub fn config(&self) -> Value {
        let (size, relative, input) = (&self.size, &self.relative, &self.input);
        let v1 = self.family != Family::V2;
        let pos_att_type: Value = serde_json::from_str(relative.pos_att_type).expect("JSON");
        // Key, value, and the value that absence stands for.
        let entries = [
            (
                "hidden_size",
                json!(size.hidden),
                json!(if v1 { 768 } else { 1536 }),
            ),
            (
                "num_hidden_layers",
                json!(size.layers),
                json!(if v1 { 12 } else { 24 }),
            ),
            (
                "num_attention_heads",
                json!(size.heads),
                json!(if v1 { 12 } else { 24 }),
            ),
            (
                "intermediate_size",
                json!(size.inner),
                json!(if v1 { 3072 } else { 6144 }),
            ),
            ("hidden_act", json!(size.act), json!("gelu")),
            ("layer_norm_eps", json!(size.eps), json!(1e-7)),
            ("relative_attention", json!(relative.enabled), json!(false)),
            (
                "max_relative_positions",
                optional(relative.max_distance),
                json!(-1),
            ),
            ("position_buckets", optional(relative.buckets), json!(-1)),
            ("pos_att_type", pos_att_type, json!(null)),
            ("share_att_key", json!(relative.share_att_key), json!(false)),
            (
                "norm_rel_ebd",
                json!(if relative.normed {
                    "layer_norm"
                } else {
                    "none"
                }),
                json!("none"),
            ),
            (
                "position_biased_input",
                json!(input.position_biased),
                json!(true),
            ),
            ("type_vocab_size", json!(input.types), json!(0)),
            (
                "max_position_embeddings",
                json!(input.positions),
                json!(512),
            ),
            ("embedding_size", json!(self.width()), json!(size.hidden)),
            ("talking_head", json!(self.talking_head), json!(false)),
            ("pooler_hidden_act", json!(size.pooler_act), json!("gelu")),
            ("legacy", json!(self.style.legacy_lm), json!(true)),
            (
                "tie_word_embeddings",
                json!(!self.style.untied),
                json!(true),
            ),
            ("num_labels", json!(size.labels), json!(2)),
        ];
        let mut config = Map::new();
        config.insert(
            "model_type".into(),
            json!(if v1 { "deberta" } else { "deberta-v2" }),
        );
        // The rows of the tensor count, not this.
        config.insert(
            "vocab_size".into(),
            json!(input.words + self.size.layers - 1),
        );
        for (key, value, default) in entries {
            if !(self.style.terse && value == default) {
                config.insert(key.into(), value);
            }
        }
        if let Some((kernel, groups, act)) = self.conv {
            config.insert("conv_kernel_size".into(), json!(kernel));
            config.insert("conv_groups".into(), json!(groups));
            config.insert("conv_act".into(), json!(act));
        }
        Value::Object(config)
    }

    /// Width of the embedding tables.
    pub fn width(&self) -> usize {
        self.input.width.unwrap_or(self.size.hidden)
    }

    /// Whether the language-model head has rows of its own for the words.
    pub fn is_untied(&self) -> bool {
        self.head == Head::MaskedLm && self.style.legacy_lm && self.style.untied
    }
}

/// None of something is -1 in these files.
fn optional(size: Option<usize>) -> Value {
    size.map_or(json!(-1), |size| json!(size))
}
