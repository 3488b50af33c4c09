//! The reference's numbers and tokens, whatever the batch and the threads.

use super::common::arrays::Arrays;
use super::common::bounds::{HIDDEN, LOGITS, Tolerance, close, compare, distance};
use super::common::copy::ModelCopy;
use super::common::{Input, options};
use super::{cases, folder, load, load_with};
use deberta_core::generate::padded;
use deberta_core::{EncoderDecoder, Precision};
use ndarray::Array2;
use std::collections::{BTreeMap, BTreeSet};

/// The decoder's sequences of `input.safetensors`, and their logits in `expected.safetensors`, without padding.
fn forced(model: &str) -> (Vec<Vec<u32>>, Array2<f32>) {
    let given = Arrays::read(&folder(model).join("input.safetensors"));
    let ids = given.ids("decoder_input_ids").expect("ids");
    let mask = given.ids("decoder_attention_mask").expect("a mask");
    let expected = Arrays::read(&folder(model).join("expected.safetensors")).floats("logits");
    let mut logits = Array2::zeros((0, expected.dim().2));
    let mut sequences = Vec::new();
    for (row, (ids, mask)) in ids.outer_iter().zip(mask.outer_iter()).enumerate() {
        let length = mask.iter().filter(|&&real| real == 1).count();
        sequences.push(ids.iter().take(length).map(|&id| id as u32).collect());
        for i in 0..length {
            logits
                .push_row(expected.slice(ndarray::s![row, i, ..]))
                .unwrap();
        }
    }
    (sequences, logits)
}

