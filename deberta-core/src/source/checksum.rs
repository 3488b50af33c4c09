//! The checksums that the hub names files by.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The checksum of a file, which is its name among the blobs of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum(String);

impl Checksum {
    /// Reads an ETag: SHA-256 of large files, git's SHA-1 of others. Nothing else can be a name of a file here.
    pub(super) fn from_etag(etag: &str) -> Option<Self> {
        let etag = etag.trim();
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let hex = etag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (hex && matches!(etag.len(), 40 | 64)).then(|| Self(etag.to_owned()))
    }

    /// In hexadecimal.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What computes it for a file of that size.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self.0.len() {
            64 => Hasher::Sha256(Sha256::new()),
            _ => Hasher::Git(Sha1::new().chain_update(format!("blob {size}\0"))),
        }
    }
}

/// Computes a checksum piece by piece.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Checksum {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        Checksum(match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Git(hasher) => hex(&hasher.finalize()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Checksum;

    #[test]
    fn checksums_are_those_of_git_and_of_large_files() {
        // `printf 'hello\n' | git hash-object --stdin` and `| sha256sum`.
        for etag in [
            "\"ce013625030ba8dba906f756967f9e9ca394464a\"",
            "W/\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"",
        ] {
            let expected = Checksum::from_etag(etag).unwrap();
            let mut hasher = expected.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), expected);
        }
    }

    #[test]
    fn an_etag_that_is_no_checksum_names_no_file() {
        for etag in [
            "",
            "\"../../x\"",
            "\"abc\"",
            "\"CE013625030BA8DBA906F756967F9E9CA394464A\"",
        ] {
            assert!(Checksum::from_etag(etag).is_none(), "{etag}");
        }
    }
}
