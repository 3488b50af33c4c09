//! Any options over any table: no panic, and what every answer has.
//!
//! `PROPTEST_CASES` asks for more, `PROPTEST_RNG_SEED` for others.

use deberta_core::Error;
use deberta_core::generate::{
    Decided, EarlyStopping, Ended, GenerationOptions, Watch, generate_watched, padded,
};
use ndarray::Array2;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::table::Table;

const VOCABULARY: u32 = 9;

fn logit() -> impl Strategy<Value = f32> {
    prop_oneof![
        30 => -8.0..8.0f32,
        1 => Just(f32::NEG_INFINITY),
        1 => Just(-1e30f32),
    ]
}

/// Mostly numbers; sometimes one that is none.
fn table() -> impl Strategy<Value = Array2<f32>> {
    let logits = prop::collection::vec(logit(), 7 * VOCABULARY as usize);
    let odd = prop_oneof![
        6 => Just(None),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY)].prop_map(Some),
    ];
    (logits, odd, 0..7 * VOCABULARY as usize).prop_map(|(mut logits, odd, at)| {
        logits[at] = odd.unwrap_or(logits[at]);
        Array2::from_shape_vec((7, VOCABULARY as usize), logits).unwrap()
    })
}

fn words() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let word = prop::collection::vec(0..VOCABULARY, 1..4);
    prop::collection::vec(word, 0..5)
}

fn tokens(most: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..VOCABULARY + 2, 0..most)
}

/// What the search itself goes by.
fn shape() -> impl Strategy<Value = GenerationOptions> {
    let early = prop_oneof![
        Just(EarlyStopping::No),
        Just(EarlyStopping::Yes),
        Just(EarlyStopping::Never)
    ];
    let numbers = (1..7usize, 1..7usize, early, -3.0..3.0f64, any::<bool>());
    let limits = (1..9usize, 0..9usize, prop::option::of(0..60usize));
    (numbers, limits, tokens(4), any::<u64>()).prop_map(|(numbers, limits, ends, seed)| {
        let (beams, returned, early, penalty, sampled) = numbers;
        let (new, least, budget) = limits;
        let most = if beams > 1 || !sampled { beams } else { 6 };
        GenerationOptions::default()
            .decoder_start_token_id(1)
            .num_beams(beams)
            .num_return_sequences(returned.min(most))
            .early_stopping(early)
            .length_penalty(penalty)
            .do_sample(sampled)
            .max_new_tokens(new)
            .min_length(least)
            .token_budget(budget)
            .eos_token_id(ends)
            .seed(seed)
    })
}

/// What changes scores.
fn options() -> impl Strategy<Value = GenerationOptions> {
    let sampler = (
        0.1..3.0f64,
        0..12usize,
        0.0..=1.0f64,
        prop::option::of(0.0..=1.0f64),
        0.01..=1.0f64,
        prop_oneof![Just(0.0), 0.0..0.9f64],
        prop_oneof![Just(0.0), 0.0..0.9f64],
    );
    let bans = (
        0..5usize,
        0.3..3.0f64,
        words(),
        prop::collection::vec(
            (prop::collection::vec(0..VOCABULARY, 1..3), -9.0..9.0f32),
            0..4,
        ),
        tokens(5),
        tokens(5),
    );
    let ends = (
        prop::option::of(0..VOCABULARY),
        prop::option::of(0..VOCABULARY),
        prop::option::of((0..5usize, 0.2..3.0f64)),
        any::<bool>(),
        any::<bool>(),
    );
    (shape(), sampler, bans, ends).prop_map(|(options, sampler, bans, ends)| {
        let (size, penalty, words, biases, suppressed, first) = bans;
        let (bos, eos, decay, renormalize, remove) = ends;
        let decay = decay.filter(|_| !options.eos_token_id.is_empty());
        let forced = |id: &Option<u32>| id.filter(|id| !suppressed.contains(id));
        options
            .temperature(sampler.0)
            .top_k(sampler.1)
            .top_p(sampler.2)
            .min_p(sampler.3)
            .typical_p(sampler.4)
            .epsilon_cutoff(sampler.5)
            .eta_cutoff(sampler.6)
            .no_repeat_ngram_size(size)
            .repetition_penalty(penalty)
            .bad_words_ids(words)
            .sequence_bias(biases)
            .forced_bos_token_id(forced(&bos))
            .forced_eos_token_id(Vec::from_iter(forced(&eos)))
            .exponential_decay_length_penalty(decay)
            .suppress_tokens(suppressed)
            .begin_suppress_tokens(first)
            .renormalize_logits(renormalize)
            .remove_invalid_values(remove)
    })
}

fn check(table: Array2<f32>, inputs: usize, options: &GenerationOptions) {
    let invalid = table.iter().any(|logit| logit.is_nan() || *logit > 1e30);
    let mut told = vec![Vec::new(); inputs];
    let mut hear = |decided: Decided<'_>| told[decided.input].extend_from_slice(decided.tokens);
    let watch = Watch::default().on_tokens(&mut hear);
    let answers = match generate_watched(&mut Table::new(table), inputs, options, watch) {
        Ok(answers) => answers,
        Err(Error::NotFiniteOutput { input }) => {
            assert!(input < inputs);
            // Nothing can be drawn, or nothing can follow.
            assert!(invalid || options.do_sample || !options.remove_invalid_values);
            return;
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(answers.len(), inputs);
    for (answer, told) in answers.iter().zip(&told) {
        assert_eq!(answer.sequences[0].tokens, *told);
        assert_eq!(answer.sequences.len(), options.num_return_sequences);
        for sequence in &answer.sequences {
            let tokens = &sequence.tokens;
            assert_eq!(tokens[0], 1);
            assert!(tokens.len() <= options.longest());
            assert!(tokens.iter().all(|&id| id < VOCABULARY));
            let is_end = |id: &u32| options.eos_token_id.contains(id);
            let (last, before) = tokens[1..]
                .split_last()
                .map_or((None, &[][..]), |(a, b)| (Some(a), b));
            // As in the reference, what is no hypothesis may go on behind an end, and so may one to which a huge number
            // was added: what `remove_invalid_values` makes of a banned end grows too.
            let is_none = sequence.score.is_some_and(|score| score.abs() > 1e6);
            assert!(is_none || !before.iter().any(is_end));
            if sequence.ended == Ended::Eos {
                assert!(last.is_some_and(is_end));
            }
            assert_eq!(sequence.score.is_some(), options.num_beams > 1);
        }
        let scores = answer
            .sequences
            .iter()
            .filter_map(|sequence| sequence.score);
        assert!(scores.is_sorted_by(|a, b| a >= b));
    }
    let rows = padded(&answers, options);
    assert_eq!(rows.nrows(), inputs * options.num_return_sequences);
}

#[test]
fn any_options_over_any_table() {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2_000;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(17);
    }
    let strategy = (table(), 0..4usize, options());
    TestRunner::new(config)
        .run(&strategy, |(table, inputs, options)| {
            check(table, inputs, &options);
            Ok(())
        })
        .unwrap();
}
