//! One file from the hub into the cache: whole and right, or not at all.

use std::cell::Cell;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::HubProblem;
use super::cache::{Cache, make_parent, sync_parent};
use super::checksum::{Checksum, Hasher};
use super::client::{Ask, Client, Failure, text};
use super::progress::Reporter;
use super::remote::RemoteFile;
use crate::Error;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;
/// How often to look whether another process is done.
const TURN: Duration = Duration::from_millis(100);

impl Client<'_> {
    /// Gets the content of a file, unless the cache has it, and gives it its name in the directory of the commit.
    pub(super) fn download(
        &self,
        cache: &Cache,
        address: &str,
        file: &RemoteFile,
    ) -> Result<(), Error> {
        self.reporter.begin(&file.name, file.size);
        let blob = cache.blob(&file.checksum);
        make_parent(&blob)?;
        let lock = self.take_turn(&cache.lock(&file.checksum))?;
        // Another process may have got it meanwhile. Of another size it is none of ours.
        if fs::metadata(&blob).is_ok_and(|blob| blob.is_file() && blob.len() == file.size) {
            self.reporter.at(file.size)?;
        } else {
            let mut partial = Partial::open(&blob, file, lock.is_none(), self.reporter)?;
            self.complete(&mut partial, address, file)?;
            partial.rename(&blob)?;
        }
        cache.place(&file.checksum, &file.commit, &file.name)
    }

    /// Waits until no other process writes this file. None where files cannot be locked.
    fn take_turn(&self, path: &Path) -> Result<Option<File>, Error> {
        make_parent(path)?;
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let lock = lock.map_err(Error::io(path))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::WouldBlock) => self.reporter.wait(TURN)?,
                Err(TryLockError::Error(_)) => return Ok(None),
            }
        }
    }

    /// Gets what is missing of a file, and once all of it where the pieces turn out not to fit together.
    fn complete(
        &self,
        partial: &mut Partial,
        address: &str,
        file: &RemoteFile,
    ) -> Result<(), Error> {
        loop {
            let furthest = Cell::new(partial.len);
            let attempt = || {
                let result = self.append(partial, address, file);
                furthest.set(furthest.get().max(partial.len));
                result
            };
            self.retry(&file.name, attempt, &furthest)?;
            let found = partial.hasher.clone().finish();
            if found == file.checksum {
                return Ok(());
            }
            let is_mended = partial.is_mended;
            partial.restart()?;
            if !is_mended {
                let problem = HubProblem::WrongHash {
                    expected: file.checksum.as_str().to_owned(),
                    found: found.as_str().to_owned(),
                };
                return Err(self.error(&file.name, problem));
            }
        }
    }

    /// Gets what is missing in one request.
    fn append(
        &self,
        partial: &mut Partial,
        address: &str,
        file: &RemoteFile,
    ) -> Result<(), Failure> {
        let first = partial.len;
        if first == file.size && first > 0 {
            return Ok(());
        }
        let response = self.ask(&file.name, address, Ask::From(first), |_, _| ())?;
        let header = |name| text(response.headers(), name).map(str::to_owned);
        match response.status().as_u16() {
            206 => {
                let range = header("content-range");
                let expected = format!(
                    "bytes {first}-{}/{}",
                    file.size.saturating_sub(1),
                    file.size
                );
                if range
                    .as_deref()
                    .is_none_or(|range| range.trim() != expected)
                {
                    let found = range.map_or("none".to_owned(), |range| format!("{range:?}"));
                    let expected = format!("the range {expected:?}");
                    return Err(self.unfit(
                        partial,
                        file,
                        HubProblem::Response { expected, found },
                    ));
                }
                partial.is_mended = true;
            }
            416 => {
                // There is no such byte: the file there is shorter.
                let (expected, found) = (file.size, first);
                return Err(self.unfit(partial, file, HubProblem::WrongSize { expected, found }));
            }
            _ => {
                // All of it, whatever was asked for.
                partial.restart()?;
                let length = header("content-length").and_then(|length| length.parse().ok());
                if let Some(found) = length.filter(|&found| found != file.size) {
                    let expected = file.size;
                    return Err(self.unfit(
                        partial,
                        file,
                        HubProblem::WrongSize { expected, found },
                    ));
                }
            }
        }
        let mut body = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        loop {
            self.reporter.at(partial.len)?;
            let read = match body.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let source = Box::new(error);
                    return Err(Failure::Passing(HubProblem::Network { source }, None));
                }
            };
            let (expected, found) = (file.size, partial.len + read as u64);
            if found > expected {
                return Err(self.unfit(partial, file, HubProblem::WrongSize { expected, found }));
            }
            if read == 0 {
                return match found == expected {
                    true => Ok(()),
                    false => Err(Failure::Passing(
                        HubProblem::WrongSize { expected, found },
                        None,
                    )),
                };
            }
            partial.write(&piece[..read]).map_err(|source| {
                let path = partial.path.clone();
                match source.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                        self.error(&file.name, HubProblem::NoSpace { path, source })
                    }
                    _ => Error::Io { path, source },
                }
            })?;
        }
    }

    /// Forgets a part that does not fit what the server has. If it was left by an earlier try, one from the first byte
    /// on may do better.
    fn unfit(&self, partial: &mut Partial, file: &RemoteFile, problem: HubProblem) -> Failure {
        let had_some = partial.is_mended;
        match partial.restart() {
            Ok(()) if had_some => Failure::Passing(problem, None),
            Ok(()) => Failure::Lasting(self.error(&file.name, problem)),
            Err(error) => Failure::Lasting(error),
        }
    }
}

