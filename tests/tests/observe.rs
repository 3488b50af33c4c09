//! What happens inside, against the reference: hidden states of every layer, attention, the terms of its scores, and
//! pooled embeddings.
//!
//! `tests/reference/observe_reference.py` recorded them; the terms are the reference's own functions, called with one
//! term switched on at a time.

mod common;

use common::arrays::Arrays;
use common::bounds::{HIDDEN, LOGITS, close, distance};
use common::{Case, Input, case, cases};
use deberta_core::{AttentionMap, Batch, Error, Observe, Pooling};
use ndarray::{Array2, ArrayView2};

/// What one test compares with.
struct Reference {
    case: Case,
    input: Input,
    expected: Arrays,
}

impl Reference {
    fn all() -> Vec<Self> {
        let observed = cases().into_iter().filter(|case| case.observed);
        let all: Vec<_> = observed.map(Self::new).collect();
        assert!(all.len() >= 12);
        all
    }

    fn new(case: Case) -> Self {
        let (input, expected) = (case.input(), case.observations());
        Self {
            case,
            input,
            expected,
        }
    }

    #[track_caller]
    fn compare_map(&self, map: &AttentionMap) {
        let tolerance = self.case.tolerance();
        let place = |name: &str| {
            let (layer, head, sequence) = (map.layer, map.head, map.sequence);
            format!("{} {name} {layer}.{head} of {sequence}", self.case.name)
        };
        let expected = |name: &str| {
            let maps = self.expected.maps(&format!("{name}.{}", map.layer));
            self.input.real_square(&maps, map.sequence, map.head)
        };
        let attention = expected("attentions");
        close(
            &place("attention"),
            map.probabilities.view(),
            attention.view(),
            HIDDEN,
            tolerance.attention_gap,
        );
        let Some(terms) = &map.terms else { return };
        for (name, found) in [
            ("content_content", Some(&terms.content_content)),
            ("content_position", terms.content_position.as_ref()),
            ("position_content", terms.position_content.as_ref()),
        ] {
            let name = format!("scores.{name}");
            let there = self.expected.has(&format!("{name}.{}", map.layer));
            assert_eq!(found.is_some(), there, "{}", place(&name));
            if let Some(found) = found {
                let expected = expected(&name);
                let gap = tolerance.scores_gap;
                close(&place(&name), found.view(), expected.view(), LOGITS, gap);
            }
        }
    }
}

#[test]
fn hidden_states_attention_and_terms_equal_the_reference() {
    for reference in Reference::all() {
        let (case, batch) = (&reference.case, reference.input.batch());
        let model = case.load();
        let (layers, heads) = (
            model.config().num_hidden_layers,
            model.config().num_attention_heads,
        );
        let wanted = Observe::default()
            .hidden_states()
            .all_attention(model.config())
            .score_terms();
        let (output, observed) = model.observe(&batch, &wanted).unwrap();

        assert_eq!(observed.hidden_states.len(), layers + 1, "{}", case.name);
        for (index, found) in observed.hidden_states.iter().enumerate() {
            let name = format!("hidden_states.{index}");
            let expected = reference.input.real_rows(&reference.expected.floats(&name));
            let what = format!("{} {name}", case.name);
            let gap = case.tolerance().hidden_gap;
            close(&what, found.view(), expected.view(), HIDDEN, gap);
        }
        assert_eq!(observed.hidden_states[layers], output.last_hidden_state);

        // Every layer, sequence and head once, in this order; empty sequences have nothing to show but may be listed.
        let places: Vec<_> = observed
            .attention
            .iter()
            .filter(|map| !map.probabilities.is_empty())
            .map(|map| (map.layer, map.sequence, map.head))
            .collect();
        let mut expected = Vec::new();
        for layer in 0..layers {
            for sequence in (0..batch.len()).filter(|&i| !batch.sequence(i).is_empty()) {
                expected.extend((0..heads).map(|head| (layer, sequence, head)));
            }
        }
        assert_eq!(places, expected, "{}", case.name);
        for map in &observed.attention {
            assert!(map.terms.is_some());
            reference.compare_map(map);
        }
    }
}

