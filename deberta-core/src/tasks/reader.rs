//! A model and the tokenizer of its directory.

use std::path::Path;

use serde_json::Value;
use tokenizer_spm::deberta::DebertaTokenizer;

use super::encode::{Encoder, Texts};
use super::window::{Room, WindowOptions};
use crate::{Config, Error, HeadChoice, HeadKind, LoadOptions, Model};

/// What every task reads texts with.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) model: Model,
    pub(super) encoder: Encoder,
}

impl Reader {
    /// Loads both from a directory in Hugging Face layout. Where neither the options nor the configuration name a head,
    /// it is taken to be the one that the task needs.
    pub(super) fn load(
        folder: &Path,
        mut options: LoadOptions,
        needed: HeadKind,
    ) -> Result<Self, Error> {
        options.head = head_for(folder, options.head, needed)?;
        let model = Model::load(folder, options)?;
        Self::new(model, DebertaTokenizer::from_dir(folder)?, needed)
    }

    /// Combines a model and a tokenizer.
    pub(super) fn new(
        model: Model,
        tokenizer: DebertaTokenizer,
        needed: HeadKind,
    ) -> Result<Self, Error> {
        check_head(&model, needed)?;
        let encoder = Encoder::new(tokenizer);
        Ok(Self { model, encoder })
    }

    pub(super) fn config(&self) -> &Config {
        self.model.config()
    }

    /// What a window leaves for texts.
    pub(super) fn room(&self, windows: &WindowOptions, texts: Texts) -> Result<Room, Error> {
        self.encoder.room(self.config(), windows, texts)
    }
}

/// The head to load for a task: the one it needs where neither the caller nor the configuration says.
fn head_for(folder: &Path, choice: HeadChoice, needed: HeadKind) -> Result<HeadChoice, Error> {
    if choice != HeadChoice::Auto {
        return Ok(choice);
    }
    let config = Config::from_file(folder.join("config.json"))?;
    Ok(
        if config.architectures.is_empty() || needed == HeadKind::Base {
            HeadChoice::Only(needed)
        } else {
            choice
        },
    )
}

fn check_head(model: &Model, needed: HeadKind) -> Result<(), Error> {
    // Hidden states come from a model with any head.
    if needed == HeadKind::Base || model.head() == needed {
        return Ok(());
    }
    let named = &model.config().architectures;
    let found = match (model.head(), named.as_slice()) {
        (HeadKind::Base, [_, ..]) => named.join(", "),
        (head, _) => head.to_string(),
    };
    Err(Error::Head {
        expected: needed.to_string(),
        found,
    })
}

/// A JSON file, if it is there.
pub(super) fn json(file: &Path) -> Result<Option<Value>, Error> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(file)(error)),
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| Error::Json {
        file: file.to_owned(),
        source,
    })
}
