//! Hidden states to logits.

use super::maths::{activate, add, linear, normalize};
use super::weights::{Linear, Transform};
use super::{Oracle, Rows, Sequence};

/// What follows the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// Nothing.
    Base,
    /// A row per sequence, from its first token.
    SequenceClassification,
    /// A row per token.
    TokenClassification,
    /// Start and end per token.
    QuestionAnswering,
    /// One number per sequence, which is one of the choices.
    MultipleChoice,
    /// A number per token and id.
    MaskedLm,
    /// A number per token.
    ReplacedTokenDetection,
}

impl Oracle {
    /// The logits of one sequence, from its [`Oracle::hidden_states`].
    ///
    /// # Panics
    /// Where the file lacks the head.
    pub fn logits(&self, head: Head, sequence: &Sequence, states: &[Rows]) -> Option<Rows> {
        let weights = &self.weights;
        let hidden = states.last().expect("the embeddings at least");
        Some(match head {
            Head::Base => return None,
            Head::SequenceClassification | Head::MultipleChoice => {
                let pooler = weights.pooler.as_ref().expect("a pooler");
                let pooled = linear(&vec![hidden[0].clone()], pooler);
                let pooled = activate(&pooled, self.config.pooler_act);
                linear(&pooled, weights.classifier.as_ref().expect("a classifier"))
            }
            Head::TokenClassification => {
                linear(hidden, weights.classifier.as_ref().expect("a classifier"))
            }
            Head::QuestionAnswering => {
                linear(hidden, weights.question.as_ref().expect("qa_outputs"))
            }
            Head::MaskedLm => match (&weights.lm, &weights.legacy_lm) {
                (Some((transform, decoder)), _) => {
                    let decoded = self.enhanced_mask_decoder(sequence, states);
                    self.masked_lm(decoded.as_ref().unwrap_or(hidden), transform, decoder)
                }
                (None, Some((transform, decoder))) => self.masked_lm(hidden, transform, decoder),
                (None, None) => panic!("the file has no language-model head"),
            },
            Head::ReplacedTokenDetection => {
                let (transform, classifier) = weights.detector.as_ref().expect("a detector");
                self.replaced_tokens(hidden, transform, classifier)
            }
        })
    }

    /// `E·LayerNorm(act(W·h + b)) + b_E`, E the word table.
    fn masked_lm(&self, hidden: &Rows, transform: &Transform, decoder: &Linear) -> Rows {
        let inner = activate(&linear(hidden, &transform.dense), self.config.hidden_act);
        let inner = normalize(&inner, &transform.norm, self.config.eps);
        linear(&inner, decoder)
    }

    /// What Microsoft's fill-mask reads instead of the last hidden state, where positions are not part of the input:
    /// the last layer once more, and again, with queries that start from the absolute positions.
    ///
    /// ```text
    /// z = position rows + h[-2];   z = layer(kv = h[-2], queries = z), twice
    /// ```
    fn enhanced_mask_decoder(&self, sequence: &Sequence, states: &[Rows]) -> Option<Rows> {
        let positions = self.weights.embeddings.positions.as_ref()?;
        if self.config.position_biased_input || self.config.layers < 2 {
            return None;
        }
        let last = self.weights.layers.last()?;
        let kv = &states[states.len() - 2];
        let row = |&p: &u32| {
            let row = positions[p as usize].iter();
            row.map(|&x| f64::from(x)).collect()
        };
        let mut z = add(&sequence.positions.iter().map(row).collect(), kv);
        for _ in 0..2 {
            z = self.layer(last, kv, &z, &sequence.positions);
        }
        Some(z)
    }

    /// `W_c·act( W·LayerNorm(h_0 + h) + b ) + b_c`
    fn replaced_tokens(&self, hidden: &Rows, transform: &Transform, classifier: &Linear) -> Rows {
        let first = vec![hidden[0].clone(); hidden.len()];
        let context = normalize(&add(&first, hidden), &transform.norm, self.config.eps);
        let inner = activate(&linear(&context, &transform.dense), self.config.hidden_act);
        linear(&inner, classifier)
    }
}
