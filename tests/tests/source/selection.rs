//! Which files are got.

use deberta_core::{Error, HubProblem, ResolveOptions, Source};
use serde_json::json;

use super::server::{COMMIT, Fault, REPOSITORY};
use super::{Bench, noise};

fn index(shards: &[&str]) -> Vec<u8> {
    let tensors = shards.iter().enumerate();
    let map: serde_json::Map<_, _> = tensors
        .map(|(i, &shard)| (format!("tensor{i}"), shard.into()))
        .collect();
    json!({"metadata": {"total_size": 1}, "weight_map": map})
        .to_string()
        .into_bytes()
}

#[test]
fn of_two_formats_only_safetensors_is_got() {
    let bench = Bench::new([
        ("config.json", b"{}".to_vec()),
        ("model.safetensors", noise(1000)),
        ("pytorch_model.bin", noise(1001)),
        ("onnx/model.onnx", noise(1002)),
        ("sub/config.json", noise(10)),
    ]);
    bench.resolve().unwrap();
    assert_eq!(bench.names(), ["config.json", "model.safetensors"]);
    let requests = bench.hub.requests();
    assert!(
        requests
            .iter()
            .all(|request| !request.path.contains("pytorch"))
    );
}

#[test]
fn an_encoder_s_tokenizer_comes_without_its_weights() {
    let bench = Bench::new([
        ("config.json", b"{}".to_vec()),
        ("spm.model", noise(100)),
        ("pytorch_model.bin", noise(1001)),
    ]);
    let source = Source::hub(REPOSITORY).unwrap();
    let light = || {
        ResolveOptions::default()
            .hub(bench.options())
            .without_weights()
    };
    source.resolve(&light()).unwrap();
    assert_eq!(bench.names(), ["config.json", "spm.model"]);
    bench.hub.requests();
    source.resolve(&light()).unwrap();
    assert_eq!(bench.hub.requests(), [], "it is in the cache");
    // Whoever wants the model gets the rest.
    bench.resolve().unwrap();
    assert_eq!(
        bench.names(),
        ["config.json", "pytorch_model.bin", "spm.model"]
    );
}

#[test]
fn shards_are_those_of_the_index() {
    for (index_name, shards) in [
        (
            "model.safetensors.index.json",
            ["model-1-of-2.safetensors", "model-2-of-2.safetensors"],
        ),
        (
            "pytorch_model.bin.index.json",
            ["pytorch_model-1-of-2.bin", "pytorch_model-2-of-2.bin"],
        ),
    ] {
        let bench = Bench::new([
            ("config.json", b"{}".to_vec()),
            (index_name, index(&shards)),
            (shards[0], noise(5000)),
            (shards[1], noise(6000)),
            ("model-3-of-2.safetensors", noise(7000)),
            ("pytorch_model-3-of-2.bin", noise(7000)),
        ]);
        // Not a model before all of them are there.
        bench.hub.fail(Fault::Status(shards[1], 404), 1);
        let problem = bench.problem(bench.options());
        assert!(matches!(problem, HubProblem::NotFound), "{problem:?}");
        let mut offline = bench.options();
        offline.offline = true;
        let problem = bench.problem(offline.clone());
        assert!(matches!(problem, HubProblem::Offline { .. }), "{problem:?}");

        bench.resolve().unwrap();
        let mut expected = vec!["config.json", index_name, shards[0], shards[1]];
        expected.sort_unstable();
        assert_eq!(bench.names(), expected);
        bench.hub.requests();
        bench.resolve().unwrap();
        bench.resolve_with(offline).unwrap();
        assert_eq!(bench.hub.requests(), []);
    }
}

#[test]
fn an_index_cannot_name_files_elsewhere() {
    for name in ["../../../evil", "/etc/evil", "a/b", "..", ""] {
        let bench = Bench::new([
            ("config.json", b"{}".to_vec()),
            ("model.safetensors.index.json", index(&[name])),
        ]);
        let error = bench.resolve().unwrap_err();
        assert!(
            matches!(error, Error::WeightsFile { .. }),
            "{name}: {error:?}"
        );
        assert!(
            bench
                .hub
                .requests()
                .iter()
                .all(|request| !request.path.contains("evil"))
        );
    }
}

#[test]
fn parts_of_other_libraries_are_got_too() {
    let bench = Bench::new([
        ("gliner_config.json", b"{}".to_vec()),
        ("pytorch_model.bin", noise(1000)),
        ("modules.json", b"[]".to_vec()),
        ("1_Pooling/config.json", b"{ }".to_vec()),
        ("encoder_config/config.json", b"{}".to_vec()),
        ("spm.model", noise(10)),
    ]);
    bench.resolve().unwrap();
    let all: Vec<&str> = bench.hub.files().keys().map(String::as_str).collect();
    assert_eq!(bench.names(), all);
}

#[test]
fn a_file_that_is_listed_and_not_there_is_skipped() {
    let bench = Bench::small();
    bench.hub.fail(Fault::Status("tokenizer.json", 404), 1);
    bench.resolve().unwrap();
    assert_eq!(bench.names(), ["config.json", "model.safetensors"]);
    bench.hub.requests();
    bench.resolve().unwrap();
    assert_eq!(bench.hub.requests(), []);
}

#[test]
fn a_repository_without_a_model_is_none() {
    let config = ("config.json", b"{}".to_vec());
    let weights = ("model.safetensors", noise(10));
    for (file, expected) in [
        (config, "pytorch_model.bin"),
        (weights, "gliner_config.json"),
    ] {
        let bench = Bench::new([file]);
        match bench.resolve() {
            Err(Error::Hub {
                file: Some(file),
                problem: HubProblem::NotFound,
                ..
            }) => {
                assert!(file.contains(expected), "{file}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.hub.requests().len(), 1);
    }
}

#[test]
fn a_revision_is_asked_for_by_its_name() {
    let bench = Bench::small();
    let resolve = |revision: &str| {
        let source = Source::hub(REPOSITORY).unwrap().revision(revision).unwrap();
        let options = ResolveOptions::default().hub(bench.options());
        assert_eq!(source.resolve(&options).unwrap(), bench.snapshot());
        bench.hub.requests()
    };
    let requests = resolve("refs/pr/1");
    assert_eq!(
        requests[0].path,
        format!("/api/models/{REPOSITORY}/revision/refs%2Fpr%2F1")
    );
    let remembered = bench.repository().join("refs/refs/pr/1");
    assert_eq!(std::fs::read_to_string(remembered).unwrap(), COMMIT);
    // A commit is what it is; of another branch it must be asked which that is.
    assert_eq!(resolve(COMMIT), []);
    assert_eq!(resolve("other").len(), 1);
    let directory = Source::directory(".").revision("main").unwrap_err();
    assert!(matches!(directory, Error::Argument { .. }));
    for bad in ["..", "a/../b", "/a", "a b", ""] {
        Source::hub(REPOSITORY).unwrap().revision(bad).unwrap_err();
    }
}