#[test]
fn observing_leaves_the_result_as_it_is() {
    for reference in Reference::all() {
        let batch = reference.input.batch();
        let model = reference.case.load();
        let plain = model.forward(&batch).unwrap();
        let wanted = Observe::default().all_attention(model.config());
        let (output, _) = model.observe(&batch, &wanted).unwrap();
        // Another kernel computes observed attention: equal up to rounding.
        let close = |a: &Array2<f32>, b: &Array2<f32>| distance(a.view(), b.view()) < 1e-5;
        let name = &reference.case.name;
        assert!(
            close(&plain.last_hidden_state, &output.last_hidden_state),
            "{name}"
        );
        match (&plain.logits, &output.logits) {
            (Some(plain), Some(observed)) => assert!(close(plain, observed), "{name}"),
            (plain, observed) => assert_eq!(plain, observed, "{name}"),
        }
        // Hidden states alone cost nothing: the same kernels, the same bits.
        let (output, observed) = model
            .observe(&batch, &Observe::default().hidden_states())
            .unwrap();
        assert_eq!(plain.last_hidden_state, output.last_hidden_state, "{name}");
        assert!(observed.attention.is_empty());
    }
}

#[test]
fn only_what_is_asked_for_is_kept() {
    let reference = Reference::new(case("observed_v3"));
    let batch = reference.input.batch();
    let model = reference.case.load();
    let (_, observed) = model
        .observe(&batch, &Observe::default().attention(1, 2))
        .unwrap();
    assert!(observed.hidden_states.is_empty());
    assert_eq!(observed.attention.len(), batch.len());
    for (sequence, map) in observed.attention.iter().enumerate() {
        assert_eq!((map.layer, map.head, map.sequence), (1, 2, sequence));
        assert!(map.terms.is_none());
        reference.compare_map(map);
    }
}

#[test]
fn layers_and_heads_that_do_not_exist_are_errors() {
    let case = case("observed_v3"); // 2 layers of 3 heads
    let batch = case.input().batch();
    let model = case.load();
    for (layer, head) in [(2, 0), (0, 3), (usize::MAX, usize::MAX)] {
        let error = model
            .observe(&batch, &Observe::default().attention(layer, head))
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::Argument {
                    name: "attention",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn pooled_embeddings_equal_the_reference() {
    let pooled: Vec<_> = cases().into_iter().filter(|case| case.pooled).collect();
    assert!(pooled.len() >= 3);
    for case in pooled {
        let (input, expected) = (case.input(), case.observations());
        let batch = input.batch();
        let output = case.load().forward(&batch).unwrap();
        for (name, pooling) in [
            ("cls", Pooling::Cls),
            ("mean", Pooling::Mean),
            ("max", Pooling::Max),
        ] {
            for (normalize, suffix) in [(false, ""), (true, ".normalized")] {
                let name = format!("pooled.{name}{suffix}");
                let found = output.embeddings(&batch, pooling, normalize).unwrap();
                let what = format!("{} {name}", case.name);
                let (theirs, gap) = (expected.matrix(&name), case.tolerance().hidden_gap);
                close(&what, found.view(), theirs.view(), HIDDEN, gap);
                if normalize {
                    assert!(lengths(found.view()).iter().all(|l| (l - 1.0).abs() < 1e-6));
                }
            }
        }
    }
}

fn lengths(rows: ArrayView2<f32>) -> Vec<f64> {
    let square = |x: &f32| f64::from(*x).powi(2);
    rows.outer_iter()
        .map(|row| row.iter().map(square).sum::<f64>().sqrt())
        .collect()
}

#[test]
fn sequences_that_cannot_be_pooled_are_errors() {
    let model = case("v3").load();
    let empty = Batch::packed([(vec![1, 2], vec![]), (vec![], vec![])]).unwrap();
    let output = model.forward(&empty).unwrap();
    for pooling in [Pooling::Mean, Pooling::Max] {
        let error = output.embeddings(&empty, pooling, true).unwrap_err();
        assert!(matches!(error, Error::Batch { .. }), "{error}");
    }
    let error = output.embeddings(&empty, Pooling::Cls, false).unwrap_err();
    assert!(
        matches!(error, Error::NoClsToken { sequence: 1 }),
        "{error}"
    );

    // Padding on the left: there is a token, but none at position 0.
    let case = case("left_padding");
    let batch = case.input().batch();
    let output = case.load().forward(&batch).unwrap();
    let error = output.embeddings(&batch, Pooling::Cls, false).unwrap_err();
    assert!(matches!(error, Error::NoClsToken { .. }), "{error}");
    assert!(output.embeddings(&batch, Pooling::Mean, false).is_ok());

    // The output of another batch.
    let error = output.embeddings(&empty, Pooling::Mean, false).unwrap_err();
    assert!(matches!(error, Error::Batch { .. }), "{error}");
}
