//! Samples: the same from the same seed, and as often as their probability says.

use std::collections::BTreeMap;

use deberta_core::generate::{GenerationOptions, generate, process};

use crate::reference::probabilities;
use crate::table::{Table, tables};

fn sampled() -> GenerationOptions {
    GenerationOptions::default()
        .decoder_start_token_id(1)
        .eos_token_id([2])
        .do_sample(true)
        .max_new_tokens(8)
}

#[test]
fn the_same_seed_draws_the_same() {
    for options in [sampled().num_return_sequences(3), sampled().num_beams(3)] {
        let draw = |seed| {
            let options = options.clone().seed(seed);
            generate(&mut Table::named("flat"), 2, &options).unwrap()
        };
        assert_eq!(draw(4), draw(4));
        let mut different: Vec<_> = (0..10).map(draw).collect();
        different.dedup();
        assert_eq!(different.len(), 10);
        assert_eq!(draw(u64::MAX), draw(u64::MAX));
    }
}

#[test]
fn draws_do_not_hang_on_the_company() {
    for options in [
        sampled().num_return_sequences(2).seed(9),
        sampled().num_beams(3).seed(9),
    ] {
        let draw = |inputs| generate(&mut Table::named("flat"), inputs, &options).unwrap();
        let three = draw(3);
        for inputs in 1..3 {
            assert_eq!(draw(inputs)[..], three[..inputs]);
        }
    }
    // The first of many sequences is the one that would be drawn alone.
    let draw = |count| {
        let options = sampled().num_return_sequences(count);
        generate(&mut Table::named("flat"), 1, &options).unwrap()
    };
    assert_eq!(draw(1)[0].sequences[..], draw(5)[0].sequences[..1]);
}

#[test]
fn where_one_token_is_left_a_draw_is_greedy() {
    for (name, table) in tables() {
        let options = sampled().top_k(1).remove_invalid_values(true);
        let found = |options: &GenerationOptions| {
            generate(&mut Table::new(table.clone()), 2, options).unwrap()
        };
        let greedy = options.clone().do_sample(false);
        // Among equal ones, as what is no number becomes, a draw may take any.
        if name != "odd" && name != "banned" {
            assert_eq!(found(&options), found(&greedy), "{name}");
        }
    }
}

/// What can be drawn after some tokens.
fn next(table: &Table, options: &GenerationOptions, tokens: &[u32]) -> Vec<(usize, f64)> {
    let mut scores = table.after(0, tokens);
    process(options, tokens, &mut scores).unwrap();
    probabilities(&scores)
}

/// Pearson's statistic over its degrees of freedom. About 1 where the counts are from the distribution.
#[track_caller]
fn check_counts(counts: &BTreeMap<Vec<u32>, f64>, expected: &BTreeMap<Vec<u32>, f64>, draws: f64) {
    for tokens in counts.keys() {
        assert!(expected.contains_key(tokens), "{tokens:?} is impossible");
    }
    let likely: Vec<_> = expected.iter().filter(|(_, p)| **p * draws > 5.0).collect();
    let chi: f64 = likely
        .iter()
        .map(|(tokens, p)| {
            let found = counts.get(*tokens).copied().unwrap_or(0.0);
            (found - *p * draws).powi(2) / (*p * draws)
        })
        .sum();
    let freedom = likely.len() as f64 - 1.0;
    assert!(freedom >= 3.0, "{freedom}");
    // The mean of the statistic and four standard deviations. Seeds are fixed.
    let bound = freedom + 4.0 * (2.0 * freedom).sqrt();
    assert!(chi < bound, "{chi} with {freedom} degrees of freedom");
    // Much too regular would be wrong, too.
    assert!(chi > freedom - 4.0 * (2.0 * freedom).sqrt());
}

#[test]
fn tokens_come_as_often_as_their_probability_says() {
    const DRAWS: usize = 20_000;
    for options in [
        sampled(),
        sampled().top_k(4).temperature(1.7),
        sampled().top_k(0).top_p(0.8).min_p(0.05),
        sampled().typical_p(0.9).repetition_penalty(1.3),
    ] {
        let options = options.max_new_tokens(2).num_return_sequences(DRAWS);
        for name in ["small", "flat"] {
            let table = Table::named(name);
            let mut expected = BTreeMap::new();
            for (first, p) in next(&table, &options, &[1]) {
                let first = first as u32;
                if first == 2 {
                    expected.insert(vec![1, first], p);
                    continue;
                }
                for (second, q) in next(&table, &options, &[1, first]) {
                    expected.insert(vec![1, first, second as u32], p * q);
                }
            }
            let mut counts = BTreeMap::new();
            let mut table = Table::named(name);
            for sequence in &generate(&mut table, 1, &options).unwrap()[0].sequences {
                *counts.entry(sequence.tokens.clone()).or_insert(0.0) += 1.0;
            }
            check_counts(&counts, &expected, DRAWS as f64);
        }
    }
}

/// Beams are drawn one after the other, none twice: of two, a then b with probability `p_a p_b / (1 - p_a)`.
#[test]
fn beams_are_drawn_without_replacement() {
    const DRAWS: u64 = 4_000;
    let options = sampled().num_beams(2).num_return_sequences(2);
    let options = options.max_new_tokens(1).top_k(5);
    let table = Table::named("small");
    let mut scores = table.after(0, &[1]);
    let logs: f64 = scores.iter().map(|&x| f64::from(x).exp()).sum();
    scores.iter_mut().for_each(|x| *x -= logs.ln() as f32);
    process(&options, &[1], &mut scores).unwrap();
    let kept = probabilities(&scores);
    let mut expected = BTreeMap::new();
    for &(a, p) in &kept {
        for &(b, q) in kept.iter().filter(|(b, _)| *b != a) {
            let mut pair = vec![a as u32, b as u32];
            pair.sort_unstable();
            *expected.entry(pair).or_insert(0.0) += p * q / (1.0 - p);
        }
    }
    let mut counts = BTreeMap::new();
    for seed in 0..DRAWS {
        let options = options.clone().seed(seed);
        let answers = generate(&mut Table::named("small"), 1, &options).unwrap();
        let last = |i: usize| answers[0].sequences[i].tokens[1];
        let mut pair = vec![last(0), last(1)];
        pair.sort_unstable();
        *counts.entry(pair).or_insert(0.0) += 1.0;
    }
    check_counts(&counts, &expected, DRAWS as f64);
}
