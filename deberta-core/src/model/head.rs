//! What turns hidden states into logits.

use super::encoder::{Encoded, Encoder};
use super::layout::HeadLayout;
use super::load::Loader;
use super::pretraining::{EnhancedMaskDecoder, MaskedLm, ReplacedToken};
use crate::backend::{Backend, End, Pass, Rows};
use crate::{Activation, Batch, Config, Error};
use std::fmt;

/// The head that a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadKind {
    /// None: hidden states only.
    Base,
    /// One row of logits per sequence, from its first token.
    SequenceClassification,
    /// One row of logits per token.
    TokenClassification,
    /// A start and an end logit per token.
    QuestionAnswering,
    /// One logit per sequence, from its first token; the sequences are the choices of a question.
    MultipleChoice,
    /// A logit per word of the vocabulary, for every token. Behind it stands the enhanced mask decoder where the
    /// checkpoint has one: see [`Model::has_enhanced_mask_decoder`](crate::Model::has_enhanced_mask_decoder).
    MaskedLm,
    /// One logit per token: how likely it has been replaced (the discriminators of v3).
    ReplacedTokenDetection,
}

impl HeadKind {
    /// Every head.
    pub const ALL: [Self; 7] = [
        Self::Base,
        Self::SequenceClassification,
        Self::TokenClassification,
        Self::QuestionAnswering,
        Self::MultipleChoice,
        Self::MaskedLm,
        Self::ReplacedTokenDetection,
    ];

    /// Whether the logits have a row per sequence; else they have one per token, or there are none.
    pub fn is_per_sequence(self) -> bool {
        matches!(self, Self::SequenceClassification | Self::MultipleChoice)
    }
}

impl fmt::Display for HeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::SequenceClassification => "sequence classification",
            Self::TokenClassification => "token classification",
            Self::QuestionAnswering => "question answering",
            Self::MultipleChoice => "multiple choice",
            Self::MaskedLm => "masked language modelling",
            Self::ReplacedTokenDetection => "replaced-token detection",
        })
    }
}

/// Which head to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HeadChoice {
    /// The one that `architectures` in the configuration names. A file that names none, or one that is not here, gives
    /// [`HeadKind::Base`].
    #[default]
    Auto,
    /// This one, whatever the configuration says.
    Only(HeadKind),
}

impl HeadChoice {
    /// Decides.
    pub(crate) fn resolve(self, config: &Config) -> HeadKind {
        let named = |suffix: &str| {
            let mut classes = config.architectures.iter();
            classes.any(|name| name.ends_with(suffix))
        };
        match self {
            Self::Only(kind) => kind,
            Self::Auto => CLASSES
                .iter()
                .find(|(suffix, _)| named(suffix))
                .map_or(HeadKind::Base, |&(_, kind)| kind),
        }
    }
}

/// How the names of classes end, those of `transformers` and those of Microsoft's code, and their heads.
const CLASSES: [(&str, HeadKind); 9] = [
    (
        "ForSequenceClassification",
        HeadKind::SequenceClassification,
    ),
    ("ForTokenClassification", HeadKind::TokenClassification),
    ("ForQuestionAnswering", HeadKind::QuestionAnswering),
    ("ForMultipleChoice", HeadKind::MultipleChoice),
    ("ForMaskedLM", HeadKind::MaskedLm),
    (
        "SequenceClassificationModel",
        HeadKind::SequenceClassification,
    ),
    ("MultiChoiceModel", HeadKind::MultipleChoice),
    ("MaskedLanguageModel", HeadKind::MaskedLm),
    (
        "ReplacedTokenDetectionModel",
        HeadKind::ReplacedTokenDetection,
    ),
];

/// A head and its weights.
pub(crate) enum Head<B: Backend> {
    /// Nothing.
    Base,
    /// The context pooler on the first token, then the classifier:
    /// `W_c·act(W_p·h_0 + b_p) + b_c`.
    Sequence {
        pooler: B::Linear,
        activation: Activation,
        classifier: B::Linear,
    },
    /// A classifier on every token.
    Token { classifier: B::Linear },
    /// Words for masks.
    MaskedLm(MaskedLm<B>),
    /// Which tokens have been replaced.
    ReplacedToken(ReplacedToken<B>),
}

