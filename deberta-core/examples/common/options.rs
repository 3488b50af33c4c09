//! The model that an example is given, and how to run it.

use std::path::{Path, PathBuf};

use clap::Args;
use deberta_core::LoadOptions;

use super::load::Load;
use super::model::directory;
use super::report::Failure;

/// Options of every example that answers texts.
#[derive(Args)]
pub(crate) struct ModelOptions {
    /// A directory with a model in Hugging Face layout, or (with the feature `hub`) the name of one on the hub, `organisation/name[@revision]` [default: the task's model, if there is one, of this repository]
    #[arg(long, value_name = "MODEL", hide_default_value = true)]
    model: Option<String>,
    #[command(flatten)]
    load: Load,
}

/// The model of a task where none is named.
pub(crate) enum Default {
    /// One of this repository, by its folder in `models`.
    Shipped(&'static str),
    /// None is: a public checkpoint that serves.
    Public(&'static str),
}

impl ModelOptions {
    /// The directory of the model, got from the hub if need be.
    pub(crate) fn directory(&self, default: Default) -> Result<PathBuf, Failure> {
        let named = match (&self.model, default) {
            (Some(named), _) => named,
            (None, Default::Shipped(folder)) => {
                let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
                return Ok(Path::new(models).join(folder));
            }
            (None, Default::Public(name)) => {
                let hint =
                    "no model for this task is in this repository; name one with --model, such as";
                return Err(format!("{hint} {name}").into());
            }
        };
        directory(Path::new(named))
    }

    /// How to load it.
    pub(crate) fn load(&self) -> LoadOptions {
        self.load.options()
    }
}
