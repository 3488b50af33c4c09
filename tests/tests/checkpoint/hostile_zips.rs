//! Archives that are truncated, corrupt, or lie about their entries.

use std::fs;

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dim, TensorSpec};
use deberta_tests::fixture;

use crate::files::WORDS;
use crate::pickles::*;

fn good() -> Vec<Entry> {
    entries(&dict(&[(WORDS, words())]))
}

/// The numbers of every tensor, by name: two readings of the same file are equal.
fn contents(checkpoint: &Checkpoint) -> Vec<(String, Vec<u8>)> {
    checkpoint
        .tensors()
        .filter_map(|tensor| {
            let mut bytes = Vec::new();
            let copied = tensor.copy_to(&mut bytes, tensor.dtype());
            copied.ok().map(|()| (tensor.name().to_owned(), bytes))
        })
        .collect()
}

#[test]
fn archives_that_are_not_as_torch_writes_them() {
    assert!(open(zip(&good())).is_ok());
    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = good();
        change(&mut entries);
        let size = zip(&entries).len();
        match open(zip(&entries)) {
            Err(Error::TorchFile {
                position,
                expected,
                found,
                ..
            }) => {
                assert!(position <= size);
                format!("{expected} / {found}")
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    };
    for (change, expected) in [
        (
            &(|e: &mut Vec<Entry>| e[0].method = 8) as &dyn Fn(&mut Vec<Entry>),
            "stored",
        ),
        (&|e| e[2].method = 8, "compressed by method 8"),
        (&|e| e[0].flags = 1, "encrypted"),
        (&|e| e[0].crc ^= 1, "CRC-32"),
        (&|e| e[0].data[40] ^= 1, "CRC-32"),
        (&|e| e[0].size += 1, "one size"),
        (&|e| e[2].packed += 1000, "before byte"),
        (&|e| e[2].packed = u32::MAX - 1, "before byte"),
        (&|e| e[2].offset = Some(1 << 30), "before byte"),
        (&|e| e[2].offset = Some(3), "another signature"),
        (&|e| e[1].packed += 8, "overlap"),
        // One entry in the place of another, which has another name there.
        (&|e| e[2].offset = Some(0), "the header of"),
        (
            &|e| e[2].local_name = "archive/data/1".to_owned(),
            "the header of",
        ),
        (
            &|e| e.push(Entry::new("archive/data/0", &NUMBERS)),
            "two entries",
        ),
        (&|e| e[2].data = vec![0; 7], "overlap"),
        (
            &|e| e[2] = Entry::new("archive/data/0", &[0; 12]),
            "8 bytes in entry",
        ),
        (&|e| drop(e.remove(2)), "no such entry"),
        (&|e| drop(e.remove(0)), "0 such entries"),
        (
            &|e| e.push(Entry::new("other/data.pkl", b"")),
            "2 such entries",
        ),
        (
            &|e| e.push(Entry::new("../../etc/passwd", b"")),
            "inside the archive",
        ),
        (
            &|e| e.push(Entry::new("/etc/passwd", b"")),
            "inside the archive",
        ),
        (
            &|e| e.push(Entry::new("archive\\data\\1", b"")),
            "inside the archive",
        ),
        (
            &|e| e.push(Entry::new("archive/../data.pkl", b"")),
            "inside the archive",
        ),
        // Extra fields that end within a field, and wide numbers that are not there.
        (&|e| e[0].extra = vec![1, 0, 9, 0, 1], "extra fields"),
        (
            &|e| (e[2].size, e[2].extra) = (u32::MAX, vec![1, 0, 0, 0]),
            "extra fields",
        ),
    ] {
        let found = changed(change);
        assert!(found.contains(expected), "{found}, not {expected}");
    }
}

/// Numbers of 64 bits where 32 do not do, and a comment.
#[test]
fn wide_archives() {
    let mut entries = good();
    entries[2].size = u32::MAX;
    entries[2].packed = u32::MAX;
    entries[2].extra = [
        &[9, 9, 1, 0, 7, 1, 0, 16, 0][..],
        &8u64.to_le_bytes(),
        &8u64.to_le_bytes(),
    ]
    .concat();
    let mut bytes = zip(&entries);
    assert!(open(bytes.clone()).is_ok());
    let end = bytes.split_off(bytes.len() - 22);
    let at = bytes.len() as u64;
    let (size, offset) = (
        u32::from_le_bytes(end[12..16].try_into().expect("four")),
        u32::from_le_bytes(end[16..20].try_into().expect("four")),
    );
    let wide = |count: u64, size: u64, offset: u64, at: u64| {
        let mut bytes = bytes.clone();
        bytes.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        bytes.extend([count, count, size, offset].map(u64::to_le_bytes).concat());
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(at.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(super::pickles::end(u16::MAX, u32::MAX, u32::MAX));
        open(bytes)
    };
    let (size, offset) = (u64::from(size), u64::from(offset));
    assert_eq!(
        contents(&wide(4, size, offset, at).expect("wide"))[0].1,
        NUMBERS
    );
    for (count, size, offset, at) in [
        (5, size, offset, at),
        (u64::MAX, size, offset, at),
        (4, size + 1, offset, at),
        (4, u64::MAX, offset, at),
        (4, size, u64::MAX, at),
        (4, size, offset - 1, at),
        (4, size, offset, at + 1),
        (4, size, offset, u64::MAX),
    ] {
        let error = wide(count, size, offset, at).expect_err("refused");
        assert!(matches!(error, Error::TorchFile { .. }), "{error}");
    }
    // A comment ends the file, and nothing else does.
    let mut commented = zip(&good());
    let length = commented.len();
    commented[length - 2] = 3;
    commented.extend(b"abc");
    assert!(open(commented.clone()).is_ok());
    commented.push(0);
    assert!(open(commented).is_err());
}

/// A directory that promises millions of entries costs what the file has.
#[test]
fn a_directory_that_is_not_there() {
    for (count, size, offset) in [
        (u16::MAX, 46 * 65535, 0),
        (u16::MAX, 0, 0),
        (1, 46, 0),
        (0, u32::MAX - 1, 1),
    ] {
        let error =
            open([&b"PK\x03\x04"[..], &end(count, size, offset)].concat()).expect_err("refused");
        assert!(matches!(error, Error::TorchFile { .. }), "{error}");
    }
}

/// Every file that PyTorch wrote for the fixtures, cut at every byte.
#[test]
fn every_truncation_is_an_error() {
    for case in [
        "module",
        "module_legacy",
        "types",
        "types_legacy",
        "protocol_5",
        "storage_views",
    ] {
        let path = fixture("checkpoints").join(case).join("pytorch_model.bin");
        let whole = fs::read(path).expect("a fixture");
        assert!(open(whole.clone()).is_ok());
        for length in 0..whole.len() {
            let error = open(whole[..length].to_vec()).expect_err("truncated");
            assert!(
                matches!(error, Error::TorchFile { .. }),
                "{case} cut at {length}: {error}"
            );
        }
    }
}

/// Whatever byte is wrong, opening and reading gives numbers or a typed error.
#[test]
fn no_flipped_byte_causes_a_panic() {
    for case in [
        "module",
        "module_legacy",
        "protocol_5",
        "views_legacy",
        "storage_views",
    ] {
        let path = fixture("checkpoints").join(case).join("pytorch_model.bin");
        let whole = fs::read(path).expect("a fixture");
        let (mut opened, mut refused) = (0, 0);
        for position in 0..whole.len() {
            for flip in [0x01, 0x04, 0x10, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[position] ^= flip;
                let Ok(checkpoint) = open(bytes) else {
                    refused += 1;
                    continue;
                };
                opened += 1;
                contents(&checkpoint);
                checkpoint.tied();
                let words = TensorSpec::encoder(WORDS, [Dim::Any, Dim::Any]);
                let _ = checkpoint.read_f32(&words);
                let _ = checkpoint
                    .table(&words)
                    .map(|table| table.row(0).map(|_| ()));
            }
        }
        assert!(opened > 0 && refused > 0, "{case}");
    }
}
