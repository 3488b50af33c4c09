//! Models from the hub: a server on this machine plays it, redirects, and fails on demand.
#![cfg(feature = "hub")]

mod cache;
mod environment;
mod failures;
mod model;
mod resume;
mod selection;
mod server;

use std::path::{Path, PathBuf};

use deberta_core::{Error, HubOptions, HubProblem, ResolveOptions, Source};
use tempfile::TempDir;

use server::{COMMIT, Hub, REPOSITORY, checksum};

/// A hub, and an empty cache.
struct Bench {
    hub: Hub,
    folder: TempDir,
}

impl Bench {
    fn new<C: Into<Vec<u8>>>(files: impl IntoIterator<Item = (&'static str, C)>) -> Self {
        Self {
            hub: Hub::new(files),
            folder: TempDir::new().unwrap(),
        }
    }

    /// One with a small model of no sense.
    fn small() -> Self {
        Self::new([
            ("config.json", b"{}".to_vec()),
            ("tokenizer.json", noise(5000)),
            ("README.md", noise(100)),
            ("model.safetensors", noise(700_000)),
        ])
    }

    /// Impatient options.
    fn options(&self) -> HubOptions {
        let mut options = HubOptions::new(self.folder.path());
        options.endpoint.clone_from(&self.hub.endpoint);
        options.retries = 2;
        options.backoff = std::time::Duration::from_millis(1);
        options.timeout = std::time::Duration::from_secs(10);
        options
    }

    /// Gets the model, and checks that what is in the cache is right, whatever came of it.
    fn resolve(&self) -> Result<PathBuf, Error> {
        self.resolve_with(self.options())
    }

    fn resolve_with(&self, options: HubOptions) -> Result<PathBuf, Error> {
        let source = Source::hub(REPOSITORY).unwrap();
        let result = source.resolve(&ResolveOptions::default().hub(options));
        self.check();
        result
    }

    /// As [`Bench::resolve`], for what must fail.
    #[track_caller]
    fn problem(&self, options: HubOptions) -> HubProblem {
        match self.resolve_with(options) {
            Err(Error::Hub { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    fn repository(&self) -> PathBuf {
        let name = format!("models--{}", REPOSITORY.replace('/', "--"));
        self.folder.path().join(name)
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    /// The place of a file's content.
    fn blob(&self, name: &str) -> PathBuf {
        let etag = checksum(name, &self.hub.files()[name]);
        self.repository().join("blobs").join(etag)
    }

    /// The part of a file that was left.
    fn partial(&self, name: &str) -> PathBuf {
        let mut path = self.blob(name).into_os_string();
        path.push(".incomplete");
        path.into()
    }

    /// Whatever has a name in the cache is whole.
    #[track_caller]
    fn check(&self) {
        for path in files_below(&self.repository().join("snapshots")) {
            let name = path
                .strip_prefix(self.snapshot())
                .unwrap()
                .to_str()
                .unwrap();
            let content = &self.hub.files()[&name.replace('\\', "/")];
            assert!(
                std::fs::read(&path).unwrap() == *content,
                "{name} is not whole"
            );
        }
        for path in files_below(&self.repository().join("blobs")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let mut files = self.hub.files().iter();
            assert!(
                name.ends_with(".incomplete")
                    || files.any(|(file, content)| checksum(file, content) == name
                        && *content == std::fs::read(&path).unwrap()),
                "{name} is not whole"
            );
        }
    }

    /// The names in the snapshot.
    fn names(&self) -> Vec<String> {
        let names = files_below(&self.snapshot()).into_iter().map(|path| {
            let name = path.strip_prefix(self.snapshot()).unwrap();
            name.to_str().unwrap().replace('\\', "/")
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Bytes without a pattern, the same ones every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64 + 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Everything below a directory that is none itself.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
