//! Files whose linear layers are in 8 bits: they give the bits that rounding at load gives, and what is wrong with them
//! is an error.

use std::fs;
use std::path::{Path, PathBuf};

use deberta_core::checkpoint::{Checkpoint, Dtype};
use deberta_core::convert::{ConvertOptions, WeightType, convert};
use deberta_core::inspect::inspect;
use deberta_core::{Batch, Error, HeadKind, LoadOptions, Model, Precision, TokenClassifier};
use deberta_tests::{fixture, workspace_root};
use serde_json::{Map, Value, json};

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("int8-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn int8() -> LoadOptions {
    LoadOptions::default().precision(Precision::Int8)
}

fn converted(source: &Path, target: &Path) {
    convert(source, target, &ConvertOptions::default().int8(), |_| true)
        .unwrap_or_else(|e| panic!("{}: {e}", source.display()));
}

/// Hidden states and logits, to the bit.
fn bits(folder: &Path, options: LoadOptions) -> (Vec<u32>, Option<Vec<u32>>) {
    let what = folder.display();
    let model = Model::load(folder, options).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(model.precision(), Precision::Int8);
    let rows = model.vocabulary_rows() as u32;
    let tokens = |n: u32| (0..n).map(|i| (i * 7 + 1) % rows).collect::<Vec<u32>>();
    let longest = model.config().max_position_embeddings.min(23) as u32;
    let batch = Batch::packed([(tokens(9.min(longest)), vec![]), (tokens(longest), vec![])]);
    let output = model
        .forward(&batch.expect("a batch"))
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let bits = |array: &ndarray::Array2<f32>| array.iter().map(|x| x.to_bits()).collect();
    (
        bits(&output.last_hidden_state),
        output.logits.as_ref().map(bits),
    )
}

