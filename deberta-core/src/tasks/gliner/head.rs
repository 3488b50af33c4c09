//! From hidden states to the logits of spans.

use std::path::Path;

use deberta_kernels::{Activation, Isa};
use ndarray::{Array2, ArrayView2, Axis};

use super::config::GlinerConfig;
use super::input::Prepared;
use super::layers::{BiLstm, LayerFuser};
use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::tasks::layers::{Linear, Mlp, SpanScorer, Tensors};
use crate::tasks::words::pooled;

/// What stands on the encoder. It computes in `f32` on the processor, whatever the encoder runs on.
pub(super) struct GlinerHead {
    fuser: Option<LayerFuser>,
    projection: Option<Linear>,
    recurrent: BiLstm,
    spans: SpanScorer,
    prompt: Mlp,
}

impl GlinerHead {
    pub(super) fn load(folder: &Path, config: &GlinerConfig) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(folder)?;
        let tensors = Tensors {
            checkpoint: &checkpoint,
            isa: Isa::from_env()?,
        };
        let (size, width) = (config.hidden_size, config.encoder.hidden_size);
        let layers = config.encoder.num_hidden_layers;
        let fuser = config.fuses_layers;
        let fuser = fuser.then(|| LayerFuser::load(&tensors, layers, width));
        // It is there where sizes differ; whether they do after layers were mixed, the file tells.
        let projection = tensors.has("token_rep_layer.projection.weight");
        let projection = projection.then(|| {
            let name = "token_rep_layer.projection";
            tensors.linear(name, size, width)
        });
        Ok(Self {
            fuser: fuser.transpose()?,
            projection: projection.transpose()?,
            recurrent: BiLstm::load(&tensors, size)?,
            spans: SpanScorer::load(&tensors, "span_rep_layer.span_rep_layer", size)?,
            prompt: Mlp::projection(&tensors, "prompt_rep_layer", size)?,
        })
    }

    /// `[spans, labels]` of a window of a text, from the hidden states of its tokens (of every layer where they are mixed).
    pub(super) fn logits(
        &self,
        states: &[ArrayView2<'_, f32>],
        text: &Prepared<'_>,
        window: usize,
        config: &GlinerConfig,
    ) -> Result<Array2<f32>, Error> {
        let fused = match &self.fuser {
            Some(fuser) => Some(fuser.apply(states)?),
            None => None,
        };
        let states = match (&fused, states.last()) {
            (Some(fused), _) => fused.view(),
            (None, Some(&last)) => last,
            (None, None) => return Ok(Array2::zeros((0, 0))),
        };
        let projected = match &self.projection {
            Some(projection) => Some(projection.apply(states, Activation::Identity)?),
            None => None,
        };
        let states = projected.as_ref().map_or(states, |x| x.view());
        let behind = usize::from(!config.embeds_marker);
        let labels: Vec<usize> = text.label_tokens().map(|token| token + behind).collect();
        let labels = self.prompt.apply(states.select(Axis(0), &labels).view())?;
        let words = pooled(states, &text.word_tokens(window), config.pooling);
        let words = self.recurrent.apply(words)?;
        self.spans
            .logits(words.view(), labels.view(), config.max_width)
    }
}
