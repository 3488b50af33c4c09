//! Names on the hub: of repositories, revisions and commits.

#[cfg(feature = "hub")]
use crate::Error;

/// The revision where none is named.
pub(super) const MAIN: &str = "main";

/// Whether it is a name as the hub gives to repositories: `name` or `organisation/name`.
pub(super) fn is_repository(id: &str) -> bool {
    let plain = |part: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
    };
    let parts = id.split('/').count();
    let forbidden = id.contains("..") || id.contains("--") || id.ends_with(".git");
    parts <= 2 && id.len() <= 96 && !forbidden && id.split('/').all(plain)
}

/// Whether it is a name that git gives to branches, tags and commits, of the characters that need no thought.
pub(super) fn is_revision(revision: &str) -> bool {
    let plain = |part: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with(['-', '.'])
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    };
    revision.len() <= 200 && !revision.contains("..") && revision.split('/').all(plain)
}

/// Divides `organisation/name[@revision]`; none where the text is something else, such as a path.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (id, revision) = text.split_once('@').unwrap_or((text, MAIN));
    (id.contains('/') && is_repository(id) && is_revision(revision)).then_some((id, revision))
}

/// Whether it is the whole name of a commit.
#[cfg(feature = "hub")]
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses what is no repository's name.
#[cfg(feature = "hub")]
pub(super) fn check_repository(id: &str) -> Result<(), Error> {
    check(
        is_repository(id),
        "repository",
        "a name as the hub gives it, such as microsoft/deberta-v3-base",
        id,
    )
}

/// Refuses what is no revision's name.
#[cfg(feature = "hub")]
pub(super) fn check_revision(revision: &str) -> Result<(), Error> {
    check(
        is_revision(revision),
        "revision",
        "the name of a branch, a tag or a commit",
        revision,
    )
}

#[cfg(feature = "hub")]
fn check(good: bool, name: &'static str, expected: &str, found: &str) -> Result<(), Error> {
    match good {
        true => Ok(()),
        false => Err(Error::Argument {
            name,
            expected: expected.to_owned(),
            found: format!("{found:?}"),
        }),
    }
}
