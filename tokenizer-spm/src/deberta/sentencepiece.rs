//! A SentencePiece model with added tokens, as Hugging Face's slow `DebertaV2Tokenizer` uses it.

use std::collections::HashSet;
use std::ops::Range;

use crate::hf::{AddedToken, AddedTokens, Encoding, Matcher, Normalized, Settings, is_punctuation};
use crate::{PieceType, SentencePiece, Token, TokenizerError};

/// The vocabulary of an `spm.model` and what the files beside it add.
#[derive(Debug, Clone)]
pub(super) struct SpmTokenizer {
    model: SentencePiece,
    added: AddedTokens,
    /// Finds added tokens, special or not.
    matcher: Matcher,
    /// Finds tokens that stay as they are when the text is lowercased.
    protected: Matcher,
    /// Special tokens that stand on their own in decoded text: additional ones beyond the model's pieces.
    apart: HashSet<u32>,
    lower_case: bool,
    split_by_punct: bool,
}

/// A stretch of the text: an added token, or text for the model.
struct Chunk {
    range: Range<usize>,
    token: Option<u32>,
}

impl SpmTokenizer {
    pub(super) fn new(model: SentencePiece, settings: &Settings) -> Result<Self, TokenizerError> {
        let mut added = AddedTokens::default();
        for (id, token) in &settings.added {
            let mut token = token.clone();
            if settings.lower_case && !token.special && token.normalized {
                token.content = token.content.to_lowercase();
            }
            added.insert(*id, token);
        }
        // Tokens that nobody gave an id are pieces of the model or come after everything else.
        let mut next = model.vocab_size()
            + added
                .iter()
                .filter(|(id, _)| *id as usize >= model.vocab_size())
                .count();
        for (token, _) in settings.special.all() {
            if added.id(&token.content).is_some() {
                continue;
            }
            let id = match model.piece_to_id(&token.content) {
                Some(id) => id,
                None => {
                    while added.token(next as u32).is_some() {
                        next += 1;
                    }
                    u32::try_from(next).map_err(|_| TokenizerError::InvalidModel {
                        what: "vocabulary".to_owned(),
                        expected: "less than 2^32 tokens",
                        found: next.to_string(),
                    })?
                }
            };
            added.insert(
                id,
                AddedToken {
                    special: true,
                    ..token.clone()
                },
            );
        }
        let all = |keep: fn(&AddedToken) -> bool| {
            Matcher::new(
                added
                    .iter()
                    .filter(|(_, token)| keep(token))
                    .map(|(id, token)| (token.content.as_str(), id)),
            )
        };
        let matcher = all(|_| true);
        let protected = all(|token| token.special || token.normalized);
        let additional = settings.special.additional.iter();
        let apart = additional
            .filter_map(|token| added.id(&token.content))
            .filter(|&id| id as usize >= model.vocab_size())
            .collect();
        Ok(Self {
            apart,
            matcher,
            protected,
            model,
            added,
            lower_case: settings.lower_case,
            split_by_punct: settings.split_by_punct,
        })
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.added
            .id(token)
            .or_else(|| self.model.piece_to_id(token))
    }

    pub(super) fn id_to_token(&self, id: u32) -> Option<&str> {
        let added = self.added.token(id).map(|token| token.content.as_str());
        added.or_else(|| self.model.id_to_piece(id))
    }

    pub(super) fn vocab_size(&self) -> usize {
        let is_new = |token: &AddedToken| self.model.piece_to_id(&token.content).is_none();
        self.model.vocab_size() + self.added.iter().filter(|(_, token)| is_new(token)).count()
    }

    /// The tokens of one text, before anything is added or cut off.
    pub(super) fn encode_text(&self, text: &str, sequence: u8, trim: bool) -> Encoding {
        let mut encoding = Encoding::with_capacity(text.len() / 4 + 8);
        let mut words = Words::default();
        if self.lower_case {
            let lowered = self.lowercase(text);
            let original = |range: Range<usize>| lowered.original(range);
            self.encode_cased(
                lowered.text(),
                original,
                sequence,
                &mut words,
                &mut encoding,
            );
        } else {
            let original = |range: Range<usize>| (range.start, range.end);
            self.encode_cased(text, original, sequence, &mut words, &mut encoding);
        }
        encoding.finish_text(text, trim);
        encoding
    }

