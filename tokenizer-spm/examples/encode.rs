//! Encodes lines of text: one JSON object on standard output for each line of standard input.
//!
//! ```text
//! cargo run --release -p tokenizer-spm --example encode -- MODEL [--raw] < lines
//! {"ids":[1,5365,964,2],"tokens":["[CLS]","▁Hello","▁World","[SEP]"],"offsets":[[0,0],[0,5],[6,11],[0,0]]}
//! ```

use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};
use tokenizer_spm::{SentencePiece, TokenizerError};

/// Encode each line of standard input: {"ids":[..],"tokens":[..],"offsets":[[byte_start,byte_end],..]}
///
/// A line ends before its \n; a \r there and a byte order mark are kept as part of the line.
#[derive(Parser)]
struct Arguments {
    /// The directory of a checkpoint (v1, v2, v3, mDeBERTa), a tokenizer.json, an spm.model (or spiece.model),
    /// or a vocab.json with its merges.txt beside it
    model: PathBuf,
    /// Plain SentencePiece: its own ids, pieces and byte spans, without special tokens
    #[arg(long)]
    raw: bool,
}

#[derive(Serialize)]
struct Encoded {
    ids: Vec<u32>,
    tokens: Vec<String>,
    offsets: Vec<(usize, usize)>,
}

enum Tokenizer {
    Deberta(Box<DebertaTokenizer>),
    Raw(Box<SentencePiece>),
}

impl Tokenizer {
    fn load(arguments: &Arguments) -> Result<Self, TokenizerError> {
        let path = arguments.model.as_path();
        if arguments.raw {
            if path
                .extension()
                .is_some_and(|extension| extension == "json" || extension == "txt")
            {
                return Err(TokenizerError::InvalidOptions {
                    option: "--raw",
                    problem: format!(
                        "it takes a SentencePiece model (spm.model), and {} is not one",
                        path.display()
                    ),
                });
            }
            let model = SentencePiece::from_file(sentencepiece_file(path))?;
            return Ok(Tokenizer::Raw(Box::new(model)));
        }
        Ok(Tokenizer::Deberta(Box::new(DebertaTokenizer::from_path(
            path,
        )?)))
    }

    fn encode(&self, text: &str) -> Result<Encoded, TokenizerError> {
        Ok(match self {
            Tokenizer::Deberta(tokenizer) => {
                let encoding = tokenizer.encode(text, &EncodeOptions::default())?;
                Encoded {
                    ids: encoding.ids,
                    tokens: encoding.tokens,
                    offsets: encoding.offsets,
                }
            }
            Tokenizer::Raw(model) => {
                let pieces = model.encode(text);
                Encoded {
                    ids: pieces.iter().map(|piece| piece.id).collect(),
                    offsets: pieces
                        .iter()
                        .map(|piece| (piece.start, piece.end))
                        .collect(),
                    tokens: pieces.into_iter().map(|piece| piece.piece).collect(),
                }
            }
        })
    }
}

/// The model file itself, or the one in a directory.
fn sentencepiece_file(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let candidates = ["spm.model", "spiece.model"].map(|name| path.join(name));
    let found = candidates.iter().find(|candidate| candidate.exists());
    found.unwrap_or(&candidates[0]).clone()
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let tokenizer = Tokenizer::load(arguments)?;
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let encoded = match std::str::from_utf8(bytes) {
            Ok(text) => tokenizer
                .encode(text)
                .map_err(|error| format!("line {number}: {error}")),
            Err(error) => Err(format!(
                "line {number} of standard input is not valid UTF-8 (from byte {} of the line on)",
                error.valid_up_to()
            )),
        };
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => {
                // What came before is good.
                output.flush()?;
                return Err(error.into());
            }
        };
        serde_json::to_writer(&mut output, &encoded).map_err(io::Error::from)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader of a pipe may leave early, as `head` does.
            if let Some(error) = error.downcast_ref::<io::Error>()
                && error.kind() == io::ErrorKind::BrokenPipe
            {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
