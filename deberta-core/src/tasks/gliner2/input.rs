//! What is looked for, and a text, as the encoder reads them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use tokenizer_spm::deberta::DebertaTokenizer;

use super::words::words;
use crate::Error;
use crate::tasks::Candidates;
use crate::tasks::encode::Encoder;
use crate::tasks::words::{Windows, window_of};

/// The tokens that GLiNER2 adds to a vocabulary.
const ADDED: [&str; 10] = [
    "[SEP_STRUCT]",
    "[SEP_TEXT]",
    "[P]",
    "[C]",
    "[E]",
    "[R]",
    "[L]",
    "[EXAMPLE]",
    "[OUTPUT]",
    "[DESCRIPTION]",
];

/// The tokens that stand around labels and texts.
pub(super) struct Markers {
    open: Vec<u32>,
    close: Vec<u32>,
    /// Before what is to be done.
    task: u32,
    /// Before a kind of entity, and before a class.
    pub(super) entity: u32,
    pub(super) class: u32,
    description: u32,
    /// Between the labels and the text.
    text: u32,
    /// What labels must not hold.
    all: Vec<u32>,
}

impl Markers {
    pub(super) fn new(encoder: &Encoder, rows: usize) -> Result<Self, Error> {
        let tokenizer = encoder.tokenizer();
        let id = |name: &str| {
            let id = tokenizer.token_to_id(name);
            id.filter(|&id| (id as usize) < rows)
                .ok_or_else(|| missing(tokenizer, name, rows))
        };
        let plain = |text: &str| -> Result<Vec<u32>, Error> {
            let encoding = encoder.encode(&[text]).into_iter().next();
            Ok(encoding.transpose()?.unwrap_or_default().ids)
        };
        Ok(Self {
            open: plain("(")?,
            close: plain(")")?,
            task: id("[P]")?,
            entity: id("[E]")?,
            class: id("[L]")?,
            description: id("[DESCRIPTION]")?,
            text: id("[SEP_TEXT]")?,
            all: ADDED
                .iter()
                .filter_map(|name| tokenizer.token_to_id(name))
                .collect(),
        })
    }
}

fn missing(tokenizer: &DebertaTokenizer, name: &str, rows: usize) -> Error {
    match tokenizer.token_to_id(name) {
        Some(id) => Error::IdOutOfRange {
            id,
            rows,
            position: 0,
        },
        None => Error::Argument {
            name: "tokenizer",
            expected: format!("a {name} token, as GLiNER2 adds one"),
            found: "none".to_owned(),
        },
    }
}

/// What is looked for, and the marker of its labels.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) name: &'a str,
    pub(super) marker: u32,
    /// Whether a label that is named twice counts once.
    pub(super) distinct: bool,
    /// Of labels that have one.
    pub(super) descriptions: &'a HashMap<String, String>,
}

impl Task<'_> {
    /// The name with the labels' descriptions, and how many these are.
    fn prompt(&self, labels: &[&str]) -> (String, usize) {
        let mut prompt = self.name.to_owned();
        let mut count = 0;
        for label in distinct(labels) {
            if let Some(text) = self.descriptions.get(label) {
                prompt.push_str(&format!(" [DESCRIPTION] {label}: {text}"));
                count += 1;
            }
        }
        (prompt, count)
    }
}

fn distinct<'a>(labels: &[&'a str]) -> Vec<&'a str> {
    let mut each: Vec<&str> = Vec::with_capacity(labels.len());
    for &label in labels {
        if !each.contains(&label) {
            each.push(label);
        }
    }
    each
}

/// A text with a full stop behind it, if it does not end as a sentence does: so are texts read.
fn finished(text: &str) -> Cow<'_, str> {
    match text.ends_with(['.', '!', '?']) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{text}.")),
    }
}

/// A text and its labels, ready to be read.
pub(super) struct Prepared<'a> {
    pub(super) labels: Vec<&'a str>,
    /// Where the words lie, in bytes. The full stop that was put behind the text may be the last one, or its end.
    pub(super) words: Vec<Range<usize>>,
    /// Windows over the words; none where there are no labels.
    pub(super) windows: Vec<Range<usize>>,
    /// What stands before the words.
    prompt: Vec<u32>,
    task: usize,
    label_tokens: Vec<usize>,
    word_ids: Vec<Vec<u32>>,
}

