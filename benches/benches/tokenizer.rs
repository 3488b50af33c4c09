//! Tokenization in bytes of text per second, with the published DeBERTa-v3 vocabulary, on one thread unless the
//! name says otherwise.
//!
//! Vocabularies and texts lie in the folder `DEBERTA_ASSETS` (default: `../shared/assets` from the repository's
//! root). Without them nothing is measured. `TOKENIZER.md` beside this crate's `Cargo.toml` has recorded figures.
#![allow(missing_docs)] // the macros of criterion make public items

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::ThreadPoolBuilder;
use tokenizer_spm::SentencePiece;
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};

/// A file or folder of the assets; says so where it is missing.
fn asset(name: &str) -> Option<PathBuf> {
    let path = deberta_benches::asset(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is missing, set DEBERTA_ASSETS", path.display());
    None
}

/// Text of many languages, made of what is recorded for the vocabulary's tests.
fn multilingual() -> Option<Vec<String>> {
    let path = asset("expected/sentencepiece-cpp/deberta-v3.jsonl")?;
    let recorded = std::fs::read_to_string(path).expect("a readable file");
    let texts = recorded.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON lines");
        line["text"].as_str().map(str::to_owned)
    });
    let foreign = |text: &String| {
        let others = text.chars().filter(|character| !character.is_ascii());
        others.count() * 10 > text.len()
    };
    // The shorter ones are traps for tokenizers, not text.
    Some(
        texts
            .filter(|text| text.len() > 100 && foreign(text))
            .collect(),
    )
}

/// The texts to measure with, by name.
fn texts() -> Vec<(&'static str, Vec<String>)> {
    let mut texts = Vec::new();
    for (name, file) in [
        ("english glosses", "text/wordnet_glosses.txt"),
        ("english novel", "text/pride_and_prejudice.txt"),
        ("english story", "text/botchan.txt"),
        ("japanese", "text/wagahai.txt"),
    ] {
        if let Some(path) = asset(file) {
            let text = std::fs::read_to_string(path).expect("a readable file");
            texts.push((name, text.lines().map(str::to_owned).collect()));
        }
    }
    texts.extend(multilingual().map(|lines| ("many languages", lines)));
    texts
}

fn tokenizer(criterion: &mut Criterion) {
    let Some(model) = asset("tokenizers/deberta-v3/spm.model") else {
        return;
    };
    let plain = SentencePiece::from_file(&model).expect("a model");
    let whole = DebertaTokenizer::from_path(&model).expect("a model");
    let json = asset("tokenizers/deberta-v3/tokenizer.json")
        .map(|path| DebertaTokenizer::from_path(path).expect("a tokenizer"));
    let options = EncodeOptions::default();
    for (name, lines) in texts() {
        let mut group = criterion.benchmark_group(format!("tokenizer/{name}"));
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2));
        let bytes: usize = lines.iter().map(String::len).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function("ids", |b| {
            b.iter(|| {
                lines
                    .iter()
                    .for_each(|line| drop(black_box(plain.encode_ids(line))))
            });
        });
        group.bench_function("ids and spans", |b| {
            b.iter(|| {
                lines
                    .iter()
                    .for_each(|line| drop(black_box(plain.encode_tokens(line))))
            });
        });
        let mut whole_encoding = |name: &str, tokenizer: &DebertaTokenizer| {
            group.bench_function(name, |b| {
                b.iter(|| {
                    for line in &lines {
                        black_box(tokenizer.encode(line.as_str(), &options).expect("options"));
                    }
                });
            });
        };
        whole_encoding("encoding", &whole);
        if let Some(json) = &json {
            whole_encoding("encoding, tokenizer.json", json);
        }
        let inputs: Vec<&str> = lines.iter().map(String::as_str).collect();
        for threads in [1, 2] {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("threads");
            group.bench_function(BenchmarkId::new("batch of ids, threads", threads), |b| {
                b.iter(|| pool.install(|| black_box(plain.encode_ids_batch(&inputs))));
            });
            group.bench_function(BenchmarkId::new("batch, threads", threads), |b| {
                b.iter(|| pool.install(|| black_box(whole.encode_batch(&inputs, &options))));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, tokenizer);
criterion_main!(benches);
