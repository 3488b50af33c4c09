//! Draws what the heads of a layer look at, and why: attention and the terms of its scores, as a web page.
//!
//! ```text
//! cargo run --release -p deberta-core --example attention -- --layer 1 --output attention.html "The cat sat on its mat."
//! ```

#[path = "../common/atomic.rs"]
mod atomic;
#[path = "../common/model.rs"]
mod model;
mod page;
#[path = "../common/report.rs"]
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use deberta_core::{Batch, HeadKind, LoadOptions, Model, Observe};
use page::Page;
use report::Failure;
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};

/// Draws the attention of one layer, and the terms of its scores, as a web page.
///
/// Rows are the tokens that look, columns those that are looked at. A score is the sum of its terms: content to
/// content, content to position (what a token looks for at a distance) and position to content (from which distance a
/// token wants to be seen).
#[derive(Parser)]
struct Options {
    /// The text
    text: String,
    /// A directory with a model in Hugging Face layout [default: models/sentiment of this repository]
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/sentiment"), hide_default_value = true)]
    model: PathBuf,
    /// The layer, counted from 0
    #[arg(long, default_value_t = 0)]
    layer: usize,
    /// The head, counted from 0; by default all
    #[arg(long)]
    head: Option<usize>,
    /// The page to write
    #[arg(long, default_value = "attention.html")]
    output: PathBuf,
}

/// More tokens than a drawing can show.
const MAX_TOKENS: usize = 128;

fn main() -> ExitCode {
    report::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let folder = model::directory(&options.model)?;
    let tokenizer = DebertaTokenizer::from_dir(&folder)?;
    let encoding = tokenizer.encode(options.text.as_str(), &EncodeOptions::default())?;
    if encoding.len() > MAX_TOKENS {
        let found = encoding.len();
        return Err(
            format!("expected a text of at most {MAX_TOKENS} tokens, found {found}").into(),
        );
    }
    let model = Model::load(folder, LoadOptions::default().head(HeadKind::Base))?;
    let heads = match options.head {
        Some(head) => head..head + 1,
        None => 0..model.config().num_attention_heads,
    };
    let wanted = heads.fold(Observe::default().score_terms(), |wanted, head| {
        wanted.attention(options.layer, head)
    });
    let batch = Batch::packed([(encoding.ids, encoding.type_ids)])?;
    let (_, observed) = model.observe(&batch, &wanted)?;

    let mut page = Page::new(&options.text, options.layer, &encoding.tokens);
    for map in &observed.attention {
        let title = format!("head {}", map.head);
        let mut panels = vec![("attention", &map.probabilities)];
        if let Some(terms) = &map.terms {
            panels.push(("content to content", &terms.content_content));
            let others = [
                ("content to position", &terms.content_position),
                ("position to content", &terms.position_content),
            ];
            panels.extend(others.iter().filter_map(|(n, t)| Some((*n, t.as_ref()?))));
        }
        page.row(&title, &panels);
    }
    atomic::write(&options.output, page.finish().as_bytes())?;
    println!(
        "{}: layer {}, {} heads, {} tokens",
        options.output.display(),
        options.layer,
        observed.attention.len(),
        encoding.tokens.len()
    );
    Ok(())
}