impl<B: Backend> Head<B> {
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &HeadLayout,
        config: &Config,
    ) -> Result<Self, Error> {
        Ok(match layout {
            HeadLayout::Base => Self::Base,
            HeadLayout::Sequence { pooler, classifier } => Self::Sequence {
                pooler: loader.exact(pooler)?,
                activation: config.pooler_hidden_act,
                classifier: loader.exact(classifier)?,
            },
            HeadLayout::Token { classifier } => Self::Token {
                classifier: loader.exact(classifier)?,
            },
            HeadLayout::MaskedLm {
                dense,
                norm,
                decoder,
                positions,
            } => Self::MaskedLm(MaskedLm {
                mask_decoder: positions
                    .as_ref()
                    .map(|table| EnhancedMaskDecoder::load(loader, table))
                    .transpose()?,
                dense: loader.exact(dense)?,
                activation: config.hidden_act,
                norm: loader.norm(norm, config.layer_norm_eps)?,
                decoder: loader.linear(decoder, loader.word_form())?,
            }),
            HeadLayout::ReplacedToken {
                norm,
                dense,
                classifier,
            } => Self::ReplacedToken(ReplacedToken {
                norm: loader.norm(norm, config.layer_norm_eps)?,
                dense: loader.exact(dense)?,
                activation: config.hidden_act,
                classifier: loader.exact(classifier)?,
            }),
        })
    }

    /// Refuses a batch with a sequence whose first token the head would read and that has none, or with positions that
    /// the head does not have.
    pub(crate) fn check(&self, backend: &B, batch: &Batch) -> Result<(), Error> {
        match self {
            Self::Sequence { .. } | Self::ReplacedToken(_) => first_tokens(batch).map(drop),
            Self::MaskedLm(head) => head.check(backend, batch),
            Self::Base | Self::Token { .. } => Ok(()),
        }
    }

    /// The logits: `[B, labels]` or `[T, labels]`, or none. The batch passed [`Head::check`]. Of a head with logits for
    /// every token, those of the tokens `only`, if any are named.
    pub(crate) fn forward(
        &self,
        backend: &B,
        encoder: &Encoder<B>,
        states: &Encoded<B>,
        pass: Pass<'_, B>,
        only: Option<&[u32]>,
    ) -> Result<Option<B::Matrix>, Error> {
        let hidden = &states.last;
        let some = |x: B::Matrix| match only {
            Some(rows) => backend.gather(&x, Rows::These(rows), pass),
            None => Ok(x),
        };
        match self {
            Self::Base => Ok(None),
            Self::Sequence {
                pooler,
                activation,
                classifier,
            } => {
                let first = backend.gather(hidden, Rows::First, pass)?;
                let pooled = backend.apply(pooler, &first, End::activation(*activation))?;
                backend.apply(classifier, &pooled, End::plain()).map(Some)
            }
            Self::Token { classifier } => {
                let logits = backend.apply(classifier, hidden, End::plain())?;
                some(logits).map(Some)
            }
            Self::MaskedLm(head) => head.forward(backend, encoder, states, pass, only).map(Some),
            Self::ReplacedToken(head) => some(head.forward(backend, hidden, pass)?).map(Some),
        }
    }

    /// Whether the enhanced mask decoder is part of it.
    pub(crate) fn has_mask_decoder(&self) -> bool {
        matches!(self, Self::MaskedLm(head) if head.mask_decoder.is_some())
    }

    /// Rows of the logits for a batch.
    pub(crate) fn rows(&self, batch: &Batch) -> usize {
        match self {
            Self::Sequence { .. } => batch.len(),
            _ => batch.tokens(),
        }
    }
}

/// The packed index of each sequence's [CLS].
pub(crate) fn first_tokens(batch: &Batch) -> Result<Vec<usize>, Error> {
    (0..batch.len())
        .map(|sequence| {
            if batch.starts_with_cls(sequence) {
                Ok(batch.sequence(sequence).start)
            } else {
                Err(Error::NoClsToken { sequence })
            }
        })
        .collect()
}
