//! Looking inside a forward pass: hidden states of every layer, attention, and the terms of its scores.

use super::profile::{Profile, Stage};
use crate::backend::Backend;
use crate::{Config, Error};
use deberta_kernels::{Observation, ScoreTerms};
use ndarray::Array2;
use std::collections::BTreeSet;

/// What to keep of a forward pass besides its result: see [`Model::observe`](crate::Model::observe).
///
/// ```
/// use deberta_core::Observe;
/// let everything_of_head_3_in_layer_0 = Observe::default().hidden_states().attention(0, 3).score_terms();
/// assert!(everything_of_head_3_in_layer_0.score_terms);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observe {
    /// Whether to keep the hidden states of all layers.
    pub hidden_states: bool,
    /// The heads whose attention to keep: pairs of layer and head.
    pub attention: BTreeSet<(usize, usize)>,
    /// Whether to keep the terms of these heads' scores too.
    pub score_terms: bool,
}

impl Observe {
    /// Keeps the embeddings and the hidden states of every layer.
    pub fn hidden_states(self) -> Self {
        Self {
            hidden_states: true,
            ..self
        }
    }

    /// Keeps the attention of one more head. Its memory grows with the square of a sequence's length.
    pub fn attention(mut self, layer: usize, head: usize) -> Self {
        self.attention.insert((layer, head));
        self
    }

    /// Keeps the attention of every head in every layer.
    pub fn all_attention(mut self, config: &Config) -> Self {
        let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
        let all = (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head)));
        self.attention.extend(all);
        self
    }

    /// Keeps the terms of the scores for the heads whose attention is kept.
    pub fn score_terms(self) -> Self {
        Self {
            score_terms: true,
            ..self
        }
    }

    /// Refuses layers and heads that the model does not have.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Error> {
        let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
        let outside = |&&(layer, head): &&(usize, usize)| layer >= layers || head >= heads;
        match self.attention.iter().find(outside) {
            None => Ok(()),
            Some((layer, head)) => Err(Error::Argument {
                name: "attention",
                expected: format!("a layer below {layers} and a head below {heads}"),
                found: format!("layer {layer}, head {head}"),
            }),
        }
    }
}

/// What was kept.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Observed {
    /// `[T, N]` each: the embeddings, then the output of every layer. Empty unless asked for.
    pub hidden_states: Vec<Array2<f32>>,
    /// One map per layer, sequence and head, in this order.
    pub attention: Vec<AttentionMap>,
}

/// What one head of one layer did with one sequence of L tokens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttentionMap {
    /// Index of the layer.
    pub layer: usize,
    /// Index of the head.
    pub head: usize,
    /// Index of the sequence in the batch.
    pub sequence: usize,
    /// `[L, L]`: row `i` holds the weights with which token `i` takes the values of all tokens. A row sums to one
    /// unless heads mix.
    pub probabilities: Array2<f32>,
    /// The terms of the scores, where they were asked for, scaled and before heads mix.
    pub terms: Option<ScoreTerms>,
}

/// Collects while a pass runs.
pub(crate) struct Watch<'a> {
    wanted: &'a Observe,
    pub(super) observed: Observed,
    pub(super) profile: Profile,
    /// Waits for what a stage has enqueued, so that its time is known.
    wait: Option<Box<dyn Fn() + Send + Sync>>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(wanted: &'a Observe) -> Self {
        Self {
            wanted,
            observed: Observed::default(),
            profile: Profile::default(),
            wait: None,
        }
    }

    /// The same, waiting by this at the end of every stage.
    #[cfg(feature = "cuda")]
    pub(super) fn waiting(self, wait: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            wait: Some(Box::new(wait)),
            ..self
        }
    }

    /// Runs a stage, taking note of its time and of the operations of its matrix products.
    pub(super) fn stage<R>(&mut self, stage: Stage, operations: f64, run: impl FnOnce() -> R) -> R {
        let Self { profile, wait, .. } = self;
        profile.measure(stage, operations, || {
            let result = run();
            wait.iter().for_each(|wait| wait());
            result
        })
    }

    /// Takes note of hidden states.
    pub(super) fn hidden<B: Backend>(
        &mut self,
        backend: &B,
        hidden: &B::Matrix,
    ) -> Result<(), Error> {
        if self.wanted.hidden_states {
            self.observed.hidden_states.push(backend.peek(hidden)?);
        }
        Ok(())
    }

    /// The heads of a layer to observe.
    pub(super) fn heads(&self, layer: usize) -> Vec<usize> {
        let of_layer = self.wanted.attention.range((layer, 0)..(layer + 1, 0));
        of_layer.map(|&(_, head)| head).collect()
    }

    /// What to ask the kernel for.
    pub(super) fn observation<'h>(&self, heads: &'h [usize]) -> Observation<'h> {
        Observation {
            heads,
            terms: self.wanted.score_terms,
        }
    }

    /// Takes note of what a layer's heads did.
    pub(super) fn attention(&mut self, layer: usize, maps: Vec<deberta_kernels::AttentionMap>) {
        let maps = maps.into_iter().map(|map| AttentionMap {
            layer,
            head: map.head,
            sequence: map.sequence,
            probabilities: map.probabilities,
            terms: map.terms,
        });
        self.observed.attention.extend(maps);
    }
}
