//! Options that are refused, each with its name and what is wrong with it.

use deberta_core::generate::{GenerationOptions, generate, process};
use serde::Deserialize;
use serde_json::Value;

use crate::table::{Table, fixtures};

#[derive(Deserialize)]
struct Refused {
    options: Value,
    /// The kind of the reference's error, where it has one.
    error: Option<String>,
}

/// What the reference refuses, in a file or in a call, is refused here too; and some that it passes over.
#[test]
fn what_the_reference_refuses_is_refused() {
    let cases: Vec<Refused> = fixtures("refused");
    let theirs = cases.iter().filter(|case| case.error.is_some()).count();
    assert!(theirs >= 35, "{theirs}");
    for case in cases {
        let json = case.options.to_string();
        let found = GenerationOptions::from_json(&json, "generation_config.json")
            .and_then(|options| generate(&mut Table::named("small"), 1, &options));
        assert!(found.is_err(), "{json} is {found:?}");
    }
}

/// The vocabulary has 12 tokens, up to 11.
#[test]
fn refusals_say_what_is_wrong() {
    let base = GenerationOptions::default()
        .decoder_start_token_id(1)
        .eos_token_id([2])
        .max_new_tokens(4);
    let sampled = base.clone().do_sample(true);
    let beams = base.clone().num_beams(3);
    let o = |options: &GenerationOptions| options.clone();
    let cases = [
        (
            o(&base).num_beams(0),
            "num_beams: expected from 1 to 65536, found 0",
        ),
        (
            o(&base).num_return_sequences(0),
            "num_return_sequences: expected from 1 to 65536, found 0",
        ),
        (
            o(&base).num_return_sequences(2),
            "num_return_sequences: expected 1, as there are neither beams nor samples, found 2",
        ),
        (
            o(&beams).num_return_sequences(4),
            "num_return_sequences: expected at most num_beams, 3, found 4",
        ),
        (
            o(&base).max_new_tokens(0),
            "max_new_tokens: expected at least 1, found 0",
        ),
        (
            o(&base).max_new_tokens(None).max_length(1),
            "max_length: expected at least 2: the start token counts, found 1",
        ),
        (
            o(&base).forced_bos_token_id(4).suppress_tokens([4]),
            "forced_bos_token_id: expected a token that is not in suppress_tokens, found [4]",
        ),
        (
            o(&base).forced_eos_token_id([2, 4]).suppress_tokens([4, 2]),
            "forced_eos_token_id: expected a token that is not in suppress_tokens, found [2, 4]",
        ),
        (
            o(&beams).length_penalty(f64::NAN),
            "length_penalty: expected a finite number, found NaN",
        ),
        (
            o(&base).repetition_penalty(0.0),
            "repetition_penalty: expected a finite number above 0, found 0",
        ),
        (
            o(&base).repetition_penalty(f64::INFINITY),
            "repetition_penalty: expected a finite number above 0, found inf",
        ),
        (
            o(&base).exponential_decay_length_penalty((1, f64::NAN)),
            "exponential_decay_length_penalty: expected a finite factor, found NaN",
        ),
        (
            o(&base)
                .exponential_decay_length_penalty((1, 1.5))
                .eos_token_id([]),
            "eos_token_id: expected a token, for exponential_decay_length_penalty, found none",
        ),
        (
            o(&base).bad_words_ids([vec![3], vec![]]),
            "bad_words_ids: expected at least one token each, found none",
        ),
        (
            o(&base).sequence_bias([(vec![], 1.0)]),
            "sequence_bias: expected at least one token each, found none",
        ),
        (
            o(&base).sequence_bias([(vec![3], f32::NAN)]),
            "sequence_bias: expected numbers, found NaN",
        ),
        (
            o(&base).bad_words_ids([vec![3, 12]]),
            "bad_words_ids: expected tokens of the vocabulary, below 12, found 12",
        ),
        (
            o(&base).sequence_bias([(vec![40, 3], 1.0)]),
            "sequence_bias: expected tokens of the vocabulary, below 12, found 40",
        ),
        (
            o(&base).forced_bos_token_id(12),
            "forced_bos_token_id: expected tokens of the vocabulary, below 12, found 12",
        ),
        (
            o(&base).forced_eos_token_id([2, 13]),
            "forced_eos_token_id: expected tokens of the vocabulary, below 12, found 13",
        ),
        (
            o(&sampled).temperature(0.0),
            "temperature: expected a finite number above 0, found 0",
        ),
        (
            o(&sampled).temperature(f64::NAN),
            "temperature: expected a finite number above 0, found NaN",
        ),
        (
            o(&sampled).top_p(1.5),
            "top_p: expected from 0 to 1, found 1.5",
        ),
        (
            o(&sampled).min_p(-0.5),
            "min_p: expected from 0 to 1, found -0.5",
        ),
        (
            o(&sampled).typical_p(0.0),
            "typical_p: expected above 0, at most 1, found 0",
        ),
        (
            o(&sampled).epsilon_cutoff(1.0),
            "epsilon_cutoff: expected from 0 to below 1, found 1",
        ),
        (
            o(&sampled).eta_cutoff(-0.5),
            "eta_cutoff: expected from 0 to below 1, found -0.5",
        ),
    ];
    for (options, message) in cases {
        let mut table = Table::named("small");
        let found = generate(&mut table, 1, &options).unwrap_err();
        assert_eq!(found.to_string(), message);
        assert!(table.calls.is_empty(), "{message}");
        // The options of a single step are the same.
        let found = process(&options, &[1], &mut [0.0; 12]).unwrap_err();
        assert_eq!(found.to_string(), message);
    }
    let starts = [
        (
            o(&base).decoder_start_token_id(None),
            "decoder_start_token_id: expected a token, here or as bos_token_id, found none",
        ),
        (
            o(&base).decoder_start_token_id(12),
            "decoder_start_token_id: expected tokens of the vocabulary, below 12, found 12",
        ),
    ];
    for (options, message) in starts {
        let found = generate(&mut Table::named("small"), 1, &options).unwrap_err();
        assert_eq!(found.to_string(), message);
    }
}

/// What only a sampler looks at does not matter to the others.
#[test]
fn options_of_samplers_are_for_samplers() {
    let plain = GenerationOptions::default()
        .bos_token_id(1)
        .eos_token_id([2, 90])
        .suppress_tokens([3, 90])
        .begin_suppress_tokens([90]);
    let more = plain.clone().temperature(0.0).top_p(7.0).min_p(-1.0);
    let more = more.typical_p(0.0).epsilon_cutoff(2.0).eta_cutoff(2.0);
    let found = |options| generate(&mut Table::named("small"), 1, options).unwrap();
    assert_eq!(found(&plain), found(&more));
}
