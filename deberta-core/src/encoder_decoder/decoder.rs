//! The decoder: from tokens to the scores of those that may follow.

use super::attend::{Attend, Whole};
use super::layer::{Layer, form};
use super::layout::DecoderLayout;
use crate::backend::{Backend, Cpu, Linear, Matrix};
use crate::checkpoint::{Checkpoint, MappedTable};
use crate::config::{DecoderConfig, DecoderFamily, EncoderDecoderConfig};
use crate::model::Loader;
use crate::{Activation, Error, Precision};
use deberta_kernels::{Epilogue, LayerNorm};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// A decoder and its weights. It runs on the processor.
pub(super) struct Decoder {
    pub(super) cpu: Cpu,
    config: DecoderConfig,
    projection: Option<Linear>,
    words: MappedTable,
    positions: MappedTable,
    types: Option<MappedTable>,
    embedding_norm: Option<LayerNorm>,
    pub(super) layers: Vec<Layer>,
    final_norm: Option<LayerNorm>,
    transform: Option<Transform>,
    scores: Linear,
}

/// What a head does before it scores words: `LayerNorm(act(W·h + b))`.
struct Transform {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
}

impl Decoder {
    /// Reads the weights. Returns also the names of the tensors that the decoder does not use.
    pub(super) fn load(
        config: &EncoderDecoderConfig,
        checkpoint: &Checkpoint,
        precision: Precision,
    ) -> Result<(Self, Vec<String>), Error> {
        let layout = DecoderLayout::new(config, checkpoint);
        let unused = checkpoint.verify(&layout.tensors)?;
        let cpu = Cpu::new()?;
        let loader = Loader {
            backend: &cpu,
            checkpoint,
            precision,
        };
        let config = &config.decoder;
        let norm = |affine| loader.norm(affine, config.layer_norm_eps);
        let layers = layout.layers.par_iter().enumerate();
        let layers = layers.map(|(index, layout)| Layer::load(&loader, layout, config, index));
        let layers = layers.collect::<Result<_, Error>>()?;
        let transform = layout.transform.as_ref().map(|(dense, after)| {
            Ok::<_, Error>(Transform {
                dense: loader.exact(dense)?,
                activation: match config.family {
                    DecoderFamily::Roberta => Activation::Gelu,
                    _ => config.hidden_act,
                },
                norm: norm(after)?,
            })
        });
        let decoder = Self {
            config: config.clone(),
            projection: layout
                .projection
                .as_ref()
                .map(|affine| loader.exact(affine))
                .transpose()?,
            words: checkpoint.table(&layout.words)?,
            positions: checkpoint.table(&layout.positions)?,
            types: layout
                .types
                .as_ref()
                .map(|spec| checkpoint.table(spec))
                .transpose()?,
            embedding_norm: layout.embedding_norm.as_ref().map(norm).transpose()?,
            layers,
            final_norm: layout.final_norm.as_ref().map(norm).transpose()?,
            transform: transform.transpose()?,
            scores: loader.linear(&layout.scores, form(&loader))?,
            cpu: cpu.clone(),
        };
        cpu.release()?;
        checkpoint.release();
        Ok((decoder, unused))
    }

    /// Words that there are scores for, V.
    pub(super) fn vocabulary(&self) -> usize {
        self.words.rows()
    }

    pub(super) fn heads(&self) -> usize {
        self.config.num_attention_heads
    }

    /// N.
    pub(super) fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// The hidden states of an encoder, as wide as the decoder's.
    pub(super) fn projected(&self, hidden: ArrayView2<'_, f32>) -> Result<Matrix, Error> {
        let hidden = self.cpu.copy(hidden);
        match &self.projection {
            Some(projection) => projection.forward(&self.cpu, &hidden, Epilogue::default()),
            None => Ok(hidden),
        }
    }

    /// The position of a token that follows `before` others. RoBERTa gives padding a row of its own, wherever it stands.
    pub(super) fn position(&self, token: u32, before: usize) -> u32 {
        match (self.config.family, self.config.pad_token_id) {
            (DecoderFamily::Roberta, Some(pad)) if token == pad => pad,
            _ => (self.config.first_position() + before) as u32,
        }
    }

    /// The scores of what follows each token, `[R, V]`.
    pub(super) fn forward(
        &self,
        tokens: &[u32],
        positions: &[u32],
        attend: &mut impl Attend,
    ) -> Result<Array2<f32>, Error> {
        let cpu = &self.cpu;
        let mut x = cpu.matrix_of(tokens.len(), self.width());
        // The order of sums is the reference's.
        cpu.look_up(&self.words, tokens, false, &mut x)?;
        if let Some(types) = &self.types {
            cpu.look_up(types, &vec![0; tokens.len()], true, &mut x)?;
        }
        cpu.look_up(&self.positions, positions, true, &mut x)?;
        if let Some(norm) = &self.embedding_norm {
            x = cpu.normalize(norm, x)?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(cpu, index, x, attend)?;
        }
        if let Some(norm) = &self.final_norm {
            x = cpu.normalize(norm, x)?;
        }
        if let Some(Transform {
            dense,
            activation,
            norm,
        }) = &self.transform
        {
            let end = Epilogue::default().activation(*activation);
            x = cpu.normalize(norm, dense.forward(cpu, &x, end)?)?;
        }
        let scores = self.scores.forward(cpu, &x, Epilogue::default())?;
        Ok(scores.view().to_owned())
    }

    /// The scores of what follows each token of whole sequences that are known, one for each sequence of the encoder's
    /// hidden states: `[R, V]`.
    pub(super) fn forced(
        &self,
        hidden: ArrayView2<'_, f32>,
        bounds: &[usize],
        sequences: &[Vec<u32>],
    ) -> Result<Array2<f32>, Error> {
        let tokens = sequences.concat();
        let mut positions = Vec::with_capacity(tokens.len());
        for sequence in sequences {
            // Where it reads at once, the reference counts the tokens that are no padding; the step by step of
            // generation counts all.
            let mut before = 0;
            for &token in sequence {
                positions.push(self.position(token, before));
                let padding = self.config.family == DecoderFamily::Roberta
                    && self.config.pad_token_id == Some(token);
                before += usize::from(!padding);
            }
        }
        let mut own = vec![0];
        for sequence in sequences {
            own.push(own[own.len() - 1] + sequence.len());
        }
        let mut attend = Whole {
            decoder: self,
            hidden: self.projected(hidden)?,
            bounds,
            own: &own,
        };
        self.forward(&tokens, &positions, &mut attend)
    }
}
