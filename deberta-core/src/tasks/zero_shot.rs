//! Classification by labels that the model was not trained on, through natural language inference.

use std::collections::HashMap;
use std::path::Path;

use tokenizer_spm::deberta::{DebertaTokenizer, Encoding, TruncationStrategy};

use super::control::{Control, Portion};
use super::encode::{Item, Texts};
use super::label::{Candidates, LabelScore};
use super::merged::Merged;
use super::reader::Reader;
use super::run;
use super::score::softmax;
use super::window::WindowOptions;
use crate::{Error, HeadKind, LoadOptions, Model};

/// How the reference begins the name of the label that says that a text entails a hypothesis.
const ENTAILMENT: &str = "entail";

/// A label is read with this many bytes of a text that are counted where inputs are cut into portions.
const LABEL_COST: usize = 64;

/// A model for natural language inference that says which of any labels a text has.
///
/// Each label becomes a hypothesis ("This example is about politics."), and the model says how much the text entails it.
/// Scores are those of the reference's pipeline: with one label to a text, a softmax over the entailment of all labels;
/// with several, each label's entailment against its contradiction.
///
/// A text that exceeds the model's length is read through windows, each with the whole hypothesis if that takes at
/// most half of a window ([`WindowOptions`]).
///
/// ```no_run
/// use deberta_core::tasks::ZeroShotClassifier;
/// let classifier = ZeroShotClassifier::load("MoritzLaurer/deberta-v3-base-zeroshot-v2.0")?;
/// let scores = classifier.classify("The election was close.", &["politics", "sport", "cooking"])?;
/// println!("{} {:.3}", scores[0].label, scores[0].score);
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ZeroShotClassifier {
    reader: Reader,
    template: Template,
    multi_label: bool,
    windows: WindowOptions,
    entailment: usize,
    contradiction: usize,
}

/// What stands around a label.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    before: String,
    after: String,
}

