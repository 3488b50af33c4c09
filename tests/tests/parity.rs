//! The whole model against `transformers`: tiny random models that cover every option, compared row by row.
//!
//! `tests/reference/make_parity_fixtures.py` made the fixtures. A value may differ by the larger of 2e-5 and three
//! times the reference's own gap between f32 and f64, and the largest value of a row must be the same one.

use deberta_core::{Batch, Error, HeadKind, LoadOptions, Model};
use deberta_tests::fixture;
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    head: String,
    outputs: Vec<String>,
}

#[derive(Deserialize)]
struct Tolerance {
    hidden_gap: f64,
    #[serde(default)]
    logits_gap: f64,
}

impl Case {
    fn folder(&self) -> PathBuf {
        fixture("models").join(&self.name)
    }

    fn kind(&self) -> HeadKind {
        match self.head.as_str() {
            "base" => HeadKind::Base,
            "sequence" => HeadKind::SequenceClassification,
            "token" => HeadKind::TokenClassification,
            "question" => HeadKind::QuestionAnswering,
            other => panic!("unknown head {other}"),
        }
    }

    fn has(&self, output: &str) -> bool {
        self.outputs.iter().any(|name| name == output)
    }
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(fixture("models").join("cases.json")).unwrap();
    serde_json::from_str::<Cases>(&text).unwrap().cases
}

/// The arrays of one file.
struct Arrays(Vec<u8>);

impl Arrays {
    fn read(path: &Path) -> Self {
        Self(std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    fn ids(&self, name: &str) -> Option<Array2<i64>> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors.tensor(name).ok()?;
        let values = view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&b| i64::from_le_bytes(b))
            .collect();
        Some(Array2::from_shape_vec((view.shape()[0], view.shape()[1]), values).unwrap())
    }

    /// An array of any dimensions as `[first, second, rest]`.
    fn floats(&self, name: &str) -> Array3<f32> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors.tensor(name).unwrap();
        let shape = view.shape();
        let values = view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect();
        let second = shape.get(1).copied().unwrap_or(1);
        let rest = shape.iter().skip(2).product();
        Array3::from_shape_vec((shape[0], second, rest), values).unwrap()
    }
}

struct Input {
    ids: Array2<i64>,
    mask: Option<Array2<i64>>,
    types: Option<Array2<i64>>,
}

impl Input {
    fn read(case: &Case) -> Self {
        let arrays = Arrays::read(&case.folder().join("input.safetensors"));
        Self {
            ids: arrays.ids("input_ids").expect("input_ids"),
            mask: arrays.ids("attention_mask"),
            types: arrays.ids("token_type_ids"),
        }
    }

    fn is_real(&self, row: usize, column: usize) -> bool {
        self.mask
            .as_ref()
            .is_none_or(|mask| mask[(row, column)] == 1)
    }

    fn batch(&self) -> Batch {
        let (mask, types) = (self.mask.as_ref(), self.types.as_ref());
        Batch::from_padded(
            self.ids.view(),
            mask.map(|m| m.view()),
            types.map(|t| t.view()),
        )
        .unwrap()
    }

    /// One sequence of the batch.
    fn row(&self, row: usize) -> Batch {
        let one = |array: &Array2<i64>| array.slice(s![row..row + 1, ..]).to_owned();
        let part = Self {
            ids: one(&self.ids),
            mask: self.mask.as_ref().map(one),
            types: self.types.as_ref().map(one),
        };
        part.batch()
    }
}

/// The index of the largest value; of the first, if the reference itself has two within `tie`.
fn same_largest(found: ArrayView1<f32>, expected: ArrayView1<f32>, tie: f32) -> bool {
    let largest = |row: ArrayView1<f32>| {
        row.iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(i, _)| i)
            .unwrap()
    };
    let (ours, theirs) = (largest(found), largest(expected));
    ours == theirs || expected[theirs] - expected[ours] <= tie
}

