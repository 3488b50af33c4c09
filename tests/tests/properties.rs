//! Random valid models against the scalar oracle, and properties that hold for every model.
//!
//! The seed is fixed, so that a run repeats; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` look further.

use deberta_core::{Batch, Error, HeadKind, LoadOptions, Model, Output};
use deberta_tests::oracle::heads::Head;
use deberta_tests::oracle::random::plan::{self, Family};
use deberta_tests::oracle::random::{Padded, Plan};
use deberta_tests::oracle::{Oracle, Rows};
use ndarray::{Array2, ArrayView2};
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};
use std::cell::Cell;
use tempfile::TempDir;

const FAMILIES: &[Family] = &[Family::V2];
const HEADS: &[Head] = &[
    Head::Base,
    Head::SequenceClassification,
    Head::TokenClassification,
    Head::QuestionAnswering,
];

fn kind(head: Head) -> HeadKind {
    match head {
        Head::Base => HeadKind::Base,
        Head::SequenceClassification => HeadKind::SequenceClassification,
        Head::TokenClassification => HeadKind::TokenClassification,
        Head::QuestionAnswering => HeadKind::QuestionAnswering,
        other => panic!("{other:?} is not among the heads"),
    }
}

/// Runs a property on random models and batches.
fn check(cases: u32, test: impl Fn(Plan, Padded) -> TestCaseResult) {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    // The variables, where they are set, have already had their say.
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0xdebe_27a3);
    }
    let strategy = plan::case(FAMILIES, HEADS);
    let outcome = TestRunner::new(config).run(&strategy, |(plan, batch)| test(plan, batch));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn folder(plan: &Plan) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    plan.write(folder.path(), &plan.config(), &plan.tensors());
    folder
}

fn load(plan: &Plan, folder: &TempDir, threads: usize) -> Result<Model, Error> {
    let options = LoadOptions::default()
        .head(kind(plan.head))
        .threads(threads);
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

/// The largest `|found - expected| / (1 + |expected|)`.
fn largest_difference(found: ArrayView2<f32>, expected: &Rows) -> f64 {
    assert_eq!(found.nrows(), expected.len(), "rows");
    let mut largest = 0.0_f64;
    for (found, expected) in found.outer_iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "columns");
        for (&a, &b) in found.iter().zip(expected) {
            let difference = (f64::from(a) - b).abs() / (1.0 + b.abs());
            // NaN would never be the larger one.
            assert!(difference.is_finite(), "found {a}, expected {b}");
            largest = largest.max(difference);
        }
    }
    largest
}

/// The oracle's hidden states and logits of all sequences, one after the other as in a packed batch.
fn expected(plan: &Plan, padded: &Padded) -> (Rows, Rows) {
    let oracle = Oracle::new(&plan.config(), &plan.tensors());
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
    (hidden, logits)
}

fn run(model: &Model, batch: &Batch) -> Output {
    model
        .forward(batch)
        .unwrap_or_else(|error| panic!("{error}"))
}

const BOUND: f64 = 2e-5;

#[test]
fn every_model_equals_the_oracle() {
    let worst = [Cell::new(0.0_f64), Cell::new(0.0_f64)];
    check(256, |plan, padded| {
        let folder = folder(&plan);
        let model = load(&plan, &folder, 2).unwrap_or_else(|error| panic!("{error}"));
        let output = run(&model, &batch(&padded, 0..padded.ids.len()));
        let (hidden, logits) = expected(&plan, &padded);
        let found = [Some(output.last_hidden_state), output.logits];
        for ((found, expected), worst) in found.iter().zip([&hidden, &logits]).zip(&worst) {
            let Some(found) = found else {
                assert_eq!(plan.head, Head::Base, "no logits");
                continue;
            };
            let difference = largest_difference(found.view(), expected);
            if difference > worst.get() {
                worst.set(difference);
            }
            assert!(difference <= BOUND, "{difference:.1e}");
        }
        Ok(())
    });
    let [hidden, logits] = worst.map(Cell::into_inner);
    println!("largest differences: hidden states {hidden:.1e}, logits {logits:.1e}");
}
