//! The configuration of an encoder and a decoder that attends to it.

use super::read::{self, Keys};
use super::{Config, DecoderConfig};
use crate::Error;
use std::path::Path;

pub(super) const MODEL_TYPE: &str = "encoder-decoder";

/// The configuration of a DeBERTa encoder with an autoregressive decoder, `model_type` `encoder-decoder`: what
/// `EncoderDecoderModel` of `transformers` saves.
///
/// ```
/// use deberta_core::config::{DecoderFamily, EncoderDecoderConfig};
/// let json = r#"{
///     "model_type": "encoder-decoder",
///     "encoder": {"model_type": "deberta-v2", "hidden_size": 384, "num_attention_heads": 6},
///     "decoder": {"model_type": "bert", "is_decoder": true, "add_cross_attention": true}
/// }"#;
/// let config = EncoderDecoderConfig::from_json(json, "config.json")?;
/// assert_eq!(config.decoder.family, DecoderFamily::Bert);
/// assert!(config.has_projection()); // 384 to 768
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EncoderDecoderConfig {
    /// What reads.
    pub encoder: Config,
    /// What writes.
    pub decoder: DecoderConfig,
}

impl EncoderDecoderConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// As [`Config::from_file`]; [`Error::UnsupportedModel`] names the part that is not supported.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::from_json(&read::text(path)?, path)
    }

    /// Reads the text of a `config.json`; `source` names it in errors.
    ///
    /// # Errors
    /// As [`EncoderDecoderConfig::from_file`].
    pub fn from_json(json: &str, source: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read(&Keys::parse(json, source.as_ref())?)
    }

    fn read(keys: &Keys) -> Result<Self, Error> {
        const EXPECTED: &str = "expected encoder-decoder";
        if keys.model_type(EXPECTED)? != MODEL_TYPE {
            let reason = format!("has no decoder; {EXPECTED}");
            return Err(keys.unsupported_type(&reason));
        }
        let encoder = Config::read(&keys.object("encoder")?)?;
        let decoder_keys = keys.object("decoder")?;
        let decoder = DecoderConfig::read(&decoder_keys)?;
        // The reference makes no projection then, and its decoders do not take another width than their own.
        const WIDTH: &str = "cross_attention_hidden_size";
        let (reads, writes) = (encoder.hidden_size, decoder.hidden_size);
        if let Some(found) = decoder_keys.get(WIDTH)
            && (reads != writes || found.as_u64() != Some(reads as u64))
        {
            let expected = format!("nothing, or {reads} where both parts have this hidden_size");
            return Err(decoder_keys.refuse(WIDTH, found, expected));
        }
        Ok(Self { encoder, decoder })
    }

    /// Whether hidden states are projected on their way from the encoder to the decoder: where the parts are not equally
    /// wide.
    pub fn has_projection(&self) -> bool {
        self.encoder.hidden_size != self.decoder.hidden_size
    }
}

/// Reads a `config.json` with a decoder or without.
pub(crate) fn with_or_without_decoder(
    path: &Path,
) -> Result<(Config, Option<EncoderDecoderConfig>), Error> {
    let keys = Keys::parse(&read::text(path)?, path)?;
    if keys.model_type("").is_ok_and(|name| name == MODEL_TYPE) {
        let both = EncoderDecoderConfig::read(&keys)?;
        return Ok((both.encoder.clone(), Some(both)));
    }
    Ok((Config::read(&keys)?, None))
}
