//! Tokens that may not come, or less likely, because of those that came.

const BANNED: f32 = f32::NEG_INFINITY;

/// Bans tokens; those outside the vocabulary are none.
pub(super) fn ban(ids: &[u32], scores: &mut [f32]) {
    for &id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = BANNED;
        }
    }
}

/// `SequenceBiasLogitsProcessor`: `s_t + Σ b` over the successions with bias b that t would complete.
pub(super) fn bias(biases: &[(Vec<u32>, f32)], tokens: &[u32], scores: &mut [f32]) {
    let mut sums: Vec<(usize, f32)> = Vec::new();
    for (i, (sequence, bias)) in biases.iter().enumerate() {
        // The reference makes a dictionary of the list: the last bias of a succession counts.
        let again = biases[i + 1..].iter().any(|(other, _)| other == sequence);
        let Some(last) = completed(sequence, tokens).filter(|_| !again) else {
            continue;
        };
        match sums.iter_mut().find(|(id, _)| *id == last) {
            Some((_, sum)) => *sum += bias,
            None => sums.push((last, *bias)),
        }
    }
    for (id, sum) in sums {
        scores[id] += sum;
    }
}

/// `NoBadWordsLogitsProcessor`.
pub(super) fn ban_words(words: &[&[u32]], tokens: &[u32], scores: &mut [f32]) {
    for word in words {
        if let Some(last) = completed(word, tokens) {
            scores[last] = BANNED;
        }
    }
}

/// The last token of a succession whose others are the last of `tokens`.
fn completed(sequence: &[u32], tokens: &[u32]) -> Option<usize> {
    let (&last, before) = sequence.split_last()?;
    tokens.ends_with(before).then_some(last as usize)
}

/// `RepetitionPenaltyLogitsProcessor`: `s_t · θ` where it is negative, else `s_t / θ`, for each t that came, however often.
pub(super) fn penalise_repetition(penalty: f32, tokens: &[u32], scores: &mut [f32]) {
    if penalty == 1.0 {
        return;
    }
    let mut seen = tokens.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = match *score < 0.0 {
                true => *score * penalty,
                false => *score / penalty,
            };
        }
    }
}

/// `NoRepeatNGramLogitsProcessor`: bans what followed each earlier occurrence of the last `size` - 1 tokens.
pub(super) fn repeat_no_ngram(size: usize, tokens: &[u32], scores: &mut [f32]) {
    if size == 0 || tokens.len() < size {
        return;
    }
    let suffix = &tokens[tokens.len() + 1 - size..];
    for window in tokens.windows(size) {
        if let Some(last) = window.strip_prefix(suffix) {
            ban(last, scores);
        }
    }
}
