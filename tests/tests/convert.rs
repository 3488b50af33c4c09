//! `convert` and `inspect`: every format becomes a clean directory that gives the same bits, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use deberta_core::convert::{ConvertOptions, WeightType, convert};
use deberta_core::inspect::inspect;
use deberta_core::{Batch, Error, HeadKind, LoadOptions, Model};
use deberta_tests::fixture;
use safetensors::SafeTensors;

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("convert-{}", name));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn batch() -> Batch {
    let tokens = |n: u32| (0..n).map(|i| (i * 7 + 1) % 50).collect::<Vec<u32>>();
    Batch::packed([(tokens(9), vec![]), (tokens(23), vec![])]).expect("a batch")
}

/// Hidden states and logits, to the bit.
fn bits(folder: &Path) -> (Vec<u32>, Option<Vec<u32>>) {
    let model = Model::load(folder, LoadOptions::default())
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let output = model.forward(&batch()).expect("a result");
    let bits = |array: &ndarray::Array2<f32>| array.iter().map(|x| x.to_bits()).collect();
    (
        bits(&output.last_hidden_state),
        output.logits.as_ref().map(bits),
    )
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Every storage, naming and head: the new directory gives the same bits, and `safetensors` reads its file.
#[test]
fn every_format_gives_the_same_bits() {
    let out = folder("formats");
    let models = [
        "v3",
        "f16",
        "bf16",
        "sharded",
        "prefix_gliner",
        "prefix_none_sequence",
        "gamma_beta",
        "prefix_bert_sequence",
        "ignored_tensors",
        "more_vocab_rows",
        "conv_gelu",
        "token_f16",
        "question",
        "masked_v1_legacy_stored",
        "masked_v1_legacy_untied",
        "masked_v1_microsoft",
        "choice",
    ];
    let models = models.map(|name| (name, fixture("models").join(name)));
    let files = ["model_zip", "model_legacy"].map(|name| (name, fixture("checkpoints").join(name)));
    for (name, source) in models.into_iter().chain(files) {
        let target = out.join(name);
        let done = convert(&source, &target, &ConvertOptions::default(), |_| true)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(bits(&source), bits(&target), "{name}");
        let bytes = fs::read(target.join("model.safetensors")).expect("weights");
        assert_eq!(bytes.len() as u64, done.bytes, "{name}");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert_eq!(tensors.len(), done.tensors, "{name}");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a header");
        let mark = metadata.metadata().as_ref().and_then(|m| m.get("format"));
        assert_eq!(mark.map(String::as_str), Some("pt"), "{name}");
        for name in tensors.names() {
            assert!(
                !name.contains("gamma") && !name.contains("position_ids"),
                "{name}"
            );
        }
        assert!(
            tensors
                .names()
                .contains(&"deberta.embeddings.word_embeddings.weight"),
            "{name}"
        );
        let config = fs::read_to_string(target.join("config.json")).expect("a config");
        let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        let words = tensors
            .tensor("deberta.embeddings.word_embeddings.weight")
            .expect("words");
        assert_eq!(config["vocab_size"], words.shape()[0], "{name}");
    }
    assert!(
        entries(&out).iter().all(|name| !name.starts_with('.')),
        "nothing is left beside"
    );
}

/// The shipped model with its tokenizer, narrowed: every float has the type, the text classifier works.
#[test]
fn narrowed_weights_and_tokenizer_files() {
    let out = folder("narrow");
    let source = deberta_tests::workspace_root().join("models/sentiment");
    for (dtype, name) in [
        (WeightType::F32, safetensors::Dtype::F32),
        (WeightType::F16, safetensors::Dtype::F16),
        (WeightType::Bf16, safetensors::Dtype::BF16),
    ] {
        let target = out.join(format!("{dtype:?}"));
        let how = ConvertOptions::default().dtype(dtype);
        let done = convert(&source, &target, &how, |_| true).expect("converted");
        assert!(
            done.files.contains(&"tokenizer.json".to_owned()),
            "{:?}",
            done.files
        );
        let bytes = fs::read(target.join("model.safetensors")).expect("weights");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert!(tensors.tensors().iter().all(|(_, t)| t.dtype() == name));
        let classifier = deberta_core::TextClassifier::load(&target).expect("a classifier");
        let answer = classifier
            .classify("This is a positive example.")
            .expect("an answer");
        assert_eq!(answer.label, "POSITIVE", "{dtype:?}");
        // The shipped weights are f16: wider types hold the same numbers.
        if dtype != WeightType::Bf16 {
            assert_eq!(bits(&source), bits(&target), "{dtype:?}");
        }
    }
}

#[test]
fn a_cancelled_or_failed_conversion_leaves_nothing() {
    let out = folder("cancel");
    let source = fixture("models").join("v3");
    let target = out.join("new");
    let mut calls = 0;
    let error = convert(&source, &target, &ConvertOptions::default(), |progress| {
        calls += 1;
        assert!(progress.written <= progress.total);
        let partial = entries(&out);
        assert!(
            partial.iter().all(|name| name.starts_with(".new.partial-")),
            "{partial:?}"
        );
        calls < 4
    });
    assert!(matches!(error, Err(Error::Cancelled)), "{error:?}");
    assert!(entries(&out).is_empty());
    // A weight that the type cannot hold.
    let large = out.join("large");
    fs::create_dir(&large).expect("a directory");
    fs::copy(source.join("config.json"), large.join("config.json")).expect("copied");
    let mut bytes = fs::read(source.join("model.safetensors")).expect("weights");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&1e30f32.to_le_bytes());
    fs::write(large.join("model.safetensors"), bytes).expect("written");
    let how = ConvertOptions::default().dtype(WeightType::F16);
    let error = convert(&large, &target, &how, |_| true);
    assert!(matches!(error, Err(Error::TooLarge { .. })), "{error:?}");
    assert_eq!(entries(&out), ["large"]);
    // Directories with something in them, and files, stay as they are; an empty directory is taken.
    let error = convert(&source, &large, &ConvertOptions::default(), |_| true);
    assert!(
        matches!(error, Err(Error::TargetExists { .. })),
        "{error:?}"
    );
    let file = out.join("file");
    fs::write(&file, "mine").expect("written");
    let error = convert(&source, &file, &ConvertOptions::default(), |_| true);
    assert!(
        matches!(error, Err(Error::TargetExists { .. })),
        "{error:?}"
    );
    assert_eq!(fs::read_to_string(&file).expect("a file"), "mine");
    fs::create_dir(&target).expect("a directory");
    convert(&source, &target, &ConvertOptions::default(), |_| true).expect("an empty directory");
    assert_eq!(entries(&target), ["config.json", "model.safetensors"]);
}