    /// Encodes a text whose letters are as they shall be; `original` leads back to the original text.
    fn encode_cased(
        &self,
        text: &str,
        original: impl Fn(Range<usize>) -> (usize, usize),
        sequence: u8,
        words: &mut Words,
        encoding: &mut Encoding,
    ) {
        let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 4 + 8);
        let mut encode = |range: Range<usize>, words: &mut Words, encoding: &mut Encoding| {
            tokens.clear();
            self.model.each_piece(&text[range.clone()], |token, piece| {
                let word = words.next(tokens.is_empty() || piece.starts_with('▁'), false);
                encoding.push_unplaced(token.id, piece, word, sequence);
                tokens.push(token);
            });
            for (index, &Token { id, start, mut end }) in tokens.iter().enumerate() {
                // SentencePiece gives only the last byte of a character its span; all should have it.
                if end == start && self.model.piece_type(id) == Some(PieceType::Byte) {
                    let later = tokens[index..].iter().map(|later| later.end);
                    end = later.take(4).find(|&later| later > end).unwrap_or(end);
                }
                encoding
                    .offsets
                    .push(original(range.start + start..range.start + end));
            }
        };
        for Chunk { range, token } in self.chunks(text) {
            if let Some(id) = token {
                let word = words.next(true, true);
                encoding.push_token(id, &text[range.clone()], original(range), word, sequence);
            } else if self.split_by_punct {
                for word in split_on_punctuation(text, range) {
                    encode(word, words, encoding);
                }
            } else {
                encode(range, words, encoding);
            }
        }
    }

    /// Lowercases everything but special tokens.
    fn lowercase(&self, text: &str) -> Normalized {
        let mut keep = self.protected.find(text).map(|(range, _)| range).peekable();
        Normalized::lowercase_where(text, |at| {
            while keep.next_if(|range| range.end <= at).is_some() {}
            keep.peek().is_none_or(|range| range.start > at)
        })
    }

    /// Cuts the added tokens out of a text.
    fn chunks(&self, text: &str) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut done = 0;
        for (range, id) in self.matcher.find(text) {
            if done < range.start {
                chunks.push(Chunk {
                    range: done..range.start,
                    token: None,
                });
            }
            done = range.end;
            chunks.push(Chunk {
                range,
                token: Some(id),
            });
        }
        if done < text.len() {
            chunks.push(Chunk {
                range: done..text.len(),
                token: None,
            });
        }

        for index in 0..chunks.len() {
            let Some(token) = chunks[index].token.and_then(|id| self.added.token(id)) else {
                continue;
            };
            if token.rstrip
                && let Some(Chunk { range, token: None }) = chunks.get_mut(index + 1)
            {
                let after = &text[range.clone()];
                range.start += after.len() - after.trim_start().len();
            }
            if token.lstrip
                && let Some(Chunk { range, token: None }) = index
                    .checked_sub(1)
                    .and_then(|before| chunks.get_mut(before))
            {
                let before = &text[range.clone()];
                range.end -= before.len() - before.trim_end().len();
            }
            if token.single_word {
                // Only spaces separate words here. A token inside a word becomes part of the text again.
                let here = chunks[index].range.clone();
                if here.start > 0 && !text[..here.start].ends_with(' ') {
                    chunks[index - 1].range.end = here.end;
                    chunks[index - 1].token = None;
                    chunks[index].range = here.end..here.end;
                    chunks[index].token = None;
                } else if here.end < text.len() && !text[here.end..].starts_with(' ') {
                    chunks[index + 1].range.start = here.start;
                    chunks[index + 1].token = None;
                    chunks[index].range = here.start..here.start;
                    chunks[index].token = None;
                }
            }
        }
        chunks.retain(|chunk| !chunk.range.is_empty());
        chunks
    }

    /// Text for token ids, spaces around special tokens as the reference puts them.
    pub(super) fn decode(
        &self,
        ids: &[u32],
        skip_special_tokens: bool,
    ) -> Result<String, TokenizerError> {
        // What lies between tokens that were added and are not special is decoded on its own, and all
        // is joined with spaces.
        let mut parts: Vec<String> = Vec::new();
        let mut part = Part::default();
        for &id in ids {
            match self.added.token(id) {
                Some(token) if token.special && skip_special_tokens => {}
                Some(token) if token.special && !self.apart.contains(&id) => {
                    part.push_special(&self.model, &token.content)?;
                }
                Some(token) => {
                    let decoded = std::mem::take(&mut part).finish(&self.model)?;
                    parts.extend((!decoded.is_empty()).then_some(decoded));
                    parts.push(token.content.clone());
                }
                None if self.model.id_to_piece(id).is_none() => {
                    return Err(TokenizerError::IdOutOfRange {
                        id,
                        vocab_size: self.vocab_size(),
                    });
                }
                None => part.push(id),
            }
        }
        if !part.is_empty() {
            parts.push(part.finish(&self.model)?);
        }
        Ok(parts.join(" "))
    }
}

/// A stretch of tokens that is being decoded.
#[derive(Default)]
struct Part {
    text: String,
    ids: Vec<u32>,
    after_special: bool,
}

impl Part {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.text.is_empty()
    }

    fn push(&mut self, id: u32) {
        self.ids.push(id);
        self.after_special = false;
    }

    fn push_special(&mut self, model: &SentencePiece, token: &str) -> Result<(), TokenizerError> {
        if !self.after_special {
            self.text.push(' ');
        }
        self.flush(model)?;
        self.text.push_str(token);
        self.after_special = true;
        Ok(())
    }

    fn flush(&mut self, model: &SentencePiece) -> Result<(), TokenizerError> {
        self.text.push_str(&model.decode(&self.ids)?);
        self.ids.clear();
        Ok(())
    }

    fn finish(mut self, model: &SentencePiece) -> Result<String, TokenizerError> {
        self.flush(model)?;
        Ok(self.text.trim().to_owned())
    }
}

/// Counts words.
#[derive(Default)]
struct Words {
    count: u32,
    after_added: bool,
}

impl Words {
    /// The word of the next token.
    fn next(&mut self, starts: bool, is_added: bool) -> u32 {
        if starts || self.after_added || self.count == 0 {
            self.count += 1;
        }
        self.after_added = is_added;
        self.count - 1
    }
}

/// The stretches of `range` without punctuation, and each punctuation character.
fn split_on_punctuation(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut continues = false;
    for (offset, character) in text[range.clone()].char_indices() {
        let start = range.start + offset;
        let end = start + character.len_utf8();
        let is_punctuation = is_punctuation(character);
        match out.last_mut() {
            Some(last) if continues && !is_punctuation => last.end = end,
            _ => out.push(start..end),
        }
        continues = !is_punctuation;
    }
    out
}
