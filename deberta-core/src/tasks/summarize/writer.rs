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

    /// Tokens without the single bytes that they end with: how these are read depends on all bytes of their run.
    fn before_bytes<'a>(&self, tokens: &'a [u32]) -> &'a [u32] {
        let is_byte = |&id: &u32| {
            let token = self.token(id).unwrap_or_default();
            token.starts_with("<0x") && token.ends_with('>')
        };
        let bytes = tokens.iter().rev().take_while(|&id| is_byte(id)).count();
        &tokens[..tokens.len() - bytes]
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
        let words = tokens
            .iter()
            .copied()
            .filter(|&id| self.token(id).is_some());
        let words: Vec<u32> = words.collect();
        Ok(match self {
            Self::Any(tokenizer) => tokenizer.decode(&words, true)?,
            Self::Deberta(tokenizer) => tokenizer.decode(&words, true)?,
        })
    }

    fn token(&self, id: u32) -> Option<&str> {
        match self {
            Self::Any(tokenizer) => tokenizer.id_to_token(id),
            Self::Deberta(tokenizer) => tokenizer.id_to_token(id),
        }
    }
}

/// Text that is told as its tokens come. What was told is never taken back: a character that has not got all its bytes
/// waits for them, spaces wait for what follows, and words that may yet be drawn together wait for each other.
pub(super) struct Stream<'a> {
    writer: &'a Writer,
    hear: &'a mut dyn FnMut(&str),
    tokens: Vec<u32>,
    /// What was told.
    told: String,
    /// What went wrong.
    failure: Option<Error>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(writer: &'a Writer, hear: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            writer,
            hear,
            tokens: Vec::new(),
            told: String::new(),
            failure: None,
        }
    }

    /// Takes tokens, the last of them perhaps, and tells the text that they complete.
    pub(super) fn tell(&mut self, tokens: &[u32], last: bool) {
        if self.failure.is_some() {
            return;
        }
        self.tokens.extend_from_slice(tokens);
        let known = match last {
            true => &self.tokens,
            false => self.writer.before_bytes(&self.tokens),
        };
        match self.writer.text(known) {
            Err(error) => self.failure = Some(error),
            Ok(text) => {
                let text = text.trim();
                let text = match last {
                    true => text,
                    false => self.writer.settled(text),
                };
                let new = text.strip_prefix(&self.told).unwrap_or_default();
                if !new.is_empty() {
                    (self.hear)(new);
                    self.told.push_str(new);
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
    use super::{Stream, Writer, before_last_word};
    use std::path::Path;

    /// Bytes that are a character at first are none if their run goes on with bytes that are not.
    #[test]
    fn single_bytes_wait_for_the_end_of_their_run() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/summarize"));
        let writer = Writer::load(folder, 4032).expect("a tokenizer");
        let id = |token: &str| match &writer {
            Writer::Deberta(tokenizer) => tokenizer.token_to_id(token).expect(token),
            Writer::Any(_) => panic!("the decoder has no tokenizer of its own"),
        };
        let smile = ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"].map(&id);
        let word = id("\u{2581}the");
        for run in [smile.to_vec(), [&smile[..], &smile[..2]].concat()] {
            let tokens = [&[1, word], &run[..], &[word, 2]].concat();
            let mut told = Vec::new();
            let mut hear = |piece: &str| told.push(piece.to_owned());
            let mut stream = Stream::new(&writer, &mut hear);
            for (i, token) in tokens.iter().enumerate() {
                stream.tell(&[*token], i + 1 == tokens.len());
            }
            stream.result().expect("text");
            assert_eq!(told.concat(), writer.text(&tokens).expect("text").trim());
            assert_eq!(told[0], "the");
            assert!(told.len() <= 3, "{told:?}");
        }
    }

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