#[track_caller]
fn compare(case: &str, what: &str, found: ArrayView2<f32>, expected: ArrayView2<f32>, gap: f64) {
    assert_eq!(found.dim(), expected.dim(), "{case}: shape of {what}");
    let bound = f64::max(2e-5, 3.0 * gap);
    let mut largest = 0.0_f64;
    for (index, (ours, theirs)) in found.outer_iter().zip(expected.outer_iter()).enumerate() {
        for (column, (&a, &b)) in ours.iter().zip(theirs).enumerate() {
            let error = (f64::from(a) - f64::from(b)).abs();
            largest = largest.max(error);
            assert!(
                error <= bound,
                "{case}: {what}[{index}, {column}] is {a}, expected {b} within {bound:e}"
            );
        }
        // Two values of the reference that its own rounding could swap have no order to keep.
        let tie = 2.0 * gap as f32;
        assert!(
            same_largest(ours, theirs, tie),
            "{case}: largest of {what}[{index}]"
        );
    }
    // `--nocapture` shows how close it is.
    println!("{largest:.1e} (reference in f32 against f64: {gap:.1e}) {case} {what}");
}

/// The rows of `[B, L, N]` that belong to real tokens, in packed order.
fn real_rows(input: &Input, padded: &Array3<f32>) -> Array2<f32> {
    let mut rows = Array2::zeros((0, padded.dim().2));
    for row in 0..padded.dim().0 {
        for column in 0..padded.dim().1 {
            if input.is_real(row, column) {
                rows.push_row(padded.slice(s![row, column, ..])).unwrap();
            }
        }
    }
    rows
}

#[test]
fn every_case_equals_the_reference() {
    let mut count = 0;
    for case in cases() {
        let folder = case.folder();
        let expected = Arrays::read(&folder.join("expected.safetensors"));
        let tolerance = std::fs::read_to_string(folder.join("tolerance.json")).unwrap();
        let tolerance: Tolerance = serde_json::from_str(&tolerance).unwrap();
        let input = Input::read(&case);
        let batch = input.batch();
        let model = Model::load(&folder, LoadOptions::default())
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(model.head(), case.kind(), "{}: head", case.name);
        let output = match model.forward(&batch) {
            Ok(output) => output,
            Err(error) => panic!("{}: {error}", case.name),
        };
        let hidden = real_rows(&input, &expected.floats("last_hidden_state"));
        let found = output.last_hidden_state.view();
        compare(
            &case.name,
            "last_hidden_state",
            found,
            hidden.view(),
            tolerance.hidden_gap,
        );
        match (case.kind(), &output.logits) {
            (HeadKind::Base, None) => {}
            (HeadKind::SequenceClassification, Some(logits)) => {
                let expected = expected.floats("logits");
                let expected = expected.index_axis_move(Axis(2), 0);
                compare(
                    &case.name,
                    "logits",
                    logits.view(),
                    expected.view(),
                    tolerance.logits_gap,
                );
            }
            (HeadKind::TokenClassification, Some(logits)) => {
                let expected = real_rows(&input, &expected.floats("logits"));
                compare(
                    &case.name,
                    "logits",
                    logits.view(),
                    expected.view(),
                    tolerance.logits_gap,
                );
            }
            (HeadKind::QuestionAnswering, Some(logits)) => {
                assert!(case.has("start_logits") && case.has("end_logits"));
                for (column, name) in ["start_logits", "end_logits"].into_iter().enumerate() {
                    let expected = expected
                        .floats(name)
                        .insert_axis(Axis(3))
                        .index_axis_move(Axis(2), 0);
                    let expected = real_rows(&input, &expected);
                    let found = logits.slice(s![.., column..column + 1]);
                    compare(
                        &case.name,
                        name,
                        found,
                        expected.view(),
                        tolerance.logits_gap,
                    );
                }
            }
            (kind, logits) => panic!("{}: {kind} gave {logits:?}", case.name),
        }
        count += 1;
    }
    assert!(count > 50, "only {count} cases");
}

