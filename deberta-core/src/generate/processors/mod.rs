//! What changes the scores of the next token before one is chosen, in the reference's order (`_get_logits_processor`).

mod bans;
mod length;
mod warp;

use deberta_kernels::Isa;

use super::GenerationOptions;
use super::maths::log_softmax;
use crate::Error;

/// The processors of a call. Scores are logits, or their log softmax in beam search: one per token of the vocabulary.
pub(super) struct Processors<'a> {
    options: &'a GenerationOptions,
    /// `bad_words_ids` and their like, without what the reference leaves out.
    bad_words: Vec<&'a [u32]>,
    /// The fewest tokens before an end.
    shortest: usize,
    /// The most tokens.
    longest: usize,
    /// Tokens that a sampler leaves to draw from at least: in beam search, enough that one does not end.
    kept: usize,
    /// What the instructions of a softmax are.
    pub(super) isa: Isa,
}

impl<'a> Processors<'a> {
    pub(super) fn new(options: &'a GenerationOptions) -> Result<Self, Error> {
        let ends = &options.eos_token_id;
        let mut bad_words: Vec<&[u32]> = options.bad_words_ids.iter().map(Vec::as_slice).collect();
        bad_words.retain(|word| !matches!(word, [id] if ends.contains(id)));
        let new = options.min_new_tokens.map(|new| new.saturating_add(1));
        Ok(Self {
            options,
            bad_words,
            shortest: new.unwrap_or(options.min_length),
            longest: options.longest(),
            kept: match options.is_beam_search() {
                true => ends.len().max(1) + 1,
                false => 1,
            },
            isa: Isa::from_env()?,
        })
    }

    /// Changes the scores of what follows `tokens`, which begin with the start token.
    pub(super) fn apply(&self, tokens: &[u32], scores: &mut [f32]) {
        let options = self.options;
        bans::bias(&options.sequence_bias, tokens, scores);
        bans::penalise_repetition(options.repetition_penalty as f32, tokens, scores);
        bans::repeat_no_ngram(options.no_repeat_ngram_size, tokens, scores);
        bans::ban_words(&self.bad_words, tokens, scores);
        if tokens.len() < self.shortest {
            bans::ban(&options.eos_token_id, scores);
        }
        length::force(options, self.longest, tokens.len(), scores);
        if options.remove_invalid_values {
            remove_invalid_values(scores);
        }
        length::hasten_end(options, tokens.len(), scores);
        bans::ban(&options.suppress_tokens, scores);
        let first = 1 + usize::from(options.forced_bos_token_id.is_some());
        if tokens.len() == first {
            bans::ban(&options.begin_suppress_tokens, scores);
        }
        if options.do_sample {
            warp::apply(options, self.kept, self.isa, scores);
        }
        if options.renormalize_logits {
            log_softmax(self.isa, scores);
        }
    }
}

/// `InfNanRemoveLogitsProcessor`.
fn remove_invalid_values(scores: &mut [f32]) {
    for score in scores {
        *score = if score.is_nan() {
            0.0
        } else {
            score.clamp(f32::MIN, f32::MAX)
        };
    }
}
