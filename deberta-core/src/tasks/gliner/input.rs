//! Labels and words as the encoder reads them.

use std::ops::{Range, RangeInclusive};

use tokenizer_spm::deberta::{DebertaTokenizer, Encoding};

use super::super::encode::Encoder;
use super::config::GlinerConfig;
use super::words::words;
use crate::Error;
use crate::tasks::Candidates;
use crate::tasks::words::{Windows, window_of};

/// The tokens that stand around labels and texts.
pub(super) struct Markers {
    first: u32,
    last: u32,
    /// Before a label.
    label: u32,
    /// Between the labels and the text.
    text: u32,
}

impl Markers {
    /// Those of the tokenizer. It need not know all of them: what it lacks was appended to its vocabulary when the model
    /// was made, in this order: `[FLERT]`, the one before labels, the one before the text.
    pub(super) fn new(
        tokenizer: &DebertaTokenizer,
        config: &GlinerConfig,
        rows: usize,
    ) -> Result<Self, Error> {
        let [label, text] = &config.markers;
        let mut next = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let mut id = |name: &str| {
            tokenizer.token_to_id(name).unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        };
        let (_, appended, behind) = (id("[FLERT]"), id(label), id(text));
        let (label, text) = match config.label_token {
            None => (appended, behind),
            // The file knows better, and the token before the text comes after the one before labels.
            Some(given) => (given, tokenizer.token_to_id(text).unwrap_or(given + 1)),
        };
        let special = |id: Option<u32>, name: &'static str| {
            id.ok_or_else(|| Error::Argument {
                name: "tokenizer",
                expected: format!("a {name} token"),
                found: "none".to_owned(),
            })
        };
        let markers = Self {
            first: special(tokenizer.cls_token_id(), "[CLS]")?,
            last: special(tokenizer.sep_token_id(), "[SEP]")?,
            label,
            text,
        };
        match [label, text].into_iter().find(|&id| id as usize >= rows) {
            Some(id) => Err(Error::IdOutOfRange {
                id,
                rows,
                position: 0,
            }),
            None => Ok(markers),
        }
    }
}

/// Tokens of a word that are read: what has more is no word, but numbers or data in letters.
const WORD: usize = 128;

/// A text and its labels, ready to be read.
pub(super) struct Prepared<'a> {
    /// Each once.
    pub(super) labels: Vec<&'a str>,
    /// Where the words lie, in bytes.
    pub(super) words: Vec<Range<usize>>,
    /// Windows over the words; none where there are no words or no labels.
    pub(super) windows: Vec<Range<usize>>,
    label_ids: Vec<Vec<u32>>,
    word_ids: Vec<Vec<u32>>,
    /// Tokens of a window at most.
    most: usize,
}

impl<'a> Prepared<'a> {
    /// Prepares texts on all threads.
    pub(super) fn all(
        inputs: &[Candidates<'a>],
        encoder: &Encoder,
        markers: &Markers,
        windows: Windows,
    ) -> Vec<Result<Self, Error>> {
        let mut pieces: Vec<&str> = Vec::new();
        let mut parts = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut labels: Vec<&str> = Vec::with_capacity(input.labels.len());
            for &label in input.labels {
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
            let words = words(input.text);
            pieces.extend(&labels);
            pieces.extend(words.iter().map(|word| &input.text[word.clone()]));
            parts.push((labels, words));
        }
        let mut encodings = encoder.encode(&pieces).into_iter();
        parts
            .into_iter()
            .map(|(labels, words)| {
                let mut ids = |count: usize| -> Vec<Result<Vec<u32>, Error>> {
                    let some = encodings.by_ref().take(count);
                    some.map(|encoding| encoding.map(|encoding: Encoding| encoding.ids))
                        .collect()
                };
                let (label_ids, word_ids) = (ids(labels.len()), ids(words.len()));
                let label_ids: Vec<Vec<u32>> = label_ids.into_iter().collect::<Result<_, _>>()?;
                let mut word_ids: Vec<Vec<u32>> = word_ids.into_iter().collect::<Result<_, _>>()?;
                if windows.truncated.is_none() {
                    word_ids.iter_mut().for_each(|ids| ids.truncate(WORD));
                }
                let is_wrong = |ids: &Vec<u32>| ids.is_empty() || ids.contains(&markers.label);
                if let Some(wrong) = label_ids.iter().position(is_wrong) {
                    return Err(Error::Argument {
                        name: "labels",
                        expected: "labels of at least one token, none of them the marker of labels"
                            .to_owned(),
                        found: format!("{:?}", labels[wrong]),
                    });
                }
                let is_empty = words.is_empty() || labels.is_empty();
                let prepared = Self {
                    windows: match is_empty {
                        true => Vec::new(),
                        false => windows.over(words.len()),
                    },
                    labels,
                    words,
                    label_ids,
                    word_ids,
                    most: windows.truncated.unwrap_or(usize::MAX),
                };
                let prompt = prepared.prompt();
                if prompt >= prepared.most {
                    return Err(Error::Argument {
                        name: "labels",
                        expected: format!("fewer than {} tokens", prepared.most),
                        found: format!("{prompt}, with their markers"),
                    });
                }
                Ok(prepared)
            })
            .collect()
    }

    /// Tokens before the first word.
    fn prompt(&self) -> usize {
        // [CLS], a marker before each label, and the marker before the text.
        2 + self
            .label_ids
            .iter()
            .map(|ids| 1 + ids.len())
            .sum::<usize>()
    }

    /// Tokens of a window.
    pub(super) fn length(&self, window: usize) -> usize {
        let words = &self.word_ids[self.windows[window].clone()];
        let whole = self.prompt() + words.iter().map(Vec::len).sum::<usize>() + 1;
        whole.min(self.most)
    }

    /// The ids of a window.
    pub(super) fn ids(&self, window: usize, markers: &Markers) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.length(window));
        ids.push(markers.first);
        for label in &self.label_ids {
            ids.push(markers.label);
            ids.extend(label);
        }
        ids.push(markers.text);
        ids.extend(self.word_ids[self.windows[window].clone()].iter().flatten());
        ids.truncate(self.length(window) - 1);
        ids.push(markers.last);
        ids
    }

    /// The token before each label.
    pub(super) fn label_tokens(&self) -> impl Iterator<Item = usize> {
        self.label_ids.iter().scan(1, |next, ids| {
            let token = *next;
            *next += 1 + ids.len();
            Some(token)
        })
    }

    /// The tokens of each word of a window, as far as they are read.
    pub(super) fn word_tokens(&self, window: usize) -> Vec<Range<usize>> {
        let mut start = self.prompt();
        let end = self.length(window) - 1;
        let words = self.word_ids[self.windows[window].clone()].iter();
        words
            .map(|ids| {
                let range = start..end.min(start + ids.len());
                start = range.end;
                range
            })
            .collect()
    }

    /// The window that answers for a span.
    pub(super) fn window_of(&self, span: &RangeInclusive<usize>) -> usize {
        window_of(&self.windows, self.words.len(), span)
    }
}
