//! Where the hub and its cache are.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// Where the hub and its cache are, and how patient to be.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// The directory of the cache, which holds `models--organisation--name`.
    pub cache: PathBuf,
    /// The address of the hub.
    pub endpoint: String,
    /// What tells the hub who asks. It is sent to the hub alone, never where the hub redirects to.
    pub token: Option<String>,
    /// Whether the cache must do.
    pub offline: bool,
    /// Copies files into the directory of a commit rather than linking them, as is done where links cannot be made.
    pub copies: bool,
    /// How long to wait for a connection, for an answer, and for the next piece of a file.
    pub timeout: Duration,
    /// How often to try again after a failed connection and the statuses 408, 429 and 5xx. A download that has got
    /// further than any try before may fail as often again.
    pub retries: u32,
    /// How long to wait before the first of these tries; each time twice as long. A server may ask for more.
    pub backoff: Duration,
}

impl HubOptions {
    /// Options for a cache in this directory, and otherwise the usual ones without a look at the environment.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            offline: false,
            copies: false,
            timeout: Duration::from_secs(20),
            retries: 5,
            backoff: Duration::from_millis(500),
        }
    }

    /// What the environment says, as Python's `huggingface_hub` reads it:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `HF_HUB_CACHE` (or `HUGGINGFACE_HUB_CACHE`) | the cache; else `$HF_HOME/hub` |
    /// | `HF_HOME` | else `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface` |
    /// | `HF_TOKEN` (or `HUGGING_FACE_HUB_TOKEN`) | the token; else the file `HF_TOKEN_PATH`, else `$HF_HOME/token` |
    /// | `HF_ENDPOINT` | the address of the hub |
    /// | `HF_HUB_OFFLINE` (or `TRANSFORMERS_OFFLINE`) | 1, on, yes or true: never use the network |
    ///
    /// # Errors
    /// [`Error::Argument`] where there is neither a cache nor a home directory, [`Error::Io`] where a file with a token
    /// cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        let home = || match (path("HF_HOME"), path("XDG_CACHE_HOME")) {
            (Some(home), _) => Some(home),
            (None, Some(caches)) => Some(caches.join("huggingface")),
            (None, None) => Some(env::home_dir()?.join(".cache/huggingface")),
        };
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(home()?.join("hub")))
            .ok_or_else(|| Error::Argument {
                name: "HF_HUB_CACHE",
                expected: "a directory, as there is no home directory".to_owned(),
                found: "nothing".to_owned(),
            })?;
        let mut options = Self::new(cache);
        options.token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Some(token),
            None => match path("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token"))) {
                Some(path) => token_in(&path)?,
                None => None,
            },
        };
        if let Some(endpoint) = text("HF_ENDPOINT") {
            options.endpoint = endpoint;
        }
        let offline = text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE"));
        let offline = offline.map(|value| value.to_ascii_lowercase());
        options.offline = matches!(offline.as_deref(), Some("1" | "on" | "yes" | "true"));
        Ok(options)
    }

    /// Refuses what no request can be made with.
    pub(super) fn check(&self) -> Result<(), Error> {
        let token = self.token.as_deref().unwrap_or("x");
        let is_visible = token.bytes().all(|b| b.is_ascii_graphic());
        if token.is_empty() || !is_visible {
            return Err(Error::Argument {
                name: "token",
                expected: "visible ASCII characters".to_owned(),
                found: "others, or none".to_owned(),
            });
        }
        Ok(())
    }
}

/// Without the token, which belongs into no log.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("HubOptions")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("token", &token)
            .field("offline", &self.offline)
            .field("copies", &self.copies)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("backoff", &self.backoff)
            .finish()
    }
}

/// The value of a variable that is set to more than nothing.
fn value(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A variable that is text, without the spaces around it.
fn text(name: &str) -> Option<String> {
    let text = value(name)?.into_string().ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A variable that is a path, in which `~` is the home directory.
fn path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(value(name)?);
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(path),
    }
}

/// The token in a file, if there is one.
fn token_in(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(token) => Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error)),
    }
}
