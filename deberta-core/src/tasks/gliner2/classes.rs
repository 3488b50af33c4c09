//! Classes of texts.

use super::input::Task;
use super::{Gliner2, LABEL_COST};
use crate::Error;
use crate::tasks::control::Control;
use crate::tasks::layers::sigmoid;
use crate::tasks::run;
use crate::tasks::score::softmax;
use crate::tasks::{Candidates, LabelScore};

impl Gliner2 {
    /// Scores of all labels, the highest first; equal ones in the order of the labels. `task` says what the labels are
    /// about, such as `sentiment` or `topic`: the model reads it with them.
    ///
    /// Scores are shares of one, or with [`Gliner2::with_multi_label`] each by itself. The package answers with the first
    /// label, or with those of several that reach a threshold of its own, and the first where none does.
    ///
    /// # Errors
    /// [`Error::Argument`] without labels and for a label that holds a marker of the model, such as `[L]`, and where the
    /// tokenizer or the model refuses the text.
    pub fn classify(
        &self,
        text: &str,
        task: &str,
        labels: &[&str],
    ) -> Result<Vec<LabelScore>, Error> {
        let input = Candidates { text, labels };
        run::only(self.classify_each(&[input], task, &Control::until_error()))
    }

    /// The same for each text.
    ///
    /// # Errors
    /// As [`Gliner2::classify`].
    pub fn classify_batch(
        &self,
        texts: &[&str],
        task: &str,
        labels: &[&str],
    ) -> Result<Vec<Vec<LabelScore>>, Error> {
        let inputs = Candidates::of_all(texts, labels);
        run::all(self.classify_each(&inputs, task, &Control::until_error()))
    }

    /// As [`Gliner2::classify`] for texts with labels of their own, with a result for each, and control over the work.
    pub fn classify_each(
        &self,
        inputs: &[Candidates<'_>],
        task: &str,
        control: &Control<'_>,
    ) -> Vec<Result<Vec<LabelScore>, Error>> {
        let size = |input: &Candidates<'_>| input.cost(LABEL_COST);
        let task = Task {
            name: task,
            marker: self.markers.class,
            distinct: false,
            descriptions: &self.descriptions,
        };
        run::in_portions(inputs, size, control, |inputs, portion| {
            run::of_the_good(self.prepare(inputs, task), |prepared, which| {
                let logits = self.of_windows(prepared, portion, |states, text, _| {
                    self.head.classes(states, &prepared[text])
                });
                let answers = logits.into_iter().zip(which);
                answers
                    .map(|(logits, &i)| self.rank(inputs[i].labels, &logits?, portion.first + i))
                    .collect()
            })
        })
    }

    /// The labels by their scores, from the logits in each window.
    fn rank(
        &self,
        labels: &[&str],
        windows: &[Vec<f32>],
        input: usize,
    ) -> Result<Vec<LabelScore>, Error> {
        let of_label = |label: usize| {
            let sum: f32 = windows.iter().map(|logits| logits[label]).sum();
            sum / windows.len() as f32
        };
        let logits: Vec<f32> = (0..labels.len()).map(of_label).collect();
        if logits.iter().any(|x| !x.is_finite()) {
            return Err(Error::NotFiniteOutput { input });
        }
        let scores = match self.multi_label {
            true => logits.iter().map(|&logit| sigmoid(logit)).collect(),
            false => softmax(&logits),
        };
        LabelScore::ranked(labels, scores)
    }
}
