//! Summarises texts with an encoder-decoder model.
//!
//! ```text
//! cargo run --release --example summarize -- article.txt
//! cargo run --release --example summarize -- --model MODEL --num-beams 4 --max-length 60 --json < article.txt
//! ```
//!
//! A file is a text; without files, standard input is one. The summary appears word by word as it is decided, or whole as
//! a line of JSON. Any directory will do that `EncoderDecoderModel.save_pretrained` of `transformers` has written, with a
//! DeBERTa encoder, and the tokenizer beside it (`decoder_tokenizer/` for one of the decoder's own).

mod common;

use std::cell::RefCell;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use common::generation::Generation;
use common::options::{Default, ModelOptions};
use common::report::{self, Failure};
use deberta_core::Error;
use deberta_core::generate::Ended;
use deberta_core::tasks::{Control, LongText, Progress, Summarizer, Summary};
use indicatif::ProgressBar;
use serde_json::json;

/// Summarises texts with a DeBERTa encoder and its decoder.
#[derive(Parser)]
struct Options {
    /// Files with a text each; none: standard input
    files: Vec<PathBuf>,
    /// What becomes of a text that is longer than the model reads at once
    #[arg(long, value_enum, default_value = "refuse")]
    long: Long,
    /// Tokens that the model reads at once [default: as the tokenizer says, else 512]
    #[arg(long)]
    max_input: Option<usize>,
    /// One JSON object per text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    generation: Generation,
    #[command(flatten)]
    model: ModelOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Long {
    /// It is an error
    Refuse,
    /// Its parts are summarised, and then their summaries
    Combine,
    /// Its end is left out
    Truncate,
}

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let folder = options.model.directory(Default::Shipped("summarize"))?;
    let mut summarizer = Summarizer::load_with(folder, options.model.load())?;
    let generation = options.generation.over(summarizer.options().clone());
    summarizer = summarizer
        .with_options(generation)
        .with_long_texts(match options.long {
            Long::Refuse => LongText::Refuse,
            Long::Combine => LongText::Combine,
            Long::Truncate => LongText::Truncate,
        });
    if let Some(tokens) = options.max_input {
        summarizer = summarizer.with_max_input(tokens)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sources: Vec<Option<&Path>> = match &options.files[..] {
        [] => vec![None],
        files => files.iter().map(|file| Some(file.as_path())).collect(),
    };
    let mut failed = 0;
    for source in &sources {
        let name = source.map_or("standard input".to_owned(), |file| {
            file.display().to_string()
        });
        let summary = text(*source, &name).and_then(|text| {
            end_between_tokens(&stop)?;
            let summary = summarize(&summarizer, &text, &stop, options.json)?;
            Ok(print(&name, &text, &summary, options.json)?)
        });
        match summary {
            Ok(()) => (),
            Err(error) if stop.load(Ordering::Relaxed) || sources.len() == 1 => return Err(error),
            Err(error) => {
                failed += 1;
                eprintln!("error: {name}: {}", report::chain(error.as_ref(), ": "));
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} texts have no summary", sources.len()).into()),
    }
}

/// Lets Ctrl-C end the work between two tokens, so that the terminal is left in order. Before there is any work, it ends
/// the program as ever.
fn end_between_tokens(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    static SET: Once = Once::new();
    let (mut set, raised) = (Ok(()), stop.clone());
    SET.call_once(|| set = ctrlc::set_handler(move || raised.store(true, Ordering::Relaxed)));
    Ok(set?)
}

/// The text of a file, or of standard input.
fn text(file: Option<&Path>, name: &str) -> Result<String, Failure> {
    let bytes = match file {
        Some(file) => fs::read(file).map_err(|e| format!("{name}: {e}"))?,
        None => {
            if io::stdin().is_terminal() {
                eprintln!("reading a text from {name} (end with Ctrl-D)");
            }
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            bytes
        }
    };
    let text = String::from_utf8(bytes);
    Ok(text.map_err(|e| format!("{name}: not UTF-8 ({})", e.utf8_error()))?)
}

/// Summarises a text, showing the summary as it comes unless it is to be JSON.
fn summarize(
    summarizer: &Summarizer,
    text: &str,
    stop: &AtomicBool,
    json: bool,
) -> Result<Summary, Failure> {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::new_spinner().with_message("reading");
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    // Bytes that were shown, or why they could not be.
    let written: RefCell<io::Result<usize>> = RefCell::new(Ok(0));
    let mut show = |piece: &str| {
        if json {
            bar.set_message(format!("… {}", piece.trim()));
            return;
        }
        bar.finish_and_clear();
        let mut out = io::stdout().lock();
        let mut written = written.borrow_mut();
        if let Ok(before) = *written {
            let shown = write!(out, "{piece}").and_then(|()| out.flush());
            *written = shown.map(|()| before + piece.len());
            // A reader that went away wants no more.
            stop.fetch_or(written.is_err(), Ordering::Relaxed);
        }
    };
    let parts = |progress: Progress| {
        let Progress { done, total } = progress;
        bar.set_message(format!("reading, {done} of {total} parts"));
    };
    let control = Control::default().cancelled_by(stop).on_progress(&parts);
    let summary = summarizer.summarize_streaming(text, &control, &mut show);
    bar.finish_and_clear();
    if written.into_inner()? > 0 && summary.is_err() {
        println!(); // what is said next does not belong to what was written
    }
    summary.map_err(|error| match error {
        Error::Argument {
            name: "text",
            ref found,
            ..
        } if found.parse::<usize>().is_ok() => {
            let hint = "--long combine reads a long text in parts, --long truncate its beginning";
            format!("{error}\n{hint}").into()
        }
        other => other.into(),
    })
}

/// What follows a summary that was shown, or all of it as JSON.
fn print(name: &str, text: &str, summary: &Summary, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let ended = match summary.ended {
        Ended::Eos => "eos",
        Ended::Length => "length",
        Ended::Budget => "budget",
        _ => "cancelled",
    };
    if json {
        let object = json!({
            "source": name,
            "characters": text.chars().count(),
            "parts": summary.parts,
            "summary": summary.text,
            "score": summary.score,
            "ended": ended,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out)?;
    }
    out.flush()
}
