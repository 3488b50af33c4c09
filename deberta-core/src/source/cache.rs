//! The cache on disk, in the layout of Python's `huggingface_hub`.
//!
//! ```text
//! models--organisation--name/
//!     blobs/<checksum>                the files, and <checksum>.incomplete
//!     snapshots/<commit>/<file>       links to them
//!     refs/<revision>                 the commit that a branch or a tag was at
//!     .no_exist/<commit>/<file>       empty, for a file that a commit lacks
//! .locks/models--organisation--name/<checksum>.lock
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use tempfile::NamedTempFile;

use super::checksum::Checksum;
use super::id::is_commit;
use crate::Error;
use crate::convert::sync;

/// What the cache holds of one repository.
pub(super) struct Cache {
    folder: PathBuf,
    locks: PathBuf,
    copies: bool,
}

impl Cache {
    pub(super) fn new(cache: &Path, repository: &str, copies: bool) -> Self {
        let name = format!("models--{}", repository.replace('/', "--"));
        Self {
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
            copies,
        }
    }

    /// Where everything of the repository is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit that a revision was at when it was last got.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// Remembers the commit that a revision is at.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), Error> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        make_parent(&path)?;
        let mut temporary = self.temporary()?;
        let written = temporary.write_all(commit.as_bytes());
        written.map_err(Error::io(&path))?;
        persist(temporary, &path)
    }

    /// The directory of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Whether the commit lacks the file, as far as is known.
    pub(super) fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.absence(commit, file).is_file()
    }

    /// Remembers that the commit lacks the file.
    pub(super) fn set_absent(&self, commit: &str, file: &str) -> Result<(), Error> {
        let path = self.absence(commit, file);
        make_parent(&path)?;
        File::create(&path).map(drop).map_err(Error::io(&path))
    }

    fn absence(&self, commit: &str, file: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(file)
    }

    /// The place of a file's content.
    pub(super) fn blob(&self, checksum: &Checksum) -> PathBuf {
        self.folder.join("blobs").join(checksum.as_str())
    }

    /// The file whose lock the writer of a blob holds.
    pub(super) fn lock(&self, checksum: &Checksum) -> PathBuf {
        self.locks.join(format!("{}.lock", checksum.as_str()))
    }

    /// Gives a blob, which must be there, its name in the directory of a commit.
    pub(super) fn place(&self, checksum: &Checksum, commit: &str, file: &str) -> Result<(), Error> {
        let (blob, path) = (self.blob(checksum), self.snapshot(commit).join(file));
        make_parent(&path)?;
        if !self.copies {
            // From snapshots/<commit>/<file>, which may be in further directories.
            let depth = Path::new(file).components().count() + 1;
            let up: PathBuf = std::iter::repeat_n(Component::ParentDir, depth).collect();
            let target = up.join("blobs").join(checksum.as_str());
            // A link that another process has made is as good. One to nothing, or to what was there before, is not.
            if points_to(&path, &blob) {
                return Ok(());
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&path)(error));
                }
                _ => {}
            }
            if link(&target, &path).is_ok() || points_to(&path, &blob) {
                return sync_parent(&path);
            }
        }
        let mut temporary = self.temporary()?;
        let mut from = File::open(&blob).map_err(Error::io(&blob))?;
        io::copy(&mut from, &mut temporary).map_err(Error::io(&path))?;
        persist(temporary, &path)
    }

    /// A temporary file that no one takes for anything, with the permissions of an ordinary one.
    fn temporary(&self) -> Result<NamedTempFile, Error> {
        let folder = self.folder.join("blobs");
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".incomplete");
        #[cfg(unix)]
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        #[cfg(unix)]
        builder.permissions(permissions);
        builder.tempfile_in(&folder).map_err(Error::io(&folder))
    }
}

/// Forces a temporary file to the disk and gives it its name.
fn persist(temporary: NamedTempFile, path: &Path) -> Result<(), Error> {
    let synced = temporary.as_file().sync_all();
    synced.map_err(Error::io(path))?;
    let renamed = temporary.persist(path);
    renamed.map_err(|error| Error::io(path)(error.error))?;
    sync_parent(path)
}

/// Whether a link leads to this file.
fn points_to(path: &Path, blob: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(blob)) {
        (Ok(path), Ok(blob)) => path == blob,
        _ => false,
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes the directory that a file is to be in.
pub(super) fn make_parent(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(Error::io(parent)),
        None => Ok(()),
    }
}

/// Forces the names in the directory of a file to the disk.
pub(super) fn sync_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), sync)
}
