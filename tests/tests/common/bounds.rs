//! How far a number may lie from the reference's.

use ndarray::{ArrayView1, ArrayView2};
use serde::Deserialize;

/// Hidden states and what is made of them by averaging: this or three times the reference's own rounding.
pub const HIDDEN: f64 = 2e-5;
/// Logits and scores, which have more than one more matrix product behind them.
pub const LOGITS: f64 = 5e-5;

/// `tolerance.json`: the reference's own gaps between f32 and f64, by kind of output.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub struct Tolerance {
    pub hidden_gap: f64,
    pub logits_gap: f64,
    pub attention_gap: f64,
    pub scores_gap: f64,
}

/// Compares within the larger of `least` and three gaps, and the place of the largest value in each row, which must be
/// the same unless the reference's own rounding could swap it with another. Returns the largest difference.
#[track_caller]
pub fn compare(
    what: &str,
    found: ArrayView2<f32>,
    expected: ArrayView2<f32>,
    least: f64,
    gap: f64,
) -> f64 {
    let largest = close(what, found, expected, least, gap);
    for (index, (ours, theirs)) in found.outer_iter().zip(expected.outer_iter()).enumerate() {
        assert!(
            same_largest(ours, theirs, 2.0 * gap as f32),
            "{what}: largest of row {index}"
        );
    }
    largest
}

/// The same, without a look at the largest.
#[track_caller]
pub fn close(
    what: &str,
    found: ArrayView2<f32>,
    expected: ArrayView2<f32>,
    least: f64,
    gap: f64,
) -> f64 {
    assert_eq!(found.dim(), expected.dim(), "{what}: shape");
    let bound = least.max(3.0 * gap);
    let mut largest = 0.0_f64;
    for ((at, &a), &b) in found.indexed_iter().zip(expected) {
        let error = (f64::from(a) - f64::from(b)).abs();
        assert!(
            error <= bound,
            "{what}{at:?} is {a}, expected {b} within {bound:e}"
        );
        largest = largest.max(error);
    }
    // `--nocapture` shows how close it is.
    println!("{largest:.1e} of {bound:.1e} (reference in f32 against f64: {gap:.1e}) {what}");
    largest
}

/// Whether both have their largest value at the same place, or the reference itself has two within `tie`.
pub fn same_largest(found: ArrayView1<f32>, expected: ArrayView1<f32>, tie: f32) -> bool {
    let largest = |row: ArrayView1<f32>| {
        row.iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(i, _)| i)
    };
    match (largest(found), largest(expected)) {
        (Some(ours), Some(theirs)) => ours == theirs || expected[theirs] - expected[ours] <= tie,
        (ours, theirs) => ours == theirs,
    }
}

/// The largest difference between two matrices of one shape.
#[track_caller]
pub fn distance(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    let pairs = a.iter().zip(b);
    pairs.fold(0.0, |d, (&a, &b)| {
        f64::max(d, (f64::from(a) - f64::from(b)).abs())
    })
}
