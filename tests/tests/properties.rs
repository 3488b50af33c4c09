//! Random valid models against the scalar oracle, and properties that hold for every model.
//!
//! The seed is fixed, so that a run repeats; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` look further.

mod common;

use deberta_core::{Batch, Error, HeadKind, Model, Output};
use deberta_tests::oracle::heads::Head;
use deberta_tests::oracle::random::broken::{self, Fault};
use deberta_tests::oracle::random::plan::{self, Family};
use deberta_tests::oracle::random::{Padded, Plan};
use deberta_tests::oracle::tensors::Tensors;
use deberta_tests::oracle::{Oracle, Rows, Sequence};
use ndarray::{Array2, ArrayView1, ArrayView2, s};
use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use tempfile::TempDir;

const FAMILIES: &[Family] = &[Family::V2, Family::V1, Family::V1Separate];
const HEADS: &[Head] = &[
    Head::Base,
    Head::SequenceClassification,
    Head::TokenClassification,
    Head::QuestionAnswering,
    Head::MultipleChoice,
    Head::MaskedLm,
    Head::ReplacedTokenDetection,
];

fn kind(head: Head) -> HeadKind {
    match head {
        Head::Base => HeadKind::Base,
        Head::SequenceClassification => HeadKind::SequenceClassification,
        Head::TokenClassification => HeadKind::TokenClassification,
        Head::QuestionAnswering => HeadKind::QuestionAnswering,
        Head::MultipleChoice => HeadKind::MultipleChoice,
        Head::MaskedLm => HeadKind::MaskedLm,
        Head::ReplacedTokenDetection => HeadKind::ReplacedTokenDetection,
    }
}

/// Runs a property on random models, with a batch for each and whatever else `more` adds.
fn check<S: Strategy>(
    cases: u32,
    more: impl Fn(&Plan) -> S + Clone,
    test: impl Fn(Plan, Padded, S::Value),
) where
    S::Value: Clone,
{
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 256,
        ..Config::default()
    };
    // The variables, where they are set, have already had their say.
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0xdebe_27a3);
    }
    let strategy = plan::case(FAMILIES, HEADS).prop_flat_map(|(plan, batch)| {
        let more = more(&plan);
        (Just(plan), Just(batch), more)
    });
    let outcome = TestRunner::new(config).run(&strategy, |(plan, batch, more)| {
        test(plan, batch, more);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// No more than a model and a batch.
fn nothing(_: &Plan) -> Just<()> {
    Just(())
}

/// A model as files.
fn folder(plan: &Plan, config: &Value, tensors: &Tensors) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    plan.write(folder.path(), config, tensors);
    folder
}

fn load(plan: &Plan, folder: &TempDir, threads: usize) -> Result<Model, Error> {
    let options = common::options().head(kind(plan.head)).threads(threads);
    Model::load(folder.path(), options)
}

fn array(rows: &[Vec<i64>]) -> Array2<i64> {
    let width = rows.first().map_or(0, Vec::len);
    Array2::from_shape_fn((rows.len(), width), |(i, j)| rows[i][j])
}

/// The batch of some rows.
fn batch(padded: &Padded, rows: std::ops::Range<usize>) -> Batch {
    let part = |values: &[Vec<i64>]| array(&values[rows.clone()]);
    let (ids, mask, types) = (part(&padded.ids), part(&padded.mask), part(&padded.types));
    Batch::from_padded(ids.view(), Some(mask.view()), Some(types.view())).expect("a valid batch")
}

/// The rows of a result; none of none.
fn rows(array: Option<Array2<f32>>) -> Rows {
    let row = |row: ArrayView1<f32>| row.iter().map(|&x| f64::from(x)).collect();
    array.map_or(Rows::new(), |array| array.outer_iter().map(row).collect())
}

/// The largest `|found - expected| / (1 + |expected|)`.
fn largest_difference(found: &Rows, expected: &Rows) -> f64 {
    assert_eq!(found.len(), expected.len(), "rows");
    let mut largest = 0.0_f64;
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "columns");
        for (a, b) in found.iter().zip(expected) {
            let difference = (a - b).abs() / (1.0 + b.abs());
            // NaN would never be the larger one.
            assert!(difference.is_finite(), "found {a}, expected {b}");
            largest = largest.max(difference);
        }
    }
    largest
}

