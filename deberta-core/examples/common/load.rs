//! How an example loads its model.

use clap::Args;
use deberta_core::{Device, LoadOptions, Precision};

/// Options of every example that loads a model.
#[derive(Args)]
pub(crate) struct Load {
    /// Threads to use, by default all
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Arithmetic of the encoder's linear layers [default: int8 if the files are, else f32]
    #[arg(long)]
    precision: Option<Precision>,
    /// What the model runs on: cpu, cuda or cuda:N (with the feature `cuda`)
    #[arg(long, default_value = "cpu")]
    device: Device,
}

impl Load {
    /// The options of the library.
    pub(crate) fn options(&self) -> LoadOptions {
        let mut load = LoadOptions::default();
        load.precision = self.precision;
        load.device = self.device;
        match self.threads {
            Some(threads) => load.threads(threads.into()),
            None => load,
        }
    }
}
