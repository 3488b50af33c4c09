//! What is told of a search while it goes on, and what ends it early.

use std::sync::atomic::{AtomicBool, Ordering};

use deberta_core::Error;
use deberta_core::generate::{
    Decided, Ended, Generated, GenerationOptions, NextToken, Watch, generate, generate_watched,
};
use ndarray::Array2;

use crate::reference::Search;
use crate::table::{Table, fixtures, options, tables};

/// A search of each kind, on inputs whose sequences go on for a while.
fn kinds() -> [GenerationOptions; 4] {
    let base = GenerationOptions::default()
        .decoder_start_token_id(1)
        .eos_token_id([2])
        .max_new_tokens(10);
    [
        base.clone(),
        base.clone().num_beams(4).num_return_sequences(3),
        base.clone().do_sample(true).num_return_sequences(3),
        base.num_beams(3).do_sample(true),
    ]
}

/// What was heard of each input, and how often that it was complete.
fn heard(
    table: &mut Table,
    inputs: usize,
    options: &GenerationOptions,
) -> (Vec<Generated>, Vec<(Vec<u32>, usize)>) {
    let mut heard = vec![(Vec::new(), 0); inputs];
    let mut hear = |decided: Decided<'_>| {
        let (tokens, last) = &mut heard[decided.input];
        assert_eq!(*last, 0, "something was told after the last");
        assert!(decided.last || !decided.tokens.is_empty());
        tokens.extend_from_slice(decided.tokens);
        *last += usize::from(decided.last);
    };
    let watch = Watch::default().on_tokens(&mut hear);
    let answers = generate_watched(table, inputs, options, watch).unwrap();
    (answers, heard)
}

#[track_caller]
fn check_told(answers: &[Generated], heard: &[(Vec<u32>, usize)]) {
    for (answer, (tokens, last)) in answers.iter().zip(heard) {
        assert_eq!((&answer.sequences[0].tokens, 1), (tokens, *last));
    }
}

#[test]
fn told_tokens_are_the_first_sequence() {
    let tables = tables();
    for search in fixtures::<Search>("searches") {
        for sampled in [false, true] {
            let options = options(&search.options).do_sample(sampled).seed(5);
            let table = || Table::new(tables[&search.table].clone());
            let (answers, heard) = heard(&mut table(), search.inputs, &options);
            check_told(&answers, &heard);
            let alone = generate(&mut table(), search.inputs, &options).unwrap();
            assert_eq!(answers, alone, "{}", search.options);
        }
    }
}

/// Each step tells its token at once where there are no beams.
#[test]
fn without_beams_tokens_are_told_as_they_are_chosen() {
    let [greedy, ..] = kinds();
    let mut told = Vec::new();
    let mut hear = |decided: Decided<'_>| told.push(decided.tokens.len());
    let watch = Watch::default().on_tokens(&mut hear);
    let answers = generate_watched(&mut Table::named("small"), 1, &greedy, watch).unwrap();
    assert_eq!(told, vec![1; answers[0].sequences[0].tokens.len()]);
}

#[test]
fn a_cancelled_search_does_not_begin() {
    for options in kinds() {
        let flag = AtomicBool::new(true);
        let mut table = Table::named("small");
        let watch = Watch::default().cancelled_by(&flag);
        let answers = generate_watched(&mut table, 2, &options, watch).unwrap();
        assert!(table.calls.is_empty());
        assert_eq!(answers.len(), 2);
        for sequence in answers.iter().flat_map(|answer| &answer.sequences) {
            assert_eq!(sequence.tokens, [1]);
            assert_eq!(sequence.ended, Ended::Cancelled);
            let none = options.num_beams > 1;
            assert_eq!(sequence.score, none.then_some(-1e9));
        }
    }
}

#[test]
fn the_callback_can_end_a_search() {
    for options in kinds() {
        let whole = generate(&mut Table::named("flat"), 2, &options).unwrap();
        for steps in 1..=10 {
            let flag = AtomicBool::new(false);
            let (mut calls, mut heard) = (0, vec![(Vec::new(), 0); 2]);
            let mut hear = |decided: Decided<'_>| {
                calls += 1;
                // Two calls say what the sequences start with.
                if calls > steps {
                    flag.store(true, Ordering::Relaxed);
                }
                let (tokens, last) = &mut heard[decided.input];
                tokens.extend_from_slice(decided.tokens);
                *last += usize::from(decided.last);
            };
            let mut table = Table::named("flat");
            let watch = Watch::default().on_tokens(&mut hear).cancelled_by(&flag);
            let answers = generate_watched(&mut table, 2, &options, watch).unwrap();
            check_told(&answers, &heard);
            let sequences = answers.iter().flat_map(|answer| &answer.sequences);
            let expected = whole.iter().flat_map(|answer| &answer.sequences);
            for (sequence, expected) in sequences.zip(expected) {
                assert!(sequence.tokens.len() <= table.calls.len() + 1);
                if options.num_beams == 1 {
                    assert!(expected.tokens.starts_with(&sequence.tokens));
                }
                if sequence.ended != Ended::Cancelled {
                    assert!(matches!(sequence.ended, Ended::Eos | Ended::Length));
                }
            }
            if steps == 1 {
                assert_eq!(table.calls.len(), 0);
            }
        }
    }
}

