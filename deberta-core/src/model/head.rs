//! What turns hidden states into logits.

use super::layout::HeadLayout;
use super::load::Loader;
use crate::backend::{Backend, End};
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
}

impl fmt::Display for HeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::SequenceClassification => "sequence classification",
            Self::TokenClassification => "token classification",
            Self::QuestionAnswering => "question answering",
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
        let named = |suffix| {
            config
                .architectures
                .iter()
                .any(|name| name.ends_with(suffix))
        };
        match self {
            Self::Only(kind) => kind,
            Self::Auto if named("ForSequenceClassification") => HeadKind::SequenceClassification,
            Self::Auto if named("ForTokenClassification") => HeadKind::TokenClassification,
            Self::Auto if named("ForQuestionAnswering") => HeadKind::QuestionAnswering,
            Self::Auto => HeadKind::Base,
        }
    }
}

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
                pooler: loader.linear(pooler)?,
                activation: config.pooler_hidden_act,
                classifier: loader.linear(classifier)?,
            },
            HeadLayout::Token { classifier } => Self::Token {
                classifier: loader.linear(classifier)?,
            },
        })
    }

    /// The logits: `[B, labels]` or `[T, labels]`, or none.
    pub(crate) fn forward(
        &self,
        backend: &B,
        hidden: &B::Matrix,
        batch: &Batch,
    ) -> Result<Option<B::Matrix>, Error> {
        match self {
            Self::Base => Ok(None),
            Self::Sequence {
                pooler,
                activation,
                classifier,
            } => {
                let first = backend.gather(hidden, &first_tokens(batch)?)?;
                let pooled = backend.apply(pooler, &first, End::activation(*activation))?;
                backend.apply(classifier, &pooled, End::plain()).map(Some)
            }
            Self::Token { classifier } => backend.apply(classifier, hidden, End::plain()).map(Some),
        }
    }

    /// Whether the head reads the first token, so that every sequence needs one.
    pub(crate) fn needs_cls(&self) -> bool {
        matches!(self, Self::Sequence { .. })
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