/// Every fixture: families, heads, options, formats and prefixes.
#[test]
fn every_model_gives_the_bits_of_rounding_at_load() {
    let out = folder("every");
    let mut sources: Vec<PathBuf> = ["models", "checkpoints"]
        .iter()
        .flat_map(|kind| fs::read_dir(fixture(kind)).expect("fixtures"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("config.json").is_file())
        .collect();
    sources.sort();
    let mut count = 0;
    for source in sources {
        // Some fixtures are there to be refused.
        if Model::load(&source, int8()).is_err() {
            continue;
        }
        count += 1;
        let target = out.join(format!("{count}"));
        converted(&source, &target);
        let expected = bits(&source, int8());
        let what = source.display();
        assert!(bits(&target, int8()) == expected, "{what}");
        assert!(bits(&target, LoadOptions::default()) == expected, "{what}");
        assert!(Checkpoint::open(&target).expect("a file").is_int8());
        fs::remove_dir_all(&target).expect("removed");
    }
    assert!(count > 150, "{count} models");
}

/// Whatever the head: the encoder is what is rounded.
#[test]
fn heads_load_beside_rounded_layers() {
    let out = folder("heads");
    let source = fixture("models").join("enhanced_v2_conv");
    let target = out.join("new");
    converted(&source, &target);
    for head in HeadKind::ALL {
        let Ok(model) = Model::load(&source, int8().head(head)) else {
            assert!(Model::load(&target, int8().head(head)).is_err(), "{head}");
            continue;
        };
        let again = Model::load(&target, int8().head(head)).expect("a model");
        assert_eq!(
            again.has_enhanced_mask_decoder(),
            model.has_enhanced_mask_decoder()
        );
        assert!(bits(&source, int8().head(head)) == bits(&target, int8().head(head)));
    }
}

#[test]
fn the_shipped_models_say_the_same_in_smaller_layers() {
    let out = folder("shipped");
    for name in ["sentiment", "ner"] {
        let source = workspace_root().join("models").join(name);
        let target = out.join(name);
        converted(&source, &target);
        assert!(
            bits(&source, int8()) == bits(&target, LoadOptions::default()),
            "{name}"
        );
        let found = inspect(&target).expect("an inspection");
        let original = inspect(&source).expect("an inspection");
        assert_eq!(found.heads, original.heads);
        assert!(found.unused.is_empty(), "{:?}", found.unused);
        assert!(found.warnings == original.warnings, "{:?}", found.warnings);
        assert!(found.parameters.layers <= original.parameters.layers);
        // With the tokenizer, and through the tasks' own loading.
        if name == "ner" {
            let tagger = TokenClassifier::load(&target).expect("a tagger");
            let entities = tagger.entities("John Doe works at Google in California.");
            assert!(!entities.expect("entities").is_empty());
        }
    }
}

/// What is not rounded takes the type that is asked for, what is rounded does not.
#[test]
fn other_tensors_can_be_narrowed() {
    let out = folder("narrow");
    let source = fixture("models").join("v3");
    let how = ConvertOptions::default().int8().dtype(WeightType::F16);
    let target = out.join("new");
    convert(&source, &target, &how, |_| true).expect("converted");
    let checkpoint = Checkpoint::open(&target).expect("a file");
    let mut kinds = [0; 3];
    for tensor in checkpoint.tensors() {
        let name = tensor.canonical_name();
        let made = name.contains("layer.") && !name.contains("LayerNorm");
        let expected = match made {
            true if name.ends_with(".weight") => (0, Dtype::I8),
            true => (1, Dtype::F32),
            false => (2, Dtype::F16),
        };
        kinds[expected.0] += 1;
        assert_eq!(tensor.dtype(), expected.1, "{name}");
    }
    assert!(kinds.iter().all(|&count| count > 0), "{kinds:?}");
    Model::load(&target, LoadOptions::default()).expect("a model");
}

/// A file in 8 bits is copied as it is, and never widened.
#[test]
fn rounded_files_stay_rounded() {
    let out = folder("again");
    let source = fixture("models").join("conv_gelu");
    let (first, second, third) = (out.join("1"), out.join("2"), out.join("3"));
    converted(&source, &first);
    converted(&first, &second);
    convert(&first, &third, &ConvertOptions::default(), |_| true).expect("a copy");
    let bytes = |folder: &Path| fs::read(folder.join("model.safetensors")).expect("weights");
    assert!(bytes(&first) == bytes(&second) && bytes(&first) == bytes(&third));
    let how = ConvertOptions::default().dtype(WeightType::F16);
    let error = convert(&first, out.join("4"), &how, |_| true).expect_err("an error");
    assert!(
        matches!(error, Error::Argument { name: "dtype", .. }),
        "{error}"
    );
    for precision in [Precision::F32, Precision::Bf16] {
        let error = Model::load(&first, LoadOptions::default().precision(precision));
        let error = error.expect_err("an error").to_string();
        assert!(
            error.contains("int8") && error.contains("model.safetensors"),
            "{error}"
        );
    }
    assert!(!out.join("4").exists());
}

/// The parts of a safetensors file.
struct Parts {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl Parts {
    fn read(folder: &Path) -> Self {
        let bytes = fs::read(folder.join("model.safetensors")).expect("weights");
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        Self {
            header: serde_json::from_slice(&bytes[8..8 + length]).expect("a header"),
            data: bytes[8 + length..].to_vec(),
        }
    }

    fn write(&self, folder: &Path) {
        let header = serde_json::to_vec(&self.header).expect("JSON");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(&self.data);
        fs::write(folder.join("model.safetensors"), bytes).expect("written");
    }

    fn start(&self, name: &str) -> usize {
        let start = &self.header[name]["data_offsets"][0];
        start.as_u64().expect("a number") as usize
    }
}

const WEIGHT: &str = "deberta.encoder.layer.1.intermediate.dense.weight";
const SCALES: &str = "deberta.encoder.layer.1.intermediate.dense.weight_scale";
const TABLE: &str = "deberta.encoder.layer.0.attention.self.position_keys";

/// What is missing, of another shape or type, cut off, not a number, or of another version.
#[test]
fn what_is_wrong_with_a_file_is_an_error() {
    let out = folder("hostile");
    converted(&fixture("models").join("v3"), &out.join("good"));
    let bad = out.join("bad");
    fs::create_dir(&bad).expect("a directory");
    fs::copy(out.join("good/config.json"), bad.join("config.json")).expect("copied");
    type Harm = fn(&mut Parts);
    let harms: &[(&str, Harm)] = &[
        // The groups were others, and for some widths as many as now.
        ("version \"1\"", |parts| {
            parts.header["__metadata__"]["version"] = json!("1");
        }),
        ("version \"3\"", |parts| {
            parts.header["__metadata__"]["version"] = json!("3");
        }),
        ("no version", |parts| {
            parts.header["__metadata__"] = json!({"format": "deberta-rs int8"});
        }),
        // Without the mark much is missing, and scales are not known.
        ("weight_scale", |parts| {
            parts.header.remove("__metadata__");
        }),
        ("weight_scale", |parts| {
            parts.header["__metadata__"]["format"] = json!("pt");
        }),
        ("weight_scale", |parts| {
            let scales = parts.header.remove(SCALES).expect("there");
            parts.header.insert("deberta.other".to_owned(), scales);
        }),
        ("position_keys", |parts| {
            let table = parts.header.remove(TABLE).expect("there");
            parts.header.insert("deberta.other".to_owned(), table);
        }),
        // As many scales, but for other groups.
        ("weight_scale", |parts| {
            let rows = parts.header[SCALES]["shape"][0].as_u64().expect("a number");
            parts.header[SCALES]["shape"] = json!([rows / 2, 2]);
        }),
        ("intermediate.dense.weight", |parts| {
            let shape = parts.header[WEIGHT]["shape"].clone();
            parts.header[WEIGHT]["shape"] = json!([shape[1], shape[0]]);
        }),
        ("U8", |parts| {
            parts.header[WEIGHT]["dtype"] = json!("U8");
        }),
        ("truncated", |parts| {
            parts.data.pop();
        }),
        ("NaN", |parts| {
            let at = parts.start(SCALES) + 4;
            parts.data[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        }),
        ("inf", |parts| {
            let at = parts.start(TABLE) + 8;
            parts.data[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        }),
    ];
    for (said, harm) in harms {
        let mut parts = Parts::read(&out.join("good"));
        harm(&mut parts);
        parts.write(&bad);
        let error = Model::load(&bad, int8()).expect_err(said).to_string();
        assert!(error.contains(said), "{said}: {error}");
        // It is converted no more than it is loaded.
        let again = convert(&bad, out.join("new"), &ConvertOptions::default(), |_| true);
        assert!(again.is_err(), "{said}");
        assert!(!out.join("new").exists(), "{said}");
    }
    // Every byte is a weight.
    let mut parts = Parts::read(&out.join("good"));
    let at = parts.start(WEIGHT);
    parts.data[at..at + 64].fill(0x80);
    parts.write(&bad);
    Model::load(&bad, int8()).expect("a model");
    // Any prefix of the file.
    let whole = fs::read(out.join("good/model.safetensors")).expect("weights");
    for length in (0..whole.len()).step_by(whole.len() / 37) {
        fs::write(bad.join("model.safetensors"), &whole[..length]).expect("written");
        assert!(Model::load(&bad, int8()).is_err(), "{length} bytes");
    }
}

#[test]
fn a_cancelled_conversion_leaves_nothing() {
    let out = folder("cancel");
    let mut calls = 0;
    let how = ConvertOptions::default().int8();
    let error = convert(fixture("models").join("v3"), out.join("new"), &how, |_| {
        calls += 1;
        calls < 9
    });
    assert!(matches!(error, Err(Error::Cancelled)), "{error:?}");
    assert_eq!(fs::read_dir(&out).expect("a directory").count(), 0);
}
