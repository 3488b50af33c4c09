//! Sums and selections over scores.

use std::cmp::Ordering;

/// The scores' largest, or negative infinity.
pub(super) fn largest(scores: &[f32]) -> f32 {
    scores.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Logarithms of the softmax, in place.
///
/// The order of the subtractions is PyTorch's; the sum is taken in f64.
pub(super) fn log_softmax(scores: &mut [f32]) {
    let top = largest(scores);
    let sum: f64 = scores.iter().map(|x| f64::from((x - top).exp())).sum();
    let log = sum.ln() as f32;
    scores.iter_mut().for_each(|x| *x = *x - top - log);
}

/// Numbers in proportion to the softmax of the scores.
pub(super) fn weights(scores: &[f32]) -> Vec<f64> {
    let top = f64::from(largest(scores));
    let weight = |x: &f32| match *x > f32::NEG_INFINITY {
        true => (f64::from(*x) - top).exp(),
        false => 0.0,
    };
    scores.iter().map(weight).collect()
}

/// The place of the largest score, the first of equal ones.
pub(super) fn arg_max(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = i;
        }
    }
    best
}

/// The best `k` of a list that is told piece by piece, best first; of equal ones those that came first.
pub(super) struct Best<T> {
    k: usize,
    kept: Vec<(f32, T)>,
}

impl<T> Best<T> {
    pub(super) fn new(k: usize) -> Self {
        let kept = Vec::with_capacity(k.min(1 << 10) + 1);
        Self { k, kept }
    }

    pub(super) fn offer(&mut self, score: f32, what: T) {
        let full = self.kept.len() >= self.k;
        let worst = self.kept.last().map(|&(score, _)| score);
        if full && worst.is_none_or(|worst| score.partial_cmp(&worst) != Some(Ordering::Greater)) {
            return;
        }
        let at = self.kept.partition_point(|&(kept, _)| kept >= score);
        self.kept.insert(at, (score, what));
        self.kept.truncate(self.k);
    }

    pub(super) fn into_vec(self) -> Vec<(f32, T)> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order() {
        let scores = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 2.0, 1.0];
        let best = |k| {
            let mut best = Best::new(k);
            scores
                .iter()
                .enumerate()
                .for_each(|(i, &s)| best.offer(s, i));
            best.into_vec().iter().map(|&(_, i)| i).collect::<Vec<_>>()
        };
        assert!(best(0).is_empty());
        assert_eq!(best(3), [1, 3, 4]);
        assert_eq!(best(9), [1, 3, 4, 0, 5, 2]);
        assert_eq!(arg_max(&scores), 1);
    }

    #[test]
    fn log_softmax_is_stable() {
        let mut scores = [1e4, 1e4 + 1.0, f32::NEG_INFINITY, 0.0];
        log_softmax(&mut scores);
        assert!((scores[1] - -0.313_261_7).abs() < 1e-6, "{scores:?}");
        assert_eq!((scores[2], scores[3]), (f32::NEG_INFINITY, -10001.313));
    }
}
