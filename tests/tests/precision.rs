//! Models in bf16 and int8: near those in f32, the same decisions, the same bits whatever the company.

mod common;

use common::cases;
use deberta_core::tasks::Input;
use deberta_core::{Batch, LoadOptions, Model, Precision, TextClassifier};
use deberta_tests::{asset, workspace_root};
use ndarray::Array2;
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};

const REDUCED: [Precision; 2] = [Precision::Bf16, Precision::Int8];

fn options(precision: Precision) -> LoadOptions {
    LoadOptions::default().precision(precision)
}

/// The root of the mean square.
fn size(values: impl IntoIterator<Item = f32>) -> f64 {
    let (count, squares) = values.into_iter().fold((0, 0.0), |(n, sum), x| {
        (n + 1, sum + f64::from(x) * f64::from(x))
    });
    (squares / f64::from(count.max(1))).sqrt()
}

#[test]
fn every_kind_of_model_is_near_its_own_f32() {
    for case in cases() {
        let batch = case.input().batch();
        let exact = case.load().forward(&batch).unwrap();
        for (precision, most) in [(Precision::Bf16, 0.02), (Precision::Int8, 0.06)] {
            let model = case.load_with(options(precision));
            let output = model.forward(&batch).unwrap();
            let difference = size(&output.last_hidden_state - &exact.last_hidden_state);
            let whole = size(exact.last_hidden_state.iter().copied());
            let what = format!("{} {precision:?}: {difference} of {whole}", case.name);
            assert!(difference <= most * whole, "{what}");
            assert!(difference > 0.0, "{what}: computed in f32");
        }
    }
}

#[test]
fn neither_threads_nor_company_change_a_bit() {
    let folder = workspace_root().join("models/sentiment");
    let sequence = |start: u32, length: u32| -> (Vec<u32>, Vec<u32>) {
        let ids = (0..length).map(|i| (start + i * 97) % 8000).collect();
        (ids, Vec::new())
    };
    let sequences: Vec<_> = [(5, 3), (11, 40), (3, 150), (900, 1)]
        .map(|(start, length)| sequence(start, length))
        .into();
    for precision in REDUCED {
        let together = Model::load(&folder, options(precision).threads(3))
            .unwrap()
            .forward(&Batch::packed(sequences.clone()).unwrap())
            .unwrap();
        let alone = Model::load(&folder, options(precision).threads(1)).unwrap();
        let rows: Vec<Array2<f32>> = sequences
            .iter()
            .map(|one| {
                alone
                    .forward(&Batch::packed([one.clone()]).unwrap())
                    .unwrap()
            })
            .map(|output| output.last_hidden_state)
            .collect();
        let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
        let joined = ndarray::concatenate(ndarray::Axis(0), &views).unwrap();
        assert_eq!(together.last_hidden_state, joined, "{precision:?}");
    }
}

#[test]
fn the_sentiment_model_decides_alike() {
    let Some(path) = asset("datasets/sst2/test.tsv") else {
        return;
    };
    let table = std::fs::read_to_string(path).unwrap();
    let texts: Vec<&str> = table
        .lines()
        .skip(1)
        .map(|line| line.split_once('\t').expect("two columns").0.trim())
        .collect();
    let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input::Single(text)).collect();
    let labels = |precision| -> Vec<String> {
        let folder = workspace_root().join("models/sentiment");
        let classifier = TextClassifier::load_with(folder, options(precision)).unwrap();
        let answers = classifier.classify_batch(&inputs).unwrap();
        answers.into_iter().map(|answer| answer.label).collect()
    };
    let exact = labels(Precision::F32);
    // 99.9 % and 99.5 %, in whole texts; one more for the text whose two labels are equally likely.
    for (precision, most) in [(Precision::Bf16, 0.001), (Precision::Int8, 0.005)] {
        let labels = labels(precision);
        let other = exact.iter().zip(&labels).filter(|(a, b)| a != b).count();
        println!(
            "{precision:?}: {other} of {} texts decided otherwise",
            exact.len()
        );
        let allowed = 1 + (most * exact.len() as f64) as usize;
        assert!(
            other <= allowed,
            "{precision:?}: {other} of {}",
            exact.len()
        );
    }
}

#[test]
fn the_ner_model_decides_alike() {
    let Some(path) = asset("datasets/wnut17/emerging.test.annotated") else {
        return;
    };
    let folder = workspace_root().join("models/ner");
    let text = std::fs::read_to_string(path).unwrap();
    let sentences: Vec<String> = text
        .split("\n\n")
        .map(|block| {
            let words = block.lines().filter_map(|line| line.split('\t').next());
            words.collect::<Vec<_>>().join(" ")
        })
        .filter(|sentence| !sentence.trim().is_empty())
        .collect();
    assert!(sentences.len() > 1000, "{}", sentences.len());
    let tokenizer = DebertaTokenizer::from_dir(&folder).unwrap();
    let batch = Batch::packed(sentences.iter().map(|sentence| {
        let encoding = tokenizer
            .encode(sentence.as_str(), &EncodeOptions::default())
            .unwrap();
        let ids: Vec<u32> = encoding.ids.into_iter().take(256).collect();
        (ids, Vec::new())
    }))
    .unwrap();
    let labels = |precision| -> Vec<usize> {
        let model = Model::load(&folder, options(precision)).unwrap();
        let logits = model.forward(&batch).unwrap().logits.unwrap();
        let largest = |row: ndarray::ArrayView1<'_, f32>| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or(0, |(label, _)| label)
        };
        logits.outer_iter().map(largest).collect()
    };
    let exact = labels(Precision::F32);
    for (precision, most) in [(Precision::Bf16, 0.001), (Precision::Int8, 0.005)] {
        let labels = labels(precision);
        let other = exact.iter().zip(&labels).filter(|(a, b)| a != b).count();
        println!(
            "{precision:?}: {other} of {} tokens decided otherwise",
            exact.len()
        );
        assert!(
            other as f64 <= most * exact.len() as f64,
            "{precision:?}: {other}"
        );
    }
}
