//! Making PyTorch's files by hand, right or wrong: the instructions of a pickle, and both file formats.

use deberta_core::Error;
use deberta_core::checkpoint::Checkpoint;

use crate::files::WORDS;

/// A global, by module and name.
pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [&b"X"[..], &length, text.as_bytes()].concat()
}

pub(crate) fn int(value: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &value.to_le_bytes()].concat()
}

pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [&b"("[..], &items.concat(), b"t"].concat()
}

pub(crate) fn ints(values: &[i64]) -> Vec<u8> {
    tuple(&values.iter().map(|&v| int(v)).collect::<Vec<_>>())
}

pub(crate) fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items
        .iter()
        .flat_map(|(key, value)| [text(key), value.clone()].concat())
        .collect();
    [&b"}("[..], &items, b"u"].concat()
}

pub(crate) fn reduce(function: Vec<u8>, arguments: &[Vec<u8>]) -> Vec<u8> {
    [function, tuple(arguments), b"R".to_vec()].concat()
}

/// A storage, `class` such as `Float`.
pub(crate) fn storage(class: &str, key: &str, elements: i64) -> Vec<u8> {
    let class = global("torch", &format!("{class}Storage"));
    let id = [
        text("storage"),
        class,
        text(key),
        text("cpu"),
        int(elements),
    ];
    [tuple(&id), b"Q".to_vec()].concat()
}

pub(crate) fn tensor(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let hooks = reduce(global("collections", "OrderedDict"), &[]);
    let arguments = [
        storage,
        int(offset),
        ints(shape),
        ints(strides),
        vec![0x89],
        hooks,
    ];
    reduce(global("torch._utils", "_rebuild_tensor_v2"), &arguments)
}

/// A matrix of one row and two columns in storage 0 of two numbers, as the word embeddings.
pub(crate) fn words() -> Vec<u8> {
    tensor(storage("Float", "0", 2), 0, &[1, 2], &[2, 1])
}

/// A state dict with the word embeddings and another entry.
pub(crate) fn beside_words(name: &str, value: Vec<u8>) -> Vec<u8> {
    dict(&[(WORDS, words()), (name, value)])
}

pub(crate) fn program(object: &[u8]) -> Vec<u8> {
    [&[0x80, 2][..], object, b"."].concat()
}

/// Two numbers: the contents of storage 0.
pub(crate) const NUMBERS: [u8; 8] = [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40];

/// A file in the older format with the object, and storages with the count that precedes each.
pub(crate) fn legacy_with(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let magic = [
        &[0x8a, 10][..],
        &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19],
    ]
    .concat();
    let mut file = program(&magic);
    file.extend(program(&int(1001)));
    file.extend(program(&dict(&[("little_endian", vec![0x88])])));
    file.extend(program(object));
    let keys: Vec<u8> = storages.iter().flat_map(|(key, ..)| text(key)).collect();
    file.extend(program(&[&b"]("[..], &keys, b"e"].concat()));
    for (_, count, bytes) in storages {
        file.extend(count.to_le_bytes());
        file.extend_from_slice(bytes);
    }
    file
}

pub(crate) fn legacy(object: &[u8]) -> Vec<u8> {
    legacy_with(object, &[("0", 2, &NUMBERS)])
}

/// An entry of an archive. Tests change what the writer of a hostile file would.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The name in the entry's own header.
    pub(crate) local_name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    /// What the directory says: bytes in the file, bytes of contents, and where.
    pub(crate) packed: u32,
    pub(crate) size: u32,
    pub(crate) offset: Option<u32>,
    pub(crate) extra: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            local_name: name.to_owned(),
            data: data.to_vec(),
            method: 0,
            flags: 0,
            crc: crc32(data),
            packed: data.len() as u32,
            size: data.len() as u32,
            offset: None,
            extra: Vec::new(),
        }
    }
}

/// The checksum, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// An archive of these entries.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let start = file.len() as u32;
        file.extend(b"PK\x03\x04\x14\0");
        file.extend(
            [entry.flags, entry.method, 0, 0]
                .map(u16::to_le_bytes)
                .concat(),
        );
        file.extend(
            [entry.crc, entry.packed, entry.size]
                .map(u32::to_le_bytes)
                .concat(),
        );
        file.extend((entry.local_name.len() as u16).to_le_bytes());
        file.extend([0, 0]);
        file.extend(entry.local_name.as_bytes());
        file.extend(&entry.data);
        directory.extend(b"PK\x01\x02\x14\0\x14\0");
        directory.extend(
            [entry.flags, entry.method, 0, 0]
                .map(u16::to_le_bytes)
                .concat(),
        );
        directory.extend(
            [entry.crc, entry.packed, entry.size]
                .map(u32::to_le_bytes)
                .concat(),
        );
        let lengths = [entry.name.len() as u16, entry.extra.len() as u16, 0, 0, 0];
        directory.extend(lengths.map(u16::to_le_bytes).concat());
        directory.extend(
            [0, entry.offset.unwrap_or(start)]
                .map(u32::to_le_bytes)
                .concat(),
        );
        directory.extend(entry.name.as_bytes());
        directory.extend(&entry.extra);
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(end(entries.len() as u16, directory.len() as u32, start));
    file
}

/// The record at the end of an archive.
pub(crate) fn end(entries: u16, size: u32, offset: u32) -> Vec<u8> {
    let mut record = b"PK\x05\x06\0\0\0\0".to_vec();
    record.extend([entries, entries].map(u16::to_le_bytes).concat());
    record.extend([size, offset].map(u32::to_le_bytes).concat());
    record.extend([0, 0]);
    record
}

/// The entries of a file that PyTorch could have written.
pub(crate) fn entries(object: &[u8]) -> Vec<Entry> {
    vec![
        Entry::new("archive/data.pkl", &program(object)),
        Entry::new("archive/byteorder", b"little"),
        Entry::new("archive/data/0", &NUMBERS),
        Entry::new("archive/version", b"3\n"),
    ]
}

/// Opens a PyTorch file that is in memory.
pub(crate) fn open(bytes: Vec<u8>) -> Result<Checkpoint, Error> {
    Checkpoint::from_bytes("pytorch_model.bin", bytes)
}

/// Opens the object in both formats. Both must refuse it, with an error that names the file and a place in it:
/// what was expected and found.
pub(crate) fn refused(object: &[u8]) -> [(String, String); 2] {
    [legacy(object), zip(&entries(object))].map(|bytes| {
        let size = bytes.len();
        match open(bytes) {
            Err(Error::TorchFile {
                file,
                position,
                expected,
                found,
            }) => {
                assert!(file.ends_with("pytorch_model.bin") && position <= size);
                (expected, found)
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    })
}
