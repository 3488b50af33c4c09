//! The configuration of an autoregressive decoder.

use super::read::Keys;
use super::validate;
use crate::{Activation, Error};
use std::fmt;

/// A decoder that attends to an encoder, every value resolved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// How layers are put together and tensors are called.
    pub family: DecoderFamily,
    /// Words, where the file of weights does not say otherwise.
    pub vocab_size: usize,
    /// Width of the hidden states, N.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Attention heads per layer, H. Divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Activation of the feed-forward layer.
    pub hidden_act: Activation,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f32,
    /// Rows of the absolute position table: see [`DecoderConfig::positions`].
    pub max_position_embeddings: usize,
    /// Rows of the token type table, the first of which all tokens have; 0: there is none.
    pub type_vocab_size: usize,
    /// Id of the padding token, where the file has one. RoBERTa counts its positions from there.
    pub pad_token_id: Option<u32>,
    /// Whether words are scored with their embeddings.
    pub tie_word_embeddings: bool,
    /// Whether scores of attention are divided by the square root of the head size (GPT-2 may say no).
    pub scale_attn_weights: bool,
    /// Whether scores of layer i, counted from one, are divided by i (GPT-2).
    pub scale_attn_by_inverse_layer_idx: bool,
}

/// The kind of a decoder, by its `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecoderFamily {
    /// `bert`: normalises after each part of a layer.
    Bert,
    /// `roberta`: the same, its positions counted from the padding id on.
    Roberta,
    /// `gpt2`: normalises before each part of a layer.
    Gpt2,
}

impl fmt::Display for DecoderFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
            Self::Gpt2 => "gpt2",
        })
    }
}

impl DecoderConfig {
    /// Width of one attention head, D.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The most tokens that it reads: those for which there are positions.
    pub fn positions(&self) -> usize {
        self.max_position_embeddings - self.first_position()
    }

    /// The row of the position table that the first token has.
    pub(crate) fn first_position(&self) -> usize {
        match self.family {
            DecoderFamily::Roberta => self.pad_token_id.map_or(0, |id| id as usize + 1),
            DecoderFamily::Bert | DecoderFamily::Gpt2 => 0,
        }
    }

    /// What the scores of a layer's self-attention and cross-attention are multiplied by.
    pub(crate) fn scale(&self, layer: usize) -> f32 {
        let mut scale = match self.scale_attn_weights {
            true => (self.head_size() as f32).sqrt().recip(),
            false => 1.0,
        };
        if self.scale_attn_by_inverse_layer_idx {
            scale /= (layer + 1) as f32;
        }
        scale
    }

    /// Reads an object of a configuration file.
    pub(super) fn read(keys: &Keys) -> Result<Self, Error> {
        let family = family(keys)?;
        for key in ["is_decoder", "add_cross_attention"] {
            let matters = family != DecoderFamily::Gpt2 || key == "add_cross_attention";
            if matters && !keys.flag(key, false)? {
                let expected = "true, for a decoder that attends to an encoder";
                let found = if keys.get(key).is_some() {
                    "false"
                } else {
                    "nothing"
                };
                return Err(keys.refuse(key, found, expected));
            }
        }
        let config = match family {
            DecoderFamily::Bert | DecoderFamily::Roberta => Self::bert(keys, family)?,
            DecoderFamily::Gpt2 => Self::gpt2(keys)?,
        };
        let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
        if !hidden.is_multiple_of(heads) {
            let expected = format!("a divisor of the hidden size ({hidden})");
            let key = match family {
                DecoderFamily::Gpt2 => "n_head",
                _ => "num_attention_heads",
            };
            return Err(keys.refuse(key, heads, expected));
        }
        if config.first_position() >= config.max_position_embeddings {
            let expected = format!("more than pad_token_id + 1 ({})", config.first_position());
            let found = config.max_position_embeddings;
            return Err(keys.refuse("max_position_embeddings", found, expected));
        }
        Ok(config)
    }