/// Weights that no model could be loaded from are refused: a missing or whole-numbered tensor of the encoder, a NaN.
#[test]
fn what_does_not_load_is_not_converted() {
    let out = folder("broken");
    let source = fixture("models").join("v3");
    let bytes = fs::read(source.join("model.safetensors")).expect("weights");
    let name = b"encoder.layer.1.output.dense.bias";
    let at = |pattern: &[u8]| {
        let mut windows = bytes.windows(pattern.len());
        windows.position(|window| window == pattern).expect("there")
    };
    let mut renamed = bytes.clone();
    renamed[at(name)] = b'x';
    let mut nan = bytes.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    // The type of one tensor, of the same width.
    let mut whole = bytes.clone();
    let kind = at(name)
        + bytes[at(name)..]
            .windows(3)
            .position(|w| w == b"F32")
            .expect("a type");
    whole[kind] = b'I';
    for (bytes, said) in [(renamed, "output.dense.bias"), (nan, "NaN"), (whole, "I32")] {
        let broken = out.join("broken");
        let _ = fs::remove_dir_all(&broken);
        fs::create_dir(&broken).expect("a directory");
        fs::copy(source.join("config.json"), broken.join("config.json")).expect("copied");
        fs::write(broken.join("model.safetensors"), bytes).expect("written");
        let error = convert(&broken, out.join("new"), &ConvertOptions::default(), |_| {
            true
        });
        let error = error.expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(entries(&out), ["broken"], "{said}");
        if said != "NaN" {
            let found = inspect(&broken).expect("an inspection");
            let warned = found.warnings.iter().any(|warning| warning.contains(said));
            assert!(
                warned && found.heads.is_empty() && found.unused.len() <= 1,
                "{found:?}"
            );
        }
    }
}

/// What killed conversions to the same target have left is removed, what belongs to others or is in use is not.
#[test]
fn orphans_are_removed() {
    let out = folder("orphans");
    let lock = |name: &str| {
        let folder = out.join(name);
        fs::create_dir(&folder).expect("a directory");
        fs::write(folder.join("model.safetensors"), "half").expect("written");
        fs::File::create(folder.join(".lock")).expect("a file")
    };
    drop(lock(".new.partial-dead"));
    drop(lock(".other.partial-dead"));
    let alive = lock(".new.partial-live");
    alive.lock().expect("a lock");
    let source = fixture("models").join("v3");
    convert(source, out.join("new"), &ConvertOptions::default(), |_| {
        true
    })
    .expect("converted");
    assert_eq!(
        entries(&out),
        [".new.partial-live", ".other.partial-dead", "new"]
    );
    assert!(!entries(&out.join("new")).contains(&".lock".to_owned()));
}

