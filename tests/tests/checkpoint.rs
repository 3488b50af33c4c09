//! What `Checkpoint` makes of weights files: the names and types that occur, and hostile ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dim, Scope, Storage, TensorSpec};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

const WORDS: &str = "embeddings.word_embeddings.weight";

/// A fresh directory below the target folder.
fn folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "checkpoint-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).expect("a directory");
    path
}

struct Tensor(&'static str, Dtype, Vec<usize>, Vec<u8>);

fn f32s(name: &'static str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor(name, Dtype::F32, shape.to_vec(), bytes)
}

fn encode(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|Tensor(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).expect("a view"),
        )
    });
    serialize(views, None).expect("a file")
}

fn write(tensors: &[Tensor]) -> PathBuf {
    let folder = folder();
    fs::write(folder.join("model.safetensors"), encode(tensors)).expect("written");
    folder
}

fn words() -> TensorSpec {
    TensorSpec::encoder(WORDS, [Dim::Any, Dim::Exactly(2)])
}

/// A file with one header and any data, as a hostile writer would make it.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn open_bytes(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let folder = folder();
    fs::write(folder.join("model.safetensors"), bytes).expect("written");
    Checkpoint::open(folder)
}

#[test]
fn every_prefix_and_where_heads_are_looked_up() {
    for (prefix, head) in [
        ("", "classifier.weight"),
        ("deberta.", "classifier.weight"),
        ("bert.", "classifier.weight"),
        ("encoder.", "classifier.weight"),
        ("module.deberta.", "module.classifier.weight"),
        ("module.deberta.", "classifier.weight"),
        ("model.", "classifier.weight"),
        ("token_rep_layer.bert_layer.model.", "classifier.weight"),
    ] {
        let name: &'static str = format!("{prefix}{WORDS}").leak();
        let folder = write(&[
            f32s(name, &[1, 2], &[1.0, 2.0]),
            f32s(head, &[3], &[3.0, 4.0, 5.0]),
        ]);
        let checkpoint = Checkpoint::open(&folder).expect(prefix);
        assert_eq!(checkpoint.prefix(), prefix);
        let head = TensorSpec::head("classifier.weight", [Dim::Exactly(3)]);
        assert_eq!(
            checkpoint.read_f32(&head).expect(prefix),
            (vec![3.0, 4.0, 5.0], vec![3])
        );
        assert_eq!(
            checkpoint.verify(&[words(), head]).expect(prefix),
            Vec::<String>::new()
        );
        assert_eq!(checkpoint.verify(&[words()]).expect(prefix).len(), 1);
    }
}

#[test]
fn no_encoder_and_two_encoders_are_errors() {
    let error =
        Checkpoint::open(write(&[f32s("classifier.weight", &[1], &[0.0])])).expect_err("none");
    assert!(
        matches!(&error, Error::EncoderNotFound { found, .. } if found.is_empty()),
        "{error}"
    );
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    let two = [
        f32s(
            "generator.embeddings.word_embeddings.weight",
            &[1, 1],
            &[0.0],
        ),
        f32s(
            "discriminator.embeddings.word_embeddings.weight",
            &[1, 1],
            &[0.0],
        ),
    ];
    let error = Checkpoint::open(write(&two)).expect_err("two");
    assert!(
        matches!(&error, Error::EncoderNotFound { found, .. } if found.len() == 2),
        "{error}"
    );
    // A name that merely ends alike is none.
    let alike = [f32s(
        "my_embeddings.word_embeddings.weight",
        &[1, 1],
        &[0.0],
    )];
    assert!(Checkpoint::open(write(&alike)).is_err());
}

