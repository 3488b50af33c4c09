//! What a checkpoint is, before it is used: family, sizes, heads, memory, and what looks wrong.
//!
//! ```no_run
//! let found = deberta_core::inspect::inspect("models/sentiment")?;
//! println!("{} parameters, {}", found.parameters.total(), found.head);
//! for warning in &found.warnings {
//!     println!("! {warning}");
//! }
//! # Ok::<(), deberta_core::Error>(())
//! ```

use std::path::Path;

use tokenizer_spm::deberta::DebertaTokenizer;

use crate::checkpoint::{Checkpoint, Format, Scope, TensorInfo, TensorSpec};
use crate::config::{self, DecoderConfig};
use crate::encoder_decoder::decoder_tensors;
use crate::model::{HeadChoice, Layout};
use crate::{Config, Error, HeadKind};

/// What a directory holds.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The configuration; of an encoder-decoder model, that of the encoder.
    pub config: Config,
    /// That of the decoder, where there is one.
    pub decoder: Option<DecoderConfig>,
    /// The weights files.
    pub checkpoint: Checkpoint,
    /// The head that [`HeadChoice::Auto`] loads.
    pub head: HeadKind,
    /// The heads whose weights are there and fit, [`HeadKind::Base`] where the encoder is.
    pub heads: Vec<HeadKind>,
    /// Whether the weights have the layout of `transformers`' v1: one interleaved matrix for queries, keys and values.
    pub interleaved: bool,
    /// Whether the masked-language-model head stands behind the enhanced mask decoder.
    pub enhanced_mask_decoder: bool,
    /// Rows of the word table.
    pub vocabulary_rows: usize,
    /// Parameters by part.
    pub parameters: Parameters,
    /// Values of the projected position tables, which are computed at load unless the weights are in 8 bits: all layers
    /// together.
    pub position_values: usize,
    /// Tensors that no head and no encoder uses.
    pub unused: Vec<String>,
    /// The tokenizer, or why there is none.
    pub tokenizer: Result<DebertaTokenizer, Error>,
    /// What a user should know.
    pub warnings: Vec<String>,
}

/// Numbers of parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// Of the embedding tables, which stay memory-mapped.
    pub embeddings: usize,
    /// Of the layers, the convolution and the relative table.
    pub layers: usize,
    /// Of the heads, all that are there.
    pub heads: usize,
    /// Of the decoder and what leads to it, embeddings and all.
    pub decoder: usize,
    /// Of tensors that nothing uses.
    pub unused: usize,
}

impl Parameters {
    /// All that something uses.
    pub fn total(&self) -> usize {
        self.embeddings + self.layers + self.heads + self.decoder
    }
}

/// Looks at a directory in Hugging Face layout. Reads names and shapes, not the weights.
///
/// # Errors
/// Where the configuration or the weights cannot be read at all. That they do not fit each other is a warning.
pub fn inspect(folder: impl AsRef<Path>) -> Result<Inspection, Error> {
    let folder = folder.as_ref();
    let (config, both) = config::with_or_without_decoder(&folder.join("config.json"))?;
    let checkpoint = Checkpoint::open(folder)?;
    let head = match both {
        Some(_) => HeadKind::Base,
        None => HeadChoice::Auto.resolve(&config),
    };
    let mut warnings = Vec::new();
    let decoder = both.as_ref().map(|both| decoder_tensors(both, &checkpoint));
    let decoder = decoder.unwrap_or_default();
    warnings.extend(checkpoint.verify(&decoder).err().map(|e| e.to_string()));

    let fitting = |head| {
        let layout = Layout::new(&config, &checkpoint, head)?;
        checkpoint.verify(&layout.tensors)?;
        Ok::<_, Error>(layout)
    };
    if let Err(error) = fitting(head) {
        warnings.push(error.to_string());
    }
    let mut heads = Vec::new();
    let mut layouts = Vec::new();
    for head in HeadKind::ALL {
        // The classifier of a sequence head has the name and shape of that of a token head; the pooler tells.
        let pooled = checkpoint.contains(Scope::Head, "pooler.dense.weight");
        if head == HeadKind::TokenClassification && pooled {
            continue;
        }
        if let Ok(layout) = fitting(head) {
            heads.push(head);
            layouts.push(layout);
        }
    }
    let enhanced_mask_decoder = layouts.iter().any(Layout::has_mask_decoder);
    let base = Layout::new(&config, &checkpoint, HeadKind::Base)?;
    if heads.is_empty() {
        // Something is wrong with the encoder: that does not make the heads useless.
        let all = HeadKind::ALL.into_iter();
        layouts.extend(all.filter_map(|head| Layout::new(&config, &checkpoint, head).ok()));
    }
    let (parameters, unused) = count(&checkpoint, &base, &layouts, &decoder);
    let vocabulary_rows = checkpoint
        .shape(Scope::Encoder, "embeddings.word_embeddings.weight")
        .and_then(|shape| shape.first().copied())
        .unwrap_or(0);
    let tokenizer = DebertaTokenizer::from_dir(folder).map_err(Error::from);
    let mut inspection = Inspection {
        interleaved: base.attention.interleaved,
        position_values: base.position_values(&config),
        config,
        decoder: both.map(|both| both.decoder),
        checkpoint,
        head,
        heads,
        enhanced_mask_decoder,
        vocabulary_rows,
        parameters,
        unused,
        tokenizer,
        warnings,
    };
    let more = inspection.doubts();
    inspection.warnings.extend(more);
    Ok(inspection)
}

