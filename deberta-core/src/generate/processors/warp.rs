//! Which tokens a sampler can draw.

use super::super::GenerationOptions;
use super::super::maths::{largest, weights};

/// All that the options ask for, in the reference's order. At least `kept` tokens stay, if so many were there.
pub(super) fn apply(options: &GenerationOptions, kept: usize, scores: &mut [f32]) {
    if options.temperature != 1.0 {
        let temperature = options.temperature as f32;
        scores.iter_mut().for_each(|score| *score /= temperature);
    }
    if options.top_k != 0 {
        top_k(options.top_k.max(kept), scores);
    }
    if options.top_p < 1.0 {
        top_p(options.top_p, kept, scores);
    }
    if let Some(min_p) = options.min_p {
        let probabilities = softmax(scores);
        let least = min_p as f32 * largest(&probabilities);
        let ranked = descending(scores);
        let unlikely = ranked.iter().skip(kept);
        ban(unlikely.filter(|&&i| probabilities[i] < least), scores);
    }
    if options.typical_p < 1.0 {
        typical(options.typical_p as f32, kept, scores);
    }
    if options.epsilon_cutoff > 0.0 {
        cut_off(options.epsilon_cutoff as f32, kept, scores);
    }
    if options.eta_cutoff > 0.0 {
        let epsilon = options.eta_cutoff as f32;
        let eta = epsilon.sqrt() * (-entropy(&log_probabilities(scores))).exp();
        cut_off(epsilon.min(eta), kept, scores);
    }
}

fn ban<'a>(ids: impl Iterator<Item = &'a usize>, scores: &mut [f32]) {
    ids.for_each(|&i| scores[i] = f32::NEG_INFINITY);
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let weights = weights(scores);
    let total: f64 = weights.iter().sum();
    weights
        .iter()
        .map(|weight| (weight / total) as f32)
        .collect()
}

fn log_probabilities(scores: &[f32]) -> Vec<f32> {
    let mut logs = scores.to_vec();
    super::log_softmax(&mut logs);
    logs
}

/// Expected surprise, in nats.
fn entropy(log_probabilities: &[f32]) -> f32 {
    let finite = log_probabilities.iter().filter(|log| log.is_finite());
    let sum: f64 = finite.map(|log| f64::from(-log * log.exp())).sum();
    sum as f32
}

/// Places of the tokens that can come at all, best first.
fn descending(scores: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len())
        .filter(|&i| scores[i] > f32::NEG_INFINITY)
        .collect();
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    places
}

/// The k-th best score, or the worst.
fn kth(k: usize, scores: &[f32]) -> f32 {
    let mut scores = scores.to_vec();
    let at = k.min(scores.len()).saturating_sub(1);
    match scores.is_empty() {
        true => f32::NEG_INFINITY,
        false => *scores.select_nth_unstable_by(at, |a, b| b.total_cmp(a)).1,
    }
}

/// `TopKLogitsWarper`: those as good as the k-th stay with it.
fn top_k(k: usize, scores: &mut [f32]) {
    let least = kth(k, scores);
    scores
        .iter_mut()
        .filter(|score| **score < least)
        .for_each(|score| *score = f32::NEG_INFINITY);
}

/// `TopPLogitsWarper`: from the unlikeliest on, tokens go while they sum up to no more than what may be missing.
fn top_p(p: f64, kept: usize, scores: &mut [f32]) {
    let probabilities = softmax(scores);
    let ranked = descending(scores);
    let missing = (1.0 - p) as f32;
    let mut sum = 0.0;
    let gone = ranked.iter().skip(kept).rev().take_while(|&&i| {
        sum += f64::from(probabilities[i]);
        sum as f32 <= missing
    });
    ban(gone, scores);
}

/// `TypicalLogitsWarper`: the tokens whose surprise is nearest to the expected one, until they have the mass.
fn typical(mass: f32, kept: usize, scores: &mut [f32]) {
    let logs = log_probabilities(scores);
    let expected = entropy(&logs);
    let distance: Vec<f32> = logs.iter().map(|log| (-log - expected).abs()).collect();
    let mut ranked: Vec<usize> = (0..scores.len()).collect();
    ranked.sort_by(|&a, &b| distance[a].total_cmp(&distance[b]));
    let probabilities = softmax(scores);
    let mut sum = 0.0;
    let enough = ranked.iter().position(|&i| {
        sum += f64::from(probabilities[i]);
        sum as f32 >= mass
    });
    let Some(&last) = ranked.get(enough.unwrap_or(ranked.len().saturating_sub(1))) else {
        return;
    };
    let far = ranked.iter().skip(kept);
    ban(far.filter(|&&i| distance[i] > distance[last]), scores);
}

/// `EpsilonLogitsWarper`: tokens of less than this probability go.
fn cut_off(least: f32, kept: usize, scores: &mut [f32]) {
    let best = kth(kept, scores);
    let probabilities = softmax(scores);
    let gone = |score: f32, probability: f32| probability < least && score < best;
    for (score, probability) in scores.iter_mut().zip(probabilities) {
        if gone(*score, probability) {
            *score = f32::NEG_INFINITY;
        }
    }
}
