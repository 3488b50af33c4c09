//! Which tokens a sampler can draw: `p` is the softmax of the scores `s`, t a token.

use deberta_kernels::Isa;

use super::super::GenerationOptions;
use super::super::maths::{largest, weights};

/// All that the options ask for, in the reference's order. At least `kept` tokens stay, if so many were there.
pub(super) fn apply(options: &GenerationOptions, kept: usize, isa: Isa, scores: &mut [f32]) {
    if options.temperature != 1.0 {
        temperature(options.temperature as f32, scores);
    }
    if options.top_k != 0 {
        top_k(options.top_k.max(kept), scores);
    }
    if options.top_p < 1.0 {
        top_p(options.top_p, kept, scores);
    }
    if let Some(share) = options.min_p {
        min_p(share as f32, kept, scores);
    }
    if options.typical_p < 1.0 {
        typical(options.typical_p as f32, kept, isa, scores);
    }
    if options.epsilon_cutoff > 0.0 {
        epsilon(options.epsilon_cutoff as f32, kept, scores);
    }
    if options.eta_cutoff > 0.0 {
        eta(options.eta_cutoff as f32, kept, isa, scores);
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

fn log_probabilities(isa: Isa, scores: &[f32]) -> Vec<f32> {
    let mut logs = scores.to_vec();
    super::log_softmax(isa, &mut logs);
    logs
}

/// Expected surprise, `H = -Σ_t p_t ln p_t`.
fn entropy(log_probabilities: &[f32]) -> f32 {
    let finite = log_probabilities.iter().filter(|log| log.is_finite());
    let sum: f64 = finite.map(|log| f64::from(-log * log.exp())).sum();
    sum as f32
}

/// Places by their keys, the first of equal ones first.
fn ascending(keys: impl Iterator<Item = (usize, f32)>) -> Vec<usize> {
    let mut ranked: Vec<(f32, usize)> = keys.map(|(place, key)| (key, place)).collect();
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ranked.into_iter().map(|(_, place)| place).collect()
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

/// `TemperatureLogitsWarper`: `s_t / T`.
fn temperature(temperature: f32, scores: &mut [f32]) {
    scores.iter_mut().for_each(|score| *score /= temperature);
}

/// `TopKLogitsWarper`: those as good as the k-th stay with it.
fn top_k(k: usize, scores: &mut [f32]) {
    let least = kth(k, scores);
    scores
        .iter_mut()
        .filter(|score| **score < least)
        .for_each(|score| *score = f32::NEG_INFINITY);
}

/// `TopPLogitsWarper`: from the unlikeliest on, tokens go while together they have at most `1 - p`.
fn top_p(p: f64, kept: usize, scores: &mut [f32]) {
    let probabilities = softmax(scores);
    let possible = scores.iter().enumerate();
    let possible = possible.filter(|(_, score)| **score > f32::NEG_INFINITY);
    let ranked = ascending(possible.map(|(place, score)| (place, -score)));
    let missing = (1.0 - p) as f32;
    let mut sum = 0.0;
    let gone = ranked.iter().skip(kept).rev().take_while(|&&i| {
        sum += f64::from(probabilities[i]);
        sum as f32 <= missing
    });
    ban(gone, scores);
}

/// `MinPLogitsWarper`: tokens of less than `share · max_u p_u` go.
fn min_p(share: f32, kept: usize, scores: &mut [f32]) {
    let probabilities = softmax(scores);
    cut_off(
        share * largest(&probabilities),
        kept,
        &probabilities,
        scores,
    );
}

/// `TypicalLogitsWarper`: the tokens whose surprise is nearest to the expected one, by `|-ln p_t - H|`, until they have
/// the mass.
fn typical(mass: f32, kept: usize, isa: Isa, scores: &mut [f32]) {
    let logs = log_probabilities(isa, scores);
    let expected = entropy(&logs);
    let distance: Vec<f32> = logs.iter().map(|log| (-log - expected).abs()).collect();
    let ranked = ascending(distance.iter().copied().enumerate());
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

/// `EpsilonLogitsWarper`: tokens of less than ε go.
fn epsilon(epsilon: f32, kept: usize, scores: &mut [f32]) {
    cut_off(epsilon, kept, &softmax(scores), scores);
}

/// `EtaLogitsWarper`: tokens of less than `min(ε, √ε e^-H)` go.
fn eta(epsilon: f32, kept: usize, isa: Isa, scores: &mut [f32]) {
    let eta = epsilon.sqrt() * (-entropy(&log_probabilities(isa, scores))).exp();
    cut_off(epsilon.min(eta), kept, &softmax(scores), scores);
}

/// Tokens of less than this probability go, but for those as good as the last that is kept.
fn cut_off(least: f32, kept: usize, probabilities: &[f32], scores: &mut [f32]) {
    let best = kth(kept, scores);
    for (score, &probability) in scores.iter_mut().zip(probabilities) {
        if probability < least && *score < best {
            *score = f32::NEG_INFINITY;
        }
    }
}
