//! From texts to the windows' token ids.
//!
//! Texts are tokenized whole and without special tokens; the windows that are cut out of them are then
//! dressed with the special tokens that the tokenizer puts around a text.

use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions, Encoding, Input};

use super::run::Sequence;
use super::window::{Room, Window, WindowOptions};
use crate::{Config, Error};

/// The length of windows where the tokenizer states none: that of every published model's training.
const DEFAULT_LENGTH: usize = 512;

/// A tokenizer and what it puts around texts.
#[derive(Debug)]
pub(super) struct Encoder {
    tokenizer: DebertaTokenizer,
    /// Special tokens around a single text, and of those the ones before it.
    single: usize,
    before: usize,
    /// Special tokens around a pair.
    pair: usize,
}

/// How many texts a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    Single,
    Pair,
}

/// An input's tokens, special ones left out.
#[derive(Debug)]
pub(super) struct Tokenized {
    pub(super) first: Encoding,
    pub(super) second: Option<Encoding>,
}

/// A text or a pair to read: what [`Tokenized`] owns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) first: &'a Encoding,
    pub(super) second: Option<&'a Encoding>,
}

impl<'a> Item<'a> {
    pub(super) fn single(first: &'a Encoding) -> Self {
        let second = None;
        Self { first, second }
    }

    pub(super) fn pair(first: &'a Encoding, second: &'a Encoding) -> Self {
        let second = Some(second);
        Self { first, second }
    }
}

impl Tokenized {
    pub(super) fn item(&self) -> Item<'_> {
        Item {
            first: &self.first,
            second: self.second.as_ref(),
        }
    }
}

impl Encoder {
    pub(super) fn new(tokenizer: DebertaTokenizer) -> Self {
        let (empty, token) = (Encoding::default(), one_token());
        let dressed = tokenizer.with_special_tokens(&token, None);
        Self {
            single: dressed.len() - 1,
            before: dressed
                .special_tokens_mask
                .iter()
                .take_while(|&&special| special != 0)
                .count(),
            pair: tokenizer.with_special_tokens(&empty, Some(&empty)).len(),
            tokenizer,
        }
    }

    /// Tokens of a window, special ones included, where `wanted` are asked for.
    pub(super) fn window_length(
        &self,
        config: &Config,
        wanted: Option<usize>,
    ) -> Result<usize, Error> {
        let limit = if config.position_biased_input {
            config.max_position_embeddings
        } else {
            usize::MAX
        };
        Ok(match wanted {
            Some(length) if length > limit => {
                return Err(Error::Argument {
                    name: "max_length",
                    expected: format!("at most {limit} (the model's absolute positions)"),
                    found: length.to_string(),
                });
            }
            Some(length) => length,
            None => self
                .tokenizer
                .model_max_length()
                .unwrap_or(DEFAULT_LENGTH)
                .min(limit),
        })
    }

    /// What a window leaves for a single text, or for the two of a pair.
    pub(super) fn room(
        &self,
        config: &Config,
        options: &WindowOptions,
        texts: Texts,
    ) -> Result<Room, Error> {
        let length = self.window_length(config, options.max_length)?;
        let (specials, texts) = match texts {
            Texts::Single => (self.single, 1),
            Texts::Pair => (self.pair, 2),
        };
        Room::new(length, specials, texts, options.overlap)
    }

    /// Tokenizes texts on all threads, without special tokens. Spans include leading spaces, as in the reference.
    pub(super) fn encode(&self, texts: &[&str]) -> Vec<Result<Encoding, Error>> {
        let options = EncodeOptions {
            add_special_tokens: false,
            trim_offsets: false,
            ..EncodeOptions::default()
        };
        match self.tokenizer.encode_batch(texts, &options) {
            Ok(encodings) => encodings.into_iter().map(Ok).collect(),
            // Which of them it was.
            Err(_) => texts
                .iter()
                .map(|&text| Ok(self.tokenizer.encode(text, &options)?))
                .collect(),
        }
    }

    /// Tokenizes inputs, taking a pair with an empty second text for a single text as the reference's pipelines do.
    pub(super) fn encode_inputs(&self, inputs: &[Input<'_>]) -> Vec<Result<Tokenized, Error>> {
        let texts: Vec<&str> = inputs
            .iter()
            .flat_map(|input| match *input {
                Input::Single(text) | Input::Pair(text, "") => [Some(text), None],
                Input::Pair(first, second) => [Some(first), Some(second)],
            })
            .flatten()
            .collect();
        let mut encodings = self.encode(&texts).into_iter();
        // There is one encoding per text, so none of them is missing.
        let mut next = || encodings.next().unwrap_or_else(|| Ok(Encoding::default()));
        inputs
            .iter()
            .map(|input| {
                let first = next();
                let second = match input {
                    Input::Single(_) | Input::Pair(_, "") => None,
                    Input::Pair(..) => Some(next()),
                };
                Ok(Tokenized {
                    first: first?,
                    second: second.transpose()?,
                })
            })
            .collect()
    }

    /// The ids and type ids of a window, special tokens included.
    pub(super) fn assemble(&self, item: Item<'_>, window: &Window) -> Sequence {
        let dressed = self.dress(item, window);
        (dressed.ids, dressed.type_ids)
    }

    /// A window with its special tokens.
    pub(super) fn dress(&self, item: Item<'_>, window: &Window) -> Encoding {
        let first = item.first.slice(window.first.clone());
        let second = item
            .second
            .map(|second| second.slice(window.second.clone()));
        self.tokenizer.with_special_tokens(&first, second.as_ref())
    }

    /// Tokens of a window, special ones included.
    pub(super) fn length(&self, item: Item<'_>, window: &Window) -> usize {
        self.specials(item.second.is_some()) + window.first.len() + window.second.len()
    }

    /// Special tokens around a single text or a pair.
    pub(super) fn specials(&self, pair: bool) -> usize {
        if pair { self.pair } else { self.single }
    }

    /// The tokenizer.
    pub(super) fn tokenizer(&self) -> &DebertaTokenizer {
        &self.tokenizer
    }

    /// Special tokens before a single text.
    pub(super) fn specials_before(&self) -> usize {
        self.before
    }

    /// The id of the token for unknown text.
    pub(super) fn unknown(&self) -> Option<u32> {
        self.tokenizer.unk_token_id()
    }
}

/// A text of one token, to see where the tokenizer puts a text among its special tokens.
fn one_token() -> Encoding {
    Encoding {
        ids: vec![0],
        tokens: vec![String::new()],
        type_ids: vec![0],
        attention_mask: vec![1],
        special_tokens_mask: vec![0],
        word_ids: vec![Some(0)],
        sequence_ids: vec![Some(0)],
        offsets: vec![(0, 0)],
        char_offsets: vec![(0, 0)],
        ..Encoding::default()
    }
}
