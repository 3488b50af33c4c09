//! From logits to scores.

use crate::config::{Config, ProblemType};

/// The function that turns the logits of a sequence head into scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoreFunction {
    /// The scores of all labels sum to one.
    Softmax,
    /// Each label's score lies between zero and one.
    Sigmoid,
    /// The logits themselves.
    None,
}

impl ScoreFunction {
    /// The function that the reference pipeline chooses: none for regression, sigmoid for several
    /// labels at once or a single output, softmax otherwise.
    pub fn for_config(config: &Config) -> Self {
        match config.problem_type {
            Some(ProblemType::Regression) => Self::None,
            Some(ProblemType::MultiLabel) => Self::Sigmoid,
            _ if config.num_labels() == 1 => Self::Sigmoid,
            _ => Self::Softmax,
        }
    }

    /// The scores of a row of logits.
    pub fn apply(self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::Softmax => softmax(logits),
            Self::Sigmoid => logits.iter().map(|&x| sigmoid(x)).collect(),
            Self::None => logits.to_vec(),
        }
    }
}

/// `exp(x_i) / Σ exp(x_j)`, by way of the differences to the largest, which cannot overflow.
pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = logits.iter().map(|&x| f64::from(x - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|e| (e / sum) as f32).collect()
}

fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// The first index of the largest value; 0 where there is none.
pub(super) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &value) in values.iter().enumerate().skip(1) {
        if value > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_survives_large_logits() {
        let scores = softmax(&[1e30, 1e30, -1e30]);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
        let scores = softmax(&[0.0, 3f32.ln()]);
        assert!((scores[0] - 0.25).abs() < 1e-6 && (scores[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn sigmoid_survives_large_logits() {
        assert_eq!(
            ScoreFunction::Sigmoid.apply(&[0.0, 1e9, -1e9]),
            [0.5, 1.0, 0.0]
        );
    }

    #[test]
    fn the_first_of_equal_values_wins() {
        assert_eq!(argmax(&[1.0, 2.0, 2.0]), 1);
        assert_eq!(argmax(&[]), 0);
    }

    #[test]
    fn the_function_follows_problem_type_and_label_count() {
        let function = |rest: &str| {
            let json = format!(r#"{{"model_type": "deberta-v2"{rest}}}"#);
            ScoreFunction::for_config(&Config::from_json(&json, "c").expect("valid"))
        };
        assert_eq!(function(""), ScoreFunction::Softmax);
        assert_eq!(function(r#", "num_labels": 1"#), ScoreFunction::Sigmoid);
        assert_eq!(
            function(r#", "num_labels": 1, "problem_type": "regression""#),
            ScoreFunction::None
        );
        assert_eq!(
            function(r#", "num_labels": 3, "problem_type": "regression""#),
            ScoreFunction::None
        );
        let multi = r#", "num_labels": 3, "problem_type": "multi_label_classification""#;
        assert_eq!(function(multi), ScoreFunction::Sigmoid);
        let single = r#", "num_labels": 3, "problem_type": "single_label_classification""#;
        assert_eq!(function(single), ScoreFunction::Softmax);
    }
}
