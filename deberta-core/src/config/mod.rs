//! What a model is: the resolved contents of its `config.json`.
//!
//! Real files miss many keys. An absent key (or `null`) has the default that the reference
//! implementation gives it; a present key with a value that this crate does not implement is an
//! error that names the key, never a silently different model.

mod decoder;
mod encoder_decoder;
mod labels;
mod read;
mod validate;

use std::fmt;
use std::path::Path;

use deberta_kernels::Activation;

use crate::Error;
use read::Keys;

pub use decoder::{DecoderConfig, DecoderFamily};
pub use encoder_decoder::EncoderDecoderConfig;
pub(crate) use encoder_decoder::with_or_without_decoder;
pub use labels::{Labels, ProblemType};
pub(crate) use validate::{Unfit, second_generation};

/// The configuration of a DeBERTa encoder and its head, every value resolved.
///
/// ```
/// use deberta_core::Config;
/// let json = r#"{"model_type": "deberta-v2", "hidden_size": 384, "num_attention_heads": 6}"#;
/// let config = Config::from_json(json, "config.json")?;
/// assert_eq!(config.head_size(), 64);
/// assert_eq!(config.max_relative_positions, 512); // absent: as many as max_position_embeddings
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The generation of the model.
    pub family: Family,
    /// Width of the hidden states, N.
    pub hidden_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads per layer, H. Divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Activation of the feed-forward layer.
    pub hidden_act: Activation,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f32,
    /// Whether attention sees relative positions at all.
    pub relative_attention: bool,
    /// Distances that the position arithmetic knows; -1 and absence are resolved.
    pub max_relative_positions: usize,
    /// Buckets on each side of the diagonal; `None`: one slot per distance.
    pub position_buckets: Option<usize>,
    /// Which position terms the attention scores have.
    pub pos_att_type: PosAttType,
    /// Whether the relative table is projected by the layer's own key and query projections.
    pub share_att_key: bool,
    /// Whether the relative table passes through the encoder's LayerNorm.
    pub norm_rel_ebd: bool,
    /// Whether heads mix before and after the softmax (v1 alone).
    pub talking_head: bool,
    /// Whether absolute positions are added to the word embeddings.
    pub position_biased_input: bool,
    /// Rows of the token type table; 0: there is none, type ids are ignored.
    pub type_vocab_size: usize,
    /// Width of the embedding tables; another than `hidden_size` brings a projection.
    pub embedding_size: usize,
    /// The convolution beside the first layer (v2 xlarge and xxlarge).
    pub conv: Option<ConvConfig>,
    /// Id of the padding token, where the file has one.
    pub pad_token_id: Option<u32>,
    /// Rows of the absolute position table.
    pub max_position_embeddings: usize,
    /// Width of the pooler of sequence heads; equals `hidden_size`.
    pub pooler_hidden_size: usize,
    /// Activation of the pooler.
    pub pooler_hidden_act: Activation,
    /// The layout of the masked-language-model head: `transformers`' older one. Where the weights have but one of the
    /// two, that one is used, whatever this says.
    pub legacy: bool,
    /// Whether the older masked-language-model head scores words with their embeddings.
    pub tie_word_embeddings: bool,
    /// The labels of a classification head, in the order of its logits.
    pub labels: Labels,
    /// How the logits of a sequence head are meant, where the file says so.
    pub problem_type: Option<ProblemType>,
    /// The classes that saved this model, such as `DebertaV2ForTokenClassification`.
    pub architectures: Vec<String>,
}

/// The generation of a model, by its `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// `deberta`: the first generation, with a slot for every distance.
    V1,
    /// `deberta-v2`: v2, v3 and mDeBERTa.
    V2,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "deberta",
            Self::V2 => "deberta-v2",
        })
    }
}

