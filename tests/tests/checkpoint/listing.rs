//! What a checkpoint tells about its tensors, and copying them out.

use std::fs;
use std::io::{self, Write};

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dtype, Format, Scope};
use safetensors::Dtype as Stored;

use crate::files::{Tensor, encode, f32s, write};

#[test]
fn canonical_names() {
    let (encoder, head) = (Scope::Encoder, Scope::Head);
    for (prefix, stored, scope, canonical) in [
        (
            "deberta.",
            "deberta.encoder.layer.0.output.LayerNorm.gamma",
            encoder,
            "encoder.layer.0.output.LayerNorm.weight",
        ),
        (
            "deberta.",
            "deberta.embeddings.LayerNorm.beta",
            encoder,
            "embeddings.LayerNorm.bias",
        ),
        (
            "deberta.",
            "cls.predictions.transform.LayerNorm.gamma",
            head,
            "cls.predictions.transform.LayerNorm.weight",
        ),
        ("deberta.", "classifier.weight", head, "classifier.weight"),
        ("deberta.", "pooler.dense.bias", head, "pooler.dense.bias"),
        (
            "module.deberta.",
            "module.classifier.weight",
            head,
            "classifier.weight",
        ),
        (
            "module.deberta.",
            "classifier.bias",
            head,
            "classifier.bias",
        ),
        (
            "",
            "encoder.rel_embeddings.weight",
            encoder,
            "encoder.rel_embeddings.weight",
        ),
        ("", "classifier.weight", head, "classifier.weight"),
        (
            "encoder.",
            "encoder.encoder.rel_embeddings.weight",
            encoder,
            "encoder.rel_embeddings.weight",
        ),
        (
            "encoder.",
            "classifier.0.weight",
            head,
            "classifier.0.weight",
        ),
        (
            "bert.",
            "bert.encoder.conv.LayerNorm.gamma",
            encoder,
            "encoder.conv.LayerNorm.weight",
        ),
    ] {
        let words: &'static str = format!("{prefix}embeddings.word_embeddings.weight").leak();
        let checkpoint = Checkpoint::open(write(&[
            f32s(words, &[1, 1], &[0.0]),
            f32s(stored, &[1], &[0.0]),
        ]))
        .expect(stored);
        let tensor = checkpoint
            .tensors()
            .find(|t| t.name() == stored)
            .expect(stored);
        assert_eq!(
            (tensor.scope(), tensor.canonical_name()),
            (scope, canonical),
            "{stored}"
        );
        assert!(!tensor.is_shadowed(), "{stored}");
        // The name leads back to the tensor.
        assert!(checkpoint.contains(scope, canonical));
    }
}

#[test]
fn of_two_tensors_with_one_name_one_is_shadowed() {
    let checkpoint = Checkpoint::open(write(&[
        f32s(
            "module.deberta.embeddings.word_embeddings.weight",
            &[1, 1],
            &[0.0],
        ),
        f32s("module.deberta.embeddings.LayerNorm.weight", &[1], &[1.0]),
        f32s("module.deberta.embeddings.LayerNorm.gamma", &[1], &[2.0]),
        f32s("module.classifier.bias", &[1], &[3.0]),
        f32s("classifier.bias", &[1], &[4.0]),
    ]))
    .expect("open");
    let shadowed: Vec<&str> = checkpoint
        .tensors()
        .filter(|t| t.is_shadowed())
        .map(|t| t.name())
        .collect();
    assert_eq!(
        shadowed,
        [
            "classifier.bias",
            "module.deberta.embeddings.LayerNorm.gamma"
        ]
    );
}

#[test]
fn files_and_sizes() {
    let folder = write(&[f32s(
        "embeddings.word_embeddings.weight",
        &[1, 2],
        &[1.0, 2.0],
    )]);
    let size = fs::metadata(folder.join("model.safetensors"))
        .expect("there")
        .len();
    let checkpoint = Checkpoint::open(&folder).expect("open");
    assert_eq!(
        (checkpoint.format(), checkpoint.is_sharded()),
        (Format::Safetensors, false)
    );
    assert_eq!(checkpoint.total_bytes(), size);
    assert_eq!(
        checkpoint.files().collect::<Vec<_>>(),
        [folder.join("model.safetensors")]
    );
    assert_eq!(checkpoint.tied(), Vec::<Vec<&str>>::new());
    assert_eq!(
        checkpoint.tensors().next().expect("one").file(),
        folder.join("model.safetensors")
    );
}

fn one(dtype: Stored, bytes: Vec<u8>) -> Checkpoint {
    let size = dtype.bitsize() / 8;
    let words = Tensor(
        "embeddings.word_embeddings.weight",
        dtype,
        vec![1, bytes.len() / size],
        bytes,
    );
    Checkpoint::from_bytes("x.safetensors", encode(&[words])).expect("open")
}

fn copied(checkpoint: &Checkpoint, target: Dtype) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let tensor = checkpoint.tensors().next().expect("one");
    tensor.copy_to(&mut bytes, target).map(|()| bytes)
}