/// The part of a file that is here.
struct Partial {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    len: u64,
    size: u64,
    checksum: Checksum,
    /// Whether it is pieced together from several answers.
    is_mended: bool,
    /// Whether no one would go on with it.
    is_temporary: bool,
}

impl Partial {
    /// Goes on with what was left of an earlier try, unless others may write to that at the same time.
    fn open(
        blob: &Path,
        file: &RemoteFile,
        is_temporary: bool,
        reporter: &Reporter<'_>,
    ) -> Result<Self, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut path = blob.as_os_str().to_owned();
        if is_temporary {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            path.push(format!(".{}-{number}", std::process::id()));
        }
        path.push(".incomplete");
        let path = PathBuf::from(path);
        // To be read first, and written to from the end of that on.
        let mut options = File::options();
        let opened = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let opened = opened.map_err(Error::io(&path))?;
        let length = opened.metadata().map_err(Error::io(&path))?.len();
        let mut partial = Self {
            path,
            file: opened,
            hasher: file.checksum.hasher(file.size),
            len: 0,
            size: file.size,
            checksum: file.checksum.clone(),
            is_mended: false,
            is_temporary,
        };
        if length > file.size {
            partial.empty()?;
        } else {
            partial.take_in(length, reporter)?;
        }
        Ok(partial)
    }

    /// Reads the part that is there.
    fn take_in(&mut self, length: u64, reporter: &Reporter<'_>) -> Result<(), Error> {
        let mut piece = vec![0; PIECE];
        while self.len < length {
            reporter.at(self.len)?;
            let most = usize::try_from(length - self.len).map_or(PIECE, |left| left.min(PIECE));
            let read = self
                .file
                .read(&mut piece[..most])
                .map_err(Error::io(&self.path))?;
            if read == 0 {
                break;
            }
            self.hasher.update(&piece[..read]);
            self.len += read as u64;
            self.is_mended = true;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // What a failed write has left is read again by whoever goes on.
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is there.
    fn restart(&mut self) -> Result<(), Error> {
        if self.len > 0 {
            self.empty()?;
        }
        self.hasher = self.checksum.hasher(self.size);
        self.len = 0;
        self.is_mended = false;
        Ok(())
    }

    fn empty(&mut self) -> Result<(), Error> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(Error::io(&self.path))
    }

    /// Forces it to the disk and makes it the blob.
    fn rename(self, blob: &Path) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io(&self.path))?;
        fs::rename(&self.path, blob).map_err(Error::io(blob))?;
        sync_parent(blob)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_temporary {
            // It is not there any more where it was renamed.
            let _ = fs::remove_file(&self.path);
        }
    }
}
