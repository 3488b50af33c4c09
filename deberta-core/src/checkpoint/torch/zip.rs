//! The directory of a zip archive whose entries are stored, not compressed.
//!
//! PyTorch writes its archives so, to be mapped: an entry's bytes are the tensor's bytes. Entries are found
//! by their whole name and never extracted, so a name cannot lead anywhere; names that would are refused
//! all the same, as no writer of tensors makes them. Sizes and places are those of the central directory,
//! checked against the file: every entry lies before the directory and none overlaps another.

use std::collections::HashMap;
use std::ops::Range;

use super::Refusal;
use super::bytes::Reader;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// Lengths of the fixed parts of the end record, of its locator in large archives, and of a local header.
const END_SIZE: usize = 22;
const LOCATOR_SIZE: usize = 20;
const LOCAL_SIZE: usize = 30;
/// The longest comment that may follow the end record.
const MAX_COMMENT: usize = u16::MAX as usize;
const ENCRYPTED: u16 = 1;
/// What a 32-bit field holds where the extra field has the number in 64 bits.
const IN_EXTRA: u32 = u32::MAX;
/// The tag of that extra field.
const EXTRA_64: u16 = 1;

/// The entries of an archive, by name.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<&'a str, Entry>,
}

/// Where an entry lies, and how.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The entry's bytes in the file: where `method` is 0, its contents.
    data: Range<usize>,
    size: u64,
    method: u16,
    flags: u16,
    crc: u32,
}

