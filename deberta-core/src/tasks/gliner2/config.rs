//! `config.json` of GLiNER2, and the encoder's beside it.

use std::fmt::Display;
use std::path::Path;

use serde::Deserialize;

use crate::tasks::words::SubtokenPooling;
use crate::{Config, Error};

/// What a checkpoint of GLiNER2 is, as far as inference needs to know.
#[derive(Debug, Clone)]
pub(super) struct Gliner2Config {
    pub(super) encoder: Config,
    /// Words of the widest span.
    pub(super) max_width: usize,
    pub(super) pooling: SubtokenPooling,
    pub(super) counting: CountingLayer,
}

/// What makes labels' vectors into those that spans are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountingLayer {
    /// A recurrent layer and a projection.
    Projection,
    /// The same with a small transformer over the labels.
    Transformer,
    /// The same with a mixture of experts.
    Experts,
}

/// The keys that matter. Others are for training.
#[derive(Deserialize)]
struct Keys {
    model_type: Option<String>,
    architecture: Option<String>,
    /// Where the first versions had it.
    max_width: Option<usize>,
    span_head: Option<SpanHead>,
    counting_layer: Option<String>,
    token_pooling: Option<String>,
}

#[derive(Deserialize)]
struct SpanHead {
    max_width: Option<usize>,
    span_mode: Option<String>,
}

impl Gliner2Config {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let file = folder.join("config.json");
        let bytes = std::fs::read(&file).map_err(Error::io(&file))?;
        let parsed = serde_json::from_slice(&bytes);
        let keys: Keys = parsed.map_err(|source| Error::Json {
            file: file.clone(),
            source,
        })?;
        let refuse = |key: &str, found: &dyn Display, expected: &str| Error::Config {
            file: file.clone(),
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        };
        if let Some(other) = keys.model_type.filter(|kind| kind != "extractor") {
            return Err(refuse("model_type", &other, "extractor, as GLiNER2 has it"));
        }
        let architecture = keys.architecture.map(|name| name.trim().to_lowercase());
        if let Some(other) = architecture.filter(|name| name != "span") {
            return Err(refuse("architecture", &other, "span"));
        }
        let (inner, mode) = keys
            .span_head
            .map_or((None, None), |head| (head.max_width, head.span_mode));
        if let Some(other) = mode.filter(|mode| mode != "markerV0") {
            return Err(refuse("span_head.span_mode", &other, "markerV0"));
        }
        let max_width = match inner.or(keys.max_width).unwrap_or(8) {
            0 => return Err(refuse("max_width", &0, "at least 1")),
            width => width,
        };
        let pooling = match keys.token_pooling.as_deref().unwrap_or("first") {
            "first" => SubtokenPooling::First,
            "mean" => SubtokenPooling::Mean,
            "max" => SubtokenPooling::Max,
            other => return Err(refuse("token_pooling", &other, "first, mean or max")),
        };
        let counting = match keys.counting_layer.as_deref().unwrap_or("count_lstm") {
            "count_lstm" => CountingLayer::Projection,
            "count_lstm_v2" => CountingLayer::Transformer,
            "count_lstm_moe" => CountingLayer::Experts,
            other => {
                let expected = "count_lstm, count_lstm_v2 or count_lstm_moe";
                return Err(refuse("counting_layer", &other, expected));
            }
        };
        Ok(Self {
            encoder: Config::from_file(folder.join("encoder_config").join("config.json"))?,
            max_width,
            pooling,
            counting,
        })
    }
}
