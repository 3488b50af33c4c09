//! From hidden states to the logits of spans and of classes.

use std::ops::Range;
use std::path::Path;

use deberta_kernels::Isa;
use ndarray::{Array2, ArrayView2, Axis, s};

use super::config::Gliner2Config;
use super::count::{Counting, MOST};
use super::input::Prepared;
use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::tasks::layers::{Mlp, SpanScorer, Tensors};
use crate::tasks::words::pooled;

/// What stands on the encoder. It computes in `f32` on the processor, whatever the encoder runs on.
pub(super) struct Gliner2Head {
    spans: SpanScorer,
    classifier: Mlp,
    count: Mlp,
    counting: Counting,
}

impl Gliner2Head {
    pub(super) fn load(folder: &Path, config: &Gliner2Config) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(folder)?;
        let tensors = Tensors {
            checkpoint: &checkpoint,
            isa: Isa::from_env()?,
        };
        let size = config.encoder.hidden_size;
        let mlp = |name, outputs| Mlp::load(&tensors, name, &[0, 2], &[size, 2 * size, outputs]);
        Ok(Self {
            spans: SpanScorer::load(&tensors, "span_rep.span_rep_layer", size)?,
            classifier: mlp("classifier", 1)?,
            count: mlp("count_pred", MOST)?,
            counting: Counting::load(&tensors, config.counting, size)?,
        })
    }

    /// `[spans, labels]` of a window of a text, from the hidden states of its tokens; none where the model says that
    /// there is nothing of the kind.
    pub(super) fn spans(
        &self,
        states: ArrayView2<'_, f32>,
        text: &Prepared<'_>,
        window: usize,
        config: &Gliner2Config,
    ) -> Result<Option<Array2<f32>>, Error> {
        let task = text.task_token();
        let counts = self.count.apply(states.slice(s![task..task + 1, ..]))?;
        let none = counts.iter().next().copied().unwrap_or_default();
        // Of equal counts the lowest is taken. (What is no number is for the caller to find.)
        if counts.iter().all(|&count| count <= none) {
            return Ok(None);
        }
        let labels = self.counting.apply(labels(states, text).view())?;
        let last = states.nrows().saturating_sub(1);
        // A word without a token of its own has the vector of the one behind it.
        let own = |tokens: Range<usize>| match tokens.is_empty() {
            true => tokens.start.min(last)..tokens.start.min(last) + 1,
            false => tokens,
        };
        let words: Vec<Range<usize>> = text.word_tokens(window).into_iter().map(own).collect();
        let words = pooled(states, &words, config.pooling);
        let logits = self
            .spans
            .logits(words.view(), labels.view(), config.max_width)?;
        Ok(Some(logits))
    }

    /// The logit of each class of a text.
    pub(super) fn classes(
        &self,
        states: ArrayView2<'_, f32>,
        text: &Prepared<'_>,
    ) -> Result<Vec<f32>, Error> {
        let logits = self.classifier.apply(labels(states, text).view())?;
        Ok(logits.into_raw_vec_and_offset().0)
    }
}

/// The vectors of the labels: those of their markers.
fn labels(states: ArrayView2<'_, f32>, text: &Prepared<'_>) -> Array2<f32> {
    states.select(Axis(0), text.label_tokens())
}
