//! The tensors of the heads.

use super::super::HeadKind;
use super::{Affine, Collector, words};
use crate::checkpoint::{Checkpoint, Scope, TensorSpec};
use crate::{Config, Error};

/// The head.
#[derive(Debug)]
pub(crate) enum HeadLayout {
    Base,
    Sequence {
        pooler: Affine,
        classifier: Affine,
    },
    Token {
        classifier: Affine,
    },
    MaskedLm {
        dense: Affine,
        norm: Affine,
        /// The scores of words: `[V, E]`, the word embeddings where they are tied.
        decoder: Affine,
        /// The absolute positions of the enhanced mask decoder.
        positions: Option<TensorSpec>,
    },
    ReplacedToken {
        norm: Affine,
        dense: Affine,
        classifier: Affine,
    },
}

impl HeadLayout {
    /// The layout of a head; that of masked language modelling follows the names in the files.
    pub(super) fn new(
        list: &mut Collector,
        config: &Config,
        checkpoint: &Checkpoint,
        head: HeadKind,
    ) -> Result<Self, Error> {
        let (hidden, labels) = (config.hidden_size, config.num_labels());
        let mut sequence = |labels| Self::Sequence {
            pooler: list.head("pooler.dense", config.pooler_hidden_size, hidden),
            classifier: list.head("classifier", labels, config.pooler_hidden_size),
        };
        Ok(match head {
            HeadKind::Base => HeadLayout::Base,
            HeadKind::SequenceClassification => sequence(labels),
            HeadKind::MultipleChoice => sequence(1),
            HeadKind::TokenClassification => HeadLayout::Token {
                classifier: list.head("classifier", labels, hidden),
            },
            HeadKind::QuestionAnswering => HeadLayout::Token {
                classifier: list.head("qa_outputs", 2, hidden),
            },
            HeadKind::MaskedLm => masked_lm(list, config, checkpoint)?,
            HeadKind::ReplacedTokenDetection => HeadLayout::ReplacedToken {
                norm: list.head_norm("mask_predictions.LayerNorm", hidden),
                dense: list.head("mask_predictions.dense", hidden, hidden),
                classifier: list.head("mask_predictions.classifier", 1, hidden),
            },
        })
    }
}

/// What the tensors of Microsoft's masked-language-model head begin with.
pub(super) const MICROSOFT: &str = "lm_predictions.lm_head";

/// The masked-language-model head, in the layout that the file has.
fn masked_lm(
    list: &mut Collector,
    config: &Config,
    checkpoint: &Checkpoint,
) -> Result<HeadLayout, Error> {
    const OLDER: &str = "cls.predictions";
    const DECODER: &str = "cls.predictions.decoder";
    const POSITIONS: &str = "embeddings.position_embeddings.weight";
    let has = |name: &str| checkpoint.contains(Scope::Head, name);
    let older = match [
        has(&format!("{OLDER}.transform.dense.weight")),
        has(&format!("{MICROSOFT}.dense.weight")),
    ] {
        [true, false] => true,
        [false, true] => false,
        _ => config.legacy,
    };
    let (hidden, width) = (config.hidden_size, config.embedding_size);
    let words = words(config);
    // One score per row of the word table, however many there are.
    let rows = checkpoint
        .shape(Scope::Encoder, &words.name)
        .and_then(|shape| shape.first().copied())
        .unwrap_or(0);
    if older {
        let tied = config.tie_word_embeddings && !has(&format!("{DECODER}.weight"));
        let bias = [format!("{DECODER}.bias"), format!("{OLDER}.bias")];
        let bias = bias.iter().find(|name| has(name)).unwrap_or(&bias[1]);
        return Ok(HeadLayout::MaskedLm {
            dense: list.head(&format!("{OLDER}.transform.dense"), width, hidden),
            norm: list.head_norm(&format!("{OLDER}.transform.LayerNorm"), width),
            decoder: Affine {
                weight: if tied {
                    words
                } else {
                    list.head_tensor(&format!("{DECODER}.weight"), &[rows, width])
                },
                scales: None,
                bias: Some(list.head_tensor(bias, &[rows])),
            },
            positions: None,
        });
    }
    // A model that adds positions to its input has no use for them here; transformers leaves the table out, and with
    // it the decoder.
    let enhanced = !config.position_biased_input && checkpoint.contains(Scope::Encoder, POSITIONS);
    if enhanced && config.num_hidden_layers < 2 {
        return Err(Error::Head {
            expected:
                "the enhanced mask decoder, which takes the output of the layer before the last"
                    .to_owned(),
            found: "a model of one layer".to_owned(),
        });
    }
    Ok(HeadLayout::MaskedLm {
        dense: list.head(&format!("{MICROSOFT}.dense"), width, hidden),
        norm: list.head_norm(&format!("{MICROSOFT}.LayerNorm"), width),
        decoder: Affine {
            weight: words,
            scales: None,
            bias: Some(list.head_tensor(&format!("{MICROSOFT}.bias"), &[rows])),
        },
        positions: enhanced
            .then(|| list.encoder(POSITIONS, &[config.max_position_embeddings, hidden])),
    })
}
