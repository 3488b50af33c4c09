//! What a tensor may be called: prefixes of wrappers and older names of LayerNorm parameters.

use std::path::Path;

use crate::Error;

/// What a tensor's canonical name is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The encoder: its prefix (`deberta.`, `module.deberta.`, none, ...) comes before the name.
    Encoder,
    /// The model around the encoder: what precedes the encoder's own part of the prefix comes before
    /// the name (`module.` for `module.deberta.`), or nothing.
    Head,
}

/// Exactly one tensor is called so, whatever comes before, unless that is a decoder.
const ANCHOR: &str = "embeddings.word_embeddings.weight";
/// What precedes the tensors of a decoder.
const DECODER: &str = "decoder";

/// How the files at hand name their tensors.
#[derive(Debug)]
pub(super) struct Naming {
    encoder: String,
    /// What may precede a head's tensor, the more specific first.
    heads: Vec<String>,
}

impl Naming {
    pub(super) fn detect<'a>(
        source: &Path,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<Self, Error> {
        let anchors: Vec<&String> = names
            .filter(|name| {
                name.strip_suffix(ANCHOR).is_some_and(|prefix| {
                    // A decoder beside the encoder has word embeddings of its own.
                    let mut components = prefix.split('.');
                    (prefix.is_empty() || prefix.ends_with('.'))
                        && components.all(|component| component != DECODER)
                })
            })
            .collect();
        let &[anchor] = anchors.as_slice() else {
            return Err(Error::EncoderNotFound {
                file: source.to_owned(),
                found: anchors.into_iter().cloned().collect(),
            });
        };
        let encoder = anchor[..anchor.len() - ANCHOR.len()].to_owned();
        let mut heads = Vec::new();
        // The encoder's attribute is the last component: what precedes it is the whole model.
        if let Some(path) = encoder.strip_suffix('.') {
            let outer = path.rfind('.').map_or("", |dot| &path[..=dot]);
            heads.push(outer.to_owned());
        }
        if !heads.iter().any(String::is_empty) {
            heads.push(String::new());
        }
        Ok(Self { encoder, heads })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.encoder
    }

    /// The names under which a tensor may be stored, the preferred one first.
    pub(super) fn candidates(&self, scope: Scope, name: &str) -> impl Iterator<Item = String> {
        let prefixes = match scope {
            Scope::Encoder => std::slice::from_ref(&self.encoder),
            Scope::Head => self.heads.as_slice(),
        };
        let names = [Some(name.to_owned()), legacy(name)];
        prefixes
            .iter()
            .flat_map(move |prefix| {
                names
                    .clone()
                    .into_iter()
                    .flatten()
                    .map(move |n| (prefix, n))
            })
            .map(|(prefix, name)| format!("{prefix}{name}"))
    }

    /// The scope and the canonical name of the tensor that the files call `stored`.
    pub(super) fn canonical(&self, stored: &str) -> (Scope, String) {
        let (scope, name) = match stored.strip_prefix(&self.encoder) {
            // Without a prefix only the parts' names tell the encoder from what is around it.
            Some(name) if !self.encoder.is_empty() || is_encoder_part(name) => {
                (Scope::Encoder, name)
            }
            _ => {
                let name = self
                    .heads
                    .iter()
                    .find_map(|p| stored.strip_prefix(p.as_str()));
                (Scope::Head, name.unwrap_or(stored))
            }
        };
        (scope, modern(name).unwrap_or_else(|| name.to_owned()))
    }

    /// The name to report where none of the candidates is there.
    pub(super) fn expected(&self, scope: Scope, name: &str) -> String {
        self.candidates(scope, name)
            .next()
            .unwrap_or_else(|| name.to_owned())
    }
}

/// The name that checkpoints converted from TensorFlow use.
fn legacy(name: &str) -> Option<String> {
    name.strip_suffix("LayerNorm.weight")
        .map(|stem| format!("{stem}LayerNorm.gamma"))
        .or_else(|| {
            name.strip_suffix("LayerNorm.bias")
                .map(|s| format!("{s}LayerNorm.beta"))
        })
}

/// The inverse of [`legacy`].
fn modern(name: &str) -> Option<String> {
    name.strip_suffix("LayerNorm.gamma")
        .map(|stem| format!("{stem}LayerNorm.weight"))
        .or_else(|| {
            name.strip_suffix("LayerNorm.beta")
                .map(|s| format!("{s}LayerNorm.bias"))
        })
}

fn is_encoder_part(name: &str) -> bool {
    name.starts_with("embeddings.") || name.starts_with("encoder.")
}

/// Constants that old versions saved beside the weights: 0, 1, 2, ... for positions, and GPT-2's causal masks.
pub(super) fn is_constant(name: &str) -> bool {
    const MASKS: [&str; 4] = [
        ".attn.bias",
        ".attn.masked_bias",
        ".crossattention.bias",
        ".crossattention.masked_bias",
    ];
    name == "position_ids"
        || name.ends_with(".position_ids")
        || MASKS.iter().any(|mask| name.ends_with(mask))
}
