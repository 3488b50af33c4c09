//! Beam search: `num_beams` hypotheses of an input are followed together (`_beam_search` of the reference).
//!
//! Each step lists the candidates: the best continuations of all running hypotheses, `num_beams` times one more than
//! there are tokens that end a sequence, so that enough of them run on. Those that end and are among the first
//! `num_beams` are kept if they are better than the kept ones; the best of those that do not end run on.
//!
//! ```text
//! running: Σ_i ln p(y_i | y_<i)       kept: Σ_i ln p(y_i | y_<i) / n^length_penalty, of n new tokens
//! ```

use ndarray::Array2;

use super::maths::{Best, log_softmax, weights};
use super::processors::Processors;
use super::random::Random;
use super::step::{Ask, Steps};
use super::watch::{Told, Watch, shared};
use super::{EarlyStopping, Ended, Generated, GenerationOptions, NextToken, Sequence};
use crate::Error;

/// The score of what is none. Sums with it have f32's coarse steps there, as in the reference.
const NONE: f32 = -1.0e9;

/// A hypothesis that runs.
struct Running {
    tokens: Vec<u32>,
    /// Its summed log probabilities.
    score: f32,
    /// Its parent's row in the last call; its own after the next.
    row: usize,
    /// Whether it has tokens and has not ended. One that has ended runs on where there are too few others.
    going: bool,
}

/// A finished hypothesis, or a place for one.
struct Kept {
    tokens: Vec<u32>,
    score: f32,
    ended: Option<Ended>,
}

/// A continuation: of which hypothesis, by which token.
#[derive(Clone, Copy)]
struct Candidate {
    beam: usize,
    token: u32,
}

/// The search of an input.
struct Search<'a> {
    input: usize,
    options: &'a GenerationOptions,
    /// Best first.
    running: Vec<Running>,
    /// Best first.
    kept: Vec<Kept>,
    /// Whether a running hypothesis could still be better than a kept one, as far as it has been so always.
    improvable: bool,
    done: bool,
    random: Random,
    told: Told,
}

pub(super) fn search<D: NextToken + ?Sized>(
    mut steps: Steps<'_, '_, D>,
    inputs: usize,
    start: u32,
    options: &GenerationOptions,
    processors: &Processors<'_>,
) -> Result<Vec<Generated>, Error> {
    let mut searches: Vec<Search<'_>> = (0..inputs)
        .map(|input| Search::new(input, start, options))
        .collect();
    for search in &mut searches {
        search
            .told
            .tell(search.input, &[start], false, &mut steps.watch);
    }
    let mut first = true;
    while searches.iter().any(|search| !search.done) {
        let mut asks = Vec::new();
        for search in searches.iter_mut().filter(|search| !search.done) {
            // Before the first step all hypotheses are one.
            let asked = if first { 1 } else { search.running.len() };
            let from = asks.len();
            for running in &search.running[..asked] {
                asks.push(Ask {
                    parent: running.row,
                    token: running.tokens.last().copied().unwrap_or(start),
                    input: search.input,
                });
            }
            for (i, running) in search.running.iter_mut().enumerate() {
                running.row = from + i.min(asked - 1);
            }
        }
        match steps.advance(&asks)? {
            Ok(logits) => {
                for search in searches.iter_mut().filter(|search| !search.done) {
                    search.step(&logits, processors);
                    search.tell(&mut steps.watch);
                }
            }
            Err(ended) => {
                for search in searches.iter_mut().filter(|search| !search.done) {
                    search.conclude(ended);
                    search.tell(&mut steps.watch);
                }
            }
        }
        first = false;
    }
    Ok(searches.into_iter().map(Search::into_answer).collect())
}

impl<'a> Search<'a> {
    fn new(input: usize, start: u32, options: &'a GenerationOptions) -> Self {
        let beams = options.num_beams;
        // All but the first have a score that keeps their continuations out: they would be the same.
        let running = |i| Running {
            tokens: vec![start],
            score: if i == 0 { 0.0 } else { NONE },
            row: input,
            going: false,
        };
        let empty = |_| Kept {
            tokens: vec![start],
            score: NONE,
            ended: None,
        };
        Self {
            input,
            options,
            running: (0..beams).map(running).collect(),
            kept: (0..beams).map(empty).collect(),
            improvable: true,
            done: false,
            random: Random::new(options.seed, 0),
            told: Told::default(),
        }
    }

    /// Tokens of the running hypotheses.
    fn length(&self) -> usize {
        self.running
            .first()
            .map_or(0, |running| running.tokens.len())
    }

    fn step(&mut self, logits: &Array2<f32>, processors: &Processors<'_>) {
        let beams = self.options.num_beams;
        let candidates = self.candidates(logits, processors);
        let length = self.length() + 1;
        let full = length >= self.options.longest();
        let ended = |token: &u32| match self.options.eos_token_id.contains(token) {
            true => Some(Ended::Eos),
            false => full.then_some(Ended::Length),
        };
        let grown = |candidate: &Candidate| {
            let mut tokens = self.running[candidate.beam].tokens.clone();
            tokens.push(candidate.token);
            tokens
        };

        let mut running = Best::new(beams);
        let mut finished = Vec::new();
        for (rank, &(score, candidate)) in candidates.iter().enumerate() {
            let ended = ended(&candidate.token);
            let penalty = if ended.is_some() { NONE } else { 0.0 };
            running.offer(score + penalty, candidate);
            if rank < beams && ended.is_some() {
                finished.push(Kept {
                    tokens: grown(&candidate),
                    score,
                    ended,
                });
            }
        }
        let running = running.into_vec().into_iter();
        let running = running.map(|(score, candidate)| Running {
            tokens: grown(&candidate),
            score,
            row: self.running[candidate.beam].row,
            going: ended(&candidate.token).is_none(),
        });
        self.running = running.collect();
        self.keep(finished);
        self.done = full || !self.may_improve();
        if self.done {
            self.settle();
        }
    }

