//! `gliner_config.json`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::tasks::words::SubtokenPooling;
use crate::{Config, Error};

/// The file's name.
pub(super) const FILE: &str = "gliner_config.json";

/// What a checkpoint of GLiNER is, as far as inference needs to know.
#[derive(Debug, Clone)]
pub(super) struct GlinerConfig {
    pub(super) encoder: Config,
    /// Where the tokenizer's files are.
    pub(super) tokenizer: PathBuf,
    /// Width of the vectors of words and labels, after the projection.
    pub(super) hidden_size: usize,
    /// Words of the widest span.
    pub(super) max_width: usize,
    /// Words that are read at once.
    pub(super) max_length: usize,
    pub(super) pooling: SubtokenPooling,
    /// Whether a label's vector is that of the token before it, else that of its own first token.
    pub(super) embeds_marker: bool,
    /// Whether the hidden states of all layers are mixed.
    pub(super) fuses_layers: bool,
    /// The id of the token before a label, if the file says it.
    pub(super) label_token: Option<u32>,
    /// The token before a label, and the one behind the labels.
    pub(super) markers: [String; 2],
}

/// The keys that matter. Others are for training.
#[derive(Deserialize)]
struct Keys {
    model_name: Option<String>,
    model_type: Option<String>,
    encoder_config: Option<Value>,
    hidden_size: Option<usize>,
    max_width: Option<usize>,
    max_len: Option<usize>,
    span_mode: Option<String>,
    subtoken_pooling: Option<String>,
    embed_ent_token: Option<bool>,
    fuse_layers: Option<bool>,
    class_token_index: Option<i64>,
    vocab_size: Option<i64>,
    ent_token: Option<String>,
    sep_token: Option<String>,
    words_splitter_type: Option<String>,
    post_fusion_schema: Option<String>,
    precomputed_prompts_mode: Option<bool>,
    labels_encoder: Option<Value>,
    labels_decoder: Option<Value>,
    relations_layer: Option<Value>,
    span_encoder_config: Option<Value>,
}

impl GlinerConfig {
    /// Reads the configuration of a directory. `encoder` is where the encoder's own files are, if the caller knows.
    pub(super) fn read(folder: &Path, encoder: Option<&Path>) -> Result<Self, Error> {
        let file = folder.join(FILE);
        let bytes = std::fs::read(&file).map_err(Error::io(&file))?;
        let parsed = serde_json::from_slice(&bytes);
        let keys: Keys = parsed.map_err(|source| Error::Json {
            file: file.clone(),
            source,
        })?;
        let refuse = |key: &str, found: &dyn std::fmt::Display, expected: &str| Error::Config {
            file: file.clone(),
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        };
        keys.check_architecture(&refuse)?;
        let size = |key, value: Option<usize>, default| match value.unwrap_or(default) {
            0 => Err(refuse(key, &0, "at least 1")),
            size => Ok(size),
        };
        let pooling = match keys.subtoken_pooling.as_deref().unwrap_or("first") {
            "first" => SubtokenPooling::First,
            "last" => SubtokenPooling::Last,
            "mean" => SubtokenPooling::Mean,
            "max" => SubtokenPooling::Max,
            other => {
                return Err(refuse(
                    "subtoken_pooling",
                    &other,
                    "first, last, mean or max",
                ));
            }
        };
        let name = keys
            .model_name
            .as_deref()
            .unwrap_or("microsoft/deberta-v3-small");
        let beside = encoder.map_or_else(|| folder.join(name), Path::to_owned);
        let has_own = ["tokenizer_config.json", "tokenizer.json", "spm.model"];
        let has_own = has_own.iter().any(|file| folder.join(file).is_file());
        let tokenizer = match (encoder, has_own) {
            (None, true) => folder.to_owned(),
            _ if beside.is_dir() => beside.clone(),
            _ => {
                let expected = "a tokenizer beside it, or the directory of this encoder (GlinerOptions::encoder)";
                return Err(refuse("model_name", &name, expected));
            }
        };
        let encoder = match &keys.encoder_config {
            Some(Value::Object(map)) => {
                let mut map = map.clone();
                if map
                    .get("model_type")
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
                {
                    map.insert("model_type".to_owned(), json!("deberta-v2"));
                }
                Config::from_json(&Value::Object(map).to_string(), &file)?
            }
            _ if beside.join("config.json").is_file() => {
                Config::from_file(beside.join("config.json"))?
            }
            _ => match published(name) {
                Some(config) => Config::from_json(&config.to_string(), &file)?,
                None => {
                    let expected = "encoder_config beside it, or the directory of this encoder (GlinerOptions::encoder)";
                    return Err(refuse("model_name", &name, expected));
                }
            },
        };
        let explicit = keys.vocab_size.is_some_and(|size| size != -1);
        let label_token = keys
            .class_token_index
            .filter(|&index| explicit && index != -1);
        let label_token = label_token.map(|index| {
            u32::try_from(index).map_err(|_| refuse("class_token_index", &index, "a token id"))
        });
        Ok(Self {
            encoder,
            tokenizer,
            hidden_size: size("hidden_size", keys.hidden_size, 512)?,
            max_width: size("max_width", keys.max_width, 12)?,
            max_length: size("max_len", keys.max_len, 384)?,
            pooling,
            embeds_marker: keys.embed_ent_token.unwrap_or(true),
            fuses_layers: keys.fuse_layers.unwrap_or(false),
            label_token: label_token.transpose()?,
            markers: [
                keys.ent_token.unwrap_or_else(|| "<<ENT>>".to_owned()),
                keys.sep_token.unwrap_or_else(|| "<<SEP>>".to_owned()),
            ],
        })
    }
}

