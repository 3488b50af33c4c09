//! Where a decoder's weights lie in its files: every tensor by name and shape.
//!
//! Names are relative to the whole model. Each family calls its tensors differently; what they are for is the same.

use crate::checkpoint::{Checkpoint, Dim, Scope, TensorSpec};
use crate::config::{DecoderConfig, DecoderFamily, EncoderDecoderConfig};
use crate::model::Affine;

/// All tensors of a decoder, and of the projection in front of it.
#[derive(Debug)]
pub(super) struct DecoderLayout {
    /// From the encoder's width to the decoder's.
    pub(super) projection: Option<Affine>,
    pub(super) words: TensorSpec,
    pub(super) positions: TensorSpec,
    pub(super) types: Option<TensorSpec>,
    /// Behind the embeddings.
    pub(super) embedding_norm: Option<Affine>,
    pub(super) layers: Vec<LayerLayout>,
    /// Behind the last layer.
    pub(super) final_norm: Option<Affine>,
    /// What the head does before it scores words: a linear layer, and a normalisation behind its activation.
    pub(super) transform: Option<(Affine, Affine)>,
    /// The scores of words.
    pub(super) scores: Affine,
    /// The same tensors as one list.
    pub(super) tensors: Vec<TensorSpec>,
}

/// One layer.
#[derive(Debug)]
pub(super) struct LayerLayout {
    /// Queries, keys and values of self-attention.
    pub(super) content: Projection,
    pub(super) content_output: Projection,
    pub(super) content_norm: Affine,
    /// Queries of cross-attention.
    pub(super) queries: Projection,
    /// Its keys and values.
    pub(super) memory: Projection,
    pub(super) memory_output: Projection,
    pub(super) memory_norm: Affine,
    pub(super) up: Projection,
    pub(super) down: Projection,
    pub(super) inner_norm: Affine,
}

/// Linear layers that are applied together.
#[derive(Debug)]
pub(super) enum Projection {
    /// Weights `[outputs, inputs]`, their outputs side by side.
    Rows(Vec<Affine>),
    /// One weight `[inputs, outputs]`, as GPT-2's `Conv1D` has it.
    Columns(Affine),
}

/// What precedes the decoder's tensors.
const DECODER: &str = "decoder.";
/// What lies between the encoder and the decoder.
const PROJECTION: &str = "enc_to_dec_proj";

/// Whether a tensor is one of the decoder's, or of what leads to it.
pub(super) fn is_of_decoder(name: &str) -> bool {
    [DECODER, PROJECTION]
        .iter()
        .any(|part| name.starts_with(part))
}

impl DecoderLayout {
    pub(super) fn new(config: &EncoderDecoderConfig, checkpoint: &Checkpoint) -> Self {
        let projection = config
            .has_projection()
            .then_some((config.decoder.hidden_size, config.encoder.hidden_size));
        let config = &config.decoder;
        let mut list = Collector {
            checkpoint,
            tensors: Vec::new(),
        };
        let projection = projection
            .map(|(outputs, inputs)| list.affine(PROJECTION, &[outputs, inputs], outputs));
        let mut layout = match config.family {
            DecoderFamily::Bert => bert(&mut list, config, "bert"),
            DecoderFamily::Roberta => bert(&mut list, config, "roberta"),
            DecoderFamily::Gpt2 => gpt2(&mut list, config),
        };
        layout.projection = projection;
        layout.tensors = list.tensors;
        layout
    }
}

/// The tensors of the decoder that a configuration describes, as a checkpoint calls them.
pub(crate) fn decoder_tensors(
    config: &EncoderDecoderConfig,
    checkpoint: &Checkpoint,
) -> Vec<TensorSpec> {
    DecoderLayout::new(config, checkpoint).tensors
}

