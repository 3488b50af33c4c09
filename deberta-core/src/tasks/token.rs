//! Classification of the tokens of a text: names, parts of speech.

use std::ops::Range;
use std::path::Path;

use tokenizer_spm::deberta::DebertaTokenizer;

use super::Input;
use super::aggregate::{Aggregation, Group, Tokens, aggregate};
use super::encode::{Encoder, Texts, Tokenized};
use super::run::{self, Rows};
use super::score::softmax;
use super::window::{self, Room, Window, WindowOptions};
use crate::{Error, HeadKind, LoadOptions, Model};

/// A model with a token-classification head and its tokenizer.
///
/// ```no_run
/// use deberta_core::tasks::TokenClassifier;
/// let tagger = TokenClassifier::load("models/ner")?;
/// for entity in tagger.entities("John Doe works at Google in California.")? {
///     println!("{} {} at {:?}", entity.label, entity.text, entity.bytes);
/// }
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TokenClassifier {
    model: Model,
    encoder: Encoder,
    room: Room,
    aggregation: Aggregation,
    ignored: Vec<String>,
}

/// A part of a text that has a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The tag; without aggregation, the token's label with its prefix.
    pub label: String,
    /// The mean of the scores of its words (or of its tokens, by the aggregation).
    pub score: f32,
    /// The part of the text, without white space around it. Empty where the tokenizer made a token of white space
    /// alone and the model gave it a label.
    pub text: String,
    /// Where it lies, in bytes.
    pub bytes: Range<usize>,
    /// Where it lies, in characters (Unicode scalar values, as Python counts).
    pub chars: Range<usize>,
    /// Which of the text's tokens it covers, special tokens not counted.
    pub tokens: Range<usize>,
}

impl TokenClassifier {
    /// Loads model and tokenizer from a directory in Hugging Face layout.
    ///
    /// # Errors
    /// Where either cannot be read, or the checkpoint has no token-classification head.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`TokenClassifier::load`], with options. Where neither they nor the configuration's
    /// `architectures` name a head, it is taken to be the one that this task needs.
    ///
    /// # Errors
    /// As [`TokenClassifier::load`].
    pub fn load_with(folder: impl AsRef<Path>, mut options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        options.head = super::head_for(folder, options.head, HeadKind::TokenClassification)?;
        let model = Model::load(folder, options)?;
        Self::from_parts(model, DebertaTokenizer::from_dir(folder)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        super::check_head(&model, HeadKind::TokenClassification)?;
        let encoder = Encoder::new(tokenizer);
        let room = encoder.room(model.config(), &WindowOptions::default(), Texts::Single)?;
        let (aggregation, ignored) = (Aggregation::default(), vec!["O".to_owned()]);
        Ok(Self {
            model,
            encoder,
            room,
            aggregation,
            ignored,
        })
    }

    /// Replaces the way that tokens become entities ([`Aggregation::Simple`]).
    #[must_use]
    pub fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Replaces the labels that are left out (`O`).
    #[must_use]
    pub fn with_ignored_labels(
        mut self,
        labels: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.ignored = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Replaces the way that long texts are read. Each token's logits come from the window in which it
    /// lies farthest from a cut; `merge` has no say here.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window would have no room, be longer than the model allows, or
    /// overlap its neighbour entirely.
    pub fn with_windows(mut self, options: &WindowOptions) -> Result<Self, Error> {
        self.room = self
            .encoder
            .room(self.model.config(), options, Texts::Single)?;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The entities of a text, in its order.
    ///
    /// # Errors
    /// Where the tokenizer or the model refuses the text.
    pub fn entities(&self, text: &str) -> Result<Vec<Entity>, Error> {
        Ok(self
            .entities_batch(&[text])?
            .into_iter()
            .next()
            .unwrap_or_default())
    }

    /// The entities of each text, in their order.
    ///
    /// # Errors
    /// As [`TokenClassifier::entities`].
    pub fn entities_batch(&self, texts: &[&str]) -> Result<Vec<Vec<Entity>>, Error> {
        let mut answers = Vec::with_capacity(texts.len());
        for portion in run::portions(texts.iter().map(|text| text.len())) {
            let offset = portion.start;
            let inputs: Vec<Input<'_>> = texts[portion].iter().map(|&t| Input::Single(t)).collect();
            let tokenized = self.model.install(|| self.encoder.encode(&inputs))?;
            let scores = self.scores(&tokenized, offset)?;
            for ((text, tokenized), scores) in texts[offset..].iter().zip(&tokenized).zip(&scores) {
                answers.push(self.group(text, tokenized, scores));
            }
        }
        Ok(answers)
    }

    /// Scores of each text's tokens, one row of labels after the other.
    fn scores(&self, texts: &[Tokenized], offset: usize) -> Result<Vec<Vec<f32>>, Error> {
        let labels = self.model.config().num_labels();
        let mut scores: Vec<Vec<f32>> = texts
            .iter()
            .map(|text| vec![0.0; text.first.len() * labels])
            .collect();
        let mut windows: Vec<(usize, Window, Range<usize>)> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let cut = window::over_text(text.first.len(), self.room);
            let answers = window::answers(&cut);
            windows.extend(
                cut.into_iter()
                    .zip(answers)
                    .map(|(window, range)| (i, window, range)),
            );
        }
        let specials = self.encoder.specials_before();
        let lengths: Vec<usize> = windows
            .iter()
            .map(|(i, window, _)| self.encoder.length(&texts[*i], window))
            .collect();
        run::logits(
            &self.model,
            &lengths,
            Rows::PerToken,
            |job| {
                let (i, window, _) = &windows[job];
                self.encoder.assemble(&texts[*i], window)
            },
            |job, logits| {
                let (i, window, answers) = &windows[job];
                for token in answers.clone() {
                    let row = logits.row(specials + token - window.first.start);
                    if row.iter().any(|x| !x.is_finite()) {
                        return Err(Error::NotFiniteOutput { input: offset + i });
                    }
                    scores[*i][token * labels..(token + 1) * labels]
                        .copy_from_slice(&softmax(&row.to_vec()));
                }
                Ok(())
            },
        )?;
        Ok(scores)
    }

    fn group(&self, text: &str, tokenized: &Tokenized, scores: &[f32]) -> Vec<Entity> {
        let encoding = &tokenized.first;
        let spans: Vec<_> = encoding
            .offsets
            .iter()
            .map(|&(start, end)| start..end)
            .collect();
        let unknown: Vec<_> = encoding
            .ids
            .iter()
            .map(|&id| Some(id) == self.encoder.unknown())
            .collect();
        let labels = self.model.config().labels.names();
        let tokens = Tokens {
            text,
            spans: &spans,
            unknown: &unknown,
            scores,
            labels,
        };
        let mut characters = Characters {
            text,
            byte: 0,
            char: 0,
        };
        aggregate(&tokens, self.aggregation)
            .into_iter()
            .filter(|group| !self.ignored.iter().any(|label| label == group.label))
            .map(|group| entity(&mut characters, &spans, group))
            .collect()
    }
}

fn entity(characters: &mut Characters<'_>, spans: &[Range<usize>], group: Group<'_>) -> Entity {
    let first = spans.get(group.tokens.start).map_or(0, |span| span.start);
    let last = spans
        .get(group.tokens.end.wrapping_sub(1))
        .map_or(first, |span| span.end);
    let bytes = trimmed(characters.text, first..last.max(first));
    let chars = characters.at(bytes.start)..characters.at(bytes.end);
    Entity {
        label: group.label.to_owned(),
        score: group.score,
        text: characters
            .text
            .get(bytes.clone())
            .unwrap_or_default()
            .to_owned(),
        bytes,
        chars,
        tokens: group.tokens,
    }
}

/// The span without white space at its ends, widened to whole characters.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (span.start.min(text.len()), span.end.min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let part = &text[start..end];
    let left = part.trim_start();
    start = end - left.len();
    start..start + left.trim_end().len()
}

/// Counts characters along a text. Asking in rising order takes one pass over it.
struct Characters<'a> {
    text: &'a str,
    byte: usize,
    char: usize,
}

