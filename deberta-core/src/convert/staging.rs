//! A directory that becomes another at once.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::sync;
use crate::Error;

/// The file whose lock tells that the writer lives.
const LOCK: &str = ".lock";

/// A directory beside the target, gone when it is dropped.
pub(super) struct Staging {
    folder: TempDir,
    /// Held as long as this process lives.
    lock: File,
}

impl Staging {
    /// Makes a directory for the target `name` in `parent`, and removes those that killed processes have left.
    pub(super) fn new(parent: &Path, name: &str) -> io::Result<Self> {
        let prefix = format!(".{name}.partial-");
        remove_orphans(parent, &prefix)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // The permissions of an ordinary directory: it will be one.
        #[cfg(unix)]
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        #[cfg(unix)]
        builder.permissions(permissions);
        let folder = builder.tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        // Where files cannot be locked no one takes this for an orphan either.
        let _ = lock.lock();
        Ok(Self { folder, lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it the target.
    pub(super) fn rename(self, target: &Path) -> Result<(), Error> {
        let lock = self.path().join(LOCK);
        fs::remove_file(&lock).map_err(Error::io(&lock))?;
        sync(self.path())?;
        fs::rename(self.path(), target).map_err(Error::io(target))?;
        drop(self.lock);
        // It is no temporary directory any more.
        let _ = self.folder.keep();
        Ok(())
    }
}

/// Removes the directories of that prefix whose writers hold no lock any more.
fn remove_orphans(parent: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        // Without a lock file it is not ours, or just being made.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