impl Template {
    fn new(template: &str) -> Result<Self, Error> {
        match template.split_once("{}") {
            Some((before, after)) if !after.contains("{}") => Ok(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            _ => Err(Error::Argument {
                name: "template",
                expected: "one {} where the label goes".to_owned(),
                found: format!("{template:?}"),
            }),
        }
    }

    fn of(&self, label: &str) -> String {
        format!("{}{label}{}", self.before, self.after)
    }
}

impl Default for Template {
    fn default() -> Self {
        Self {
            before: "This example is ".to_owned(),
            after: ".".to_owned(),
        }
    }
}

impl ZeroShotClassifier {
    /// Loads model and tokenizer from a directory in Hugging Face layout.
    ///
    /// # Errors
    /// Where either cannot be read, or the checkpoint has no sequence-classification head with two labels at least.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`ZeroShotClassifier::load`], with options.
    ///
    /// # Errors
    /// As [`ZeroShotClassifier::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let needed = HeadKind::SequenceClassification;
        Self::new(Reader::load(folder.as_ref(), options, needed)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head, or but one label.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        let needed = HeadKind::SequenceClassification;
        Self::new(Reader::new(model, tokenizer, needed)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let windows = WindowOptions::default();
        reader.room(&windows, Texts::Pair)?;
        let labels = &reader.config().labels;
        if labels.len() < 2 {
            return Err(Error::Head {
                expected: "natural language inference: two labels at least".to_owned(),
                found: format!("the label {:?} alone", labels.name(0).unwrap_or_default()),
            });
        }
        let named = |name: &String| name.to_lowercase().starts_with(ENTAILMENT);
        let entailment = labels.names().iter().position(named);
        let last = labels.len() - 1;
        let entailment = entailment.unwrap_or(last);
        Ok(Self {
            contradiction: if entailment == 0 { last } else { 0 },
            entailment,
            reader,
            template: Template::default(),
            multi_label: false,
            windows,
        })
    }

    /// Replaces what a label is put into, `This example is {}.`
    ///
    /// # Errors
    /// [`Error::Argument`] where `{}` is not there exactly once.
    pub fn with_template(mut self, template: &str) -> Result<Self, Error> {
        self.template = Template::new(template)?;
        Ok(self)
    }

    /// Whether a text may have several labels: each then has a score of its own between zero and one.
    #[must_use]
    pub fn with_multi_label(mut self, multi_label: bool) -> Self {
        self.multi_label = multi_label;
        self
    }

    /// Replaces the way that long texts are read.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window would have no room, be longer than the model allows, or
    /// overlap its neighbour entirely.
    pub fn with_windows(mut self, options: &WindowOptions) -> Result<Self, Error> {
        self.reader.room(options, Texts::Pair)?;
        self.windows = options.clone();
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// The label that is taken for entailment: the first whose name begins so. Where none does, it is the last one, as in
    /// the reference; a name that does not look like entailment tells that this model is for something else.
    pub fn entailment_label(&self) -> &str {
        let labels = &self.reader.config().labels;
        labels.name(self.entailment).unwrap_or_default()
    }

    /// Scores of all labels, the highest first; equal ones in the order of the labels.
    ///
    /// # Errors
    /// [`Error::Argument`] without labels, and where the tokenizer or the model refuses the text.
    pub fn classify(&self, text: &str, labels: &[&str]) -> Result<Vec<LabelScore>, Error> {
        let input = Candidates { text, labels };
        run::only(self.classify_each(&[input], &Control::until_error()))
    }

    /// The same for each text.
    ///
    /// # Errors
    /// As [`ZeroShotClassifier::classify`].
    pub fn classify_batch(
        &self,
        texts: &[&str],
        labels: &[&str],
    ) -> Result<Vec<Vec<LabelScore>>, Error> {
        let inputs = Candidates::of_all(texts, labels);
        run::all(self.classify_each(&inputs, &Control::until_error()))
    }

    /// As [`ZeroShotClassifier::classify`] for texts with labels of their own, with a result for each, and control over
    /// the work.
    pub fn classify_each(
        &self,
        inputs: &[Candidates<'_>],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<LabelScore>, Error>> {
        run::in_portions(
            inputs,
            |input| input.cost(LABEL_COST),
            control,
            |inputs, portion| self.portion(inputs, portion),
        )
    }

    fn portion(
        &self,
        inputs: &[Candidates<'_>],
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<LabelScore>, Error>> {
        let reader = &self.reader;
        // A label that many texts have is read once.
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut hypotheses: Vec<String> = Vec::new();
        for &label in inputs.iter().flat_map(|input| input.labels) {
            numbers.entry(label).or_insert_with(|| {
                hypotheses.push(self.template.of(label));
                hypotheses.len() - 1
            });
        }
        let hypotheses: Vec<&str> = hypotheses.iter().map(String::as_str).collect();
        let texts: Vec<&str> = inputs.iter().map(|input| input.text).collect();
        let (hypotheses, texts) = reader.model.install(|| {
            let encoder = &reader.encoder;
            (encoder.encode(&hypotheses), encoder.encode(&texts))
        });
        let hypotheses = match run::all(hypotheses) {
            Ok(hypotheses) => hypotheses,
            // A label of 4 GiB: nobody has one by accident.
            Err(error) => return vec![Err(error)],
        };
        run::of_the_good(texts, |texts, which| {
            self.pairs(inputs, portion, which, texts, |label| {
                &hypotheses[numbers[label]]
            })
        })
    }

    /// All pairs of a portion's texts and their labels, in one run.
    fn pairs<'e>(
        &self,
        inputs: &[Candidates<'_>],
        portion: Portion<'_>,
        which: &[usize],
        texts: &[Encoding],
        hypothesis: impl Fn(&str) -> &'e Encoding,
    ) -> Vec<Result<Vec<LabelScore>, Error>> {
        let mut items = Vec::new();
        let mut owners = Vec::new();
        for (first, &input) in texts.iter().zip(which) {
            for label in inputs[input].labels {
                items.push(Item::pair(first, hypothesis(label)));
                owners.push(input);
            }
        }
        let merged = self.reader.merged_logits(
            &items,
            &self.windows,
            TruncationStrategy::OnlyFirst,
            portion,
            |item| owners[item],
        );
        let mut merged = merged.into_iter();
        which
            .iter()
            .map(|&input| {
                let labels = inputs[input].labels;
                // All are taken, so that the next text finds its own.
                let of_text: Vec<_> = merged.by_ref().take(labels.len()).collect();
                self.rank(labels, &run::all(of_text)?)
            })
            .collect()
    }

    fn rank(&self, labels: &[&str], merged: &[Merged]) -> Result<Vec<LabelScore>, Error> {
        let logits: Vec<Vec<f32>> = merged.iter().map(Merged::logits).collect();
        let scores: Vec<f32> = if self.multi_label || labels.len() == 1 {
            let against =
                |row: &Vec<f32>| softmax(&[row[self.contradiction], row[self.entailment]])[1];
            logits.iter().map(against).collect()
        } else {
            let entailed: Vec<f32> = logits.iter().map(|row| row[self.entailment]).collect();
            softmax(&entailed)
        };
        LabelScore::ranked(labels, scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_one_place() {
        let template = Template::new("Es geht um {}!").expect("one place");
        assert_eq!(template.of("Käse"), "Es geht um Käse!");
        assert_eq!(Template::default().of("x"), "This example is x.");
        for wrong in ["", "about", "{} and {}"] {
            assert!(Template::new(wrong).is_err(), "{wrong}");
        }
    }
}
