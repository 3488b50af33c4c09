//! Where a model comes from: a directory, or the Hugging Face hub.
//!
//! ```no_run
//! use deberta_core::{ResolveOptions, Source, TextClassifier};
//!
//! // A directory, or with the feature `hub` the name of a model there.
//! let source: Source = "MoritzLaurer/deberta-v3-base-zeroshot-v2.0".parse()?;
//! let options = ResolveOptions::default().progress(|at| {
//!     eprintln!("{} of {} bytes", at.received, at.total);
//!     true
//! });
//! let classifier = TextClassifier::load(source.resolve(&options)?)?;
//! # Ok::<(), deberta_core::Error>(())
//! ```
//!
//! # The hub
//!
//! It needs the cargo feature `hub`; without it this crate knows of no network. What is in the local cache is not asked
//! for again: a model that is there whole needs no request, and `HF_HUB_OFFLINE=1` forbids any. A branch such as `main`
//! stays at the commit that it had when it was first got ([`ResolveOptions::refresh`] asks again); naming a commit, a tag or another branch gets that one.
//!
//! Only files that this crate reads are got: configurations, tokenizers, and one format of weights, safetensors where
//! there is a choice. Every file is written beside its place, compared with the size and the checksum that the hub says
//! (SHA-256; git's SHA-1 for small files), forced to the disk and renamed: a directory of the cache never holds part of
//! a file. A download that was interrupted goes on where it ended, in the same or another process, and processes that
//! want the same file at once take turns.
//!
//! The cache is that of Python's `huggingface_hub`, with its locks and its marks for files that a repository lacks, so
//! either finds what the other has got.
//!
//! The requests are made with `ureq` and not with the crate `hf-hub`, whose release 0.5 compares neither sizes nor
//! checksums, appends a whole file to a part where a server ignores `Range`, and knows neither `HF_HUB_OFFLINE` nor time
//! limits. Around it nearly everything here would have to be done again, on files that have their final names by then.

#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod checksum;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod files;
#[cfg(feature = "hub")]
mod hub;
mod id;
#[cfg(feature = "hub")]
mod options;
mod problem;
mod progress;
#[cfg(feature = "hub")]
mod remote;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Error;

#[cfg(feature = "hub")]
pub use options::HubOptions;
pub use problem::HubProblem;
pub use progress::{Progress, ResolveOptions};

/// Where a model comes from. [`Source::resolve`] makes a local directory of it.
///
/// A text is a directory where one of that name exists; else `organisation/name` or `organisation/name@revision` is a
/// model on the hub, and anything else a directory after all. A path is always a directory.
///
/// ```
/// use deberta_core::Source;
/// use std::path::Path;
///
/// assert_eq!("./model".parse::<Source>()?, Source::directory("./model"));
/// assert_eq!(Source::from(Path::new("org/name")), Source::directory("org/name"));
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Directory(PathBuf),
    #[cfg(feature = "hub")]
    Hub {
        repository: String,
        revision: String,
    },
}

impl Source {
    /// A directory in Hugging Face layout.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Directory(path.into()))
    }

    /// The model on the hub with this name, at its branch `main`. Needs the feature `hub` of this crate.
    ///
    /// # Errors
    /// [`Error::Argument`] where the hub gives no such names.
    #[cfg(feature = "hub")]
    pub fn hub(repository: impl Into<String>) -> Result<Self, Error> {
        let repository = repository.into();
        id::check_repository(&repository)?;
        Ok(Self(Kind::Hub {
            repository,
            revision: id::MAIN.to_owned(),
        }))
    }

    /// The same model at another branch, a tag or a commit. Needs the feature `hub` of this crate.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is no name of a revision, or the source is a directory, which has none.
    #[cfg(feature = "hub")]
    pub fn revision(self, revision: impl Into<String>) -> Result<Self, Error> {
        let revision = revision.into();
        id::check_revision(&revision)?;
        match self.0 {
            Kind::Hub { repository, .. } => Ok(Self(Kind::Hub {
                repository,
                revision,
            })),
            Kind::Directory(path) => Err(Error::Argument {
                name: "revision",
                expected: format!("none, as {} is a directory", path.display()),
                found: format!("{revision:?}"),
            }),
        }
    }

    /// The local directory with the model, for [`Model::load`](crate::Model::load) and the [`tasks`](crate::tasks).
    /// What is missing of a model on the hub is got first.
    ///
    /// # Errors
    /// [`Error::Io`] where a directory cannot be read or the cache not be written; [`Error::Hub`] where a file cannot
    /// be got; [`Error::Cancelled`] where the progress callback said so.
    pub fn resolve(&self, options: &ResolveOptions<'_>) -> Result<PathBuf, Error> {
        match &self.0 {
            Kind::Directory(path) => {
                std::fs::read_dir(path).map_err(Error::io(path))?;
                #[cfg(not(feature = "hub"))]
                let _ = options;
                Ok(path.clone())
            }
            #[cfg(feature = "hub")]
            Kind::Hub {
                repository,
                revision,
            } => hub::resolve(repository, revision, options),
        }
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::directory(path)
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::directory(path)
    }
}

impl FromStr for Source {
    type Err = Error;

    /// # Errors
    /// [`Error::WithoutHub`] for a model on the hub where this crate was built without the feature `hub`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match id::split(text) {
            Some((repository, revision)) if !Path::new(text).is_dir() => {
                on_hub(repository, revision)
            }
            _ => Ok(Self::directory(text)),
        }
    }
}

#[cfg(feature = "hub")]
fn on_hub(repository: &str, revision: &str) -> Result<Source, Error> {
    Source::hub(repository)?.revision(revision)
}

#[cfg(not(feature = "hub"))]
fn on_hub(repository: &str, _revision: &str) -> Result<Source, Error> {
    Err(Error::WithoutHub {
        repository: repository.to_owned(),
    })
}

/// As it is read: the path, or `organisation/name@revision`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Directory(path) => path.display().fmt(f),
            #[cfg(feature = "hub")]
            Kind::Hub {
                repository,
                revision,
            } => write!(f, "{repository}@{revision}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, id};

    #[test]
    fn only_names_that_the_hub_gives_are_models_there() {
        for good in [
            "org/name",
            "org/name@main",
            "microsoft/deberta-v3-base@refs/pr/1",
            "o.r_g/n-1",
        ] {
            assert!(id::split(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "name",
            "/etc/passwd",
            "../up",
            "org/..",
            "./model",
            "a/b/c",
            "org/na me",
            "org/na--me",
            "org/-x",
            "org/name@",
            "org/name@../x",
            "org/name@/x",
            "org/name@a//b",
            "org\\name",
            "org/name.git",
            "~/model",
            "org/name@a b",
            "org/é",
        ] {
            assert!(id::split(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_directory_that_exists_is_one_whatever_its_name() {
        // Tests run in the directory of the crate.
        let source: Source = "src/source".parse().unwrap();
        assert_eq!(source, Source::directory("src/source"));
        assert_eq!(
            source.resolve(&Default::default()).unwrap(),
            std::path::Path::new("src/source")
        );
        let missing: Source = "./no such directory".parse().unwrap();
        missing.resolve(&Default::default()).unwrap_err();
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn without_the_feature_a_model_on_the_hub_is_an_error() {
        let error = "org/name".parse::<Source>().unwrap_err();
        assert!(matches!(error, crate::Error::WithoutHub { .. }));
        assert!(error.to_string().contains("feature `hub`"), "{error}");
    }
}