impl<'a> Prepared<'a> {
    /// Prepares texts on all threads.
    pub(super) fn all(
        inputs: &[Candidates<'a>],
        task: Task<'_>,
        encoder: &Encoder,
        markers: &Markers,
        windows: Windows,
    ) -> Vec<Result<Self, Error>> {
        let mut pieces: Vec<Cow<'_, str>> = Vec::new();
        let mut parts = Vec::with_capacity(inputs.len());
        for input in inputs {
            let labels = match task.distinct {
                true => distinct(input.labels),
                false => input.labels.to_vec(),
            };
            let (prompt, described) = task.prompt(&labels);
            let text = finished(input.text);
            let words = words(&text);
            pieces.push(Cow::Owned(prompt));
            pieces.extend(labels.iter().map(|&label| Cow::Borrowed(label)));
            let lower = words.iter().map(|word| text[word.clone()].to_lowercase());
            pieces.extend(lower.map(Cow::Owned));
            parts.push((labels, words, described));
        }
        let pieces: Vec<&str> = pieces.iter().map(AsRef::as_ref).collect();
        let mut ids = encoder.encode(&pieces).into_iter();
        parts
            .into_iter()
            .map(|(labels, words, described)| {
                let some = ids.by_ref().take(1 + labels.len() + words.len());
                // All are taken, so that the next text finds its own.
                let some: Vec<_> = some.map(|encoding| Ok(encoding?.ids)).collect();
                let mut some = some.into_iter().collect::<Result<Vec<Vec<u32>>, Error>>()?;
                let word_ids = some.split_off((1 + labels.len()).min(some.len()));
                check(&some, &labels, described, markers)?;
                let mut prepared = Self {
                    windows: match labels.is_empty() {
                        true => Vec::new(),
                        false => windows.over(words.len()),
                    },
                    labels,
                    words,
                    prompt: Vec::new(),
                    task: 0,
                    label_tokens: Vec::new(),
                    word_ids,
                };
                prepared.write_prompt(&some, task.marker, markers);
                Ok(prepared)
            })
            .collect()
    }

    /// `( [P] task ( [E] label [E] label ) ) [SEP_TEXT]`
    fn write_prompt(&mut self, ids: &[Vec<u32>], marker: u32, markers: &Markers) {
        let Some((task, labels)) = ids.split_first() else {
            return;
        };
        let prompt = &mut self.prompt;
        prompt.extend(&markers.open);
        self.task = prompt.len();
        prompt.push(markers.task);
        prompt.extend(task);
        prompt.extend(&markers.open);
        for label in labels {
            self.label_tokens.push(prompt.len());
            prompt.push(marker);
            prompt.extend(label);
        }
        prompt.extend(&markers.close);
        prompt.extend(&markers.close);
        prompt.push(markers.text);
    }

    /// Tokens of a window.
    pub(super) fn length(&self, window: usize) -> usize {
        let words = &self.word_ids[self.windows[window].clone()];
        self.prompt.len() + words.iter().map(Vec::len).sum::<usize>()
    }

    /// The ids of a window. There are no tokens around them.
    pub(super) fn ids(&self, window: usize) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.length(window));
        ids.extend(&self.prompt);
        ids.extend(self.word_ids[self.windows[window].clone()].iter().flatten());
        ids
    }

    /// The token before the task.
    pub(super) fn task_token(&self) -> usize {
        self.task
    }

    /// The token before each label.
    pub(super) fn label_tokens(&self) -> &[usize] {
        &self.label_tokens
    }

    /// The tokens of each word of a window.
    pub(super) fn word_tokens(&self, window: usize) -> Vec<Range<usize>> {
        let mut start = self.prompt.len();
        let words = self.word_ids[self.windows[window].clone()].iter();
        words
            .map(|ids| {
                let range = start..start + ids.len();
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

/// Refuses markers inside labels, descriptions and the name of the task: the package would take them for its own.
fn check(
    ids: &[Vec<u32>],
    labels: &[&str],
    described: usize,
    markers: &Markers,
) -> Result<(), Error> {
    let count = |ids: &Vec<u32>| ids.iter().filter(|id| markers.all.contains(id)).count();
    let refuse = |name, expected: &str, found: String| {
        Err(Error::Argument {
            name,
            expected: format!("{expected} without markers such as [E] and [SEP_TEXT]"),
            found,
        })
    };
    let Some((task, each)) = ids.split_first() else {
        return Ok(());
    };
    if let Some(wrong) = each.iter().position(|ids| count(ids) > 0) {
        return refuse("labels", "labels", format!("{:?}", labels[wrong]));
    }
    let own = task.iter().filter(|&&id| id == markers.description).count();
    if own != described || count(task) != described {
        let found = format!("{} of them", count(task) - described.min(count(task)));
        return refuse("task", "a task, and descriptions of its labels,", found);
    }
    Ok(())
}
