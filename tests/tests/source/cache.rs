//! The cache on disk.

use std::fs;
use std::thread;

use deberta_core::{HubProblem, ResolveOptions, Source};

use super::Bench;
use super::server::{COMMIT, REPOSITORY};

#[test]
fn offline_the_cache_must_do() {
    let bench = Bench::small();
    let mut offline = bench.options();
    offline.offline = true;
    let problem = bench.problem(offline.clone());
    assert!(matches!(problem, HubProblem::Offline { .. }), "{problem:?}");
    assert_eq!(bench.hub.requests(), []);
    bench.resolve().unwrap();
    bench.hub.requests();
    assert_eq!(
        bench.resolve_with(offline.clone()).unwrap(),
        bench.snapshot()
    );

    // A model that another program has got a part of, too.
    fs::remove_dir_all(bench.repository().join(".no_exist")).unwrap();
    fs::remove_file(bench.snapshot().join("tokenizer.json")).unwrap();
    bench.resolve_with(offline.clone()).unwrap();
    // Not without what no model can be without, nor with a link to nothing.
    fs::remove_file(bench.blob("model.safetensors")).unwrap();
    let link = bench.snapshot().join("model.safetensors");
    assert!(link.symlink_metadata().is_ok());
    let source = Source::hub(REPOSITORY).unwrap();
    let resolved = source.resolve(&ResolveOptions::default().hub(offline));
    let problem = HubProblem::Offline {
        cache: bench.repository(),
    };
    assert_eq!(cause(&resolved.unwrap_err()), problem.to_string());
    assert_eq!(bench.hub.requests(), []);
    bench.resolve().unwrap();
}

#[test]
fn a_cached_model_stays_at_its_commit_and_can_be_used() {
    let bench = Bench::small();
    bench.resolve().unwrap();
    // As another program may leave it: what the repository lacks is not known.
    fs::remove_dir_all(bench.repository().join(".no_exist")).unwrap();
    let asked = |options: ResolveOptions<'_>| {
        bench.hub.requests();
        let source = Source::hub(REPOSITORY).unwrap();
        let resolved = source.resolve(&options.hub(bench.options()));
        assert_eq!(resolved.unwrap(), bench.snapshot());
        bench.hub.requests().into_iter().map(|request| request.path)
    };
    let mut paths = asked(ResolveOptions::default());
    let listing = |revision: &str| Some(format!("/api/models/{REPOSITORY}/revision/{revision}"));
    assert_eq!(paths.next(), listing(COMMIT));
    // Now it is known, and asked again where it is wished.
    assert_eq!(asked(ResolveOptions::default()).next(), None);
    assert_eq!(
        asked(ResolveOptions::default().refresh()).next(),
        listing("main")
    );
    // A hub that has become closed does not take away what is here.
    fs::remove_dir_all(bench.repository().join(".no_exist")).unwrap();
    bench.hub.require("secret");
    assert_eq!(bench.resolve().unwrap(), bench.snapshot());
}

#[test]
fn many_at_once_get_every_file_once() {
    let bench = Bench::small();
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.resolve())).collect();
        for one in all {
            assert_eq!(one.join().unwrap().unwrap(), bench.snapshot());
        }
    });
    let requests = bench.hub.requests();
    let contents = requests
        .iter()
        .filter(|r| r.method == "GET" && !r.path.starts_with("/api/"));
    let (hub, storage): (Vec<_>, Vec<_>) = contents.partition(|request| request.to_hub);
    assert_eq!((hub.len(), storage.len()), (3, 1), "{requests:?}");
}

#[test]
fn a_blob_of_another_size_is_none() {
    let bench = Bench::small();
    fs::create_dir_all(bench.repository().join("blobs")).unwrap();
    fs::write(bench.blob("tokenizer.json"), b"half of it").unwrap();
    bench.resolve().unwrap();
}

#[test]
fn where_there_are_no_links_files_are_copied() {
    let bench = Bench::small();
    let mut options = bench.options();
    options.copies = true;
    bench.resolve_with(options).unwrap();
    assert_eq!(
        bench.names(),
        ["config.json", "model.safetensors", "tokenizer.json"]
    );
    for name in bench.names() {
        assert!(
            bench
                .snapshot()
                .join(name)
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
    }
    bench.hub.requests();
    bench.resolve().unwrap();
    assert_eq!(bench.hub.requests(), []);
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_is_an_error() {
    let bench = Bench::small();
    // A file where a directory must be: of no use even to who may do everything.
    fs::create_dir_all(bench.repository()).unwrap();
    fs::write(bench.repository().join("blobs"), b"").unwrap();
    let error = bench.resolve().unwrap_err();
    assert!(matches!(error, deberta_core::Error::Io { .. }), "{error:?}");
    fs::remove_file(bench.repository().join("blobs")).unwrap();
    bench.resolve().unwrap();
}

/// What an error gives as its cause.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}
