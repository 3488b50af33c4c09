//! Search without beams: each sequence by itself (`_sample` of the reference).

use super::maths::{arg_max, weights};
use super::processors::Processors;
use super::random::Random;
use super::step::{Ask, Steps};
use super::watch::Told;
use super::{Ended, Generated, GenerationOptions, NextToken, Sequence};
use crate::Error;

/// A sequence that grows.
struct Line {
    input: usize,
    tokens: Vec<u32>,
    random: Random,
    /// Its row in the last call; its input before the first.
    row: usize,
    ended: Option<Ended>,
    /// What was told of it; `None` where it is not its input's first.
    told: Option<Told>,
}

pub(super) fn search<D: NextToken + ?Sized>(
    mut steps: Steps<'_, '_, D>,
    inputs: usize,
    start: u32,
    options: &GenerationOptions,
    processors: &Processors<'_>,
) -> Result<Vec<Generated>, Error> {
    let each = options.num_return_sequences;
    let mut lines: Vec<Line> = (0..inputs * each)
        .map(|i| Line {
            input: i / each,
            tokens: vec![start],
            random: Random::new(options.seed, i % each),
            row: i / each,
            ended: None,
            told: (i % each == 0).then(Told::default),
        })
        .collect();
    lines.iter_mut().for_each(|line| line.tell(&mut steps));
    let mut first = true;
    while lines.iter().any(|line| line.ended.is_none()) {
        let running = || lines.iter().filter(|line| line.ended.is_none());
        // Sequences of an input are one before they differ.
        let asked = running().filter(|line| !first || line.told.is_some());
        let asks: Vec<Ask> = asked.map(Line::ask).collect();
        let logits = match steps.advance(&asks)? {
            Ok(logits) => logits,
            Err(ended) => {
                for line in lines.iter_mut().filter(|line| line.ended.is_none()) {
                    line.ended = Some(ended);
                    line.tell(&mut steps);
                }
                break;
            }
        };
        let running = lines.iter_mut().filter(|line| line.ended.is_none());
        for (i, line) in running.enumerate() {
            line.row = if first { line.input } else { i };
            let mut scores = logits.row(line.row).to_vec();
            processors.apply(&line.tokens, &mut scores);
            let next = match options.do_sample {
                true => line.random.draw(&weights(&scores)),
                false => Some(arg_max(&scores)),
            };
            let input = line.input;
            let next = next.ok_or(Error::NotFiniteOutput { input })? as u32;
            line.tokens.push(next);
            if options.eos_token_id.contains(&next) {
                line.ended = Some(Ended::Eos);
            } else if line.tokens.len() >= options.longest() {
                line.ended = Some(Ended::Length);
            }
            line.tell(&mut steps);
        }
        first = false;
    }
    let mut sequences = lines.into_iter().map(Line::into_sequence);
    let answer = |_| Generated {
        sequences: sequences.by_ref().take(each).collect(),
    };
    Ok((0..inputs).map(answer).collect())
}

impl Line {
    fn ask(&self) -> Ask {
        Ask {
            parent: self.row,
            // There is a start token at least.
            token: self.tokens.last().copied().unwrap_or_default(),
            input: self.input,
        }
    }

    fn tell<D: ?Sized>(&mut self, steps: &mut Steps<'_, '_, D>) {
        let last = self.ended.is_some();
        if let Some(told) = &mut self.told {
            told.tell(self.input, &self.tokens, last, &mut steps.watch);
        }
    }

    fn into_sequence(self) -> Sequence {
        Sequence {
            tokens: self.tokens,
            score: None,
            // A search does not end before all its lines have.
            ended: self.ended.unwrap_or(Ended::Length),
        }
    }
}
