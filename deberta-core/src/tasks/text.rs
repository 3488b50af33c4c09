//! Classification of whole texts and pairs.

use std::path::Path;

use tokenizer_spm::deberta::DebertaTokenizer;

use super::encode::{Encoder, Texts};
use super::run::{self, Rows};
use super::window::{self, Room, Window, WindowMerge, WindowOptions};
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
    model: Model,
    encoder: Encoder,
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
    pub fn load_with(folder: impl AsRef<Path>, mut options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        options.head = super::head_for(folder, options.head, HeadKind::SequenceClassification)?;
        let model = Model::load(folder, options)?;
        Self::from_parts(model, DebertaTokenizer::from_dir(folder)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        super::check_head(&model, HeadKind::SequenceClassification)?;
        let encoder = Encoder::new(tokenizer);
        let function = ScoreFunction::for_config(model.config());
        let classifier = Self {
            model,
            encoder,
            function,
            windows: WindowOptions::default(),
        };
        classifier.room(Texts::Single)?;
        Ok(classifier)
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
        self.windows = options.clone();
        self.room(Texts::Single)?;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The label with the highest score.
    ///
    /// # Errors
    /// Where the tokenizer or the model refuses the text.
    pub fn classify<'a>(&self, input: impl Into<Input<'a>>) -> Result<Classification, Error> {
        let best = single(self.top_k_batch(&[input.into()], 1)?)
            .into_iter()
            .next();
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
        Ok(single(self.classify_all_batch(&[input.into()])?))
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
        Ok(single(self.top_k_batch(&[input.into()], k)?))
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
        let mut answers = Vec::with_capacity(inputs.len());
        for portion in run::portions(inputs.iter().map(run::bytes)) {
            let offset = portion.start;
            for merged in self.logits(&inputs[portion], offset)? {
                answers.push(self.rank(&merged, k));
            }
        }
        Ok(answers)
    }

    /// The merged logits of each input of a portion.
    fn logits(&self, inputs: &[Input<'_>], offset: usize) -> Result<Vec<Merged>, Error> {
        let texts = self.model.install(|| self.encoder.encode(inputs))?;
        let mut merged = Vec::with_capacity(texts.len());
        let mut windows: Vec<(usize, Window)> = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let cut = match &text.second {
                None => window::over_text(text.first.len(), self.room(Texts::Single)?),
                Some(second) => {
                    window::over_pair(text.first.len(), second.len(), self.room(Texts::Pair)?)
                }
            };
            merged.push(Merged::new(
                self.windows.merge,
                self.model.config().num_labels(),
                cut.len(),
            ));
            windows.extend(cut.into_iter().map(|window| (i, window)));
        }
        let lengths: Vec<usize> = windows
            .iter()
            .map(|(i, w)| self.encoder.length(&texts[*i], w))
            .collect();
        run::logits(
            &self.model,
            &lengths,
            Rows::PerSequence,
            |job| {
                self.encoder
                    .assemble(&texts[windows[job].0], &windows[job].1)
            },
            |job, logits| {
                let (i, window) = &windows[job];
                if logits.iter().any(|x| !x.is_finite()) {
                    return Err(Error::NotFiniteOutput { input: offset + i });
                }
                merged[*i].add(logits.iter().copied(), window.weight);
                Ok(())
            },
        )?;
        Ok(merged)
    }

    fn room(&self, texts: Texts) -> Result<Room, Error> {
        self.encoder.room(self.model.config(), &self.windows, texts)
    }

    fn rank(&self, merged: &Merged, k: usize) -> Vec<Classification> {
        let scores = self.function.apply(&merged.logits());
        let mut order: Vec<usize> = (0..scores.len()).collect();
        // Stable: equal scores keep the order of the logits.
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(k);
        let labels = &self.model.config().labels;
        let classification = |index| Classification {
            label: labels.name(index).unwrap_or_default().to_owned(),
            score: scores[index],
            index,
            windows: merged.windows,
        };
        order.into_iter().map(classification).collect()
    }
}

/// The answer to a batch of one.
fn single<T: Default>(answers: Vec<T>) -> T {
    answers.into_iter().next().unwrap_or_default()
}

/// Logits of one text, gathered window by window.
#[derive(Debug)]
struct Merged {
    merge: WindowMerge,
    values: Vec<f64>,
    weight: f64,
    windows: usize,
}

impl Merged {
    fn new(merge: WindowMerge, labels: usize, windows: usize) -> Self {
        let start = match merge {
            WindowMerge::Mean => 0.0,
            WindowMerge::Max => f64::NEG_INFINITY,
        };
        Self {
            merge,
            values: vec![start; labels],
            weight: 0.0,
            windows,
        }
    }

    fn add(&mut self, logits: impl Iterator<Item = f32>, weight: usize) {
        let weight = weight as f64;
        for (value, logit) in self.values.iter_mut().zip(logits) {
            match self.merge {
                WindowMerge::Mean => *value += weight * f64::from(logit),
                WindowMerge::Max => *value = value.max(f64::from(logit)),
            }
        }
        self.weight += weight;
    }

    fn logits(&self) -> Vec<f32> {
        let divisor = match self.merge {
            WindowMerge::Mean => self.weight,
            WindowMerge::Max => 1.0,
        };
        self.values
            .iter()
            .map(|value| (value / divisor) as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_window_keeps_its_logits_bit_for_bit() {
        let logits = [0.1f32, -3.3, 7.7e-8, 1e30];
        for weight in [1, 3, 510, 261_121] {
            let mut mean = Merged::new(WindowMerge::Mean, 4, 1);
            mean.add(logits.into_iter(), weight);
            assert_eq!(mean.logits(), logits, "{weight}");
        }
    }

    #[test]
    fn windows_are_merged_as_documented() {
        let mut mean = Merged::new(WindowMerge::Mean, 2, 2);
        mean.add([4.0, 0.0].into_iter(), 3);
        mean.add([0.0, 8.0].into_iter(), 1);
        assert_eq!(mean.logits(), [3.0, 2.0]);
        let mut max = Merged::new(WindowMerge::Max, 2, 2);
        max.add([-4.0, 0.5].into_iter(), 3);
        max.add([-5.0, 8.0].into_iter(), 1);
        assert_eq!(max.logits(), [-4.0, 8.0]);
    }

    #[test]
    fn classifiers_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<TextClassifier>();
        shared::<super::super::TokenClassifier>();
    }
}
