//! What a random model is.

use super::batch::{self, Padded};
use crate::oracle::heads::Head;
use deberta_kernels::Activation;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How the attention weights are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `model_type: deberta`, with the joint `in_proj` of `transformers`.
    V1,
    /// `model_type: deberta`, with the names that Microsoft's code gives to every generation.
    V1Separate,
    /// `model_type: deberta-v2`.
    V2,
}

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    /// 32 bits.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of 32 bits.
    Bf16,
}

/// A model: every choice that a configuration or a file of weights makes.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The layout of attention.
    pub family: Family,
    /// What follows the encoder.
    pub head: Head,
    /// Sizes.
    pub size: Size,
    /// Relative attention.
    pub relative: Relative,
    /// The embedding layer.
    pub input: Input,
    /// Kernel size, groups and activation of the convolution.
    pub conv: Option<(usize, usize, &'static str)>,
    /// Mixing of heads (v1).
    pub talking_head: bool,
    /// Names, spellings, element types.
    pub style: Style,
    /// Where the random values start.
    pub seed: u64,
}

/// Sizes and activations.
#[derive(Debug, Clone)]
pub struct Size {
    /// Hidden states.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Feed-forward network.
    pub inner: usize,
    /// Outputs of a classifier.
    pub labels: usize,
    /// Activation of the feed-forward network.
    pub act: &'static str,
    /// Activation of the pooler.
    pub pooler_act: &'static str,
    /// Added to variances.
    pub eps: f64,
}

/// How attention sees positions.
#[derive(Debug, Clone)]
pub struct Relative {
    /// Whether it does.
    pub enabled: bool,
    /// `pos_att_type` as JSON, in one of its spellings.
    pub pos_att_type: &'static str,
    /// Buckets, which v1 has not.
    pub buckets: Option<usize>,
    /// Distances; `None`: as many as absolute positions.
    pub max_distance: Option<usize>,
    /// Whether positions share the projections of the content.
    pub share_att_key: bool,
    /// Whether the table is normalised.
    pub normed: bool,
}

/// The embedding layer.
#[derive(Debug, Clone)]
pub struct Input {
    /// Rows of the word table.
    pub words: usize,
    /// Width of the tables, where it is not that of the hidden states.
    pub width: Option<usize>,
    /// Rows of the absolute table.
    pub positions: usize,
    /// Whether absolute positions are added to the words.
    pub position_biased: bool,
    /// Whether the file has the absolute table even if they are not.
    pub position_table: bool,
    /// Token types.
    pub types: usize,
}

/// How the same model can be written down.
#[derive(Debug, Clone)]
pub struct Style {
    /// What precedes the encoder's names.
    pub prefix: &'static str,
    /// `LayerNorm.gamma` and `beta`.
    pub gamma_beta: bool,
    /// The element type of all tensors.
    pub stored: Stored,
    /// Whether keys whose value is the default are left out.
    pub terse: bool,
    /// `cls.predictions` or Microsoft's `lm_predictions`.
    pub legacy_lm: bool,
    /// Whether the older language-model head has rows of its own for the words.
    pub untied: bool,
}

/// Spellings of `pos_att_type`. Only those of one entry per term mean the same to v1 and to later versions.
const POS_ATT_TYPES: &[&str] = &[
    r#"["c2p", "p2c"]"#,
    r#"["p2c", "c2p"]"#,
    r#""p2c|c2p""#,
    r#"" C2P | p2c""#,
    r#"["c2p"]"#,
    r#"["p2c"]"#,
    r#""c2p""#,
    r#""P2C""#,
    r#""none""#,
    r#""""#,
    r#""c2p|none""#,
    r#"["p2c", "c2p", "p2c"]"#,
    "[]",
    "null",
];

const PREFIXES: &[&str] = &[
    "deberta.",
    "",
    "bert.",
    "module.",
    "module.deberta.",
    "model.",
    "encoder.",
    "token_rep_layer.bert_layer.model.",
];

/// A model with one of `families` and `heads`, and a batch for it.
pub fn case(
    families: &'static [Family],
    heads: &'static [Head],
) -> impl Strategy<Value = (Plan, Padded)> {
    plan(families, heads).prop_flat_map(|plan| {
        let batch = batch::padded(&plan);
        (Just(plan), batch)
    })
}

