//! Read-only memory maps: the only `unsafe` of this crate.

use std::fs::File;
use std::path::Path;

use crate::Error;

/// A file in memory, read-only.
///
/// The pages are read when they are touched. **Do not change or truncate a model file while it is
/// loaded**: changed bytes are changed weights (the numbers are checked where they are read, so a
/// wrong answer is possible but no wrong memory access), and touching a page that a truncation took
/// away ends the process with SIGBUS. Replacing a file by renaming another over it is safe: the map
/// keeps the old one.
#[derive(Debug)]
pub(super) struct Mapping(Source);

#[derive(Debug)]
enum Source {
    Mapped(memmap2::Mmap, File),
    Memory(Vec<u8>),
}

impl Mapping {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // Opening a pipe would wait for a writer, mapping a folder gives an obscure message.
        let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
        if !metadata.is_file() {
            return Err(Error::WeightsFile {
                file: path.to_owned(),
                expected: "a regular file".to_owned(),
                found: if metadata.is_dir() {
                    "a directory"
                } else {
                    "a special file"
                }
                .to_owned(),
            });
        }
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is private to this process and never written through. That no one else
        // shortens or rewrites the file cannot be enforced on these systems; the type's documentation
        // states the obligation. All bit patterns are valid for the `u8` that are handed out.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Self(Source::Mapped(map, file)))
    }

    /// The contents of a file that someone else has read.
    pub(super) fn memory(bytes: Vec<u8>) -> Self {
        Self(Source::Memory(bytes))
    }

    /// Copies the bytes from `start` on, without touching the map: what is read once should not count as memory of this
    /// process for as long as it lives.
    pub(super) fn read_at(&self, start: usize, to: &mut [u8], path: &Path) -> Result<(), Error> {
        match &self.0 {
            #[cfg(unix)]
            Source::Mapped(_, file) => {
                std::os::unix::fs::FileExt::read_exact_at(file, to, start as u64)
                    .map_err(Error::io(path))
            }
            _ => {
                let _ = path;
                to.copy_from_slice(&self.bytes()[start..start + to.len()]);
                Ok(())
            }
        }
    }

    /// Gives back the memory of what has been read through the map. Reading it again brings it back.
    pub(super) fn release(&self) {
        #[cfg(unix)]
        if let Source::Mapped(map, _) = &self.0 {
            // SAFETY: the map is shared with its file and never written, so its pages come back as they were.
            // It is advice: what a system makes of it does not matter.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Source::Mapped(map, _) => map,
            Source::Memory(bytes) => bytes,
        }
    }
}