/// The oracle's hidden states and logits of all sequences, one after the other as in a packed batch.
fn oracle(plan: &Plan, tensors: &Tensors, padded: &Padded) -> [Rows; 2] {
    let oracle = Oracle::new(&plan.config(), tensors);
    let (mut hidden, mut logits) = (Rows::new(), Rows::new());
    for sequence in padded.sequences() {
        let states = oracle.hidden_states(&sequence);
        logits.extend(
            oracle
                .logits(plan.head, &sequence, &states)
                .unwrap_or_default(),
        );
        hidden.extend(states.into_iter().next_back().expect("the embeddings"));
    }
    [hidden, logits]
}

/// A valid model.
fn model(plan: &Plan, threads: usize) -> Model {
    let folder = folder(plan, &plan.config(), &plan.tensors());
    load(plan, &folder, threads).unwrap_or_else(|error| panic!("{error}"))
}

fn run(model: &Model, batch: &Batch) -> Output {
    model
        .forward(batch)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// How far the engine, which computes in f32, may lie from the oracle: `BOUND·(1 + |x|)`.
const BOUND: f64 = 1e-5;

/// How far the oracle itself moves when every weight moves by about the last bit of an f32: what no computation in f32
/// can be asked to improve on. It is far above the usual only where a normalisation meets nearly equal channels and so
/// enlarges every rounding before it. That takes few channels: the least here are 4 in hidden states and 2 in the
/// language-model head of narrow embeddings.
fn sensitivity(plan: &Plan, padded: &Padded, expected: [&Rows; 2]) -> f64 {
    let moved = (0..8).map(|seed| {
        let nudged = plan.tensors().nudged(seed);
        let nudged = oracle(plan, &nudged, padded);
        let pairs = nudged.iter().zip(expected);
        pairs
            .map(|(a, b)| largest_difference(a, b))
            .fold(0.0, f64::max)
    });
    moved.fold(0.0, f64::max)
}

#[test]
fn every_model_equals_the_oracle() {
    let worst = [Cell::new(0.0_f64), Cell::new(0.0_f64)];
    let (sensitive, ratio) = (Cell::new(0), Cell::new(0.0_f64));
    let seen = RefCell::new(BTreeMap::<String, usize>::new());
    check(768, nothing, |plan, padded, ()| {
        for label in labels(&plan, &padded) {
            *seen.borrow_mut().entry(label).or_default() += 1;
        }
        let output = run(&model(&plan, 2), &batch(&padded, 0..padded.ids.len()));
        assert_eq!(output.logits.is_none(), plan.head == Head::Base, "logits");
        let found = [Some(output.last_hidden_state), output.logits].map(rows);
        let [hidden, logits] = oracle(&plan, &plan.tensors(), &padded);
        let differences = [
            largest_difference(&found[0], &hidden),
            largest_difference(&found[1], &logits),
        ];
        for (worst, difference) in worst.iter().zip(differences) {
            worst.set(worst.get().max(difference));
        }
        let difference = differences[0].max(differences[1]);
        if difference > BOUND {
            let own = sensitivity(&plan, &padded, [&hidden, &logits]);
            sensitive.set(sensitive.get() + 1);
            ratio.set(ratio.get().max(difference / own));
            println!(
                "{:?} {:?}, {} hidden and {} embedding channels: {difference:.1e}, sensitivity {own:.1e}",
                plan.family,
                plan.head,
                plan.size.hidden,
                plan.width()
            );
            assert!(
                difference <= 3.0 * own,
                "{difference:.1e}, sensitivity {own:.1e}"
            );
        }
    });
    let [hidden, logits] = worst.map(Cell::into_inner);
    println!("largest differences: hidden states {hidden:.1e}, logits {logits:.1e}");
    let (sensitive, ratio) = (sensitive.get(), ratio.get());
    println!("{sensitive} beyond {BOUND:e}, by up to {ratio:.1} times the model's sensitivity");
    // 21 pairs of family and head, 17 other labels: a generator that no longer reaches one of them tests less.
    let seen = seen.into_inner();
    println!("{seen:?}");
    assert!(seen.len() == 38, "{} labels: {seen:?}", seen.len());
}

/// What is special about a model and its batch.
fn labels(plan: &Plan, padded: &Padded) -> Vec<String> {
    let sequences = padded.sequences();
    let any = |wanted: &dyn Fn(&Sequence) -> bool| sequences.iter().any(wanted);
    let last = |s: &Sequence| s.positions.last().map_or(0, |&p| p as usize);
    let flags = [
        (
            "buckets",
            plan.has_position_terms() && plan.relative.buckets.is_some(),
        ),
        (
            "no buckets",
            plan.has_position_terms() && plan.relative.buckets.is_none(),
        ),
        ("no position terms", !plan.has_position_terms()),
        (
            "beyond the span",
            plan.has_position_terms() && any(&|s| last(s) > plan.span()),
        ),
        (
            "shared keys",
            plan.has_position_terms() && plan.relative.share_att_key,
        ),
        (
            "normalised table",
            plan.has_position_terms() && plan.relative.normed,
        ),
        ("conv", plan.conv.is_some()),
        (
            "grouped conv",
            plan.conv.is_some_and(|(_, groups, _)| groups > 1),
        ),
        ("talking heads", plan.talking_head && plan.size.heads > 1),
        ("mask decoder", plan.has_mask_decoder()),
        ("untied words", plan.is_untied()),
        ("absolute positions", plan.input.position_biased),
        ("projected embeddings", plan.width() != plan.size.hidden),
        ("token types", plan.input.types > 0),
        (
            "holes",
            any(&|s| last(s) + 1 > s.ids.len() && !s.ids.is_empty()),
        ),
        (
            "first token masked",
            any(&|s| s.positions.first().is_some_and(|&p| p > 0)),
        ),
        ("empty sequence", any(&|s| s.ids.is_empty())),
    ];
    let flags = flags.iter().filter(|(_, holds)| *holds);
    let pair = format!("{:?} {:?}", plan.family, plan.head);
    flags
        .map(|(name, _)| (*name).to_owned())
        .chain([pair])
        .collect()
}

/// The bits of a result, so that even the sign of a zero counts.
fn bits(array: ArrayView2<f32>) -> Array2<u32> {
    array.mapv(f32::to_bits)
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    check(64, nothing, |plan, padded, ()| {
        let batch = batch(&padded, 0..padded.ids.len());
        let [one, three] = [1, 3].map(|threads| run(&model(&plan, threads), &batch));
        let [a, b] = [&one, &three].map(|output| bits(output.last_hidden_state.view()));
        assert_eq!(a, b, "hidden states");
        let [a, b] = [one, three].map(|output| output.logits.map(|l| bits(l.view())));
        assert_eq!(a, b, "logits");
    });
}

#[test]
fn company_changes_no_bit() {
    check(64, nothing, |plan, padded, ()| {
        let model = model(&plan, 2);
        let all = batch(&padded, 0..padded.ids.len());
        let together = run(&model, &all);
        for row in 0..all.len() {
            let alone = run(&model, &batch(&padded, row..row + 1));
            let tokens = all.sequence(row);
            let part = together.last_hidden_state.slice(s![tokens.clone(), ..]);
            assert_eq!(
                bits(part),
                bits(alone.last_hidden_state.view()),
                "row {row}"
            );
            let (Some(together), Some(alone)) = (&together.logits, &alone.logits) else {
                continue;
            };
            let per_sequence = matches!(
                plan.head,
                Head::SequenceClassification | Head::MultipleChoice
            );
            let rows = if per_sequence { row..row + 1 } else { tokens };
            assert_eq!(
                bits(together.slice(s![rows, ..])),
                bits(alone.view()),
                "row {row}"
            );
        }
    });
}

#[test]
fn a_broken_key_is_an_error_that_names_it() {
    check(128, broken::key, |plan, _, broken| {
        let mut config = plan.config();
        config[broken.key] = broken.value;
        let folder = folder(&plan, &config, &plan.tensors());
        let error = load(&plan, &folder, 1)
            .expect_err("the key is broken")
            .to_string();
        assert!(error.contains(broken.key), "{}: {error}", broken.key);
    });
}

#[test]
fn a_broken_tensor_is_an_error_that_names_it() {
    check(192, broken::tensor, |plan, padded, broken| {
        let name = &broken.spec.name;
        let Some(first) = padded.sequences().into_iter().find(|s| !s.ids.is_empty()) else {
            return;
        };
        let mut tensors = plan.tensors();
        broken.apply(&mut tensors, |table| match table {
            "embeddings.position_embeddings.weight" => first.positions[0] as usize,
            "embeddings.token_type_embeddings.weight" => first.types[0] as usize,
            _ => first.ids[0] as usize,
        });
        let folder = folder(&plan, &plan.config(), &tensors);
        // The rows of an embedding table are looked at when they are asked for.
        let error = match load(&plan, &folder, 1) {
            Ok(model) => {
                assert!(
                    matches!(broken.fault, Fault::NotFinite(_)),
                    "{name} is not missed"
                );
                let batch = batch(&padded, 0..padded.ids.len());
                model.forward(&batch).expect_err("a value is no number")
            }
            Err(error) => error,
        };
        let stored = plan.stored_name(name);
        match (&broken.fault, &error) {
            (Fault::NotFinite(_), Error::NonFinite { tensor, .. }) => assert_eq!(*tensor, stored),
            (Fault::Missing, Error::EncoderNotFound { .. }) => {
                assert_eq!(name, "embeddings.word_embeddings.weight");
            }
            (Fault::Missing, Error::Weights { missing, .. }) => {
                // The names of a missing tensor are those of today.
                let missed = missing.iter().any(|m| m.ends_with(name.as_str()));
                assert!(missed || plan.decides_layout(name), "{name}: {error}");
            }
            (Fault::Wider | Fault::Flat, Error::Weights { misshapen, .. }) => {
                assert!(
                    misshapen.iter().any(|m| m.name == stored),
                    "{name}: {error}"
                );
            }
            _ => panic!("{name}, {:?}: {error}", broken.fault),
        }
    });
}

#[test]
fn an_odd_key_never_panics() {
    check(128, broken::odd_key, |plan, padded, (key, value)| {
        let mut config = plan.config();
        config[&key] = value;
        let folder = folder(&plan, &config, &plan.tensors());
        if let Ok(model) = load(&plan, &folder, 1) {
            // Whether it fits or not, it comes to an end.
            let _ = model.forward(&batch(&padded, 0..padded.ids.len()));
        }
    });
}

#[test]
fn a_position_without_a_row_is_an_error() {
    check(64, nothing, |mut plan, padded, ()| {
        let positions = padded.sequences().into_iter().flat_map(|s| s.positions);
        let Some(last) = positions.max().filter(|_| plan.counts_positions()) else {
            return;
        };
        // One row too few for the longest sequence, and no fewer than the buckets need.
        let least = plan.relative.buckets.map_or(1, |buckets| buckets / 2 + 2);
        plan.input.positions = (last as usize).max(least);
        if plan.input.positions > last as usize {
            return;
        }
        let error = model(&plan, 1).forward(&batch(&padded, 0..padded.ids.len()));
        match error {
            Err(Error::PositionOutOfRange { position, rows, .. }) => {
                assert!(position >= rows && rows == plan.input.positions);
            }
            other => panic!("{other:?}"),
        }
    });
}