impl Characters<'_> {
    /// The number of characters before byte `byte`, a character boundary.
    fn at(&mut self, byte: usize) -> usize {
        if byte < self.byte {
            (self.byte, self.char) = (0, 0);
        }
        self.char += self
            .text
            .get(self.byte..byte)
            .map_or(0, |part| part.chars().count());
        self.byte = byte;
        self.char
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_trimmed_to_whole_characters() {
        let text = " é\u{3000}x ";
        assert_eq!(trimmed(text, 0..text.len()), 1..7);
        assert_eq!(trimmed(text, 2..3), 1..3); // the second byte of é
        assert_eq!(trimmed(text, 3..6), 6..6); // white space alone
        assert_eq!(trimmed(text, 0..1), 1..1);
        assert_eq!(trimmed(text, 90..99), 8..8);
        assert_eq!(trimmed("", 0..0), 0..0);
    }

    #[test]
    fn characters_are_counted_from_any_boundary() {
        let mut characters = Characters {
            text: "aé漢🙂z",
            byte: 0,
            char: 0,
        };
        let counted: Vec<usize> = [0, 1, 3, 6, 10, 11].map(|byte| characters.at(byte)).into();
        assert_eq!(counted, [0, 1, 2, 3, 4, 5]);
        assert_eq!(characters.at(3), 2);
    }

    #[test]
    fn entities_carry_byte_and_character_spans() {
        let mut characters = Characters {
            text: "Zoë lives in Köln.",
            byte: 0,
            char: 0,
        };
        let spans = [0..4, 4..10, 10..13, 13..19, 19..20];
        let group = Group {
            label: "LOC",
            score: 0.5,
            tokens: 3..4,
        };
        let found = entity(&mut characters, &spans, group);
        assert_eq!(
            (found.text.as_str(), found.bytes, found.chars),
            ("Köln", 14..19, 13..17)
        );
    }
}
