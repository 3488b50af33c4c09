//! The same sequences, scores and probabilities as the reference.

use deberta_core::generate::{Ended, Generated, GenerationOptions, generate, padded, process};
use serde::Deserialize;
use serde_json::Value;

use crate::table::{Table, fixtures, options, tables};

/// A search and what the reference found.
#[derive(Deserialize)]
pub(crate) struct Search {
    pub(crate) table: String,
    pub(crate) inputs: usize,
    pub(crate) options: Value,
    rows: Vec<Vec<i64>>,
    scores: Option<Vec<f32>>,
}

impl Search {
    /// The rows, each with its score in a search with beams.
    fn expected(&self) -> Vec<(Vec<i64>, Option<f32>)> {
        let score = |i: usize| self.scores.as_ref().map(|scores| scores[i]);
        let rows = self.rows.iter().enumerate();
        rows.map(|(i, row)| (row.clone(), score(i))).collect()
    }
}

/// What is drawn from after some tokens. `kept` are the probabilities of the tokens that can be drawn.
#[derive(Deserialize)]
struct Distribution {
    table: String,
    input: usize,
    tokens: Vec<u32>,
    options: Value,
    kept: Vec<(usize, f64)>,
}

/// Below it is the score of what is no hypothesis. Which row stands for it hangs on the order of equal scores.
const NONE: f32 = -1e8;

/// Within 1e-5; of large numbers, that part.
fn same_score(found: f32, expected: f32) -> bool {
    found == expected || (found - expected).abs() <= 1e-5 * expected.abs().max(1.0)
}

/// Each sequence says why it ended.
fn check_endings(answers: &[Generated], options: &GenerationOptions, name: &str) {
    for sequence in answers.iter().flat_map(|answer| &answer.sequences) {
        // None was found, so that there is only the start.
        let [_, .., last] = &sequence.tokens[..] else {
            continue;
        };
        let ended = match options.eos_token_id.contains(last) {
            true => Ended::Eos,
            false => Ended::Length,
        };
        assert_eq!(sequence.ended, ended, "{name}");
        assert!(sequence.tokens.len() <= options.longest(), "{name}");
        let early = &sequence.tokens[1..sequence.tokens.len() - 1];
        let ends = early.iter().any(|id| options.eos_token_id.contains(id));
        assert!(!ends, "{name}: {early:?} holds an end");
    }
}

#[test]
fn searches_find_the_sequences_of_the_reference() {
    let tables = tables();
    let searches: Vec<Search> = fixtures("searches");
    assert!(searches.len() >= 300, "{}", searches.len());
    let mut wrong = Vec::new();
    for search in &searches {
        let name = format!("{} {} {}", search.table, search.inputs, search.options);
        let mut table = Table::new(tables[&search.table].clone());
        let options = options(&search.options);
        let answers = generate(&mut table, search.inputs, &options).unwrap();
        check_endings(&answers, &options, &name);
        let rows = padded(&answers, &options);
        let rows: Vec<Vec<i64>> = rows.rows().into_iter().map(|row| row.to_vec()).collect();
        let sequences = answers.iter().flat_map(|answer| &answer.sequences);
        let scores: Vec<Option<f32>> = sequences.map(|sequence| sequence.score).collect();
        let expected = search.expected();
        let fits = |i: usize| {
            let (row, score) = &expected[i];
            match (score, scores[i]) {
                (None, None) => rows[i] == *row,
                (Some(score), Some(found)) => {
                    same_score(found, *score) && (*score < NONE || rows[i] == *row)
                }
                _ => false,
            }
        };
        let same = rows.len() == expected.len() && (0..rows.len()).all(fits);
        if !same {
            wrong.push(format!(
                "{name}\n  expected {:?} {:?}\n  found    {rows:?} {scores:?}",
                search.rows, search.scores
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        searches.len(),
        wrong.join("\n")
    );
}

/// The reference searches all inputs of a call together, and each of them finds what it finds alone.
#[test]
fn inputs_do_not_know_of_each_other() {
    let tables = tables();
    for search in fixtures::<Search>("searches") {
        let options = options(&search.options);
        let all = |inputs| {
            let mut table = Table::new(tables[&search.table].clone());
            generate(&mut table, inputs, &options).unwrap()
        };
        assert_eq!(
            all(1)[..],
            all(3)[..1],
            "{} {}",
            search.table,
            search.options
        );
    }
}

#[test]
fn draws_are_from_the_distributions_of_the_reference() {
    let tables = tables();
    let cases: Vec<Distribution> = fixtures("distributions");
    assert!(cases.len() >= 300, "{}", cases.len());
    for case in &cases {
        let name = format!("{} {:?} {}", case.table, case.tokens, case.options);
        let options = options(&case.options);
        let table = Table::new(tables[&case.table].clone());
        let mut scores = table.after(case.input, &case.tokens);
        if options.num_beams > 1 {
            log_softmax(&mut scores);
        }
        process(&options, &case.tokens, &mut scores).unwrap();
        let found = probabilities(&scores);
        let places: Vec<usize> = found.iter().map(|&(place, _)| place).collect();
        let expected: Vec<usize> = case.kept.iter().map(|&(place, _)| place).collect();
        assert_eq!(places, expected, "{name}");
        for ((place, found), (_, expected)) in found.iter().zip(&case.kept) {
            assert!(
                (found - expected).abs() < 1e-6,
                "{name}: token {place}: {found}, not {expected}"
            );
        }
    }
}

fn log_softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|&x| f64::from(x - top).exp()).sum();
    scores
        .iter_mut()
        .for_each(|x| *x = (f64::from(*x - top) - sum.ln()) as f32);
}

/// The tokens that can be drawn, with their probabilities. Scores near the least number count as banned ones: that is
/// what `remove_invalid_values` makes of them.
pub(crate) fn probabilities(scores: &[f32]) -> Vec<(usize, f64)> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |&x: &f32| f64::from(x - top).exp();
    let sum: f64 = scores.iter().map(weight).sum();
    let places = scores.iter().enumerate();
    let kept = places.filter(|(_, x)| **x > -1e30);
    kept.map(|(place, x)| (place, weight(x) / sum)).collect()
}
