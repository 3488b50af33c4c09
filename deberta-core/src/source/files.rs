//! Which files of a repository make a model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::cache::Cache;
use super::remote::Listing;
use crate::Error;
use crate::checkpoint::{Checkpoint, weights_names};

/// The configurations, one of which must be there.
pub(super) const CONFIGS: [&str; 2] = ["config.json", "gliner_config.json"];

/// What else is read where a repository has it.
const OTHERS: [&str; 6] = [
    "generation_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "encoder_config/config.json",
];

/// The files of a tokenizer in a folder.
macro_rules! tokenizer_in {
    ($folder:literal) => {
        [
            concat!($folder, "tokenizer.json"),
            concat!($folder, "tokenizer_config.json"),
            concat!($folder, "special_tokens_map.json"),
            concat!($folder, "added_tokens.json"),
            concat!($folder, "spm.model"),
            concat!($folder, "spiece.model"),
            concat!($folder, "vocab.json"),
            concat!($folder, "merges.txt"),
            concat!($folder, "vocab.txt"),
        ]
    };
}

/// The tokenizer of a model, and that of a decoder which has its own.
const TOKENIZERS: [[&str; 9]; 3] = [
    tokenizer_in!(""),
    tokenizer_in!("decoder_tokenizer/"),
    tokenizer_in!("decoder/"),
];

/// Every file but the weights that is got where it is there.
pub(super) fn companions() -> impl Iterator<Item = &'static str> {
    let tokenizers = TOKENIZERS.into_iter().flatten();
    CONFIGS.into_iter().chain(OTHERS).chain(tokenizers)
}

/// The weights of a repository: a file, or the index of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weights {
    pub(super) name: &'static str,
    pub(super) is_index: bool,
}

/// The first that is there of those that [`Checkpoint::open`] looks for.
pub(super) fn weights(is_there: impl Fn(&str) -> bool) -> Option<Weights> {
    let mut known = weights_names().map(|(name, is_index)| Weights { name, is_index });
    known.find(|weights| is_there(weights.name))
}

/// The names of the files that an index lists.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>, Error> {
    let json = fs::read(index).map_err(Error::io(index))?;
    let index = Checkpoint::parse_index(index, &json)?;
    Ok(index.into_values().collect())
}

/// What the cache holds of a commit.
pub(super) struct Snapshot<'a> {
    pub(super) cache: &'a Cache,
    pub(super) commit: &'a str,
}

impl Snapshot<'_> {
    /// Whether the file is there, whole as all are.
    pub(super) fn has(&self, file: &str) -> bool {
        self.cache.snapshot(self.commit).join(file).is_file()
    }

    /// Whether it is a model (or what there is around one, where weights are not wanted), if perhaps one that lacks a file.
    pub(super) fn is_usable(&self, weighty: bool) -> bool {
        let folder = self.cache.snapshot(self.commit);
        let has_config = CONFIGS.iter().any(|file| self.has(file));
        if !weighty {
            return has_config;
        }
        let Some(weights) = weights(|name| self.has(name)).filter(|_| has_config) else {
            return false;
        };
        match weights.is_index {
            false => true,
            true => shards(&folder.join(weights.name))
                .is_ok_and(|shards| shards.iter().all(|shard| self.has(shard))),
        }
    }

    /// Whether the hub could not have anything that is missing.
    pub(super) fn is_whole(&self, weighty: bool) -> bool {
        let is_known = |file: &str| self.has(file) || self.cache.is_absent(self.commit, file);
        let preferred = weights_names().take_while(|(name, _)| !self.has(name));
        let mut preferred = preferred.map(|(name, _)| name);
        self.is_usable(weighty)
            && companions().all(is_known)
            && (!weighty || preferred.all(is_known))
    }

    /// Remembers what the repository lacks.
    pub(super) fn note_absent(&self, listing: &Listing) -> Result<(), Error> {
        let names = companions().chain(weights_names().map(|(name, _)| name));
        let absent = names.filter(|&name| !listing.files.contains(name));
        for name in absent.filter(|name| !self.cache.is_absent(self.commit, name)) {
            self.cache.set_absent(self.commit, name)?;
        }
        Ok(())
    }
}
