//! First and last tokens that are given, and ends that become likelier.

use super::super::GenerationOptions;

/// `ForcedBOSTokenLogitsProcessor`, then `ForcedEOSTokenLogitsProcessor`: nothing but these tokens, at 0.
pub(super) fn force(
    options: &GenerationOptions,
    longest: usize,
    length: usize,
    scores: &mut [f32],
) {
    let mut only = |ids: &[u32]| {
        scores.fill(f32::NEG_INFINITY);
        ids.iter().for_each(|&id| scores[id as usize] = 0.0);
    };
    if let (Some(first), 1) = (options.forced_bos_token_id, length) {
        only(&[first]);
    }
    if !options.forced_eos_token_id.is_empty() && length + 1 == longest {
        only(&options.forced_eos_token_id);
    }
}

/// `ExponentialDecayLengthPenalty`: `s_e + |s_e| (f^(n - start) - 1)` for each end e after n > start new tokens, so that a
/// negative one grows too.
pub(super) fn hasten_end(options: &GenerationOptions, length: usize, scores: &mut [f32]) {
    let Some((start, factor)) = options.exponential_decay_length_penalty else {
        return;
    };
    let Some(late @ 1..) = length.checked_sub(start.saturating_add(1)) else {
        return;
    };
    let share = (factor.powf(late as f64) - 1.0) as f32;
    let mut ends = options.eos_token_id.clone();
    ends.sort_unstable();
    ends.dedup();
    for id in ends {
        if let Some(score) = scores.get_mut(id as usize).filter(|s| s.is_finite()) {
            *score += score.abs() * share;
        }
    }
}
