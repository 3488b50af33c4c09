//! From the decoder's tokens to text.

use std::path::Path;

use tokenizer_spm::deberta::DebertaTokenizer;
use tokenizer_spm::hf::HfTokenizer;

use crate::Error;

/// The folders that a decoder's own tokenizer may be in.
const FOLDERS: [&str; 2] = ["decoder_tokenizer", "decoder"];

/// The tokenizer of a decoder.
#[derive(Debug)]
pub(super) enum Writer {
    /// Of any kind: BERT's, GPT-2's.
    Any(Box<HfTokenizer>),
    /// Of the encoder's kind.
    Deberta(Box<DebertaTokenizer>),
}

impl Writer {
    /// The tokenizer of the decoder in a model's directory, whose vocabulary has `rows` tokens.
    pub(super) fn load(folder: &Path, rows: usize) -> Result<Self, Error> {
        let own = FOLDERS.map(|name| folder.join(name));
        let own = own.into_iter().find(|folder| folder.is_dir());
        let whose = own.as_deref().unwrap_or(folder);
        let file = whose.join("tokenizer.json");
        let writer = match own.is_some() && file.exists() {
            true => Self::Any(Box::new(HfTokenizer::from_file(file)?)),
            false => Self::Deberta(Box::new(DebertaTokenizer::from_dir(whose)?)),
        };
        let known = writer.vocabulary();
        if known > rows {
            return Err(Error::Argument {
                name: "the decoder's tokenizer",
                expected: format!(
                    "at most {rows} tokens, as many as the decoder has (its own tokenizer belongs into the folder {})",
                    FOLDERS[0]
                ),
                found: format!("{known} in {}", whose.display()),
            });
        }
        Ok(writer)
    }

    fn vocabulary(&self) -> usize {
        match self {
            Self::Any(tokenizer) => tokenizer.vocab_size(),
            Self::Deberta(tokenizer) => tokenizer.vocab_size(),
        }
    }

    /// The text of some tokens, special ones left out.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String, Error> {
        Ok(match self {
            Self::Any(tokenizer) => tokenizer.decode(tokens, true)?,
            Self::Deberta(tokenizer) => tokenizer.decode(tokens, true)?,
        })
    }
}

/// Text that is told as its tokens come. What was told is never taken back: a character that has not got all its bytes
/// waits for them, and spaces wait for what follows.
pub(super) struct Stream<'a> {
    writer: &'a Writer,
    hear: &'a mut dyn FnMut(&str),
    tokens: Vec<u32>,
    /// Bytes that were told.
    told: usize,
    /// What went wrong.
    failure: Option<Error>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(writer: &'a Writer, hear: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            writer,
            hear,
            tokens: Vec::new(),
            told: 0,
            failure: None,
        }
    }

    /// Takes tokens, the last of them perhaps, and tells the text that they complete.
    pub(super) fn tell(&mut self, tokens: &[u32], last: bool) {
        if self.failure.is_some() {
            return;
        }
        self.tokens.extend_from_slice(tokens);
        match self.writer.text(&self.tokens) {
            Err(error) => self.failure = Some(error),
            Ok(text) => {
                let text = complete(&text, last);
                if let Some(new) = text.get(self.told..).filter(|new| !new.is_empty()) {
                    (self.hear)(new);
                    self.told = text.len();
                }
            }
        }
    }

    /// What went wrong, if anything did.
    pub(super) fn result(self) -> Result<(), Error> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// The part of a text that what follows will not change.
fn complete(text: &str, last: bool) -> &str {
    let text = text.trim();
    match last {
        true => text,
        false => text
            .trim_end_matches(char::REPLACEMENT_CHARACTER)
            .trim_end(),
    }
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn what_may_change_waits() {
        assert_eq!(complete(" Good \u{FFFD}\u{FFFD}", false), "Good");
        assert_eq!(
            complete(" Good \u{FFFD}\u{FFFD}", true),
            "Good \u{FFFD}\u{FFFD}"
        );
        assert_eq!(complete("  ", false), "");
    }
}
