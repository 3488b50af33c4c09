//! Truncated, corrupt and hostile safetensors files.

use std::fs;

use deberta_core::Error;
use deberta_core::checkpoint::Checkpoint;

use crate::files::{WORDS, encode, f32s, folder, open_bytes, raw, words};

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    let whole = encode(&[f32s(WORDS, &[2, 2], &[1.0; 4]), f32s("b", &[1], &[1.0])]);
    assert!(open_bytes(&whole).is_ok());
    let folder = folder();
    let path = folder.join("model.safetensors");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("written");
        let error = Checkpoint::open(&folder).expect_err("truncated");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    let mut longer = whole;
    longer.push(0);
    assert!(matches!(
        open_bytes(&longer),
        Err(Error::WeightsFile { .. })
    ));
}

/// Whatever single byte is wrong, opening and reading gives numbers or a typed error.
#[test]
fn no_flipped_byte_causes_a_panic() {
    let whole = encode(&[f32s(WORDS, &[1, 2], &[1.0; 2]), f32s("b", &[1], &[1.0])]);
    let folder = folder();
    let path = folder.join("model.safetensors");
    for position in 0..whole.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] ^= flip;
            fs::write(&path, &bytes).expect("written");
            let Ok(checkpoint) = Checkpoint::open(&folder) else {
                continue;
            };
            let _ = checkpoint.read_f32(&words());
            let _ = checkpoint
                .table(&words())
                .map(|table| table.row(0).map(|_| ()));
        }
    }
}

#[test]
fn lying_headers() {
    let at = |offsets: &str, shape: &str| {
        format!(r#"{{"{WORDS}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let huge = usize::MAX;
    for header in [
        at("[0,8]", "[1,3]"),
        at("[0,16]", "[2,2]"),
        at("[4,12]", "[1,2]"),
        at("[8,0]", "[1,2]"),
        at(&format!("[0,{huge}]"), &format!("[{huge},{huge}]")),
        at(&format!("[0,{}]", huge - 7), &format!("[{}]", huge / 4 - 1)),
        at("[0,8]", "[-1,2]"),
        at("[0,8]", "[1.5,2]"),
        at("[0,8]", "{}"),
        "[]".to_owned(),
        "{".to_owned(),
        "\u{0}".to_owned(),
        "[".repeat(100_000),
        // Two tensors in the same place.
        format!(
            r#"{{"{WORDS}":{{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}},
                "b":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#
        ),
        // Sizes whose sum wraps around to the size of the data.
        format!(
            r#"{{"{WORDS}":{{"dtype":"U8","shape":[{half}],"data_offsets":[0,{half}]}},
                "b":{{"dtype":"U8","shape":[{half}],"data_offsets":[{half},{}]}}}}"#,
            huge - 1,
            half = huge / 2,
        ),
        at("[0,8]", "[1,2]").replace("F32", "F33"),
    ] {
        let error = open_bytes(&raw(&header, &[0; 8])).expect_err(&header[..header.len().min(200)]);
        assert!(matches!(&error, Error::WeightsFile { .. }), "{error:?}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    for length in [u64::MAX, u64::MAX - 7, 1 << 40, 100_000_001] {
        let mut bytes = raw("{}", &[]);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(matches!(open_bytes(&bytes), Err(Error::WeightsFile { .. })));
    }
}
