//! A whole model, from the hub to an answer.

use std::cell::RefCell;

use deberta_core::{ResolveOptions, Source, TextClassifier};
use deberta_tests::workspace_root;

use super::Bench;
use super::server::{COMMIT, REPOSITORY};

#[test]
fn a_model_from_the_hub_answers_as_from_its_directory() {
    let folder = workspace_root().join("models/sentiment");
    let files = [
        "README.md",
        "added_tokens.json",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "spm.model",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    let bench = Bench::new(files.map(|name| (name, std::fs::read(folder.join(name)).unwrap())));
    bench.hub.require("hf_secret");
    let mut options = bench.options();
    options.token = Some("hf_secret".to_owned());

    let seen = RefCell::new(Vec::new());
    let source: Source = REPOSITORY.parse().unwrap();
    let resolve = ResolveOptions::default().hub(options).progress(|at| {
        seen.borrow_mut().push((
            at.file.to_owned(),
            at.file_received,
            at.file_size,
            at.received,
            at.total,
        ));
        true
    });
    let resolved = source.resolve(&resolve).unwrap();
    bench.check();
    assert_eq!(resolved, bench.snapshot());
    let wanted = &files[1..];
    assert_eq!(bench.names(), wanted);

    let text = "What a lovely film.";
    let direct = TextClassifier::load(&folder)
        .unwrap()
        .classify_all(text)
        .unwrap();
    let got = TextClassifier::load(&resolved)
        .unwrap()
        .classify_all(text)
        .unwrap();
    assert_eq!(got, direct);

    // The bytes of every file are told of, in order, up to the last one.
    let seen = seen.take();
    let total: usize = wanted
        .iter()
        .map(|&name| bench.hub.files()[name].len())
        .sum();
    assert!(seen.is_sorted_by_key(|at| at.3), "{seen:?}");
    let last = seen.last().unwrap();
    assert_eq!((last.3, last.4), (total as u64, total as u64));
    assert_eq!((last.0.as_str(), last.1), ("model.safetensors", last.2));

    // The hub was told who asks, and no one else. What no one reads was not asked for.
    let requests = bench.hub.requests();
    assert!(requests.iter().any(|request| !request.to_hub));
    for request in &requests {
        assert_eq!(
            request.authorization.is_some(),
            request.to_hub,
            "{request:?}"
        );
        assert!(!request.path.contains("README"), "{request:?}");
    }

    // The next time nothing is asked, and the cache is as others expect it.
    assert_eq!(source.resolve(&resolve).unwrap(), resolved);
    assert_eq!(bench.hub.requests(), []);
    let main = std::fs::read_to_string(bench.repository().join("refs/main")).unwrap();
    assert_eq!(main, COMMIT);
    #[cfg(unix)]
    for name in wanted {
        let link = std::fs::read_link(resolved.join(name)).unwrap();
        let blob = bench.blob(name);
        assert_eq!(
            link,
            std::path::Path::new("../../blobs").join(blob.file_name().unwrap())
        );
    }
}
