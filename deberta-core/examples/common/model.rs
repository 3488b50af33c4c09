//! The model that an example is given.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deberta_core::{Error, ResolveOptions, Source};
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{Failure, chain};

/// The directory of a model, or of one that is named as on the hub, got from there if need be. A file of a model is refused.
pub(crate) fn directory(named: &Path) -> Result<PathBuf, Failure> {
    resolve(named, ResolveOptions::default())
}

/// The same, as the options say.
pub(crate) fn resolve(named: &Path, options: ResolveOptions<'_>) -> Result<PathBuf, Failure> {
    if named.is_file() {
        let shown = named.display();
        return Err(format!("--model expects a directory, found the file {shown}").into());
    }
    let source: Source = match named.to_str() {
        Some(name) => name.parse()?,
        None => named.into(),
    };
    let bar = match io::stderr().is_terminal() {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    let style = "{bar:40} {bytes}/{total_bytes} · {bytes_per_sec} · {eta} left · {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let options = options.progress(|at| {
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_length(at.total);
        bar.set_position(at.received);
        bar.set_message(at.file.to_owned());
        true
    });
    let resolved = source.resolve(&options);
    bar.finish_and_clear();
    match resolved {
        // Perhaps a directory was meant.
        Err(Error::Hub { problem, .. }) => {
            let (named, said) = (named.display(), chain(&problem, ": "));
            Err(format!("{named}: no such directory, and on the hub: {said}").into())
        }
        other => Ok(other?),
    }
}
