//! Sums and selections over scores.

use std::cmp::Ordering;

use deberta_kernels::{Isa, softmax};

/// The scores' largest, or negative infinity. NaN is not larger than anything.
pub(super) fn largest(scores: &[f32]) -> f32 {
    // Of several running maxima, so that the compiler makes one vector of them.
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = scores.as_chunks::<16>();
    let mut tops = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (top, &score) in tops.iter_mut().zip(chunk) {
            *top = greater(*top, score);
        }
    }
    let tops = tops.iter().chain(rest);
    tops.copied().fold(f32::NEG_INFINITY, greater)
}

/// `log_softmax(x)_i = x_i - max x - ln Σ_j exp(x_j - max x)`, in place.
///
/// The order of the subtractions is PyTorch's. With NaN or plus infinity among the scores, or nothing but minus infinity,
/// all are NaN.
pub(super) fn log_softmax(isa: Isa, scores: &mut [f32]) {
    let top = largest(scores);
    let log = sum_below(isa, scores, top).ln() as f32;
    scores.iter_mut().for_each(|x| *x = *x - top - log);
}

/// `Σ_j exp(x_j - top)`. Blocks are summed by the softmax in f32, and their sums in f64: rows are long.
fn sum_below(isa: Isa, scores: &[f32], top: f32) -> f64 {
    const BLOCK: usize = 2048;
    let mut shares = [0.0; BLOCK];
    let mut sum = 0.0;
    for block in scores.chunks(BLOCK) {
        let best = largest(block);
        if best == f32::NEG_INFINITY && !block.iter().any(|x| x.is_nan()) {
            continue;
        }
        let shares = &mut shares[..block.len()];
        shares.copy_from_slice(block);
        softmax(isa, shares);
        // The best one's share is 1 / Σ exp(x - best). Where one is NaN, all are.
        let share = match shares[0].is_nan() {
            true => f32::NAN,
            false => largest(shares),
        };
        sum += (f64::from(best) - f64::from(top)).exp() / f64::from(share);
    }
    sum
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

    /// Offers each of `scores` and `more` together, as what `what` makes of its place.
    pub(super) fn offer_sums(&mut self, scores: &[f32], more: f32, what: impl Fn(usize) -> T) {
        const BLOCK: usize = 64;
        for (number, block) in scores.chunks(BLOCK).enumerate() {
            // Rounding keeps the order: no sum of the block is above that of its largest.
            if self.refuses(largest(block) + more) {
                continue;
            }
            for (i, score) in block.iter().enumerate() {
                self.offer(score + more, what(number * BLOCK + i));
            }
        }
    }

    fn refuses(&self, score: f32) -> bool {
        let worst = self.kept.last().map(|&(score, _)| score);
        let better = |worst| score.partial_cmp(&worst) == Some(Ordering::Greater);
        self.kept.len() >= self.k && !worst.is_some_and(better)
    }

    pub(super) fn offer(&mut self, score: f32, what: T) {
        if self.refuses(score) {
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
    fn sums_are_offered_like_single_scores() {
        let scores: Vec<f32> = (0..300).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
        for (k, more) in [(0, 0.0), (1, 2.0), (7, -1e9), (400, 0.5)] {
            let (mut blocks, mut single) = (Best::new(k), Best::new(k));
            for part in scores.chunks(150) {
                blocks.offer_sums(part, more, |i| i);
                let places = part.iter().enumerate();
                places.for_each(|(i, score)| single.offer(score + more, i));
            }
            assert_eq!(blocks.into_vec(), single.into_vec());
        }
    }

    #[test]
    fn the_largest_is_found_anywhere() {
        for length in [0, 1, 15, 16, 17, 40] {
            for at in 0..length {
                let mut scores = vec![-3.0; length];
                scores[at] = -1.0;
                scores[(at + 1) % length] = if length > 1 { f32::NAN } else { -1.0 };
                assert_eq!(largest(&scores), -1.0, "{at} of {length}");
            }
        }
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
        assert_eq!(largest(&[f32::NAN; 20]), f32::NEG_INFINITY);
    }

    #[test]
    fn log_softmax_is_stable() {
        let mut scores = [1e4, 1e4 + 1.0, f32::NEG_INFINITY, 0.0];
        log_softmax(Isa::detect(), &mut scores);
        assert!((scores[1] - -0.313_261_7).abs() < 1e-6, "{scores:?}");
        assert_eq!((scores[2], scores[3]), (f32::NEG_INFINITY, -10001.313));
    }

    #[test]
    fn log_softmax_of_long_rows_is_that_in_f64() {
        for isa in Isa::available() {
            for length in [1, 2047, 2048, 2049, 30_522, 128_100] {
                let score = |i: usize| ((i * 7919) % 4001) as f32 / 200.0 - 10.0;
                let mut scores: Vec<f32> = (0..length).map(score).collect();
                // A block that is banned, and a few others.
                scores
                    .iter_mut()
                    .skip(4096)
                    .take(2048)
                    .for_each(|x| *x = f32::NEG_INFINITY);
                let sum: f64 = scores.iter().map(|&x| f64::from(x).exp()).sum();
                let expected: Vec<f64> = scores.iter().map(|&x| f64::from(x) - sum.ln()).collect();
                log_softmax(isa, &mut scores);
                for (found, expected) in scores.iter().zip(expected) {
                    let found = f64::from(*found);
                    assert!(
                        found == expected || (found - expected).abs() < 4e-6,
                        "{found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn log_softmax_of_what_has_none_is_nan() {
        let none = f32::NEG_INFINITY;
        for special in [f32::NAN, f32::INFINITY] {
            for at in [0, 1, 2048, 2999] {
                for rest in [0.0, none] {
                    let mut scores = vec![rest; 3000];
                    scores[at] = special;
                    log_softmax(Isa::detect(), &mut scores);
                    assert!(scores.iter().all(|x| x.is_nan()), "{special} at {at}");
                }
            }
        }
        let mut scores = [none; 3];
        log_softmax(Isa::detect(), &mut scores);
        assert!(scores.iter().all(|x| x.is_nan()));
    }
}
