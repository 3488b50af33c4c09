//! The scalar oracle against what the reference implementations computed, so that it stands on its own.

mod common;

use common::bounds::{HIDDEN, LOGITS, close};
use common::{Input, cases};
use deberta_core::HeadKind;
use deberta_tests::asset;
use deberta_tests::oracle::heads::Head;
use deberta_tests::oracle::tensors::Tensors;
use deberta_tests::oracle::{Oracle, Rows, Sequence};
use ndarray::{Array2, Axis};
use std::path::Path;

fn head(kind: HeadKind) -> Head {
    match kind {
        HeadKind::Base => Head::Base,
        HeadKind::SequenceClassification => Head::SequenceClassification,
        HeadKind::TokenClassification => Head::TokenClassification,
        HeadKind::QuestionAnswering => Head::QuestionAnswering,
        HeadKind::MultipleChoice => Head::MultipleChoice,
        HeadKind::MaskedLm => Head::MaskedLm,
        HeadKind::ReplacedTokenDetection => Head::ReplacedTokenDetection,
        other => panic!("no oracle for {other}"),
    }
}

/// The last hidden states and the logits of all sequences, end to end.
fn run(folder: &Path, input: &Input, head: Head) -> (Array2<f32>, Array2<f32>) {
    let config = std::fs::read_to_string(folder.join("config.json")).expect("config.json");
    let config = serde_json::from_str(&config).expect("JSON");
    let oracle = Oracle::new(&config, &Tensors::read(folder));
    let (mut hidden, mut logits) = (Rows::new(), Rows::new());
    for row in 0..input.ids.nrows() {
        let mut sequence = Sequence::default();
        for column in input.real(row) {
            let at = (row, column);
            sequence.ids.push(input.ids[at] as u32);
            let types = input.types.as_ref();
            sequence
                .types
                .push(types.map_or(0, |types| types[at] as u32));
            sequence.positions.push(column as u32);
        }
        let states = oracle.hidden_states(&sequence);
        logits.extend(oracle.logits(head, &sequence, &states).unwrap_or_default());
        hidden.extend(states.into_iter().next_back().unwrap_or_default());
    }
    (array(&hidden), array(&logits))
}

fn array(rows: &Rows) -> Array2<f32> {
    let width = rows.first().map_or(0, Vec::len);
    Array2::from_shape_fn((rows.len(), width), |(i, j)| rows[i][j] as f32)
}

#[test]
fn every_fixture_equals_transformers() {
    for case in cases() {
        let (input, expected, tolerance) = (case.input(), case.expected(), case.tolerance());
        let head = head(case.kind());
        let (hidden, logits) = run(&case.folder(), &input, head);
        let real = input.real_rows(&expected.floats("last_hidden_state"));
        let gap = tolerance.hidden_gap;
        close(&case.name, hidden.view(), real.view(), HIDDEN, gap);
        let expected = match head {
            Head::Base => continue,
            Head::SequenceClassification => expected.matrix("logits"),
            Head::MultipleChoice => {
                // One row per choice.
                let logits = expected.matrix("logits");
                let rows = logits.len();
                logits.into_shape_with_order((rows, 1)).expect("as many")
            }
            Head::QuestionAnswering => {
                let columns = ["start_logits", "end_logits"].map(|name| {
                    let column = expected.matrix(name).insert_axis(Axis(2));
                    input.real_rows(&column)
                });
                let [start, end] = columns.each_ref().map(|column| column.view());
                ndarray::concatenate(Axis(1), &[start, end]).expect("as many")
            }
            Head::TokenClassification | Head::MaskedLm | Head::ReplacedTokenDetection => {
                input.real_rows(&expected.floats("logits"))
            }
        };
        let gap = tolerance.logits_gap;
        close(&case.name, logits.view(), expected.view(), LOGITS, gap);
    }
}

#[test]
fn microsofts_heads_equal_microsofts_code() {
    let masked = [
        "ms_v1_emd",
        "ms_v2_emd_160",
        "ms_v2_emd_conv",
        "ms_v2_emd_short",
        "ms_v2_mlm_abs",
    ];
    let replaced = ["ms_v2_rtd", "ms_v2_rtd_150"];
    let heads = masked.map(|name| (name, Head::MaskedLm)).into_iter();
    for (name, head) in heads.chain(replaced.map(|name| (name, Head::ReplacedTokenDetection))) {
        let Some(folder) = asset(&format!("expected/microsoft/{name}")) else {
            return;
        };
        let input = Input::read(&folder);
        let expected = common::arrays::Arrays::read(&folder.join("expected.safetensors"));
        let (hidden, logits) = run(&folder, &input, head);
        let real = input.real_rows(&expected.floats("last_hidden_state"));
        close(name, hidden.view(), real.view(), HIDDEN, 0.0);
        let real = input.real_rows(&expected.floats("logits"));
        close(name, logits.view(), real.view(), LOGITS, 0.0);
    }
}