#[test]
fn a_sequence_is_the_same_alone_and_with_any_number_of_threads() {
    for case in cases() {
        let input = Input::read(&case);
        let batch = input.batch();
        let load =
            |threads| Model::load(case.folder(), LoadOptions::default().threads(threads)).unwrap();
        let model = load(1);
        let whole = model.forward(&batch).unwrap();
        let threaded = load(3).forward(&batch).unwrap();
        assert_eq!(
            whole.last_hidden_state, threaded.last_hidden_state,
            "{}: threads",
            case.name
        );
        assert_eq!(whole.logits, threaded.logits, "{}: threads", case.name);
        for row in 0..batch.len() {
            let alone = model.forward(&input.row(row)).unwrap();
            let tokens = batch.sequence(row);
            let part = whole.last_hidden_state.slice(s![tokens.clone(), ..]);
            assert_eq!(
                part, alone.last_hidden_state,
                "{}: sequence {row} alone",
                case.name
            );
            if let (Some(whole), Some(alone)) = (&whole.logits, &alone.logits) {
                let rows = if case.kind() == HeadKind::SequenceClassification {
                    row..row + 1
                } else {
                    tokens
                };
                assert_eq!(
                    whole.slice(s![rows, ..]),
                    alone,
                    "{}: sequence {row} alone",
                    case.name
                );
            }
        }
    }
}

#[test]
fn a_masked_first_token_is_an_error_for_a_head_that_needs_it() {
    let case = cases()
        .into_iter()
        .find(|case| case.kind() == HeadKind::SequenceClassification)
        .unwrap();
    let model = Model::load(case.folder(), LoadOptions::default()).unwrap();
    let ids = ndarray::array![[1, 5, 6, 2], [0, 1, 5, 2]];
    let mask = ndarray::array![[1, 1, 1, 1], [0, 1, 1, 1]];
    let batch = Batch::from_padded(ids.view(), Some(mask.view()), None).unwrap();
    assert!(matches!(
        model.forward(&batch),
        Err(Error::NoClsToken { sequence: 1 })
    ));
    let base = Model::load(case.folder(), LoadOptions::default().head(HeadKind::Base)).unwrap();
    assert_eq!(base.forward(&batch).unwrap().last_hidden_state.nrows(), 7);
}

#[test]
fn ids_types_and_positions_outside_their_tables_are_errors() {
    let load = |name| Model::load(fixture("models").join(name), LoadOptions::default()).unwrap();
    let model = load("v3");
    let rows = model.vocabulary_rows() as u32;
    let batch = Batch::packed([(vec![1, 2], vec![]), (vec![1, rows, 2], vec![])]).unwrap();
    let error = model.forward(&batch).unwrap_err();
    assert!(
        matches!(error, Error::IdOutOfRange { position: 3, .. }),
        "{error}"
    );

    let model = load("token_types");
    let types = model.config().type_vocab_size as u32;
    let batch = Batch::packed([(vec![1, 2], vec![0, types])]).unwrap();
    let error = model.forward(&batch).unwrap_err();
    assert!(
        matches!(error, Error::TypeIdOutOfRange { position: 1, .. }),
        "{error}"
    );

    let model = load("absolute_positions");
    let longest = model.config().max_position_embeddings;
    let batch = Batch::packed([(vec![1; 2], vec![]), (vec![1; longest + 1], vec![])]).unwrap();
    let error = model.forward(&batch).unwrap_err();
    let expected = matches!(error, Error::PositionOutOfRange { sequence: 1, position, .. } if position == longest);
    assert!(expected, "{error}");
}

#[test]
fn nothing_at_all_gives_nothing() {
    for case in cases() {
        let model = Model::load(case.folder(), LoadOptions::default()).unwrap();
        let empty = Batch::packed(std::iter::empty::<(Vec<u32>, Vec<u32>)>()).unwrap();
        let output = model.forward(&empty).unwrap();
        assert_eq!(
            output.last_hidden_state.dim(),
            (0, model.config().hidden_size),
            "{}",
            case.name
        );
    }
}