fn plan(families: &'static [Family], heads: &'static [Head]) -> impl Strategy<Value = Plan> {
    let extras = (conv(), any::<bool>());
    let seed = any::<u64>().no_shrink();
    let parts = (
        select(families),
        select(heads),
        size(),
        relative(),
        input(),
        extras,
        style(),
        seed,
    );
    parts.prop_map(
        |(family, head, size, relative, input, (conv, talking_head), style, seed)| {
            // Groups must divide the channels.
            let conv = conv.map(|(kernel, groups, act)| {
                let groups: &Index = &groups;
                (kernel, *groups.get(&divisors(size.hidden)), act)
            });
            let plan = Plan {
                family,
                head,
                size,
                relative,
                input,
                conv,
                talking_head,
                style,
                seed,
            };
            plan.valid()
        },
    )
}

impl Plan {
    /// Whether the Enhanced Mask Decoder follows the encoder.
    pub fn has_mask_decoder(&self) -> bool {
        self.head == Head::MaskedLm
            && !self.style.legacy_lm
            && !self.input.position_biased
            && self.input.position_table
    }

    /// Whether absolute positions limit the length of a sequence.
    pub fn counts_positions(&self) -> bool {
        self.input.position_biased || self.has_mask_decoder()
    }

    /// Half the rows of the relative table.
    pub fn span(&self) -> usize {
        let distance = self.relative.max_distance;
        let distance = distance.unwrap_or(self.input.positions);
        self.relative.buckets.unwrap_or(distance)
    }

    /// Mends what independent choices make invalid.
    fn valid(mut self) -> Self {
        match self.family {
            // `transformers` gives v1 neither; Microsoft's code gives every generation both, but mixes no heads.
            Family::V1 => (self.relative.buckets, self.conv) = (None, None),
            Family::V1Separate | Family::V2 => self.talking_head = false,
        }
        if let Some(buckets) = self.relative.buckets {
            // The logarithm needs mid < m - 1.
            let least = buckets / 2 + 2;
            self.relative.max_distance = self.relative.max_distance.map(|m| m.max(least));
            self.input.positions = self.input.positions.max(least);
        }
        if self.counts_positions() {
            self.input.positions = self.input.positions.max(batch::LONGEST);
        }
        if self.has_mask_decoder() {
            // It reads the output of the layer before the last, and adds position rows to it.
            self.size.layers = self.size.layers.max(2);
            self.input.width = None;
        }
        self
    }
}

/// The names of activations: all.
fn act() -> impl Strategy<Value = &'static str> {
    select(Activation::NAMES)
}

fn divisors(n: usize) -> Vec<usize> {
    (1..=n).filter(|d| n.is_multiple_of(*d)).collect()
}

fn size() -> impl Strategy<Value = Size> {
    let sizes = (
        4..=48usize,
        any::<Index>(),
        1..=3usize,
        1..=60usize,
        1..=5usize,
    );
    let eps = select(&[1e-7, 1e-12, 1e-5, 1e-3][..]);
    (sizes, act(), act(), eps).prop_map(|(sizes, act, pooler_act, eps)| {
        let (hidden, heads, layers, inner, labels) = sizes;
        Size {
            hidden,
            heads: *heads.get(&divisors(hidden)),
            layers,
            inner,
            labels,
            act,
            pooler_act,
            eps,
        }
    })
}

fn relative() -> impl Strategy<Value = Relative> {
    let enabled = prop::bool::weighted(0.9);
    let buckets = prop::option::weighted(0.7, 2..=40usize);
    let max_distance = prop::option::weighted(0.7, 1..=70usize);
    let spelling = select(POS_ATT_TYPES);
    let parts = (
        enabled,
        spelling,
        buckets,
        max_distance,
        any::<bool>(),
        any::<bool>(),
    );
    parts.prop_map(
        |(enabled, pos_att_type, buckets, max_distance, share_att_key, normed)| Relative {
            enabled,
            pos_att_type,
            buckets,
            max_distance,
            share_att_key,
            normed,
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    let width = prop::option::weighted(0.3, 1..=40usize);
    let parts = (
        5..=60usize,
        width,
        1..=100usize,
        any::<bool>(),
        any::<bool>(),
        0..=3usize,
    );
    parts.prop_map(
        |(words, width, positions, position_biased, position_table, types)| Input {
            words,
            width,
            positions,
            position_biased,
            position_table,
            types,
        },
    )
}

fn conv() -> impl Strategy<Value = Option<(usize, Index, &'static str)>> {
    let kernel = select(&[1usize, 3, 5][..]);
    prop::option::weighted(0.3, (kernel, any::<Index>(), act()))
}

fn style() -> impl Strategy<Value = Style> {
    let stored = select(&[Stored::F32, Stored::F16, Stored::Bf16][..]);
    let parts = (
        select(PREFIXES),
        any::<bool>(),
        stored,
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    parts.prop_map(
        |(prefix, gamma_beta, stored, terse, legacy_lm, untied)| Style {
            prefix,
            gamma_beta,
            stored,
            terse,
            legacy_lm,
            untied,
        },
    )
}
