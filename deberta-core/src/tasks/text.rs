//! Classification of whole texts and pairs.

use std::path::Path;

use tokenizer_spm::deberta::{DebertaTokenizer, TruncationStrategy};

use super::control::{Control, Portion};
use super::encode::{Item, Texts};
use super::merged::Merged;
use super::reader::Reader;
use super::run;
use super::window::WindowOptions;
use super::{Input, ScoreFunction};
use crate::{Error, HeadKind, LoadOptions, Model};

/// A model with a sequence-classification head and its tokenizer.
///
/// It answers what the reference's pipeline answers, which takes a pair with an empty second text for
/// a single text.
///
/// ```no_run
/// use deberta_core::tasks::TextClassifier;
/// let classifier = TextClassifier::load("models/sentiment")?;
/// let answer = classifier.classify("This is a positive example.")?;
/// println!("{} {:.3}", answer.label, answer.score);
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TextClassifier {
    reader: Reader,
    function: ScoreFunction,
    windows: WindowOptions,
}

/// One label of a text and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// The label's name, from `id2label`.
    pub label: String,
    /// Its score.
    pub score: f32,
    /// Its index among the model's logits.
    pub index: usize,
    /// Over how many windows the text was read; 1 where it fits the model.
    pub windows: usize,
}

impl TextClassifier {
    /// Loads model and tokenizer from a directory in Hugging Face layout.
    ///
    /// # Errors
    /// Where either cannot be read, or the checkpoint has no sequence-classification head.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`TextClassifier::load`], with options. Where neither they nor the configuration's
    /// `architectures` name a head, it is taken to be the one that this task needs.
    ///
    /// # Errors
    /// As [`TextClassifier::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let needed = HeadKind::SequenceClassification;
        Self::new(Reader::load(folder.as_ref(), options, needed)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        let needed = HeadKind::SequenceClassification;
        Self::new(Reader::new(model, tokenizer, needed)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let windows = WindowOptions::default();
        reader.room(&windows, Texts::Single)?;
        let function = ScoreFunction::for_config(reader.config());
        Ok(Self {
            reader,
            function,
            windows,
        })
    }

    /// Replaces the function that turns logits into scores.
    #[must_use]
    pub fn with_function(mut self, function: ScoreFunction) -> Self {
        self.function = function;
        self
    }

    /// Replaces the way that long texts are read.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window would have no room, be longer than the model allows, or
    /// overlap its neighbour entirely.
    pub fn with_windows(mut self, options: &WindowOptions) -> Result<Self, Error> {
        self.reader.room(options, Texts::Single)?;
        self.windows = options.clone();
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// The label with the highest score.
    ///
    /// # Errors
    /// Where the tokenizer or the model refuses the text.
    pub fn classify<'a>(&self, input: impl Into<Input<'a>>) -> Result<Classification, Error> {
        let best = self.top_k(input, 1)?.into_iter().next();
        best.ok_or_else(|| Error::Head {
            expected: "at least one label".to_owned(),
            found: "none".to_owned(),
        })
    }

    /// All labels, the highest score first; equal ones in the order of the logits.
    ///
    /// # Errors
    /// As [`TextClassifier::classify`].
    pub fn classify_all<'a>(
        &self,
        input: impl Into<Input<'a>>,
    ) -> Result<Vec<Classification>, Error> {
        self.top_k(input, usize::MAX)
    }

    /// The `k` labels with the highest scores, or all where there are fewer.
    ///
    /// # Errors
    /// As [`TextClassifier::classify`].
    pub fn top_k<'a>(
        &self,
        input: impl Into<Input<'a>>,
        k: usize,
    ) -> Result<Vec<Classification>, Error> {
        run::only(self.top_k_each(&[input.into()], k, &Control::until_error()))
    }

    /// The best label of each input, in their order.
    ///
    /// # Errors
    /// As [`TextClassifier::classify`].
    pub fn classify_batch(&self, inputs: &[Input<'_>]) -> Result<Vec<Classification>, Error> {
        // Every configuration has a label, so each list has its first.
        Ok(self.top_k_batch(inputs, 1)?.into_iter().flatten().collect())
    }

    /// All labels of each input, as [`TextClassifier::classify_all`].
    ///
    /// # Errors
    /// As [`TextClassifier::classify`].
    pub fn classify_all_batch(
        &self,
        inputs: &[Input<'_>],
    ) -> Result<Vec<Vec<Classification>>, Error> {
        self.top_k_batch(inputs, usize::MAX)
    }

    /// The best `k` labels of each input, as [`TextClassifier::top_k`].
    ///
    /// # Errors
    /// As [`TextClassifier::classify`].
    pub fn top_k_batch(
        &self,
        inputs: &[Input<'_>],
        k: usize,
    ) -> Result<Vec<Vec<Classification>>, Error> {
        run::all(self.top_k_each(inputs, k, &Control::until_error()))
    }

    /// As [`TextClassifier::top_k_batch`], with a result for each input, and control over the work.
    pub fn top_k_each(
        &self,
        inputs: &[Input<'_>],
        k: usize,
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Classification>, Error>> {
        run::in_portions(inputs, run::bytes, control, |inputs, portion| {
            let merged = self.logits(inputs, portion).into_iter();
            merged
                .map(|merged| merged.map(|merged| self.rank(&merged, k)))
                .collect()
        })
    }

    /// The merged logits of each input of a portion.
    fn logits(&self, inputs: &[Input<'_>], portion: Portion<'_>) -> Vec<Result<Merged, Error>> {
        let reader = &self.reader;
        let texts = reader
            .model
            .install(|| reader.encoder.encode_inputs(inputs));
        run::of_the_good(texts, |texts, which| {
            let items: Vec<Item<'_>> = texts.iter().map(|text| text.item()).collect();
            reader.merged_logits(
                &items,
                &self.windows,
                TruncationStrategy::LongestFirst,
                portion,
                |i| which[i],
            )
        })
    }

    fn rank(&self, merged: &Merged, k: usize) -> Vec<Classification> {
        let mut labels = self.in_order(merged);
        // Stable: equal scores keep the order of the logits.
        labels.sort_by(|a, b| b.score.total_cmp(&a.score));
        labels.truncate(k);
        labels
    }

    /// All labels in the order of the logits.
    pub(super) fn in_order(&self, merged: &Merged) -> Vec<Classification> {
        let scores = self.function.apply(&merged.logits());
        let labels = self.reader.config().labels.names();
        let classification = |(index, (label, score)): (usize, (&String, f32))| Classification {
            label: label.clone(),
            score,
            index,
            windows: merged.windows,
        };
        let labels = labels.iter().zip(scores).enumerate();
        labels.map(classification).collect()
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn windows(&self) -> &WindowOptions {
        &self.windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifiers_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<TextClassifier>();
        shared::<super::super::TokenClassifier>();
    }
}