/// The position terms of disentangled attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PosAttType {
    /// Content to position: `Q_i · PK[slot(i-j)]`.
    pub c2p: bool,
    /// Position to content: `K_j · PQ[slot(i-j)]`.
    pub p2c: bool,
    /// Entries of the list, whatever they say: the scale of v1 counts them.
    pub entries: usize,
}

/// The convolution over tokens whose output joins that of the first layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvConfig {
    /// Tokens that one output sees. Odd.
    pub kernel_size: usize,
    /// Groups of channels that do not mix. Divides `hidden_size`.
    pub groups: usize,
    /// Activation of its output.
    pub activation: Activation,
}

impl Config {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// Where the file cannot be read, is not JSON, is of another model family, or holds a value that
    /// this crate does not implement.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::from_json(&read::text(path)?, path)
    }

    /// Reads the text of a `config.json`; `source` names it in errors.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn from_json(json: &str, source: impl AsRef<Path>) -> Result<Self, Error> {
        Self::read(&Keys::parse(json, source.as_ref())?)
    }

    /// Reads an object of a configuration file.
    fn read(keys: &Keys) -> Result<Self, Error> {
        let family = keys.family()?;
        // The defaults are those of the reference's configuration classes.
        let (width, layers, heads, inner) = match family {
            Family::V1 => (768, 12, 12, 3072),
            Family::V2 => (1536, 24, 24, 6144),
        };
        let hidden_size = keys.size("hidden_size", width, validate::WIDTH)?;
        let max_position_embeddings =
            keys.size("max_position_embeddings", 512, validate::POSITIONS)?;
        let config = Self {
            family,
            hidden_size,
            num_hidden_layers: keys.size("num_hidden_layers", layers, validate::LAYERS)?,
            num_attention_heads: keys.size("num_attention_heads", heads, validate::WIDTH)?,
            intermediate_size: keys.size("intermediate_size", inner, validate::FEED_FORWARD)?,
            hidden_act: keys.activation("hidden_act", Activation::Gelu)?,
            layer_norm_eps: keys.positive("layer_norm_eps", 1e-7)?,
            relative_attention: keys.flag("relative_attention", false)?,
            max_relative_positions: keys
                .optional_size("max_relative_positions", validate::POSITIONS)?
                .unwrap_or(max_position_embeddings),
            position_buckets: keys.optional_size("position_buckets", validate::POSITIONS)?,
            pos_att_type: keys.pos_att_type()?,
            share_att_key: keys.flag("share_att_key", false)?,
            norm_rel_ebd: keys.norm_rel_ebd()?,
            talking_head: keys.flag("talking_head", false)?,
            position_biased_input: keys.flag("position_biased_input", true)?,
            type_vocab_size: keys
                .optional_size("type_vocab_size", validate::POSITIONS)?
                .unwrap_or(0),
            embedding_size: keys.size("embedding_size", hidden_size, validate::WIDTH)?,
            conv: match keys.optional_size("conv_kernel_size", validate::KERNEL)? {
                None => None,
                Some(kernel_size) => Some(ConvConfig {
                    kernel_size,
                    groups: keys.size("conv_groups", 1, validate::WIDTH)?,
                    activation: keys.activation("conv_act", Activation::Tanh)?,
                }),
            },
            pad_token_id: keys.token_id("pad_token_id", Some(0))?,
            max_position_embeddings,
            pooler_hidden_size: keys.size("pooler_hidden_size", hidden_size, validate::WIDTH)?,
            pooler_hidden_act: keys.activation("pooler_hidden_act", Activation::Gelu)?,
            legacy: keys.flag("legacy", true)?,
            tie_word_embeddings: keys.flag("tie_word_embeddings", true)?,
            labels: Labels::read(keys)?,
            problem_type: ProblemType::read(keys)?,
            architectures: keys.architectures()?,
        };
        validate::check(&config, keys)?;
        Ok(config)
    }

    /// Width of one attention head, D.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Number of outputs of a classification head.
    pub fn num_labels(&self) -> usize {
        self.labels.len()
    }
}
