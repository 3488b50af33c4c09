//! Classification of the tokens of a text: names, parts of speech.

use std::ops::Range;
use std::path::Path;

use tokenizer_spm::deberta::{DebertaTokenizer, Encoding};

use super::aggregate::{Aggregation, Group, Tokens, aggregate};
use super::control::{Control, Portion};
use super::encode::{Item, Texts};
use super::reader::Reader;
use super::run;
use super::score::softmax;
use super::span::{Characters, Span};
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
    reader: Reader,
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
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let needed = HeadKind::TokenClassification;
        Self::new(Reader::load(folder.as_ref(), options, needed)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        let needed = HeadKind::TokenClassification;
        Self::new(Reader::new(model, tokenizer, needed)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let room = reader.room(&WindowOptions::default(), Texts::Single)?;
        let (aggregation, ignored) = (Aggregation::default(), vec!["O".to_owned()]);
        Ok(Self {
            reader,
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
    /// overlap its neighbour entirely, and where the text would be cut off (`truncate`).
    pub fn with_windows(mut self, options: &WindowOptions) -> Result<Self, Error> {
        options.refuse_truncation()?;
        self.room = self.reader.room(options, Texts::Single)?;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// The entities of a text, in its order.
    ///
    /// # Errors
    /// Where the tokenizer or the model refuses the text.
    pub fn entities(&self, text: &str) -> Result<Vec<Entity>, Error> {
        run::only(self.entities_each(&[text], &Control::until_error()))
    }

    /// The entities of each text, in their order.
    ///
    /// # Errors
    /// As [`TokenClassifier::entities`].
    pub fn entities_batch(&self, texts: &[&str]) -> Result<Vec<Vec<Entity>>, Error> {
        run::all(self.entities_each(texts, &Control::until_error()))
    }

    /// As [`TokenClassifier::entities_batch`], with a result for each text, and control over the work.
    pub fn entities_each(
        &self,
        texts: &[&str],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Entity>, Error>> {
        let reader = &self.reader;
        run::in_portions(
            texts,
            |text| text.len(),
            control,
            |texts, portion| {
                let encodings = reader.model.install(|| reader.encoder.encode(texts));
                run::of_the_good(encodings, |encodings, which| {
                    let scores = self.scores(encodings, which, portion);
                    let answers = scores.into_iter().zip(encodings).zip(which);
                    answers
                        .map(
                            |((scores, encoding), &i)| Ok(self.group(texts[i], encoding, &scores?)),
                        )
                        .collect()
                })
            },
        )
    }

    /// Scores of each text's tokens, one row of labels after the other. `which` inputs of the portion they are.
    fn scores(
        &self,
        texts: &[Encoding],
        which: &[usize],
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<f32>, Error>> {
        let specials = self.reader.encoder.specials_before();
        let cuts = texts
            .iter()
            .map(|text| window::over_text(text.len(), self.room));
        let cuts: Vec<Vec<Window>> = cuts.collect();
        let answers: Vec<Vec<Range<usize>>> = cuts.iter().map(|cut| window::answers(cut)).collect();
        let items: Vec<_> = texts
            .iter()
            .zip(&cuts)
            .map(|(first, cut)| (Item::single(first), &cut[..]))
            .collect();
        let scores = self.reader.read(
            &items,
            portion,
            |batch| run::logits_of(&self.reader.model, batch),
            |i, window, (logits, batch, row)| {
                let start = batch.sequence(row).start + specials;
                let first = cuts[i][window].first.start;
                let mut scores = Vec::new();
                for token in answers[i][window].clone() {
                    let row = logits.row(start + token - first);
                    if row.iter().any(|x| !x.is_finite()) {
                        let input = portion.first + which[i];
                        return Err(Error::NotFiniteOutput { input });
                    }
                    scores.extend(softmax(&row.to_vec()));
                }
                Ok(scores)
            },
        );
        // Windows answer for the tokens in their order, and for each token one.
        let scores = scores.into_iter();
        scores.map(|scores| Ok(scores?.concat())).collect()
    }

    fn group(&self, text: &str, encoding: &Encoding, scores: &[f32]) -> Vec<Entity> {
        let spans: Vec<_> = encoding
            .offsets
            .iter()
            .map(|&(start, end)| start..end)
            .collect();
        let unknown: Vec<_> = encoding
            .ids
            .iter()
            .map(|&id| Some(id) == self.reader.encoder.unknown())
            .collect();
        let labels = self.reader.config().labels.names();
        let tokens = Tokens {
            text,
            spans: &spans,
            unknown: &unknown,
            scores,
            labels,
        };
        let mut characters = Characters::new(text);
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
    let Span { text, bytes, chars } = characters.span(first..last.max(first));
    Entity {
        label: group.label.to_owned(),
        score: group.score,
        text,
        bytes,
        chars,
        tokens: group.tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_carry_byte_and_character_spans() {
        let mut characters = Characters::new("Zoë lives in Köln.");
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