#[test]
fn older_layer_norm_names_and_position_ids() {
    let folder = write(&[
        f32s(
            "deberta.embeddings.word_embeddings.weight",
            &[1, 2],
            &[0.0; 2],
        ),
        f32s("deberta.embeddings.LayerNorm.gamma", &[2], &[1.0, 2.0]),
        f32s("deberta.embeddings.LayerNorm.beta", &[2], &[3.0, 4.0]),
        Tensor(
            "deberta.embeddings.position_ids",
            Dtype::I64,
            vec![1, 1],
            vec![0; 8],
        ),
    ]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    let norm =
        |part: &str| TensorSpec::encoder(format!("embeddings.LayerNorm.{part}"), [Dim::Exactly(2)]);
    let (weight, bias) = (norm("weight"), norm("bias"));
    assert_eq!(checkpoint.read_f32(&weight).expect("gamma").0, [1.0, 2.0]);
    assert_eq!(checkpoint.read_f32(&bias).expect("beta").0, [3.0, 4.0]);
    assert_eq!(
        checkpoint
            .verify(&[words(), weight, bias])
            .expect("all")
            .len(),
        0
    );
}

#[test]
fn one_error_lists_everything_that_does_not_fit() {
    let folder = write(&[
        f32s(
            "deberta.embeddings.word_embeddings.weight",
            &[3, 4],
            &[0.0; 12],
        ),
        f32s("deberta.encoder.layer.0.output.dense.weights", &[1], &[0.0]),
    ]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    let mut specs = vec![words()];
    let layers = (0..20).map(|i| format!("encoder.layer.{i}.output.dense.weight"));
    specs.extend(layers.map(|name| TensorSpec::encoder(name, [Dim::Exactly(1)])));
    let error = checkpoint.verify(&specs).expect_err("nothing fits");
    let message = error.to_string();
    let Error::Weights {
        missing,
        misshapen,
        unused,
        ..
    } = error
    else {
        panic!("{message}")
    };
    assert_eq!((missing.len(), misshapen.len(), unused.len()), (20, 1, 1));
    assert_eq!(missing[0], "deberta.encoder.layer.0.output.dense.weight");
    assert_eq!(misshapen[0].expected, [None, Some(2)]);
    assert!(message.contains("[3, 4], expected [any, 2]"), "{message}");
    assert!(
        message.contains("layer.0.output.dense.weights"),
        "{message}"
    );
    assert!(
        message.contains("and 12 more") && message.len() < 2000,
        "{message}"
    );
}

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
        Tensor("double", Dtype::F64, vec![1], vec![0; 8]),
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
    for (name, dtype) in [("odd", "U8"), ("double", "F64")] {
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

#[test]
fn shards() {
    let folder = folder();
    let index = |map: &str| {
        let json = format!(r#"{{"metadata": {{"total_size": 1}}, "weight_map": {map}}}"#);
        fs::write(folder.join("model.safetensors.index.json"), json).expect("written");
        Checkpoint::open(&folder)
    };
    let first = encode(&[f32s(WORDS, &[1, 2], &[1.0, 2.0])]);
    let second = encode(&[f32s("b", &[1], &[3.0]), f32s("unlisted", &[1], &[9.0])]);
    fs::write(folder.join("model-00001-of-00002.safetensors"), first).expect("written");
    let map = format!(
        r#"{{"{WORDS}": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#
    );
    let error = index(&map).expect_err("the second shard is missing");
    assert!(
        error
            .to_string()
            .contains("model-00002-of-00002.safetensors"),
        "{error}"
    );
    fs::write(folder.join("model-00002-of-00002.safetensors"), second).expect("written");
    let checkpoint = index(&map).expect("both shards");
    let b = TensorSpec::encoder("b", [Dim::Any]);
    assert_eq!(checkpoint.read_f32(&b).expect("b").0, [3.0]);
    assert_eq!(
        checkpoint
            .table(&words())
            .expect("table")
            .row(0)
            .expect("row"),
        Some(vec![1.0, 2.0])
    );
    assert!(
        checkpoint.contains(Scope::Encoder, "b")
            && !checkpoint.contains(Scope::Encoder, "unlisted")
    );
    assert_eq!(checkpoint.verify(&[words(), b]).expect("all").len(), 0);

    let absent = map.replace("\"b\"", "\"c\"");
    let error = index(&absent).expect_err("no such tensor in the shard");
    assert!(error.to_string().contains("\"c\""), "{error}");
    assert!(matches!(index("[]"), Err(Error::Json { .. })));
    // An index without tensors has no encoder either.
    assert!(matches!(index("{}"), Err(Error::EncoderNotFound { .. })));
}

#[test]
fn an_index_cannot_leave_its_directory() {
    let outer = folder();
    let inner = outer.join("model");
    fs::create_dir_all(inner.join("sub")).expect("a directory");
    let file = encode(&[f32s(WORDS, &[1, 2], &[1.0, 2.0])]);
    for place in [outer.join("x.safetensors"), inner.join("sub/x.safetensors")] {
        fs::write(place, &file).expect("written");
    }
    let absolute = outer.join("x.safetensors").display().to_string();
    let tricks = [
        "../x.safetensors",
        "sub/x.safetensors",
        "./sub/x.safetensors",
        "..",
        ".",
        "",
        "sub\\x",
        "C:x",
        &absolute,
    ];
    for trick in tricks {
        let json = serde_json::json!({"weight_map": {WORDS: trick}}).to_string();
        fs::write(inner.join("model.safetensors.index.json"), json).expect("written");
        let error = Checkpoint::open(&inner).expect_err(trick);
        assert!(
            matches!(&error, Error::WeightsFile { found, .. } if found.contains("embeddings")),
            "{trick}: {error}"
        );
    }
}

#[test]
fn directories_without_safetensors() {
    let folder = folder();
    let error = Checkpoint::open(&folder).expect_err("empty");
    assert!(matches!(&error, Error::NoWeights { .. }), "{error:?}");
    fs::write(folder.join("pytorch_model.bin"), b"PK").expect("written");
    let message = Checkpoint::open(&folder).expect_err("a pickle").to_string();
    assert!(
        message.contains("pytorch_model.bin") && message.contains("safetensors"),
        "{message}"
    );
    let error = Checkpoint::open(folder.join("absent")).expect_err("absent");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    fs::create_dir(folder.join("model.safetensors")).expect("a directory");
    let message = Checkpoint::open(&folder)
        .expect_err("a directory")
        .to_string();
    assert!(message.contains("a directory"), "{message}");
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
