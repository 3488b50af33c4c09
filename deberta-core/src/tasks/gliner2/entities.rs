//! Entities of texts.

use ndarray::ArrayView2;

use super::input::{Prepared, Task};
use super::overlap::Candidate;
use super::{Gliner2, LABEL_COST};
use crate::Error;
use crate::tasks::control::Control;
use crate::tasks::layers::sigmoid;
use crate::tasks::layers::spans;
use crate::tasks::run;
use crate::tasks::span::Characters;
use crate::tasks::{Candidates, Entity};

impl Gliner2 {
    /// The entities of a text, in its order; those of the same words in the order of the labels. Labels that are named
    /// twice count once; without labels there are none. Entities of different labels may share words, those of one label
    /// as [`Gliner2::with_overlap`] says.
    ///
    /// [`Entity::tokens`] are the words that an entity covers.
    ///
    /// # Errors
    /// [`Error::Argument`] for a label that holds a marker of the model, such as `[E]`, and where the tokenizer or the
    /// model refuses the text.
    pub fn entities(&self, text: &str, labels: &[&str]) -> Result<Vec<Entity>, Error> {
        let input = Candidates { text, labels };
        run::only(self.entities_each(&[input], &Control::until_error()))
    }

    /// The same for each text.
    ///
    /// # Errors
    /// As [`Gliner2::entities`].
    pub fn entities_batch(
        &self,
        texts: &[&str],
        labels: &[&str],
    ) -> Result<Vec<Vec<Entity>>, Error> {
        let inputs = Candidates::of_all(texts, labels);
        run::all(self.entities_each(&inputs, &Control::until_error()))
    }

    /// As [`Gliner2::entities`] for texts with labels of their own, with a result for each, and control over the work.
    pub fn entities_each(
        &self,
        inputs: &[Candidates<'_>],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Entity>, Error>> {
        let size = |input: &Candidates<'_>| input.cost(LABEL_COST);
        let task = Task {
            name: "entities",
            marker: self.markers.entity,
            distinct: true,
            descriptions: &self.descriptions,
        };
        run::in_portions(inputs, size, control, |inputs, portion| {
            run::of_the_good(self.prepare(inputs, task), |prepared, which| {
                let found = self.of_windows(prepared, portion, |states, text, window| {
                    let input = portion.first + which[text];
                    self.candidates(states, &prepared[text], window, input)
                });
                let answers = found.into_iter().zip(prepared).zip(which);
                answers
                    .map(|((found, prepared), &i)| {
                        Ok(self.entities_of(inputs[i].text, prepared, found?))
                    })
                    .collect()
            })
        })
    }

    /// The spans of a window that are likely enough, for each label, and for which no other window has more context.
    fn candidates(
        &self,
        states: ArrayView2<'_, f32>,
        text: &Prepared<'_>,
        window: usize,
        input: usize,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let mut candidates = vec![Vec::new(); text.labels.len()];
        if states.iter().any(|x| !x.is_finite()) {
            return Err(Error::NotFiniteOutput { input });
        }
        let Some(logits) = self.head.spans(states, text, window, &self.config)? else {
            return Ok(candidates);
        };
        if logits.iter().any(|x| !x.is_finite()) {
            return Err(Error::NotFiniteOutput { input });
        }
        let range = text.windows[window].clone();
        let all = spans(range.len(), self.config.max_width);
        for ((first, last), row) in all.zip(logits.outer_iter()) {
            let words = range.start + first..=range.start + last;
            if text.window_of(&words) != window {
                continue;
            }
            for (candidates, &logit) in candidates.iter_mut().zip(row) {
                let score = sigmoid(logit);
                if score >= self.threshold {
                    let words = words.clone();
                    candidates.push(Candidate { words, score });
                }
            }
        }
        Ok(candidates)
    }

    fn entities_of(
        &self,
        text: &str,
        prepared: &Prepared<'_>,
        found: Vec<Vec<Vec<Candidate>>>,
    ) -> Vec<Entity> {
        let of_label = |label: usize| {
            let found = found.iter().flat_map(|window| window[label].clone());
            let mut chosen = self.overlap.choose(found.collect());
            within(&mut chosen, prepared, text.len());
            chosen.into_iter().map(move |candidate| (label, candidate))
        };
        let labels = 0..prepared.labels.len();
        let mut chosen: Vec<(usize, Candidate)> = labels.flat_map(of_label).collect();
        chosen.sort_by_key(|(label, c)| (*c.words.start(), *c.words.end(), *label));
        let mut characters = Characters::new(text);
        chosen
            .into_iter()
            .map(|(label, candidate)| {
                let (first, last) = candidate.words.into_inner();
                let span = prepared.words[first].start..prepared.words[last].end;
                let span = characters.span(span);
                Entity {
                    label: prepared.labels[label].to_owned(),
                    score: candidate.score,
                    text: span.text,
                    bytes: span.bytes,
                    chars: span.chars,
                    tokens: first..last + 1,
                }
            })
            .collect()
    }
}

/// Takes away what is not of the text: the full stop that was put behind it, where that is a word. Of spans that become
/// the same the better one stays, which comes first.
fn within(ranked: &mut Vec<Candidate>, prepared: &Prepared<'_>, length: usize) {
    let own = prepared.words.partition_point(|word| word.start < length);
    let mut seen: Vec<usize> = Vec::new();
    ranked.retain_mut(|candidate| {
        let (first, last) = (*candidate.words.start(), *candidate.words.end());
        if first >= own {
            return false;
        }
        if last + 1 >= own {
            candidate.words = first..=own - 1;
            if seen.contains(&first) {
                return false;
            }
            seen.push(first);
        }
        true
    });
}
