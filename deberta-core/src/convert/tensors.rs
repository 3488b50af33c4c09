//! Which tensors the new file has, and where each comes from.

use std::collections::HashSet;
use std::io::Write;

use super::ConvertOptions;
use crate::checkpoint::{Checkpoint, Dtype, Scope, TensorInfo};
use crate::model::{Made, Quantized};
use crate::{Config, Error};

/// How every encoder tensor's name begins in the new file.
const PREFIX: &str = "deberta.";

/// A tensor to write: its new name, type and shape, and where it comes from.
pub(super) struct Chosen<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    origin: Origin<'a>,
}

/// Where a tensor comes from.
enum Origin<'a> {
    /// The old files.
    Stored(TensorInfo<'a>),
    /// Rounding.
    Made(&'a Quantized<'a>, Made<'a>),
}

impl Chosen<'_> {
    /// Its size in the file.
    pub(super) fn bytes(&self) -> u64 {
        let elements: u64 = self.shape.iter().map(|&size| size as u64).product();
        (elements * self.dtype.bits() as u64).div_ceil(8)
    }

    /// Writes its elements.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<(), Error> {
        match &self.origin {
            Origin::Stored(tensor) => tensor.copy_checked(out, self.dtype),
            Origin::Made(model, made) => model.write(made, out),
        }
    }
}

/// The tensors to write, and the names of those to leave out.
pub(super) fn choose<'a>(
    checkpoint: &'a Checkpoint,
    config: &Config,
    options: &ConvertOptions,
    quantized: Option<&'a Quantized<'a>>,
) -> (Vec<Chosen<'a>>, Vec<String>) {
    let tied = checkpoint.tied();
    // The output layer of the older masked-language-model head, where it is the word table under another name.
    let repeats = |tensor: &TensorInfo<'_>| {
        let twin = match tensor.canonical_name() {
            "cls.predictions.decoder.weight" => "embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias" => "cls.predictions.bias",
            _ => return false,
        };
        let mut groups = tied.iter().filter(|group| group.contains(&tensor.name()));
        config.tie_word_embeddings && groups.any(|group| group.iter().any(|n| n.ends_with(twin)))
    };
    let (mut chosen, mut left_out) = (Vec::new(), Vec::new());
    let mut made = HashSet::new();
    for (model, tensor) in quantized
        .iter()
        .flat_map(|&model| model.tensors().into_iter().map(move |made| (model, made)))
    {
        made.insert(tensor.name.clone());
        chosen.push(Chosen {
            name: format!("{PREFIX}{}", tensor.name),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            origin: Origin::Made(model, tensor),
        });
    }
    let superseded = quantized.map(Quantized::superseded).unwrap_or_default();
    for tensor in checkpoint.tensors() {
        let is_encoder = tensor.scope() == Scope::Encoder;
        if is_encoder && made.contains(tensor.canonical_name()) {
            continue;
        }
        if tensor.is_shadowed()
            || tensor.is_constant()
            || repeats(&tensor)
            || (is_encoder && superseded.contains(tensor.canonical_name()))
        {
            left_out.push(tensor.name().to_owned());
            continue;
        }
        let name = match tensor.scope() {
            Scope::Encoder => format!("{PREFIX}{}", tensor.canonical_name()),
            Scope::Head => tensor.canonical_name().to_owned(),
        };
        let dtype = match (options.dtype, tensor.dtype()) {
            (Some(wanted), found) if found.is_float() => wanted.dtype(),
            (None, Dtype::F64) => Dtype::F32,
            (_, found) => found,
        };
        chosen.push(Chosen {
            name,
            dtype,
            shape: tensor.shape().to_vec(),
            origin: Origin::Stored(tensor),
        });
    }
    // Wide elements first keeps all of them aligned.
    chosen.sort_by(|a, b| (b.dtype.bits(), &a.name).cmp(&(a.dtype.bits(), &b.name)));
    (chosen, left_out)
}
