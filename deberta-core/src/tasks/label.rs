//! Labels that are asked for with a text, and their scores.

use crate::Error;

/// A text and the labels that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates<'a> {
    /// The text.
    pub text: &'a str,
    /// The labels: of the whole text, or of parts of it.
    pub labels: &'a [&'a str],
}

impl<'a> Candidates<'a> {
    /// The same labels for every text.
    pub(super) fn of_all(texts: &[&'a str], labels: &'a [&'a str]) -> Vec<Self> {
        let texts = texts.iter();
        texts.map(|&text| Self { text, labels }).collect()
    }

    /// Bytes that it counts as where inputs are cut into portions, a label counting as so many.
    pub(super) fn cost(&self, label: usize) -> usize {
        self.text.len() + label * self.labels.len()
    }
}

/// A label of a text and its score.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// Its score.
    pub score: f32,
    /// Its index among the labels that were asked for.
    pub index: usize,
}

impl LabelScore {
    /// Labels by their scores, equal ones in their order. There must be a label.
    pub(super) fn ranked(labels: &[&str], scores: Vec<f32>) -> Result<Vec<Self>, Error> {
        if labels.is_empty() {
            return Err(Error::Argument {
                name: "labels",
                expected: "at least one".to_owned(),
                found: "none".to_owned(),
            });
        }
        let scored = labels.iter().zip(scores).enumerate();
        let mut ranked: Vec<Self> = scored
            .map(|(index, (&label, score))| Self {
                label: label.to_owned(),
                score,
                index,
            })
            .collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(ranked)
    }
}

/// A probability above which something counts, if it is one.
pub(super) fn threshold(threshold: f32) -> Result<f32, Error> {
    let is_probability = (0.0..=1.0).contains(&threshold);
    is_probability
        .then_some(threshold)
        .ok_or_else(|| Error::Argument {
            name: "threshold",
            expected: "from 0 to 1".to_owned(),
            found: threshold.to_string(),
        })
}