/// BERT and RoBERTa, whose encoders differ by a name and whose heads by several.
fn bert(list: &mut Collector<'_>, config: &DecoderConfig, family: &str) -> DecoderLayout {
    let name = |part: &str| format!("{DECODER}{family}.{part}");
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let words_name = name("embeddings.word_embeddings.weight");
    // What the reference calls the head of either family.
    let (dense, norm, scores, bias) = match config.family {
        DecoderFamily::Roberta => (
            "lm_head.dense",
            "lm_head.layer_norm",
            "lm_head.decoder",
            "lm_head.bias",
        ),
        _ => (
            "cls.predictions.transform.dense",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.decoder",
            "cls.predictions.bias",
        ),
    };
    let whole = |part: &str| format!("{DECODER}{part}");
    let words = list.words(config, &words_name, &whole(&format!("{scores}.weight")));
    let layers = (0..config.num_hidden_layers)
        .map(|index| {
            let name = |part: &str| name(&format!("encoder.layer.{index}.{part}"));
            let mut linear =
                |part: &str, outputs, inputs| list.affine(&name(part), &[outputs, inputs], outputs);
            let mut square = |part: &str| linear(part, width, width);
            let content =
                ["query", "key", "value"].map(|part| square(&format!("attention.self.{part}")));
            let queries = square("crossattention.self.query");
            let memory =
                ["key", "value"].map(|part| square(&format!("crossattention.self.{part}")));
            let content_output = square("attention.output.dense");
            let memory_output = square("crossattention.output.dense");
            let up = linear("intermediate.dense", inner, width);
            let down = linear("output.dense", width, inner);
            let rows = |affine| Projection::Rows(vec![affine]);
            LayerLayout {
                content: Projection::Rows(content.into()),
                content_output: rows(content_output),
                content_norm: list.norm(&name("attention.output.LayerNorm"), width),
                queries: rows(queries),
                memory: Projection::Rows(memory.into()),
                memory_output: rows(memory_output),
                memory_norm: list.norm(&name("crossattention.output.LayerNorm"), width),
                up: rows(up),
                down: rows(down),
                inner_norm: list.norm(&name("output.LayerNorm"), width),
            }
        })
        .collect();
    let scores_bias = list.scores_bias(
        config,
        &whole(bias),
        &whole(&format!("{scores}.bias")),
        &words,
    );
    let scores_weight = list.scores(config, &words, &whole(&format!("{scores}.weight")));
    DecoderLayout {
        projection: None,
        positions: list.tensor(
            &name("embeddings.position_embeddings.weight"),
            &[config.max_position_embeddings, width],
        ),
        types: Some(list.tensor(
            &name("embeddings.token_type_embeddings.weight"),
            &[config.type_vocab_size, width],
        )),
        embedding_norm: Some(list.norm(&name("embeddings.LayerNorm"), width)),
        layers,
        final_norm: None,
        transform: Some((
            list.affine(&whole(dense), &[width, width], width),
            list.norm(&whole(norm), width),
        )),
        scores: Affine {
            weight: scores_weight,
            scales: None,
            bias: Some(scores_bias),
        },
        words,
        tensors: Vec::new(),
    }
}

fn gpt2(list: &mut Collector<'_>, config: &DecoderConfig) -> DecoderLayout {
    let name = |part: &str| format!("{DECODER}transformer.{part}");
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let head = format!("{DECODER}lm_head.weight");
    let words = list.words(config, &name("wte.weight"), &head);
    let layers = (0..config.num_hidden_layers)
        .map(|index| {
            let name = |part: &str| name(&format!("h.{index}.{part}"));
            let mut columns = |part: &str, inputs, outputs| {
                Projection::Columns(list.affine(&name(part), &[inputs, outputs], outputs))
            };
            let content = columns("attn.c_attn", width, 3 * width);
            let content_output = columns("attn.c_proj", width, width);
            let queries = columns("crossattention.q_attn", width, width);
            let memory = columns("crossattention.c_attn", width, 2 * width);
            let memory_output = columns("crossattention.c_proj", width, width);
            let up = columns("mlp.c_fc", width, inner);
            let down = columns("mlp.c_proj", inner, width);
            LayerLayout {
                content,
                content_output,
                content_norm: list.norm(&name("ln_1"), width),
                queries,
                memory,
                memory_output,
                memory_norm: list.norm(&name("ln_cross_attn"), width),
                up,
                down,
                inner_norm: list.norm(&name("ln_2"), width),
            }
        })
        .collect();
    let scores_weight = list.scores(config, &words, &head);
    DecoderLayout {
        projection: None,
        positions: list.tensor(
            &name("wpe.weight"),
            &[config.max_position_embeddings, width],
        ),
        types: None,
        embedding_norm: None,
        layers,
        final_norm: Some(list.norm(&name("ln_f"), width)),
        transform: None,
        scores: Affine {
            weight: scores_weight,
            scales: None,
            bias: None,
        },
        words,
        tensors: Vec::new(),
    }
}