    /// With the keys and defaults of BERT and RoBERTa.
    fn bert(keys: &Keys, family: DecoderFamily) -> Result<Self, Error> {
        const POSITIONS: &str = "position_embedding_type";
        if let Some(found) = keys.string(POSITIONS)?.filter(|&kind| kind != "absolute") {
            return Err(keys.refuse(POSITIONS, format!("{found:?}"), "absolute"));
        }
        let words = match family {
            DecoderFamily::Roberta => 50265,
            _ => 30522,
        };
        Ok(Self {
            family,
            vocab_size: keys.size("vocab_size", words, validate::POSITIONS)?,
            hidden_size: keys.size("hidden_size", 768, validate::WIDTH)?,
            num_hidden_layers: keys.size("num_hidden_layers", 12, validate::LAYERS)?,
            num_attention_heads: keys.size("num_attention_heads", 12, validate::WIDTH)?,
            intermediate_size: keys.size("intermediate_size", 3072, validate::FEED_FORWARD)?,
            hidden_act: keys.activation("hidden_act", Activation::Gelu)?,
            layer_norm_eps: keys.positive("layer_norm_eps", 1e-12)?,
            max_position_embeddings: keys.size(
                "max_position_embeddings",
                512,
                validate::POSITIONS,
            )?,
            type_vocab_size: keys.size("type_vocab_size", 2, validate::POSITIONS)?,
            pad_token_id: keys.token_id(
                "pad_token_id",
                match family {
                    DecoderFamily::Roberta => Some(1),
                    _ => Some(0),
                },
            )?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", true)?,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
        })
    }

    /// With the keys and defaults of GPT-2, whose own names the general ones may stand for.
    fn gpt2(keys: &Keys) -> Result<Self, Error> {
        let size = |own: &str, general: &str, default, limit| {
            let default = keys.size(general, default, limit)?;
            keys.size(own, default, limit)
        };
        let hidden_size = size("n_embd", "hidden_size", 768, validate::WIDTH)?;
        Ok(Self {
            family: DecoderFamily::Gpt2,
            vocab_size: keys.size("vocab_size", 50257, validate::POSITIONS)?,
            hidden_size,
            num_hidden_layers: size("n_layer", "num_hidden_layers", 12, validate::LAYERS)?,
            num_attention_heads: size("n_head", "num_attention_heads", 12, validate::WIDTH)?,
            intermediate_size: keys.size("n_inner", 4 * hidden_size, validate::FEED_FORWARD)?,
            hidden_act: keys.activation("activation_function", Activation::GeluTanh)?,
            layer_norm_eps: keys.positive("layer_norm_epsilon", 1e-5)?,
            max_position_embeddings: size(
                "n_positions",
                "max_position_embeddings",
                1024,
                validate::POSITIONS,
            )?,
            type_vocab_size: 0,
            pad_token_id: keys.token_id("pad_token_id", None)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", true)?,
            scale_attn_weights: keys.flag("scale_attn_weights", true)?,
            scale_attn_by_inverse_layer_idx: keys.flag("scale_attn_by_inverse_layer_idx", false)?,
        })
    }
}

fn family(keys: &Keys) -> Result<DecoderFamily, Error> {
    const SUPPORTED: &str = "supported: bert, roberta and gpt2, each with cross-attention";
    match keys.model_type(SUPPORTED)? {
        "bert" => Ok(DecoderFamily::Bert),
        "roberta" => Ok(DecoderFamily::Roberta),
        "gpt2" => Ok(DecoderFamily::Gpt2),
        "deberta" | "deberta-v2" => Err(keys.unsupported_type(&format!(
            "cannot write: DeBERTa has no causal mode, here and in the reference; {SUPPORTED}"
        ))),
        _ => Err(keys.unsupported_type(&format!("is not supported; {SUPPORTED}"))),
    }
}
