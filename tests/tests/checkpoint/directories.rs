//! Which files of a directory hold the weights.

use std::fs;

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dim, Scope, TensorSpec};

use deberta_tests::fixture;

use crate::files::{WORDS, encode, f32s, folder, words};

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
fn directories_without_weights() {
    let folder = folder();
    let error = Checkpoint::open(&folder).expect_err("empty");
    assert!(matches!(&error, Error::NoWeights { .. }), "{error:?}");
    assert!(error.to_string().contains("found none"), "{error}");
    for other in ["tf_model.h5", "flax_model.msgpack", "model.onnx"] {
        fs::write(folder.join(other), b"x").expect("written");
        let error = Checkpoint::open(&folder).expect_err(other);
        let message = error.to_string();
        assert!(matches!(error, Error::NoWeights { .. }), "{message}");
        assert!(
            message.contains(&format!("found {other}")) && message.contains("save_pretrained"),
            "{message}"
        );
        fs::remove_file(folder.join(other)).expect("removed");
    }
    let error = Checkpoint::open(folder.join("absent")).expect_err("absent");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    fs::create_dir(folder.join("model.safetensors")).expect("a directory");
    let message = Checkpoint::open(&folder)
        .expect_err("a directory")
        .to_string();
    assert!(message.contains("a directory"), "{message}");
}

/// Of several files the first in the order of the reference counts, even where it is broken.
#[test]
fn which_file_wins() {
    let folder = folder();
    let words = |value: f32| encode(&[f32s(WORDS, &[1, 1], &[value])]);
    let spec = TensorSpec::encoder(WORDS, [Dim::Any, Dim::Any]);
    let read = || {
        let checkpoint = Checkpoint::open(&folder).expect("open");
        let (values, _) = checkpoint.read_f32(&spec).expect("read");
        let name = checkpoint.source().file_name().expect("a name");
        (name.to_owned(), checkpoint.is_sharded(), values)
    };
    let module = fixture("checkpoints").join("sharded");
    let copy = |name: &str| fs::copy(module.join(name), folder.join(name)).expect("copied");
    copy("pytorch_model.bin.index.json");
    copy("pytorch_model-00001-of-00002.bin");
    copy("pytorch_model-00002-of-00002.bin");
    let (name, is_sharded, values) = read();
    assert_eq!(
        (name.to_str(), is_sharded),
        (Some("pytorch_model.bin.index.json"), true)
    );
    assert_eq!(values.len(), 24);
    let types = fixture("checkpoints").join("types/pytorch_model.bin");
    fs::copy(types, folder.join("pytorch_model.bin")).expect("copied");
    let (name, is_sharded, values) = read();
    assert_eq!(
        (name.to_str(), is_sharded),
        (Some("pytorch_model.bin"), false)
    );
    assert_eq!(values.len(), 12);
    fs::write(folder.join("m.safetensors"), words(5.0)).expect("written");
    let index = serde_json::json!({"weight_map": {WORDS: "m.safetensors"}}).to_string();
    fs::write(folder.join("model.safetensors.index.json"), index).expect("written");
    let (name, is_sharded, values) = read();
    assert_eq!(
        (name.to_str(), is_sharded),
        (Some("model.safetensors.index.json"), true)
    );
    assert_eq!(values, [5.0]);
    fs::write(folder.join("model.safetensors"), words(6.0)).expect("written");
    let (name, is_sharded, values) = read();
    assert_eq!(
        (name.to_str(), is_sharded),
        (Some("model.safetensors"), false)
    );
    assert_eq!(values, [6.0]);
    fs::write(folder.join("model.safetensors"), b"broken").expect("written");
    assert!(Checkpoint::open(&folder).is_err());
}

/// The pointer that is left where a large file was not fetched.
#[test]
fn pointers_of_git_lfs() {
    for name in ["model.safetensors", "pytorch_model.bin"] {
        let folder = folder();
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        fs::write(folder.join(name), pointer).expect("written");
        let message = Checkpoint::open(&folder)
            .expect_err("a pointer")
            .to_string();
        assert!(
            message.contains("git lfs pull") && message.contains(name),
            "{message}"
        );
    }
}
