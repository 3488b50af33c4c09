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
        let known = |name| whose.join(name).is_file();
        let writer = match own.is_some() && (known("tokenizer.json") || known("vocab.txt")) {
            true => Self::Any(Box::new(HfTokenizer::from_dir(whose)?)),
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

    /// The part of a text that what follows will not change.
    fn settled<'a>(&self, text: &'a str) -> &'a str {
        let text = text
            .trim_end_matches(char::REPLACEMENT_CHARACTER)
            .trim_end();
        match self {
            Self::Any(tokenizer) if tokenizer.cleans_up() => before_last_word(text),
            _ => text,
        }
    }

    /// The text of some tokens, special ones left out, and those that only fill a table up and are no word.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String, Error> {
        let words = tokens.iter().copied().filter(|&id| self.is_word(id));
        let words: Vec<u32> = words.collect();
        Ok(match self {
            Self::Any(tokenizer) => tokenizer.decode(&words, true)?,
            Self::Deberta(tokenizer) => tokenizer.decode(&words, true)?,
        })
    }

    fn is_word(&self, id: u32) -> bool {
        match self {
            Self::Any(tokenizer) => tokenizer.id_to_token(id).is_some(),
            Self::Deberta(tokenizer) => tokenizer.id_to_token(id).is_some(),
        }
    }
}

/// Text that is told as its tokens come. What was told is never taken back: a character that has not got all its bytes
/// waits for them, spaces wait for what follows, and words that may yet be drawn together wait for each other.
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
                let text = text.trim();
                let text = match last {
                    true => text,
                    false => self.writer.settled(text),
                };
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

/// A text without its last word, and without an apostrophe between that and what is to come: `do n '` may become `don't`.
fn before_last_word(text: &str) -> &str {
    let word = text.trim_end_matches('\'').trim_end();
    match word.rfind(char::is_whitespace) {
        Some(end) => word[..end].trim_end(),
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::before_last_word;

    #[test]
    fn words_that_may_be_drawn_together_wait() {
        for (text, settled) in [
            ("", ""),
            ("we", ""),
            ("we do", "we"),
            ("we do n", "we do"),
            ("we do n '", "we do"),
            ("we don't.", "we"),
        ] {
            assert_eq!(before_last_word(text), settled, "{text}");
        }
    }
}
