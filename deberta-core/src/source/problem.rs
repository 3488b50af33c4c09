//! What can go wrong between a program and the hub.

use std::error::Error as Cause;
use std::path::PathBuf;

use thiserror::Error;

/// Why a file could not be got from the hub: the cause of [`Error::Hub`](crate::Error::Hub).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubProblem {
    /// The repository, the revision, or a file that a model needs is not there.
    #[error("there is no such repository, revision or file on the hub")]
    NotFound,
    /// The hub wants to know who asks. It says so of repositories that do not exist, too.
    #[error("{}", match token {
        true => "the hub does not accept the token: set HF_TOKEN to one that is valid",
        false => "the hub asks for a token, as the repository is private, or not there: check its name, or set \
                  HF_TOKEN to a token that may read it",
    })]
    Unauthorized {
        /// Whether a token was sent.
        token: bool,
    },
    /// The hub knows who asks, and refuses.
    #[error(
        "the hub refuses access: accept the terms on the model's page, and set HF_TOKEN to a token that may read it"
    )]
    Forbidden,
    /// The network must not be used, and the cache does not hold the model.
    #[error("the cache {cache} does not hold it, and the network must not be used (HF_HUB_OFFLINE)", cache = cache.display())]
    Offline {
        /// The directory that was looked into.
        cache: PathBuf,
    },
    /// No connection, or one that broke, even after further tries.
    #[error("the connection failed")]
    Network {
        /// What the system or the protocol said.
        source: Box<dyn Cause + Send + Sync>,
    },
    /// A server answered that it cannot or will not, even after further tries.
    #[error("expected an answer, found HTTP status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// A server's answer is not what the hub's protocol says.
    #[error("expected {expected}, found {found}")]
    Response {
        /// What the protocol asks for.
        expected: String,
        /// What was answered.
        found: String,
    },
    /// A file has another size than the hub says.
    #[error("expected {expected} bytes, found {found}")]
    WrongSize {
        /// The size that the hub says.
        expected: u64,
        /// The size of what was sent.
        found: u64,
    },
    /// A file has another checksum than the hub says.
    #[error("expected the checksum {expected}, found {found}")]
    WrongHash {
        /// The checksum that the hub says, in hexadecimal: SHA-256, or git's SHA-1 of a small file.
        expected: String,
        /// That of what was sent.
        found: String,
    },
    /// There is no room for the file.
    #[error("no space left for {path}", path = path.display())]
    NoSpace {
        /// The file that was written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