/// Keeps every tensor that a layout names.
struct Collector<'a> {
    checkpoint: &'a Checkpoint,
    tensors: Vec<TensorSpec>,
}

impl Collector<'_> {
    fn has(&self, name: &str) -> bool {
        self.checkpoint.contains(Scope::Head, name)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> TensorSpec {
        let shape: Vec<Dim> = shape.iter().map(|&size| Dim::Exactly(size)).collect();
        self.keep(TensorSpec::head(name, shape))
    }

    /// A weight and its bias, which has as many values as there are outputs.
    fn affine(&mut self, name: &str, shape: &[usize; 2], outputs: usize) -> Affine {
        Affine {
            weight: self.tensor(&format!("{name}.weight"), shape),
            scales: None,
            bias: Some(self.tensor(&format!("{name}.bias"), &[outputs])),
        }
    }

    fn norm(&mut self, name: &str, width: usize) -> Affine {
        Affine {
            weight: self.tensor(&format!("{name}.weight"), &[width]),
            scales: None,
            bias: Some(self.tensor(&format!("{name}.bias"), &[width])),
        }
    }

    /// The word embeddings, with as many rows as the file has: fine-tunes resize tables without telling the
    /// configuration. Where they are tied to the scores, a file may have them under that name alone.
    fn words(&mut self, config: &DecoderConfig, name: &str, scores: &str) -> TensorSpec {
        let elsewhere = config.tie_word_embeddings && !self.has(name) && self.has(scores);
        let name = if elsewhere { scores } else { name };
        let shape = vec![Dim::Any, Dim::Exactly(config.hidden_size)];
        self.keep(TensorSpec::head(name, shape))
    }

    /// Rows of the word embeddings.
    fn vocabulary(&self, config: &DecoderConfig, words: &TensorSpec) -> usize {
        let shape = self.checkpoint.shape(Scope::Head, &words.name);
        let rows = shape.and_then(|shape| shape.first());
        rows.copied().unwrap_or(config.vocab_size)
    }

    /// The weight that scores words: what a file calls so, or where it has no such tensor and they are tied, the word
    /// embeddings. As the reference has it, two tables are two tables, whatever the configuration says.
    fn scores(&mut self, config: &DecoderConfig, words: &TensorSpec, own: &str) -> TensorSpec {
        if config.tie_word_embeddings && (words.name == own || !self.has(own)) {
            return words.clone();
        }
        let rows = self.vocabulary(config, words);
        self.tensor(own, &[rows, config.hidden_size])
    }

    /// The bias of the scores, which is in the file under one of two names, or both: the head's own parameter, and that
    /// of its linear layer, which is what counts.
    fn scores_bias(
        &mut self,
        config: &DecoderConfig,
        own: &str,
        of_layer: &str,
        words: &TensorSpec,
    ) -> TensorSpec {
        let rows = self.vocabulary(config, words);
        match (self.has(own), self.has(of_layer)) {
            (true, true) => {
                self.tensor(own, &[rows]);
                self.tensor(of_layer, &[rows])
            }
            (false, true) => self.tensor(of_layer, &[rows]),
            (_, false) => self.tensor(own, &[rows]),
        }
    }

    fn keep(&mut self, spec: TensorSpec) -> TensorSpec {
        self.tensors.push(spec.clone());
        spec
    }
}