fn tolerance(model: &str) -> Tolerance {
    let text = std::fs::read_to_string(folder(model).join("tolerance.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_fixtures_cover_what_is_promised() {
    let cases = cases();
    let kinds: BTreeSet<&str> = cases.models.iter().map(|m| m.decoder.as_str()).collect();
    assert_eq!(kinds, ["bert", "gpt2", "roberta"].into());
    let beams = cases.generations.iter().filter(|g| g.scores.is_some());
    let beams: Vec<_> = beams.collect();
    assert!(cases.generations.len() >= 60, "{}", cases.generations.len());
    assert!(beams.len() >= 40, "{}", beams.len());
    for kind in kinds {
        let of_kind = |model: &str| {
            cases
                .models
                .iter()
                .any(|m| m.name == model && m.decoder == kind)
        };
        let count = beams.iter().filter(|g| of_kind(&g.model)).count();
        assert!(count >= 10, "{kind}: {count}");
    }
}

#[test]
fn what_is_read_and_scored_is_the_reference_s() {
    for model in cases().models {
        let name = &model.name;
        let model = load(name);
        let (input, gaps) = (Input::read(&folder(name)), tolerance(name));
        let batch = input.batch();
        let expected = Arrays::read(&folder(name).join("expected.safetensors"));
        let hidden = input.real_rows(&expected.floats("encoder_last_hidden_state"));
        let found = model.encoder().forward(&batch).unwrap().last_hidden_state;
        close(
            &format!("{name}: hidden"),
            found.view(),
            hidden.view(),
            HIDDEN,
            gaps.hidden_gap,
        );

        let (sequences, expected) = forced(name);
        let found = model.logits(&batch, &sequences).unwrap();
        let what = format!("{name}: logits");
        compare(
            &what,
            found.view(),
            expected.view(),
            LOGITS,
            gaps.logits_gap,
        );
        // A sequence alone has the same bits.
        let mut from = 0;
        for (row, sequence) in sequences.iter().enumerate() {
            let alone = model
                .logits(&input.row(row), std::slice::from_ref(sequence))
                .unwrap();
            let together = found.slice(ndarray::s![from..from + sequence.len(), ..]);
            assert_eq!(alone, together, "{what}, row {row}");
            from += sequence.len();
        }
    }
}

#[test]
fn sequences_and_scores_are_the_reference_s() {
    let mut loaded: BTreeMap<String, EncoderDecoder> = BTreeMap::new();
    for case in cases().generations {
        let model = loaded
            .entry(case.model.clone())
            .or_insert_with(|| load(&case.model));
        let what = format!("{} ({}) {:?}", case.model, case.covers, case.options);
        let options = case.options(model);
        let found = model.generate(&case.batch(), &options).expect(&what);
        let sequences = padded(&found, &options);
        let rows: Vec<Vec<i64>> = sequences.outer_iter().map(|row| row.to_vec()).collect();
        assert_eq!(rows, case.sequences, "{what}");
        let scores: Option<Vec<f32>> = found
            .iter()
            .flat_map(|f| &f.sequences)
            .map(|s| s.score)
            .collect();
        match (scores, &case.scores) {
            (Some(found), Some(expected)) => {
                assert_eq!(found.len(), expected.len(), "{what}");
                for (a, b) in found.iter().zip(expected) {
                    // Without a length penalty they are sums over all tokens.
                    let bound = 1e-4 * b.abs().max(1.0);
                    assert!((a - b).abs() <= bound, "{what}: {a} {b}");
                }
            }
            (None, None) => (),
            (found, expected) => panic!("{what}: {found:?} {expected:?}"),
        }
        // Alone, each input has the same answer to the last bit of its score.
        let input = case.input();
        for (row, together) in found.iter().enumerate() {
            let alone = model.generate(&input.row(row), &options).expect(&what);
            assert_eq!(&alone[0], together, "{what}, row {row}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for kind in ["bert", "roberta", "gpt2"] {
        let with = |threads| load_with(kind, options().threads(threads));
        let (one, three) = (with(1), with(3));
        let batch = Input::read(&folder(kind)).batch();
        let (sequences, _) = forced(kind);
        assert_eq!(
            one.logits(&batch, &sequences).unwrap(),
            three.logits(&batch, &sequences).unwrap(),
            "{kind}"
        );
        let options = one.options().clone().num_beams(4).max_new_tokens(8);
        assert_eq!(
            one.generate(&batch, &options).unwrap(),
            three.generate(&batch, &options).unwrap(),
            "{kind}"
        );
    }
}

/// Scores step by step are those of the sequence as a whole: the caches hold what would be computed again.
#[test]
fn steps_score_as_the_whole_does() {
    for kind in ["bert", "gpt2"] {
        let model = load(kind);
        let input = Input::read(&folder(kind));
        let options = model
            .options()
            .clone()
            .num_beams(4)
            .max_new_tokens(8)
            .length_penalty(0.0);
        for (row, found) in model
            .generate(&input.batch(), &options)
            .unwrap()
            .iter()
            .enumerate()
        {
            let best = &found.sequences[0];
            let logits = model
                .logits(&input.row(row), std::slice::from_ref(&best.tokens))
                .unwrap();
            let sum: f64 = best.tokens[1..]
                .iter()
                .zip(logits.outer_iter())
                .map(|(&token, logits)| {
                    let exps = logits.iter().map(|&x| f64::from(x).exp());
                    f64::from(logits[token as usize]) - exps.sum::<f64>().ln()
                })
                .sum();
            let score = f64::from(best.score.expect("a score"));
            assert!(
                (sum - score).abs() < 1e-4,
                "{kind}, row {row}: {sum} {score}"
            );
        }
    }
}

/// The reference ties two tables only where a file has one, or both are the same.
#[test]
fn two_tables_are_not_tied_by_a_configuration() {
    let copy = ModelCopy::of("generation/bert_untied", "says-tied");
    let copy = copy.json("config.json", |config| {
        config["decoder"]["tie_word_embeddings"] = true.into();
    });
    let (batch, (sequences, _)) = (
        Input::read(&folder("bert_untied")).batch(),
        forced("bert_untied"),
    );
    let model = EncoderDecoder::load(copy.folder(), options()).unwrap();
    assert_eq!(
        model.logits(&batch, &sequences).unwrap(),
        load("bert_untied").logits(&batch, &sequences).unwrap()
    );
}

#[test]
fn half_precision_is_near() {
    for kind in ["bert", "roberta", "gpt2"] {
        let exact = load(kind);
        let half = load_with(kind, options().precision(Precision::Bf16));
        let batch = Input::read(&folder(kind)).batch();
        let (sequences, expected) = forced(kind);
        let found = half.logits(&batch, &sequences).unwrap();
        let largest = expected.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let off = distance(found.view(), expected.view());
        println!("{kind}: {off:.3} of logits up to {largest:.1}");
        assert!(off > 1e-4, "{kind}: bf16 is not f32");
        assert!(
            off < 0.05 * f64::from(largest),
            "{kind}: {off} of {largest}"
        );
        // A second time the same, to the bit.
        assert_eq!(half.logits(&batch, &sequences).unwrap(), found);
        drop(exact);
    }
}

/// Also where older versions saved tied weights twice, position ids and the masks of causal attention.
#[test]
fn every_tensor_is_known() {
    for model in cases().models {
        let unused = load(&model.name).unused_tensors().to_vec();
        assert!(unused.is_empty(), "{}: {unused:?}", model.name);
    }
}
