//! What the hub says of a repository and its files.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Read;

use serde::Deserialize;

use super::HubProblem;
use super::checksum::Checksum;
use super::client::{Ask, Client, Failure, text};
use super::id::is_commit;
use crate::Error;

/// The longest listing that is read: thousands of files.
const LONGEST_LISTING: u64 = 16 << 20;

/// The files of a repository at a revision.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: BTreeSet<String>,
}

/// A file of the repository.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    pub(super) name: String,
    pub(super) commit: String,
    pub(super) size: u64,
    pub(super) checksum: Checksum,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Client<'_> {
    /// Asks which files there are. Only names that are looked for among them are ever used.
    pub(super) fn listing(&self, repository: &str, revision: &str) -> Result<Listing, Error> {
        let revision = escape(revision);
        let address = self.address(&format!("/api/models/{repository}/revision/{revision}"));
        let read = || {
            let response = self.ask("", &address, Ask::From(0), |_, _| ())?;
            let mut bytes = Vec::new();
            let body = response.into_body().into_reader();
            match body.take(LONGEST_LISTING).read_to_end(&mut bytes) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(Failure::Passing(
                    HubProblem::Network {
                        source: Box::new(error),
                    },
                    None,
                )),
            }
        };
        let bytes = self.retry("", read, &Cell::new(0))?;
        let bad = |found: String| {
            let expected = "a list of files, and the name of a commit".to_owned();
            self.error("", HubProblem::Response { expected, found })
        };
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if !is_commit(&answer.sha) {
            return Err(bad(format!("the commit {:?}", answer.sha)));
        }
        Ok(Listing {
            commit: answer.sha,
            files: answer.siblings.into_iter().map(|s| s.rfilename).collect(),
        })
    }

    /// Asks for size and checksum of a file.
    pub(super) fn about(
        &self,
        repository: &str,
        commit: &str,
        name: &str,
    ) -> Result<RemoteFile, Error> {
        let address = self.file_address(repository, commit, name);
        let read = || {
            let (mut etag, mut size, mut found) = (None, None, None);
            self.ask(name, &address, Ask::About, |headers, is_last| {
                let or_own = |linked: &str, own: &str| {
                    let own = text(headers, own).filter(|_| is_last);
                    text(headers, linked).or(own).map(str::to_owned)
                };
                etag = or_own("x-linked-etag", "etag").or(etag.take());
                size = or_own("x-linked-size", "content-length").or(size.take());
                found = text(headers, "x-repo-commit")
                    .map(str::to_owned)
                    .or(found.take());
            })?;
            Ok((etag, size, found))
        };
        let (etag, size, found) = self.retry(name, read, &Cell::new(0))?;
        let bad = |expected: &str, found: Option<String>| {
            let expected = expected.to_owned();
            let found = found.map_or("none".to_owned(), |found| format!("{found:?}"));
            self.error(name, HubProblem::Response { expected, found })
        };
        if found.as_deref().is_some_and(|found| found != commit) {
            return Err(bad(&format!("a file of the commit {commit}"), found));
        }
        let checksum = etag.as_deref().and_then(Checksum::from_etag);
        let checksum = checksum
            .ok_or_else(|| bad("an ETag that is a checksum (SHA-256, or git's SHA-1)", etag))?;
        let bytes = size.as_deref().and_then(|size| size.parse().ok());
        Ok(RemoteFile {
            name: name.to_owned(),
            commit: commit.to_owned(),
            size: bytes.ok_or_else(|| bad("the file's size", size))?,
            checksum,
        })
    }

    /// The address of a file's content.
    pub(super) fn file_address(&self, repository: &str, commit: &str, name: &str) -> String {
        let name = name.split('/').map(escape).collect::<Vec<_>>().join("/");
        self.address(&format!("/{repository}/resolve/{commit}/{name}"))
    }
}

/// Text as one part of an address.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}