/// Parameters by part, and the names of tensors that nothing uses.
fn count(
    checkpoint: &Checkpoint,
    base: &Layout,
    used: &[Layout],
    decoder: &[TensorSpec],
) -> (Parameters, Vec<String>) {
    let among = |specs: &[TensorSpec], tensor: &TensorInfo<'_>| {
        let mut specs = specs.iter();
        specs.any(|spec| spec.scope == tensor.scope() && spec.name == tensor.canonical_name())
    };
    let is = |layout: &Layout, tensor: &TensorInfo<'_>| among(&layout.tensors, tensor);
    let (mut parameters, mut unused) = (Parameters::default(), Vec::new());
    for tensor in checkpoint.tensors().filter(|t| !t.is_constant()) {
        if checkpoint.is_int8() && is_made(&tensor) && is(base, &tensor) {
            continue;
        }
        let part = if is(base, &tensor) {
            if tensor.canonical_name().starts_with("embeddings.") {
                &mut parameters.embeddings
            } else {
                &mut parameters.layers
            }
        } else if used.iter().any(|layout| is(layout, &tensor)) {
            &mut parameters.heads
        } else if among(decoder, &tensor) {
            &mut parameters.decoder
        } else {
            unused.push(tensor.name().to_owned());
            &mut parameters.unused
        };
        *part += tensor.elements();
    }
    (parameters, unused)
}

/// Whether a tensor of a file in 8 bits is no parameter: a scale, or a table that parameters have been made into.
fn is_made(tensor: &TensorInfo<'_>) -> bool {
    let made = [".weight_scale", ".position_keys", ".position_queries"];
    made.iter()
        .any(|end| tensor.canonical_name().ends_with(end))
}

impl Inspection {
    /// What is odd without being an error.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let mut doubt = |text: String| doubts.push(text);
        if self.decoder.is_some() {
            // It is loaded whole.
        } else if self.config.architectures.is_empty() {
            doubt(
                "config.json names no architecture: without a choice of yours no head is loaded"
                    .to_owned(),
            );
        } else if self.head == HeadKind::Base && self.heads.len() > 1 {
            doubt(
                "config.json names a base model: the heads that are there load only if asked for"
                    .to_owned(),
            );
        }
        let microsoft = self
            .checkpoint
            .contains(Scope::Head, "lm_predictions.lm_head.dense.weight");
        if microsoft && !self.enhanced_mask_decoder && !self.config.position_biased_input {
            doubt(
                "the masked-language-model head has lost its absolute positions (transformers does not save them): the \
                 words that it gives make no sense"
                    .to_owned(),
            );
        }
        let classifies = matches!(
            self.head,
            HeadKind::SequenceClassification | HeadKind::TokenClassification
        );
        let names = self.config.labels.names();
        if classifies && names.iter().all(|name| name.starts_with("LABEL_")) {
            doubt("the labels have no names".to_owned());
        }
        if !self.unused.is_empty() {
            let count = self.unused.len();
            let are = if count == 1 { " is" } else { "s are" };
            doubt(format!("{count} tensor{are} not used"));
        }
        if self.checkpoint.format() != Format::Safetensors {
            doubt(
                "the weights are in PyTorch's format; `convert` makes a safetensors file of them"
                    .to_owned(),
            );
        }
        match &self.tokenizer {
            Err(error) => doubt(format!("no tokenizer: {error}")),
            Ok(tokenizer) => {
                let (ids, rows) = (tokenizer.vocab_size(), self.vocabulary_rows);
                if ids > rows {
                    doubt(format!(
                        "the tokenizer knows {ids} ids, the word table has {rows} rows"
                    ));
                }
            }
        }
        doubts
    }
}
