//! The tensors of a random model.

use super::plan::{Family, Plan, Stored};
use crate::oracle::heads::Head;
use crate::oracle::tensors::{Tensor, Tensors};
use half::{bf16, f16};

/// A tensor that the file of a model has.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its canonical name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it belongs to the encoder, whose prefix then precedes the name.
    pub encoder: bool,
    /// Whether the model cannot do without.
    pub needed: bool,
}

#[derive(Default)]
struct List(Vec<Spec>);

impl List {
    fn add(&mut self, name: &str, shape: &[usize]) -> &mut Spec {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        let encoder = name.starts_with("embeddings.") || name.starts_with("encoder.");
        self.0.push(Spec {
            name,
            shape,
            encoder,
            needed: true,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.add(&format!("{name}.weight"), &[outputs, inputs]);
        self.add(&format!("{name}.bias"), &[outputs]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.LayerNorm.weight"), &[width]);
        self.add(&format!("{name}.LayerNorm.bias"), &[width]);
    }
}

impl Plan {
    /// The tensors of the file, by name and shape.
    pub fn specs(&self) -> Vec<Spec> {
        let mut list = List::default();
        let (hidden, width) = (self.size.hidden, self.width());
        self.embeddings(&mut list);
        if self.relative.enabled {
            let table = [2 * self.span(), hidden];
            list.add("encoder.rel_embeddings.weight", &table).needed = self.has_position_terms();
            if self.relative.normed && self.family != Family::V1 {
                list.norm("encoder", hidden);
                let unused = !self.has_position_terms();
                list.0
                    .iter_mut()
                    .rev()
                    .take(2)
                    .for_each(|s| s.needed = !unused);
            }
        }
        for index in 0..self.size.layers {
            self.layer(&mut list, &format!("encoder.layer.{index}"));
        }
        if let Some((kernel, groups, _)) = self.conv {
            list.add(
                "encoder.conv.conv.weight",
                &[hidden, hidden / groups, kernel],
            );
            list.add("encoder.conv.conv.bias", &[hidden]);
            list.norm("encoder.conv", hidden);
        }
        match self.head {
            Head::Base => {}
            Head::SequenceClassification | Head::MultipleChoice => {
                let labels = match self.head {
                    Head::MultipleChoice => 1,
                    _ => self.size.labels,
                };
                list.linear("pooler.dense", hidden, hidden);
                list.linear("classifier", labels, hidden);
            }
            Head::TokenClassification => list.linear("classifier", self.size.labels, hidden),
            Head::QuestionAnswering => list.linear("qa_outputs", 2, hidden),
            Head::MaskedLm if self.style.legacy_lm => {
                list.linear("cls.predictions.transform.dense", width, hidden);
                list.norm("cls.predictions.transform", width);
                let words = self.input.words;
                list.add("cls.predictions.bias", &[words]).needed = !self.is_untied();
                if self.is_untied() {
                    list.linear("cls.predictions.decoder", words, width);
                }
            }
            Head::MaskedLm => {
                list.linear("lm_predictions.lm_head.dense", width, hidden);
                list.norm("lm_predictions.lm_head", width);
                list.add("lm_predictions.lm_head.bias", &[self.input.words]);
            }
            Head::ReplacedTokenDetection => {
                list.linear("mask_predictions.dense", hidden, hidden);
                list.norm("mask_predictions", hidden);
                list.linear("mask_predictions.classifier", 1, hidden);
            }
        }
        list.0
    }

    /// Whether the table of distances is of any use.
    pub fn has_position_terms(&self) -> bool {
        let terms = self.relative.pos_att_type.to_lowercase();
        self.relative.enabled && (terms.contains("c2p") || terms.contains("p2c"))
    }

    fn embeddings(&self, list: &mut List) {
        let (input, width) = (&self.input, self.width());
        list.add("embeddings.word_embeddings.weight", &[input.words, width]);
        if input.position_biased || input.position_table {
            // Without it, fill-mask merely leaves the Enhanced Mask Decoder out.
            let table = [input.positions, width];
            list.add("embeddings.position_embeddings.weight", &table)
                .needed = input.position_biased;
        }
        if input.types > 0 {
            list.add(
                "embeddings.token_type_embeddings.weight",
                &[input.types, width],
            );
        }
        if width != self.size.hidden {
            list.add("embeddings.embed_proj.weight", &[self.size.hidden, width]);
        }
        list.norm("embeddings", self.size.hidden);
    }

    fn layer(&self, list: &mut List, layer: &str) {
        let (hidden, inner, heads) = (self.size.hidden, self.size.inner, self.size.heads);
        let terms = self.relative.pos_att_type.to_lowercase();
        let has = |term| self.relative.enabled && terms.contains(term);
        let own = |part: &str| format!("{layer}.attention.self.{part}");
        if self.family == Family::V1 {
            list.add(&own("in_proj.weight"), &[3 * hidden, hidden]);
            list.add(&own("q_bias"), &[hidden]);
            list.add(&own("v_bias"), &[hidden]);
            if has("c2p") {
                list.add(&own("pos_proj.weight"), &[hidden, hidden]);
            }
            if has("p2c") {
                list.linear(&own("pos_q_proj"), hidden, hidden);
            }
            if self.talking_head {
                list.add(&own("head_logits_proj.weight"), &[heads, heads]);
                list.add(&own("head_weights_proj.weight"), &[heads, heads]);
            }
        } else {
            for part in ["query_proj", "key_proj", "value_proj"] {
                list.linear(&own(part), hidden, hidden);
            }
            let separate = !self.relative.share_att_key;
            if has("c2p") && separate {
                list.linear(&own("pos_key_proj"), hidden, hidden);
            }
            if has("p2c") && separate {
                list.linear(&own("pos_query_proj"), hidden, hidden);
            }
        }
        list.linear(&format!("{layer}.attention.output.dense"), hidden, hidden);
        list.norm(&format!("{layer}.attention.output"), hidden);
        list.linear(&format!("{layer}.intermediate.dense"), inner, hidden);
        list.linear(&format!("{layer}.output.dense"), hidden, inner);
        list.norm(&format!("{layer}.output"), hidden);
    }

    /// Random values, as the file's element type holds them: large enough that attention is far from uniform.
    pub fn tensors(&self) -> Tensors {
        let mut normal = Normal::new(self.seed);
        let tensors = self.specs().into_iter().map(|spec| {
            let count = spec.shape.iter().product::<usize>();
            let inputs = spec.shape[1..].iter().product::<usize>() as f32;
            let (mean, deviation) = match &spec.name {
                name if name.ends_with("LayerNorm.weight") => (1.0, 0.1),
                name if name.ends_with("bias") => (0.0, 0.2),
                name if name.contains("embeddings.") => (0.0, 0.5),
                _ => (0.0, inputs.sqrt().recip()),
            };
            let values = (0..count)
                .map(|_| self.style.stored.round(mean + deviation * normal.next()))
                .collect();
            let shape = spec.shape;
            (spec.name, Tensor { shape, values })
        });
        Tensors(tensors.collect())
    }
}

impl Tensors {
    /// The same values, each changed by at most one part in 2^23: the last bit of an f32, more or less.
    pub fn nudged(&self, seed: u64) -> Self {
        let mut normal = Normal::new(seed);
        let mut tensors = self.clone();
        for value in tensors.0.values_mut().flat_map(|t| &mut t.values) {
            *value *= 1.0 + (2.0 * normal.uniform() - 1.0) * f32::EPSILON;
        }
        tensors
    }
}

impl Stored {
    fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }
}

/// Numbers that are normally distributed, nearly, and the same on every machine.
struct Normal(u64);

impl Normal {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> f32 {
        // The sum of twelve uniform numbers has variance 1.
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    /// SplitMix64, of which the upper 24 bits are used.
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }
}