/// Where the central directory lies and how many entries it lists.
struct Directory {
    range: Range<usize>,
    count: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let directory = directory(bytes)?;
        let mut reader = Reader::new(bytes, directory.range.start);
        let mut entries = HashMap::new();
        // What each entry occupies, from its local header on.
        let mut occupied: Vec<(Range<usize>, &str)> = Vec::new();
        while reader.position() < directory.range.end {
            let at = reader.position();
            let (name, header, entry) = central_entry(bytes, &mut reader, directory.range.start)?;
            occupied.push((header..entry.data.end, name));
            if entries.insert(name, entry).is_some() {
                return Err(Refusal::new(
                    at,
                    "names that differ",
                    format!("two entries {name:?}"),
                ));
            }
        }
        if reader.position() != directory.range.end || entries.len() as u64 != directory.count {
            return Err(Refusal::new(
                directory.range.start,
                format!(
                    "{} entries in {} bytes of directory",
                    directory.count,
                    directory.range.len()
                ),
                format!(
                    "{} in {}",
                    entries.len(),
                    reader.position() - directory.range.start
                ),
            ));
        }
        occupied.sort_by_key(|(range, _)| (range.start, range.end));
        for pair in occupied.windows(2) {
            let [(first, a), (second, b)] = pair else {
                continue;
            };
            if second.start < first.end {
                return Err(Refusal::new(
                    second.start,
                    "entries that do not overlap",
                    format!("{a:?} up to byte {} and {b:?}", first.end),
                ));
            }
        }
        Ok(Self { bytes, entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// The bytes of the file that are the contents of an entry, `None` where there is no such entry.
    ///
    /// # Errors
    /// Where it is compressed or encrypted.
    pub(super) fn find(&self, name: &str) -> Result<Option<Range<usize>>, Refusal> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let refuse = |expected: &str, found: String| {
            Err(Refusal::new(
                entry.data.start,
                format!("{expected} ({name:?})"),
                found,
            ))
        };
        if entry.flags & ENCRYPTED != 0 {
            return refuse(
                "an entry that is not encrypted",
                "an encrypted one".to_owned(),
            );
        }
        if entry.method != 0 {
            return refuse(
                "an entry that is stored, as torch.save writes it",
                format!("one compressed by method {}", entry.method),
            );
        }
        if entry.size != entry.data.len() as u64 {
            return refuse(
                "a stored entry of one size",
                format!("{} and {} bytes", entry.size, entry.data.len()),
            );
        }
        Ok(Some(entry.data.clone()))
    }

    /// As [`Archive::find`], and checks the contents against their CRC-32.
    ///
    /// # Errors
    /// As [`Archive::find`], and where the contents are not those that were written.
    pub(super) fn find_checked(&self, name: &str) -> Result<Option<Range<usize>>, Refusal> {
        let (Some(range), Some(entry)) = (self.find(name)?, self.entries.get(name)) else {
            return Ok(None);
        };
        let found = crc32(&self.bytes[range.clone()]);
        if found != entry.crc {
            return Err(Refusal::new(
                range.start,
                format!("contents of {name:?} with CRC-32 {:08x}", entry.crc),
                format!("{found:08x}: the file is corrupt"),
            ));
        }
        Ok(Some(range))
    }
}

/// Finds the end record, and in large archives the one with wide numbers, and from it the directory.
fn directory(bytes: &[u8]) -> Result<Directory, Refusal> {
    let last = bytes.len().saturating_sub(END_SIZE);
    let first = last.saturating_sub(MAX_COMMENT);
    let end = (first..=last)
        .rev()
        .find(|&at| {
            let mut r = Reader::new(bytes, at);
            // The comment, whose length is the record's last field, ends the file.
            r.u32() == Ok(END)
                && r.skip(16).is_ok()
                && r.u16()
                    .is_ok_and(|comment| bytes.len() - r.position() == usize::from(comment))
        })
        .ok_or_else(|| {
            Refusal::new(
                bytes.len(),
                "the end record of a zip archive",
                "none: the file is truncated or has data after it",
            )
        })?;
    let mut r = Reader::new(bytes, end + 4);
    let (disk, start_disk) = (u32::from(r.u16()?), u32::from(r.u16()?));
    let (here, count) = (u64::from(r.u16()?), u64::from(r.u16()?));
    let (size, offset) = (u64::from(r.u32()?), u64::from(r.u32()?));
    let locator = end.checked_sub(LOCATOR_SIZE);
    let wide = locator.filter(|&at| Reader::new(bytes, at).u32() == Ok(LOCATOR_64));
    let (limit, disks, here, count, size, offset) = match wide {
        None => (end, disk | start_disk, here, count, size, offset),
        Some(at) => {
            let mut r = Reader::new(bytes, at + 8);
            let start = r.u64()?;
            let start = usize::try_from(start)
                .ok()
                .filter(|&n| n < at)
                .ok_or_else(|| {
                    Refusal::new(
                        at,
                        "an end record before its locator",
                        format!("byte {start}"),
                    )
                })?;
            let mut r = Reader::new(bytes, start);
            if r.u32()? != END_64 {
                return Err(Refusal::new(
                    start,
                    "the zip64 end record",
                    "another signature",
                ));
            }
            // Its size and two versions.
            r.skip(12)?;
            let disks = r.u32()? | r.u32()?;
            let (here, count) = (r.u64()?, r.u64()?);
            (start, disks, here, count, r.u64()?, r.u64()?)
        }
    };
    if disks != 0 || here != count {
        return Err(Refusal::new(
            end,
            "an archive in one part",
            "one of several",
        ));
    }
    let range = usize::try_from(offset)
        .ok()
        .zip(usize::try_from(size).ok())
        .and_then(|(offset, size)| Some(offset..offset.checked_add(size)?))
        .filter(|range| range.end <= limit)
        .ok_or_else(|| {
            Refusal::new(
                end,
                format!("a directory before byte {limit}"),
                format!("{size} bytes from byte {offset}"),
            )
        })?;
    Ok(Directory { range, count })
}

/// Reads one entry of the directory. Returns its name, where its local header begins, and the entry.
fn central_entry<'a>(
    bytes: &'a [u8],
    r: &mut Reader<'a>,
    limit: usize,
) -> Result<(&'a str, usize, Entry), Refusal> {
    let at = r.position();
    if r.u32()? != CENTRAL {
        return Err(Refusal::new(
            at,
            "an entry of the zip directory",
            "another signature",
        ));
    }
    // Two versions.
    r.skip(4)?;
    let (flags, method) = (r.u16()?, r.u16()?);
    // Time and date.
    r.skip(4)?;
    let crc = r.u32()?;
    let (mut packed, mut size) = (u64::from(r.u32()?), u64::from(r.u32()?));
    let (name, extra, comment) = (r.u16()?, r.u16()?, r.u16()?);
    // Disk number and attributes.
    r.skip(8)?;
    let mut offset = u64::from(r.u32()?);
    let name = r.text(usize::from(name))?;
    let mut extra = Reader::new(r.take(usize::from(extra))?, 0);
    r.skip(usize::from(comment))?;
    let malformed = |_| Refusal::new(at, "well-formed extra fields", format!("those of {name:?}"));
    while extra.remaining() >= 4 {
        let (tag, length) = (
            extra.u16().map_err(malformed)?,
            extra.u16().map_err(malformed)?,
        );
        let field = extra.take(usize::from(length)).map_err(malformed)?;
        if tag == EXTRA_64 {
            let mut field = Reader::new(field, 0);
            // Only the numbers that did not fit are there, in this order.
            for number in [&mut size, &mut packed, &mut offset] {
                if *number == u64::from(IN_EXTRA) {
                    *number = field.u64().map_err(malformed)?;
                }
            }
        }
    }
    let is_tricky = name.starts_with('/')
        || name.contains(['\\', '\0', ':'])
        || name.split('/').any(|part| part == "..");
    if is_tricky {
        return Err(Refusal::new(
            at,
            "names of entries inside the archive",
            format!("{name:?}"),
        ));
    }
    let beyond = || {
        Refusal::new(
            at,
            format!("entries before byte {limit}"),
            format!("{packed} bytes of {name:?} from byte {offset}"),
        )
    };
    let header = usize::try_from(offset)
        .ok()
        .filter(|&n| n < limit)
        .ok_or_else(beyond)?;
    let start = local_header(bytes, header, name)?;
    let end = usize::try_from(packed)
        .ok()
        .and_then(|n| start.checked_add(n))
        .filter(|&end| end <= limit)
        .ok_or_else(beyond)?;
    let entry = Entry {
        data: start..end,
        size,
        method,
        flags,
        crc,
    };
    Ok((name, header, entry))
}

/// Where the data begin after the local header, which must be that of the same name. Its sizes may be left
/// out and are not looked at.
fn local_header(bytes: &[u8], at: usize, name: &str) -> Result<usize, Refusal> {
    let mut r = Reader::new(bytes, at);
    if r.u32()? != LOCAL {
        return Err(Refusal::new(
            at,
            format!("the header of {name:?}"),
            "another signature",
        ));
    }
    r.skip(LOCAL_SIZE - 8)?;
    let (name_len, extra_len) = (r.u16()?, r.u16()?);
    let found = r.take(usize::from(name_len))?;
    if found != name.as_bytes() {
        return Err(Refusal::new(
            at,
            format!("the header of {name:?}"),
            format!("that of {:?}", String::from_utf8_lossy(found)),
        ));
    }
    r.skip(usize::from(extra_len))?;
    Ok(r.position())
}

/// The checksum of zip archives.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut value, mut bit) = (i as u32, 0);
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| {
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}