#[test]
fn no_more_tokens_are_asked_than_the_budget_has() {
    for options in kinds() {
        let mut table = Table::named("flat");
        let whole = generate(&mut table, 3, &options).unwrap();
        let needed: usize = table.calls.iter().sum();
        for budget in 0..=needed + 1 {
            let mut table = Table::named("flat");
            let options = options.clone().token_budget(budget);
            let (answers, heard) = heard(&mut table, 3, &options);
            check_told(&answers, &heard);
            let asked: usize = table.calls.iter().sum();
            assert!(asked <= budget, "{asked} of {budget}");
            let sequences = || answers.iter().flat_map(|answer| &answer.sequences);
            let cut = sequences().any(|sequence| sequence.ended == Ended::Budget);
            // Every step continues every sequence that runs, so that what is left is not enough for one more.
            assert_eq!(cut, budget < needed, "{budget} of {needed}");
            if !cut {
                assert_eq!(answers, whole);
            } else if budget == 0 {
                assert!(sequences().all(|sequence| sequence.tokens == [1]));
            } else if !table.calls.is_empty() {
                // What ran is returned, with its score.
                let firsts = answers.iter().map(|answer| &answer.sequences[0]);
                assert!(
                    firsts
                        .filter_map(|first| first.score)
                        .all(|score| score > -1e6)
                );
            }
        }
    }
}

/// A beam search that may ask no more returns what it would have returned at that length.
#[test]
fn a_search_ends_at_its_budget_as_at_its_length() {
    for (name, logits) in tables() {
        if name == "odd" || name == "banned" {
            continue;
        }
        for beams in 2..=5 {
            for steps in 1..8 {
                let options = GenerationOptions::default()
                    .decoder_start_token_id(1)
                    .eos_token_id([2, 5])
                    .sequence_bias([(vec![2], 2.0), (vec![5], 1.0)])
                    .num_beams(beams)
                    .num_return_sequences(beams);
                let found = |options: &GenerationOptions| {
                    let mut table = Table::new(logits.clone());
                    generate(&mut table, 1, options).unwrap().remove(0)
                };
                let short = found(&options.clone().max_new_tokens(steps));
                let cut = found(&options.token_budget(1 + (steps - 1) * beams));
                for (cut, short) in cut.sequences.iter().zip(&short.sequences) {
                    let real = short.score.is_some_and(|score| score > -1e6);
                    assert_eq!(cut.score, short.score, "{name} {beams} {steps}");
                    assert!(
                        !real || cut.tokens == short.tokens,
                        "{name} {beams} {steps}"
                    );
                }
            }
        }
    }
}

/// Answers with anything.
struct Fixed(Array2<f32>);

impl NextToken for Fixed {
    fn vocabulary(&self) -> usize {
        4
    }

    fn advance(&mut self, _: &[usize], tokens: &[u32]) -> Result<Array2<f32>, Error> {
        match self.0.nrows() {
            0 => Err(Error::Cancelled),
            rows => {
                let places: Vec<usize> = (0..tokens.len()).map(|row| row % rows).collect();
                Ok(self.0.select(ndarray::Axis(0), &places))
            }
        }
    }
}

#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let none = f32::NEG_INFINITY;
    let fine = [0.0, none, 1.0, 2.0];
    for odd in [
        [0.0, f32::NAN, 0.0, 0.0],
        [f32::NAN; 4],
        [0.0, 0.0, 0.0, f32::INFINITY],
        [none; 4],
    ] {
        for options in kinds() {
            let logits = || Array2::from_shape_vec((2, 4), [fine, odd].concat()).unwrap();
            let found = generate(&mut Fixed(logits()), 2, &options).unwrap_err();
            assert!(
                matches!(found, Error::NotFiniteOutput { input: 1 }),
                "{odd:?}: {found}"
            );
            // The reference's way out: every number has a finite one.
            let options = options.remove_invalid_values(true);
            let answers = generate(&mut Fixed(logits()), 2, &options).unwrap();
            assert!(answers.iter().all(|answer| !answer.sequences.is_empty()));
        }
    }
}

/// All that could follow is banned: a draw has nothing to take, and what is best is one of what is banned.
#[test]
fn options_that_ban_everything_do_not_panic() {
    let fine = Array2::zeros((1, 4));
    for options in kinds() {
        let options = options.suppress_tokens([0, 1, 2, 3]);
        for renormalize in [false, true] {
            let options = options.clone().renormalize_logits(renormalize);
            let found = generate(&mut Fixed(fine.clone()), 1, &options);
            match (options.do_sample, options.num_beams) {
                (true, 1) => assert!(matches!(found, Err(Error::NotFiniteOutput { input: 0 }))),
                _ => assert_eq!(found.unwrap().len(), 1),
            }
        }
    }
}

#[test]
fn a_decoder_may_fail_and_must_answer_in_shape() {
    for options in kinds() {
        let failed = generate(&mut Fixed(Array2::zeros((0, 4))), 1, &options).unwrap_err();
        assert!(matches!(failed, Error::Cancelled));
        let narrow = generate(&mut Fixed(Array2::zeros((1, 3))), 1, &options).unwrap_err();
        let message = "batch: logits of the next tokens: expected (1, 4), found (1, 3)";
        assert_eq!(narrow.to_string(), message);
    }
}

#[test]
fn no_input_has_no_answer() {
    for options in kinds() {
        let mut table = Table::named("small");
        assert_eq!(generate(&mut table, 0, &options).unwrap(), []);
        assert!(table.calls.is_empty());
    }
}