impl Keys {
    /// Refuses what is another architecture by the same name.
    fn check_architecture(
        &self,
        refuse: &dyn Fn(&str, &dyn std::fmt::Display, &str) -> Error,
    ) -> Result<(), Error> {
        const SPANS: &str = "the span model with one encoder (uni-encoder, markerV0)";
        let given = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
        let others = [
            ("relations_layer", &self.relations_layer),
            ("labels_decoder", &self.labels_decoder),
            ("labels_encoder", &self.labels_encoder),
            ("span_encoder_config", &self.span_encoder_config),
        ];
        for (key, value) in others {
            if given(value) {
                return Err(refuse(key, &value.as_ref().unwrap_or(&Value::Null), SPANS));
            }
        }
        if let Some(kind) = self
            .model_type
            .as_deref()
            .filter(|kind| kind.contains("streaming"))
        {
            return Err(refuse("model_type", &kind, SPANS));
        }
        match self.span_mode.as_deref() {
            None | Some("markerV0") => {}
            Some(other) => return Err(refuse("span_mode", &other, SPANS)),
        }
        match self.words_splitter_type.as_deref() {
            None | Some("whitespace") => {}
            Some(other) => return Err(refuse("words_splitter_type", &other, "whitespace")),
        }
        match self.post_fusion_schema.as_deref() {
            None | Some("") => {}
            Some(other) => return Err(refuse("post_fusion_schema", &other, "none")),
        }
        if self.precomputed_prompts_mode == Some(true) {
            return Err(refuse("precomputed_prompts_mode", &true, "false"));
        }
        Ok(())
    }
}

/// The configuration of an encoder that older checkpoints only name.
fn published(name: &str) -> Option<Value> {
    let (hidden, layers, heads, intermediate, words) = match name {
        "microsoft/deberta-v3-xsmall" => (384, 12, 6, 1536, 128_100),
        "microsoft/deberta-v3-small" => (768, 6, 12, 3072, 128_100),
        "microsoft/deberta-v3-base" => (768, 12, 12, 3072, 128_100),
        "microsoft/deberta-v3-large" => (1024, 24, 16, 4096, 128_100),
        "microsoft/mdeberta-v3-base" => (768, 12, 12, 3072, 251_000),
        _ => return None,
    };
    Some(json!({
        "model_type": "deberta-v2", "vocab_size": words, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": intermediate, "hidden_act": "gelu",
        "layer_norm_eps": 1e-7, "max_position_embeddings": 512, "relative_attention": true,
        "max_relative_positions": -1, "position_buckets": 256, "norm_rel_ebd": "layer_norm",
        "share_att_key": true, "pos_att_type": "p2c|c2p", "position_biased_input": false, "type_vocab_size": 0,
        "pad_token_id": 0,
    }))
}
