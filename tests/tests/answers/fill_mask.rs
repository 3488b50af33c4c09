//! Words for masks.

use deberta_core::Error;
use deberta_core::tasks::{Control, FillMask, Filled};
use serde_json::Value;

use super::{cases, expect_near, folder, list, size, text, texts};

fn expect_words(found: &[Vec<Filled>], expected: &Value, what: &str) {
    let expected = list(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let expected = list(expected);
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.token as usize, size(&expected["token"]), "{what}");
            assert_eq!(found.text, text(&expected["token_str"]), "{what}");
            assert_eq!(found.sequence, text(&expected["sequence"]), "{what}");
            expect_near(found.score, &expected["score"], what);
        }
    }
}

#[test]
fn words_are_those_of_the_pipeline() {
    let mut compared = 0;
    for case in cases("fill_mask", 3) {
        let rows = list(&case.expected["texts"]);
        for (key, top_k) in [("top_5", 5), ("top_10", 10)] {
            let model = FillMask::load(&case.folder).expect(&case.name);
            let model = model.with_top_k(top_k);
            let inputs: Vec<&str> = rows.iter().map(|row| text(&row["text"])).collect();
            let together = model.fill_batch(&inputs).expect(&case.name);
            for ((row, input), found) in rows.iter().zip(inputs).zip(together) {
                let what = format!("{}: {input:?}", case.name);
                expect_words(&found, &row["answers"][key], &what);
                assert_eq!(model.fill(input).expect(&what), found, "{what}");
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn targets_are_those_of_the_pipeline() {
    let mut compared = 0;
    for case in cases("fill_mask", 3) {
        for row in list(&case.expected["targets"]) {
            let what = format!("{}: {} {}", case.name, row["text"], row["targets"]);
            let model = FillMask::load(&case.folder).expect(&what);
            let model = model.with_targets(&texts(&row["targets"])).expect(&what);
            let mut pieces: Vec<String> = list(&row["resolved"])
                .iter()
                .map(|target| text(&target["piece"]).to_owned())
                .collect();
            let mut found = model.targets();
            pieces.sort();
            pieces.dedup();
            found.sort();
            assert_eq!(found, pieces, "{what}");
            for (key, top_k) in [("top_5", 5), ("top_2", 2)] {
                let model = FillMask::load(&case.folder).expect(&what);
                let model = model.with_targets(&texts(&row["targets"])).expect(&what);
                let found = model
                    .with_top_k(top_k)
                    .fill(text(&row["text"]))
                    .expect(&what);
                expect_words(&found, &row["answers"][key], &what);
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn a_text_without_a_mask_fails_alone() {
    let model = FillMask::load(folder("fill_mask_legacy")).expect("a model");
    let found = model.fill_each(&["A [MASK] day.", "A day.", "[MASK]"], &Control::default());
    assert!(found[0].is_ok() && found[2].is_ok());
    let error = found[1].as_ref().expect_err("no mask").to_string();
    assert!(error.contains("expected a mask ([MASK])"), "{error}");
    assert!(matches!(
        FillMask::load(folder("fill_mask_legacy"))
            .expect("a model")
            .with_targets(&[]),
        Err(Error::Argument {
            name: "targets",
            ..
        })
    ));
}

#[test]
fn many_masks_take_bounded_memory() {
    let model = FillMask::load(folder("fill_mask_legacy")).expect("a model");
    let text = "[MASK] day. ".repeat(600);
    let long = model.fill(&text).expect("words");
    assert_eq!(long.len(), 600);
    let model = model.with_sequences(false);
    let light = model.fill(&text).expect("words");
    for (long, light) in long.iter().flatten().zip(light.iter().flatten()) {
        assert_eq!((long.token, long.score), (light.token, light.score));
        assert!(light.sequence.is_empty() && !long.sequence.is_empty());
    }
    let short = model.with_max_length(100);
    let found = short.fill_each(&[&text, "A [MASK]."], &Control::default());
    assert!(matches!(
        found[0],
        Err(Error::Argument { name: "text", .. })
    ));
    assert!(found[1].is_ok());
}

#[test]
fn a_head_without_its_decoder_is_doubted() {
    let doubt = |name: &str| FillMask::load(folder(name)).expect(name).doubt();
    assert_eq!(doubt("fill_mask_legacy"), None);
    let doubted = doubt("fill_mask_microsoft")
        .expect("positions are neither in the decoder nor in the input");
    assert!(doubted.contains("enhanced mask decoder"), "{doubted}");
}
