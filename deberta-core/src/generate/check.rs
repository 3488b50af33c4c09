//! What options must be.

use super::GenerationOptions;
use crate::Error;

/// An option with a value that is refused.
pub(super) struct Problem {
    pub(super) name: &'static str,
    expected: String,
    found: String,
}

impl Problem {
    fn new(name: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// As an error about a key of a file.
    pub(super) fn in_file(self, file: &std::path::Path) -> Error {
        Error::Config {
            file: file.to_owned(),
            key: self.name.to_owned(),
            found: self.found,
            expected: self.expected,
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Argument {
            name: problem.name,
            expected: problem.expected,
            found: problem.found,
        }
    }
}

/// Refuses a value unless a condition holds.
fn ensure(
    holds: bool,
    name: &'static str,
    expected: impl Into<String>,
    found: impl ToString,
) -> Result<(), Problem> {
    if holds {
        Ok(())
    } else {
        Err(Problem::new(name, expected, found))
    }
}

/// The most hypotheses of an input. Each has a row of logits, so that more are a slip rather than a wish.
const MOST_ROWS: usize = 65_536;

impl GenerationOptions {
    /// What no call can use: what the reference refuses when it reads a file (`GenerationConfig.validate`).
    pub(super) fn check_alone(&self) -> Result<(), Problem> {
        let returned = self.num_return_sequences;
        for (name, count) in [
            ("num_beams", self.num_beams),
            ("num_return_sequences", returned),
        ] {
            let expected = format!("from 1 to {MOST_ROWS}");
            ensure((1..=MOST_ROWS).contains(&count), name, expected, count)?;
        }
        if self.is_beam_search() {
            let expected = format!("at most num_beams, {}", self.num_beams);
            let fits = returned <= self.num_beams;
            ensure(fits, "num_return_sequences", expected, returned)?;
        } else if !self.do_sample {
            let expected = "1, as there are neither beams nor samples";
            ensure(returned == 1, "num_return_sequences", expected, returned)?;
        }
        let some = self.max_new_tokens != Some(0);
        ensure(some, "max_new_tokens", "at least 1", 0)?;
        let suppressed = |id| self.suppress_tokens.contains(id);
        for (name, forced) in [
            ("forced_bos_token_id", self.forced_bos_token_id.as_slice()),
            ("forced_eos_token_id", &self.forced_eos_token_id),
        ] {
            let possible = forced.is_empty() || !forced.iter().all(suppressed);
            let expected = "a token that is not in suppress_tokens";
            ensure(possible, name, expected, format!("{forced:?}"))?;
        }
        Ok(())
    }

    /// What a call with a decoder of this many tokens cannot use.
    pub(super) fn check(&self, vocabulary: usize) -> Result<(), Error> {
        self.check_alone()?;
        self.check_numbers()?;
        self.check_lists()?;
        self.check_tokens(vocabulary)?;
        Ok(())
    }

    /// The token that every sequence begins with.
    pub(super) fn start(&self, vocabulary: usize) -> Result<u32, Error> {
        const NAME: &str = "decoder_start_token_id";
        let start = self.decoder_start_token_id.or(self.bos_token_id);
        let missing = || Problem::new(NAME, "a token, here or as bos_token_id", "none");
        let start = start.ok_or_else(missing)?;
        in_vocabulary(NAME, &[start], vocabulary)?;
        Ok(start)
    }

    fn check_numbers(&self) -> Result<(), Problem> {
        let longest = self.longest();
        let expected = "at least 2: the start token counts";
        ensure(longest > 1, "max_length", expected, longest)?;
        let penalty = self.length_penalty;
        let finite = penalty.is_finite();
        ensure(finite, "length_penalty", "a finite number", penalty)?;
        positive("repetition_penalty", self.repetition_penalty)?;
        if let Some((_, factor)) = self.exponential_decay_length_penalty {
            const NAME: &str = "exponential_decay_length_penalty";
            ensure(factor.is_finite(), NAME, "a finite factor", factor)?;
            let ends = !self.eos_token_id.is_empty();
            ensure(ends, "eos_token_id", format!("a token, for {NAME}"), "none")?;
        }
        if !self.do_sample {
            return Ok(());
        }
        positive("temperature", self.temperature)?;
        let share = |name, x: f64| ensure((0.0..=1.0).contains(&x), name, "from 0 to 1", x);
        share("top_p", self.top_p)?;
        share("min_p", self.min_p.unwrap_or(0.0))?;
        let typical = self.typical_p;
        let fits = typical > 0.0 && typical <= 1.0;
        ensure(fits, "typical_p", "above 0, at most 1", typical)?;
        let cutoff = |name, x| ensure((0.0..1.0).contains(&x), name, "from 0 to below 1", x);
        cutoff("epsilon_cutoff", self.epsilon_cutoff)?;
        cutoff("eta_cutoff", self.eta_cutoff)
    }

    fn check_lists(&self) -> Result<(), Problem> {
        let words = &self.bad_words_ids;
        let filled = words.iter().all(|word| !word.is_empty());
        ensure(filled, "bad_words_ids", "at least one token each", "none")?;
        let biases = &self.sequence_bias;
        let filled = biases.iter().all(|(tokens, _)| !tokens.is_empty());
        ensure(filled, "sequence_bias", "at least one token each", "none")?;
        let number = biases.iter().all(|(_, bias)| !bias.is_nan());
        ensure(number, "sequence_bias", "numbers", f32::NAN)
    }

    fn check_tokens(&self, vocabulary: usize) -> Result<(), Problem> {
        let forced = self.forced_bos_token_id.as_slice();
        in_vocabulary("forced_bos_token_id", forced, vocabulary)?;
        in_vocabulary("forced_eos_token_id", &self.forced_eos_token_id, vocabulary)?;
        for word in &self.bad_words_ids {
            in_vocabulary("bad_words_ids", word, vocabulary)?;
        }
        for (tokens, _) in &self.sequence_bias {
            in_vocabulary("sequence_bias", tokens, vocabulary)?;
        }
        Ok(())
    }
}

fn positive(name: &'static str, value: f64) -> Result<(), Problem> {
    let fits = value > 0.0 && value.is_finite();
    ensure(fits, name, "a finite number above 0", value)
}

fn in_vocabulary(name: &'static str, ids: &[u32], vocabulary: usize) -> Result<(), Problem> {
    match ids.iter().find(|&&id| id as usize >= vocabulary) {
        None => Ok(()),
        Some(id) => {
            let expected = format!("tokens of the vocabulary, below {vocabulary}");
            Err(Problem::new(name, expected, id))
        }
    }
}
