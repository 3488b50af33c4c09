//! Counts the instructions of the main kernels with `valgrind --tool=callgrind`: a figure without noise.
//!
//! ```text
//! cargo run --release -p deberta-benches --bin count              # compares with INSTRUCTIONS.md, fails beyond 1 %
//! cargo run --release -p deberta-benches --bin count -- --write   # records
//! ```
//!
//! Callgrind knows no AVX-512: the kernels run with AVX2, on one thread. Every kernel runs in a process of its own, once
//! and twice: the difference is one run, whatever its preparation took. Some minutes in all.

use deberta_benches::asset;
use deberta_benches::cases::{Case, Work, cases};
use deberta_kernels::Isa;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use tokenizer_spm::SentencePiece;

/// What is counted, by the names of the cases.
const COUNTED: [&str; 14] = [
    "linear F32 128x768x768",
    "linear Bf16 128x768x768",
    "linear Int8 128x768x768",
    "linear F32 1x768x768",
    "linear Int8 1x768x768",
    "feed-forward Int8 128x768x3072",
    "gelu 128x768",
    "layer norm 128x768",
    "softmax 128x768",
    "attention 1x128",
    "attention 1x512",
    "gather F32 128x768",
    "gather F16 128x768",
    TOKENIZER,
];
const TOKENIZER: &str = "tokenizer, DeBERTa-v3";
/// The instruction set of the figures.
const SET: &str = "avx2";
/// By how much a count may differ from what is recorded.
const TOLERANCE: f64 = 0.01;

/// A text that is encoded as often as a case runs.
const TEXT: &str = "The quick brown fox jumps over the lazy dog, while Mr. O'Neill's 12,345 colleagues re-encode \
    naïve transformers in Zürich. Disentangled attention represents each word by two vectors, its content and its \
    position; weights among words are computed from both. (See section 3.2; e-mail: someone@example.org.)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["--write"] => record(),
        ["--run", name, runs] => run(name, runs),
        _ => Err("usage: count [--write]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// A tokenizer as a case, if its vocabulary is there.
fn tokenizer() -> Result<Case, String> {
    let model = vocabulary();
    let model = SentencePiece::from_file(&model).map_err(|e| e.to_string())?;
    Ok(Case {
        name: TOKENIZER.to_owned(),
        work: Work::Bytes(TEXT.len() as f64),
        run: Box::new(move || drop(black_box(model.encode_ids(TEXT)))),
    })
}

/// Where the vocabulary lies.
fn vocabulary() -> PathBuf {
    asset("tokenizers/deberta-v3/spm.model")
}

fn make(name: &str) -> Result<Case, String> {
    if name == TOKENIZER {
        return tokenizer();
    }
    let isa = Isa::from_name(SET).map_err(|e| e.to_string())?;
    let case = cases().into_iter().find(|(known, _)| known == name);
    let (_, make) = case.ok_or_else(|| format!("no case is called {name}"))?;
    Ok(make(isa))
}

/// What happens under callgrind.
fn run(name: &str, runs: &str) -> Result<(), String> {
    let runs: usize = runs.parse().map_err(|e| format!("{runs}: {e}"))?;
    // This thread is the pool: no other one, and no waiting, is counted, neither in runs nor in what prepares them.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .map_err(|e| e.to_string())?;
    pool.install(|| {
        let mut case = make(name)?;
        (0..runs).for_each(|_| (case.run)());
        Ok(())
    })
}

/// The instructions of a process that runs a case so many times.
fn instructions(name: &str, runs: usize) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--run", name, &runs.to_string()])
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    let collected = messages
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("{name} under valgrind: {messages}")),
    }
}

/// Counts everything: name, instructions of one run, work.
fn count() -> Result<Vec<(&'static str, u64, Work)>, String> {
    let mut counts = Vec::new();
    for name in COUNTED {
        if name == TOKENIZER && !vocabulary().exists() {
            eprintln!(
                "SKIPPED: {} is missing, set DEBERTA_ASSETS",
                vocabulary().display()
            );
            continue;
        }
        let one = instructions(name, 1)?;
        let two = instructions(name, 2)?;
        counts.push((name, two.saturating_sub(one), make(name)?.work));
    }
    Ok(counts)
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("INSTRUCTIONS.md")
}

fn record() -> Result<(), String> {
    let mut text = String::from(
        "# Instructions per run of the main kernels\n\n\
         Counted by `valgrind --tool=callgrind` with AVX2 on one thread, of one run without its preparation. Unlike times,\n\
         these figures are the same on any day and machine: a change that makes them worse has to have a reason.\n\n\
         \x20   cargo run --release -p deberta-benches --bin count              # compares, fails beyond 1 %\n\
         \x20   cargo run --release -p deberta-benches --bin count -- --write   # records\n\n\
         A multiply-add of a vector of eight is 16 operations (f32); `vpmaddwd` and an addition do 32, of bytes widened once for all rows (int8).\n\n\
         | kernel | instructions | work | work per instruction |\n|---|---|---|---|\n",
    );
    for (name, count, work) in count()? {
        let (amount, unit) = match work {
            Work::Operations(operations, _) => (operations, "operations"),
            Work::Bytes(bytes) => (bytes, "bytes"),
        };
        let per = amount / count as f64;
        writeln!(text, "| {name} | {count} | {amount:.0} {unit} | {per:.3} |")
            .map_err(|e| e.to_string())?;
    }
    print!("{text}");
    std::fs::write(recorded(), text).map_err(|e| format!("{}: {e}", recorded().display()))
}

fn compare() -> Result<(), String> {
    let path = recorded();
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let before = |name: &str| -> Option<u64> {
        let mut rows = text.lines().filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            Some((cells.next()?, cells.next()?.parse().ok()?))
        });
        rows.find(|(known, _)| *known == name)
            .map(|(_, count)| count)
    };
    let mut changed = Vec::new();
    println!("| kernel | recorded | now | change |\n|---|---|---|---|");
    for (name, now, _) in count()? {
        let Some(before) = before(name) else {
            println!("| {name} | | {now} | |");
            changed.push(name);
            continue;
        };
        let change = now as f64 / before as f64 - 1.0;
        println!("| {name} | {before} | {now} | {:+.2} % |", 100.0 * change);
        if change.abs() > TOLERANCE {
            changed.push(name);
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let changed = changed.join("; ");
    Err(format!(
        "differ by more than 1 % from INSTRUCTIONS.md: {changed} (record with --write)"
    ))
}