#[test]
fn copies_round_to_the_nearest_and_even() {
    let f32s = |values: &[f32]| {
        one(
            Stored::F32,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    };
    let halves = |bits: &[u16]| -> Vec<u8> { bits.iter().flat_map(|b| b.to_le_bytes()).collect() };
    // One, ties below and above it, the largest that rounds down, a subnormal, and one that vanishes.
    let source = f32s(&[
        1.0,
        1.0 + 1.0 / 2048.0,
        1.0 + 3.0 / 2048.0,
        65519.0,
        6e-8,
        1e-9,
        -0.0,
    ]);
    assert_eq!(
        copied(&source, Dtype::F16).expect("f16"),
        halves(&[0x3c00, 0x3c00, 0x3c02, 0x7bff, 0x0001, 0x0000, 0x8000])
    );
    let source = f32s(&[
        1.0,
        f32::from_bits(0x3f80_8000),
        f32::from_bits(0x3f81_8000),
        f32::from_bits(0x7f7f_7fff),
    ]);
    assert_eq!(
        copied(&source, Dtype::BF16).expect("bf16"),
        halves(&[0x3f80, 0x3f80, 0x3f82, 0x7f7f])
    );
    let double = one(
        Stored::F64,
        [0.1f64, -3.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
    );
    let expected: Vec<u8> = [0.1f32, -3.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(copied(&double, Dtype::F32).expect("f32"), expected);
    let wide: Vec<u8> = [1.5f64, -2.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(
        copied(&one(Stored::F16, halves(&[0x3e00, 0xc000])), Dtype::F64).expect("f64"),
        wide
    );
}

/// More elements than are converted at a time.
#[test]
fn long_copies() {
    let values: Vec<f32> = (0..40_001).map(|i| i as f32 / 8.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let source = one(Stored::F32, bytes.clone());
    assert!(copied(&source, Dtype::F32).expect("raw") == bytes);
    let half = copied(&source, Dtype::F16).expect("f16");
    let back = copied(&one(Stored::F16, half), Dtype::F32).expect("f32");
    for (i, (value, b)) in values.iter().zip(back.as_chunks().0).enumerate() {
        let back = f32::from_le_bytes(*b);
        assert!(
            (back - value).abs() <= value / 2048.0,
            "{i}: {back} for {value}"
        );
    }
    assert_eq!(back.len(), bytes.len());
}

#[test]
fn copies_that_would_change_numbers_are_errors() {
    let f32s = |values: &[f32]| {
        one(
            Stored::F32,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    };
    let mut many = vec![0.0; 20_000];
    many[19_999] = 65520.0;
    let error = copied(&f32s(&many), Dtype::F16).expect_err("too large");
    assert!(
        matches!(
            error,
            Error::TooLarge {
                index: 19_999,
                value: 65520.0,
                target: "F16",
                ..
            }
        ),
        "{error}"
    );
    let error = copied(&f32s(&[0.0, f32::MAX]), Dtype::BF16).expect_err("too large");
    assert!(
        matches!(
            error,
            Error::TooLarge {
                index: 1,
                target: "BF16",
                ..
            }
        ),
        "{error}"
    );
    many[19_998] = f32::NAN;
    let error = copied(&f32s(&many), Dtype::F16).expect_err("not a number");
    assert!(
        matches!(error, Error::NonFinite { index: 19_998, .. }),
        "{error}"
    );
    // As they are, all bits may be copied.
    assert!(copied(&f32s(&many), Dtype::F32).is_ok());
    let double = one(
        Stored::F64,
        [1.0, 1e300]
            .iter()
            .flat_map(|v: &f64| v.to_le_bytes())
            .collect(),
    );
    let error = copied(&double, Dtype::F32).expect_err("too large");
    assert!(
        matches!(
            error,
            Error::TooLarge {
                index: 1,
                target: "F32",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("F32 can hold"), "{error}");
    let infinite = one(Stored::F64, f64::NEG_INFINITY.to_le_bytes().to_vec());
    assert!(matches!(
        copied(&infinite, Dtype::F32),
        Err(Error::NonFinite { index: 0, .. })
    ));
    let integers = one(Stored::I64, vec![0; 16]);
    assert!(matches!(
        copied(&integers, Dtype::F32),
        Err(Error::Dtype { .. })
    ));
    assert_eq!(copied(&integers, Dtype::I64).expect("raw"), [0; 16]);
    assert!(matches!(
        copied(&f32s(&[1.0]), Dtype::I64),
        Err(Error::Argument { .. })
    ));
}

#[test]
fn a_writer_that_fails() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let checkpoint = one(Stored::F32, vec![0; 8]);
    for target in [Dtype::F32, Dtype::F16] {
        let tensor = checkpoint.tensors().next().expect("one");
        let error = tensor.copy_to(&mut Full, target).expect_err("full");
        assert!(
            matches!(&error, Error::Output { source, .. } if source.kind() == io::ErrorKind::StorageFull),
            "{error}"
        );
    }
}