/// Two conversions write the same bytes, and a converted directory converts to itself.
#[test]
fn conversions_repeat() {
    let out = folder("repeat");
    let source = fixture("checkpoints").join("model_zip");
    let (first, second, third) = (out.join("1"), out.join("2"), out.join("3"));
    for (from, to) in [(&source, &first), (&source, &second), (&first, &third)] {
        convert(from, to, &ConvertOptions::default(), |_| true).expect("converted");
    }
    for file in ["config.json", "model.safetensors"] {
        let read = |folder: &Path| fs::read(folder.join(file)).expect("a file");
        assert!(
            read(&first) == read(&second) && read(&first) == read(&third),
            "{file}"
        );
    }
}

#[test]
fn inspection_tells_heads_sizes_and_doubts() {
    let look = |name: &str| inspect(fixture("models").join(name)).expect(name);
    let v3 = look("v3");
    assert_eq!(
        (v3.head, v3.heads.as_slice()),
        (HeadKind::Base, &[HeadKind::Base][..])
    );
    assert!(!v3.interleaved && v3.vocabulary_rows == 80);
    let total: usize = v3.checkpoint.tensors().map(|t| t.elements()).sum();
    assert_eq!(v3.parameters.total() + v3.parameters.unused, total);
    // Two layers, keys and queries, 2·16 slots of 24 values.
    assert_eq!(v3.position_values, 2 * 2 * 32 * 24);
    assert!(
        v3.warnings.iter().any(|w| w.contains("tokenizer")),
        "{:?}",
        v3.warnings
    );

    let token = look("token_f16");
    assert_eq!(token.head, HeadKind::TokenClassification);
    assert!(token.heads.contains(&HeadKind::TokenClassification));
    assert!(!token.heads.contains(&HeadKind::MaskedLm));
    assert!(
        token.warnings.iter().any(|w| w.contains("labels")),
        "{:?}",
        token.warnings
    );

    let masked = look("masked_v1_microsoft");
    assert!(masked.interleaved && masked.heads.contains(&HeadKind::MaskedLm));
    assert!(!look("ignored_tensors").unused.is_empty());

    let shipped =
        inspect(deberta_tests::workspace_root().join("models/sentiment")).expect("shipped");
    assert!(shipped.warnings.is_empty(), "{:?}", shipped.warnings);
    assert_eq!(shipped.tokenizer.expect("a tokenizer").vocab_size(), 8001);
}

/// A model whose weights do not fit is shown with the reason, not refused.
#[test]
fn what_does_not_fit_is_a_warning() {
    let own = folder("unfit");
    let source = fixture("models").join("v3");
    fs::copy(
        source.join("model.safetensors"),
        own.join("model.safetensors"),
    )
    .expect("copied");
    let config = fs::read_to_string(source.join("config.json")).expect("a config");
    let config = config.replace("DebertaV2Model", "DebertaV2ForTokenClassification");
    fs::write(own.join("config.json"), config).expect("written");
    let found = inspect(&own).expect("an inspection");
    assert_eq!(found.head, HeadKind::TokenClassification);
    assert_eq!(found.heads, [HeadKind::Base]);
    assert!(
        found
            .warnings
            .iter()
            .any(|w| w.contains("classifier.weight")),
        "{:?}",
        found.warnings
    );
}

/// The two examples, as a user runs them.
#[test]
fn examples_run() {
    let out = folder("examples");
    let run = |example: &str, arguments: &[&str]| {
        let output = Command::new(deberta_tests::example(example))
            .args(arguments)
            .output()
            .expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let source = fixture("checkpoints").join("model_legacy");
    let (source, target) = (source.to_str().expect("UTF-8"), out.join("new"));
    let target = target.to_str().expect("UTF-8");
    let (good, said, errors) = run("convert", &[source, target, "--dtype", "bf16"]);
    assert!(good && said.contains("model.safetensors"), "{said}{errors}");
    let (good, _, errors) = run("convert", &[source, target]);
    assert!(
        !good && errors.contains("new or empty directory"),
        "{errors}"
    );
    let (good, said, _) = run("inspect", &[target, "--tensors"]);
    assert!(good && said.contains("safetensors, 1 file"), "{said}");
    assert!(
        said.contains("deberta.embeddings.word_embeddings.weight") && said.contains("BF16"),
        "{said}"
    );
    let (good, said, _) = run("inspect", &[source]);
    assert!(
        good && said.contains("pytorch legacy") && said.contains("`convert`"),
        "{said}"
    );
    let (good, _, errors) = run("inspect", &["no/such/model"]);
    assert!(!good && errors.contains("no/such/model"), "{errors}");
}
