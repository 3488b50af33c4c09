//! The few facts in which the attention of one generation differs from that of another.

use crate::checkpoint::{Checkpoint, Scope};
use crate::config::{self, Family, Unfit};
use crate::{Config, Error};
use deberta_kernels::RelativePositions;

/// What attention computes, and how its weights are laid out.
///
/// The tensor names decide the layout and not `model_type`: Microsoft's own code saves models of the first generation
/// under the names of the second, and computes them alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AttentionKind {
    /// Whether queries, keys and values are the rows of one matrix, `[head][q|k|v][d]` (v1 of `transformers`), or of
    /// one each.
    pub(crate) interleaved: bool,
    /// How distances map to rows of the relative table; `None`: no position term.
    pub(crate) relative: Option<RelativePositions>,
    /// Content to position.
    pub(crate) c2p: bool,
    /// Position to content.
    pub(crate) p2c: bool,
    /// Whether the relative table goes through the projections of the content, or through its own.
    pub(crate) shared: bool,
    /// Whether the relative table passes through the encoder's LayerNorm.
    pub(crate) normed: bool,
    /// Whether heads mix.
    pub(crate) talking: bool,
    /// What scores are multiplied by.
    pub(crate) scale: f32,
}

/// The name that only the interleaved layout has, in every layer.
const INTERLEAVED: &str = "encoder.layer.0.attention.self.in_proj.weight";
/// Names that only the separate layout has. Any tells: a file that lacks one of them is to be told so.
const SEPARATE: [&str; 3] = [
    "encoder.layer.0.attention.self.query_proj.weight",
    "encoder.layer.0.attention.self.key_proj.weight",
    "encoder.layer.0.attention.self.value_proj.weight",
];

impl AttentionKind {
    pub(crate) fn new(config: &Config, checkpoint: &Checkpoint) -> Result<Self, Error> {
        let has = |name| checkpoint.contains(Scope::Encoder, name);
        let interleaved =
            has(INTERLEAVED) || (config.family == Family::V1 && !SEPARATE.into_iter().any(has));
        if !interleaved {
            config::second_generation(config).map_err(|Unfit(key, found, expected)| {
                Error::Config {
                    file: checkpoint.source().with_file_name("config.json"),
                    key: key.to_owned(),
                    found: found.to_string(),
                    expected,
                }
            })?;
        }
        let terms = config.pos_att_type;
        // The terms count in the scale even where attention is not relative; the first generation counts the entries
        // of the list, even one that says "none".
        let factor = if interleaved {
            1 + terms.entries
        } else {
            1 + usize::from(terms.c2p) + usize::from(terms.p2c)
        };
        let buckets = config.position_buckets.filter(|_| !interleaved);
        let relative = (config.relative_attention && (terms.c2p || terms.p2c))
            .then(|| RelativePositions::new(buckets, config.max_relative_positions))
            .transpose()?;
        Ok(Self {
            interleaved,
            relative,
            c2p: relative.is_some() && terms.c2p,
            p2c: relative.is_some() && terms.p2c,
            shared: config.share_att_key && !interleaved,
            normed: config.norm_rel_ebd && !interleaved,
            talking: config.talking_head && interleaved,
            scale: 1.0 / ((config.head_size() * factor) as f32).sqrt(),
        })
    }
}