    /// The candidates with their scores.
    fn candidates(
        &mut self,
        logits: &Array2<f32>,
        processors: &Processors<'_>,
    ) -> Vec<(f32, Candidate)> {
        let ends = self.options.eos_token_id.len();
        let count = (ends + 1).max(2) * self.options.num_beams;
        let mut scores: Vec<f32> = Vec::new();
        let mut row = None;
        let mut best = Best::new(count);
        // A draw needs all of them at once.
        let mut all: Vec<f32> = Vec::new();
        for (beam, running) in self.running.iter().enumerate() {
            // In the first step hypotheses share a row.
            if row != Some(running.row) {
                scores.clear();
                scores.extend(logits.row(running.row));
                log_softmax(processors.isa, &mut scores);
                processors.apply(&running.tokens, &mut scores);
                row = Some(running.row);
            }
            match self.options.do_sample {
                true => all.extend(scores.iter().map(|score| score + running.score)),
                false => best.offer_sums(&scores, running.score, |token| Candidate {
                    beam,
                    token: token as u32,
                }),
            }
        }
        if !self.options.do_sample {
            return best.into_vec();
        }
        let vocabulary = logits.ncols();
        let candidate = |place: usize| Candidate {
            beam: place / vocabulary,
            token: (place % vocabulary) as u32,
        };
        let places = draw(count, &all, &mut self.random);
        places.into_iter().map(|i| (all[i], candidate(i))).collect()
    }

    /// Keeps finished hypotheses, whose scores are sums yet, if they are good enough.
    fn keep(&mut self, finished: Vec<Kept>) {
        let mut best = Best::new(self.options.num_beams);
        for kept in self.kept.drain(..) {
            best.offer(kept.score, kept);
        }
        for mut kept in finished {
            kept.score /= self.divisor(kept.tokens.len() - 1);
            best.offer(kept.score, kept);
        }
        self.kept = best.into_vec().into_iter().map(|(_, kept)| kept).collect();
    }

    /// What the score of so many new tokens is divided by.
    fn divisor(&self, new: usize) -> f32 {
        (new as f64).powf(self.options.length_penalty) as f32
    }

    /// Whether the search goes on (`_check_early_stop_heuristic`, `_beam_search_has_unfinished_sequences`).
    fn may_improve(&mut self) -> bool {
        let early = self.options.early_stopping;
        let new = match early == EarlyStopping::Never && self.options.length_penalty > 0.0 {
            true => self.options.longest() - 1,
            false => self.length() - 1,
        };
        let best = self.running.first().map_or(NONE, |running| running.score);
        let best = best / self.divisor(new);
        let worst = self.kept.last().map_or(NONE, |kept| kept.score);
        self.improvable &= self.kept.iter().any(|kept| match kept.ended {
            Some(_) => best > worst,
            None => best > NONE,
        });
        let all = self.kept.iter().all(|kept| kept.ended.is_some());
        self.improvable && !(all && early == EarlyStopping::Yes)
    }

    /// Ends as at the greatest length.
    fn conclude(&mut self, ended: Ended) {
        let running = self.running.iter().filter(|running| running.going);
        let finished = running.map(|running| Kept {
            tokens: running.tokens.clone(),
            score: running.score,
            ended: Some(ended),
        });
        let finished = finished.collect();
        self.keep(finished);
        self.settle();
        for kept in &mut self.kept {
            kept.ended.get_or_insert(ended);
        }
        self.done = true;
    }

    /// Makes a first place that nothing has taken, as all was banned, begin as was told of those that ran.
    fn settle(&mut self) {
        if let (Some(kept), Some(running)) = (self.kept.first_mut(), self.running.first())
            && kept.ended.is_none()
        {
            kept.tokens = running.tokens[..self.told.count()].to_vec();
        }
    }

    /// Tells what can no more change. The best of the kept is the answer unless a hypothesis that runs becomes better.
    fn tell(&mut self, watch: &mut Watch<'_>) {
        let best = self.kept.first();
        let decided = match self.done {
            true => best.map_or(&[][..], |kept| &kept.tokens),
            false => {
                let best = best.filter(|kept| kept.ended.is_some());
                let running = self.running.iter().map(|running| &*running.tokens);
                shared(best.map(|kept| &*kept.tokens).into_iter().chain(running))
            }
        };
        self.told.tell(self.input, decided, self.done, watch);
    }

    fn into_answer(mut self) -> Generated {
        self.kept.truncate(self.options.num_return_sequences);
        let sequence = |kept: Kept| Sequence {
            tokens: kept.tokens,
            score: Some(kept.score),
            ended: kept.ended.unwrap_or(Ended::Length),
        };
        Generated {
            sequences: self.kept.into_iter().map(sequence).collect(),
        }
    }
}

/// Places that are drawn one after the other in proportion to the softmax of the scores, none twice. Where fewer have a
/// probability above 0, the best of the others follow.
fn draw(count: usize, scores: &[f32], random: &mut Random) -> Vec<usize> {
    let weights = weights(scores);
    let likely = weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0);
    let (places, mut weights): (Vec<usize>, Vec<f64>) = likely.unzip();
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count
        && let Some(i) = random.draw(&weights)
    {
        drawn.push(places[i]);
        weights[i] = 0.0;
    }
    if drawn.len() < count {
        let mut rest = Best::new(count - drawn.len());
        for (place, &score) in scores.iter().enumerate() {
            if !drawn.contains(&place) {
                rest.offer(score, place);
            }
        }
        drawn.extend(rest.into_vec().into_iter().map(|(_, place)| place));
    }
    drawn
}
