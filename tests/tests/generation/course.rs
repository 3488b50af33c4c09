//! Hearing of tokens as they are decided, and ending a search.

use super::common::Input;
use super::{folder, load};
use deberta_core::generate::{Decided, Ended, Watch};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn tokens_are_heard_of_as_they_are_decided() {
    for kind in ["bert", "roberta", "gpt2"] {
        let model = load(kind);
        let batch = Input::read(&folder(kind)).batch();
        for beams in [1, 4] {
            let options = model.options().clone().num_beams(beams).max_new_tokens(10);
            let mut heard = vec![Vec::new(); batch.len()];
            let mut ends = vec![0; batch.len()];
            let mut hear = |decided: Decided<'_>| {
                assert_eq!(ends[decided.input], 0, "nothing comes after the last");
                heard[decided.input].extend_from_slice(decided.tokens);
                ends[decided.input] += usize::from(decided.last);
            };
            let watch = Watch::default().on_tokens(&mut hear);
            let found = model.generate_watched(&batch, &options, watch).unwrap();
            assert_eq!(found, model.generate(&batch, &options).unwrap());
            for (found, heard) in found.iter().zip(heard) {
                assert_eq!(found.sequences[0].tokens, heard, "{kind}, {beams} beams");
            }
            assert!(ends.iter().all(|&count| count == 1), "{ends:?}");
        }
    }
}

#[test]
fn a_search_ends_when_it_is_told_to() {
    let model = load("bert");
    let batch = Input::read(&folder("bert")).batch();
    for beams in [1, 4] {
        let options = model.options().clone().num_beams(beams).max_new_tokens(10);
        let options = options.eos_token_id([]);
        let stop = AtomicBool::new(false);
        let mut tokens = 0;
        let mut hear = |decided: Decided<'_>| {
            tokens += decided.tokens.len();
            // The start tokens, and those of two steps.
            stop.store(tokens >= 3 * batch.len(), Ordering::Relaxed);
        };
        let watch = Watch::default().on_tokens(&mut hear).cancelled_by(&stop);
        let found = model.generate_watched(&batch, &options, watch).unwrap();
        for found in &found {
            let best = &found.sequences[0];
            assert_eq!(best.ended, Ended::Cancelled, "{beams} beams: {best:?}");
            assert!(best.tokens.len() < 11, "{beams} beams: {best:?}");
        }
    }
}

#[test]
fn a_budget_counts_the_tokens_of_all_inputs_and_beams() {
    let model = load("gpt2");
    let batch = Input::read(&folder("gpt2")).batch();
    let options = model.options().clone().eos_token_id([]).max_new_tokens(10);
    // Three inputs: five steps of a token each.
    let found = model
        .generate(&batch, &options.clone().token_budget(17))
        .unwrap();
    for found in &found {
        assert_eq!(found.sequences[0].ended, Ended::Budget);
        assert_eq!(found.sequences[0].tokens.len(), 1 + 5);
    }
    // One more would be too many.
    let found = model
        .generate(&batch, &options.clone().token_budget(30))
        .unwrap();
    assert!(found.iter().all(|f| f.sequences[0].ended == Ended::Length));
    // A row each for the first step, two beams each for those that follow.
    let beams = options.num_beams(2).token_budget(3 + 6 + 6);
    for found in &model.generate(&batch, &beams).unwrap() {
        assert_eq!(found.sequences[0].ended, Ended::Budget);
        assert_eq!(found.sequences[0].tokens.len(), 1 + 3);
    }
}
