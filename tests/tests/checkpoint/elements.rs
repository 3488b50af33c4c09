//! The numbers of tensors: element types, and those that are no numbers.

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dim, Storage, TensorSpec};
use safetensors::Dtype;

use crate::files::{Tensor, WORDS, f32s, open_bytes, raw, words, write};

#[test]
fn element_types() {
    // 1.5, -2, the smallest subnormal, and the largest finite number of each type.
    let f16: [u16; 4] = [0x3e00, 0xc000, 0x0001, 0x7bff];
    let bf16: [u16; 4] = [0x3fc0, 0xc000, 0x0001, 0x7f7f];
    let bytes = |bits: [u16; 4]| {
        bits.iter()
            .flat_map(|b| b.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let folder = write(&[
        Tensor(WORDS, Dtype::F16, vec![2, 2], bytes(f16)),
        Tensor("b", Dtype::BF16, vec![4], bytes(bf16)),
        Tensor("odd", Dtype::U8, vec![3], vec![1, 2, 3]),
        Tensor(
            "double",
            Dtype::F64,
            vec![2],
            [1.5, 0.1f64].map(f64::to_le_bytes).concat(),
        ),
        Tensor(
            "enormous",
            Dtype::F64,
            vec![1],
            1e39f64.to_le_bytes().to_vec(),
        ),
        Tensor("long", Dtype::I64, vec![1], vec![0; 8]),
        f32s("empty", &[0, 2], &[]),
    ]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    let (values, shape) = checkpoint.read_f32(&words()).expect("f16");
    assert_eq!(
        (values, shape),
        (vec![1.5, -2.0, 5.960_464_5e-8, 65504.0], vec![2, 2])
    );
    let spec = |name: &str| TensorSpec::encoder(name, [Dim::Any]);
    let (values, _) = checkpoint.read_f32(&spec("b")).expect("bf16");
    assert_eq!(
        values,
        [
            1.5,
            -2.0,
            f32::from_bits(0x0001_0000),
            f32::from_bits(0x7f7f_0000)
        ]
    );
    let (values, _) = checkpoint.read_f32(&spec("double")).expect("f64");
    assert_eq!(values, [1.5, 0.1]);
    let error = checkpoint
        .read_f32(&spec("enormous"))
        .expect_err("too large");
    assert!(matches!(error, Error::TooLarge { index: 0, .. }), "{error}");
    for (name, dtype) in [("odd", "U8"), ("long", "I64")] {
        let error = checkpoint.read_f32(&spec(name)).expect_err(name);
        assert!(
            matches!(&error, Error::Dtype { tensor, found, .. } if tensor == name && found == dtype)
        );
    }
    let empty = TensorSpec::encoder("empty", [Dim::Any, Dim::Exactly(2)]);
    assert_eq!(
        checkpoint.read_f32(&empty).expect("empty"),
        (vec![], vec![0, 2])
    );

    let table = checkpoint.table(&words()).expect("table");
    assert_eq!(
        (table.rows(), table.columns(), table.dtype()),
        (2, 2, Storage::F16)
    );
    assert_eq!(table.bytes().len(), 8);
    drop(checkpoint);
    assert_eq!(
        table.row(1).expect("finite"),
        Some(vec![5.960_464_5e-8, 65504.0])
    );
    assert_eq!(table.row(2).expect("no such row"), None);
}

/// Long tensors pass through the chunked conversion of 16-bit numbers.
#[test]
fn long_half_tensors_are_converted_whole() {
    let bits: Vec<u16> = (0..5000_u16).map(|i| i % 0x7c00).collect();
    let bytes = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
    let bytes: Vec<u8> = bytes;
    let header =
        format!(r#"{{"{WORDS}":{{"dtype":"F16","shape":[5000,1],"data_offsets":[0,10000]}}}}"#);
    // A header of odd length leaves the numbers at odd addresses.
    let header = if header.len() % 2 == 0 {
        header + " "
    } else {
        header
    };
    let checkpoint = open_bytes(&raw(&header, &bytes)).expect("open");
    let spec = TensorSpec::encoder(WORDS, [Dim::Exactly(5000), Dim::Exactly(1)]);
    let (values, _) = checkpoint.read_f32(&spec).expect("f16");
    let expected = |bits: u16| {
        let (exponent, fraction) = (i32::from(bits >> 10), f64::from(bits & 0x3ff));
        let value = match exponent {
            0 => fraction * 2f64.powi(-24),
            e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
        };
        value as f32
    };
    assert!(
        bits.iter()
            .zip(&values)
            .all(|(&bits, &value)| expected(bits) == value)
    );
}

#[test]
fn numbers_that_are_none() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let folder = write(&[f32s(WORDS, &[2, 2], &[0.0, 1.0, 2.0, bad])]);
        let checkpoint = Checkpoint::open(folder).expect("open");
        let error = checkpoint.read_f32(&words()).expect_err("not finite");
        assert!(matches!(&error, Error::NonFinite { index: 3, tensor, .. } if tensor == WORDS));
        assert!(error.to_string().contains("model.safetensors"), "{error}");
        let table = checkpoint.table(&words()).expect("not looked at");
        assert_eq!(table.row(0).expect("finite"), Some(vec![0.0, 1.0]));
        assert!(matches!(
            table.row(1),
            Err(Error::NonFinite { index: 3, .. })
        ));
        assert!(matches!(
            table.non_finite(1),
            Error::NonFinite { index: 3, .. }
        ));
    }
    // An exponent of all ones in sixteen bits.
    for (dtype, bits) in [(Dtype::F16, 0x7c01_u16), (Dtype::BF16, 0xff80)] {
        let folder = write(&[Tensor(
            WORDS,
            dtype,
            vec![1, 2],
            [[0, 0], bits.to_le_bytes()].concat(),
        )]);
        let error = Checkpoint::open(folder)
            .expect("open")
            .read_f32(&words())
            .expect_err("bad");
        assert!(
            matches!(error, Error::NonFinite { index: 1, .. }),
            "{error}"
        );
    }
}

/// A table in double precision is a copy in f32.
#[test]
fn tables_of_doubles() {
    let values = [0.1f64, -2.0, f64::MAX, 4.0];
    let bytes = values.map(f64::to_le_bytes).concat();
    let folder = write(&[Tensor(WORDS, Dtype::F64, vec![2, 2], bytes)]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    let table = checkpoint.table(&words()).expect("table");
    assert_eq!((table.dtype(), table.bytes().len()), (Storage::F32, 16));
    assert_eq!(table.row(0).expect("finite"), Some(vec![0.1, -2.0]));
    assert!(matches!(
        table.row(1),
        Err(Error::NonFinite { index: 2, .. })
    ));
}

#[test]
fn a_table_must_be_a_matrix() {
    let folder = write(&[f32s(WORDS, &[4], &[0.0; 4])]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    assert!(matches!(
        checkpoint.table(&words()),
        Err(Error::Weights { .. })
    ));
    let vector = TensorSpec::encoder(WORDS, [Dim::Any]);
    assert!(matches!(
        checkpoint.table(&vector),
        Err(Error::Weights { .. })
    ));
}
