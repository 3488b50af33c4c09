//! The whole path from text to numbers on directories as they lie on the hub: the files, names and formats of published
//! checkpoints, with tiny random weights.
//!
//! `tests/reference/make_hub_fixtures.py` made them and says where the expected values come from. Hidden states and logits
//! have the bounds of `parity.rs`.

mod common;

use common::arrays::Arrays;
use common::bounds::{HIDDEN, LOGITS, Tolerance, compare};
use common::options;
use deberta_core::checkpoint::Format;
use deberta_core::convert::{ConvertOptions, convert};
use deberta_core::inspect::inspect;
use deberta_core::{Batch, HeadKind, Model, Output, TextClassifier};
use deberta_tests::fixture;
use ndarray::{Array2, Axis};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions, Encoding, Input, Padding};

/// One line of `cases.json`: a directory, and what must be found in it.
#[derive(Deserialize)]
struct Case {
    name: String,
    heads: Vec<String>,
    format: String,
    files: usize,
    interleaved: bool,
    enhanced: bool,
    rows: usize,
    mask: u32,
    unused: Vec<String>,
}

/// A text and what the reference's tokenizer makes of it.
#[derive(Deserialize)]
struct Text {
    text: String,
    pair: Option<String>,
    ids: Vec<u32>,
    type_ids: Vec<u32>,
}

impl Text {
    fn input(&self) -> Input<'_> {
        match &self.pair {
            Some(pair) => Input::Pair(&self.text, pair),
            None => Input::Single(&self.text),
        }
    }
}

/// What is expected of a directory's texts.
#[derive(Deserialize)]
struct Expected {
    texts: Vec<Text>,
    tolerance: [Tolerance; 1],
}

impl Case {
    fn folder(&self) -> PathBuf {
        fixture("hub").join(&self.name)
    }

    fn expected(&self) -> Expected {
        json(&fixture("hub/expected").join(format!("{}.json", self.name)))
    }

    fn numbers(&self) -> Arrays {
        Arrays::read(&fixture("hub/expected").join(format!("{}.safetensors", self.name)))
    }

    fn heads(&self) -> Vec<HeadKind> {
        let kind = |name: &String| match name.as_str() {
            "base" => HeadKind::Base,
            "sequence" => HeadKind::SequenceClassification,
            "token" => HeadKind::TokenClassification,
            "masked" => HeadKind::MaskedLm,
            "replaced" => HeadKind::ReplacedTokenDetection,
            other => panic!("unknown head {other}"),
        };
        self.heads.iter().map(kind).collect()
    }

    /// Those that were meant: the classifier of a sequence head would serve for tokens as well.
    fn meant(&self) -> Vec<HeadKind> {
        let heads = self.heads();
        let sequence = heads.contains(&HeadKind::SequenceClassification);
        let meant = |head: &HeadKind| !(sequence && *head == HeadKind::TokenClassification);
        heads.into_iter().filter(meant).collect()
    }
}

#[track_caller]
fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }
    let Cases { cases } = json(&fixture("hub/cases.json"));
    assert_eq!(cases.len(), 5);
    cases
}

#[track_caller]
fn case(name: &str) -> Case {
    let found = cases().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("no fixture {name}"))
}

#[track_caller]
fn load(folder: &Path, head: HeadKind) -> Model {
    Model::load(folder, options().head(head))
        .unwrap_or_else(|error| panic!("{} as {head}: {error}", folder.display()))
}

/// The tokenizer's answers about the texts.
#[track_caller]
fn encode(folder: &Path, texts: &[Text], options: &EncodeOptions) -> Vec<Encoding> {
    let tokenizer = DebertaTokenizer::from_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let inputs: Vec<_> = texts.iter().map(Text::input).collect();
    tokenizer.encode_batch(&inputs, options).unwrap()
}

/// The texts of a directory by its own tokenizer, end to end.
#[track_caller]
fn batch(folder: &Path, texts: &[Text]) -> Batch {
    let encodings = encode(folder, texts, &EncodeOptions::default());
    Batch::packed(encodings.into_iter().map(|e| (e.ids, e.type_ids))).unwrap()
}

/// Every number of an output, to the bit.
fn bits(output: &Output) -> Vec<u32> {
    let logits = output.logits.iter().flatten();
    let all = output.last_hidden_state.iter().chain(logits);
    all.map(|x| x.to_bits()).collect()
}

#[test]
fn tokens_are_the_references() {
    for case in cases() {
        let texts = case.expected().texts;
        let encodings = encode(&case.folder(), &texts, &EncodeOptions::default());
        for (text, found) in texts.iter().zip(&encodings) {
            let what = format!("{}: {:?} {:?}", case.name, text.text, text.pair);
            assert_eq!(found.ids, text.ids, "{what}");
            assert_eq!(found.type_ids, text.type_ids, "{what}");
        }
        let tokenizer = DebertaTokenizer::from_dir(case.folder()).unwrap();
        assert_eq!(tokenizer.mask_token_id(), Some(case.mask), "{}", case.name);
        let used = texts.iter().filter(|text| text.ids.contains(&case.mask));
        assert!(used.count() >= 4, "{}: too few masks", case.name);
    }
}

/// From the text to hidden states and the logits of every head that the weights hold.
#[test]
fn texts_give_the_references_numbers() {
    for case in cases() {
        let Expected { texts, tolerance } = case.expected();
        let [tolerance] = tolerance;
        let (numbers, batch) = (case.numbers(), batch(&case.folder(), &texts));
        for head in case.heads() {
            let model = load(&case.folder(), head);
            assert_eq!(model.vocabulary_rows(), case.rows, "{}", case.name);
            let has_decoder = case.enhanced && head == HeadKind::MaskedLm;
            assert_eq!(model.has_enhanced_mask_decoder(), has_decoder);
            let output = model.forward(&batch).unwrap();
            let what = format!("{} as {head}: ", case.name);
            compare(
                &format!("{what}hidden states"),
                output.last_hidden_state.view(),
                numbers.matrix("last_hidden_state").view(),
                HIDDEN,
                tolerance.hidden_gap,
            );
            let name = match head {
                HeadKind::SequenceClassification => "sequence",
                HeadKind::TokenClassification => "token",
                HeadKind::MaskedLm => "masked",
                HeadKind::ReplacedTokenDetection => "replaced",
                _ => {
                    assert!(output.logits.is_none(), "{what}no head, no logits");
                    continue;
                }
            };
            let logits = output.logits.expect("logits");
            let found = match head {
                HeadKind::MaskedLm => at_masks(&logits, &batch, case.mask),
                _ => logits,
            };
            compare(
                &format!("{what}logits"),
                found.view(),
                numbers.matrix(name).view(),
                LOGITS,
                tolerance.logits_gap,
            );
        }
    }
}

/// The rows of the masks.
fn at_masks(logits: &Array2<f32>, batch: &Batch, mask: u32) -> Array2<f32> {
    let rows: Vec<usize> = (0..batch.tokens())
        .filter(|&token| batch.ids()[token] == mask)
        .collect();
    logits.select(Axis(0), &rows)
}

/// Padding by the tokenizer, then `Batch::from_padded`: the same bits as the texts end to end.
#[test]
fn padded_texts_give_the_same_bits() {
    for case in cases() {
        let Expected { texts, .. } = case.expected();
        let options = EncodeOptions {
            padding: Some(Padding::default()),
            ..EncodeOptions::default()
        };
        let encodings = encode(&case.folder(), &texts, &options);
        let length = encodings[0].len();
        let array = |field: fn(&Encoding) -> Vec<i64>| {
            let values: Vec<i64> = encodings.iter().flat_map(field).collect();
            Array2::from_shape_vec((encodings.len(), length), values).unwrap()
        };
        let ids = array(|e| e.ids.iter().map(|&id| id.into()).collect());
        let types = array(|e| e.type_ids.iter().map(|&id| id.into()).collect());
        let mask = array(|e| e.attention_mask.iter().map(|&bit| bit.into()).collect());
        let padded = Batch::from_padded(ids.view(), Some(mask.view()), Some(types.view())).unwrap();
        let packed = batch(&case.folder(), &texts);
        assert!(padded.tokens() < ids.len(), "{}: no padding", case.name);
        for head in case.heads() {
            let model = load(&case.folder(), head);
            let outputs = [&padded, &packed].map(|batch| bits(&model.forward(batch).unwrap()));
            assert!(outputs[0] == outputs[1], "{} as {head}", case.name);
        }
    }
}

/// A head that the weights do not hold is an error that names a tensor of it.
#[test]
fn other_heads_are_not_there() {
    for case in cases() {
        for head in HeadKind::ALL {
            if case.heads().contains(&head) {
                continue;
            }
            let what = format!("{} as {head}", case.name);
            let tensor = match head {
                HeadKind::TokenClassification | HeadKind::MultipleChoice => "classifier",
                HeadKind::SequenceClassification => "pooler",
                HeadKind::QuestionAnswering => "qa_outputs",
                HeadKind::MaskedLm => "predictions",
                HeadKind::ReplacedTokenDetection => "mask_predictions",
                _ => panic!("{what}: every directory has an encoder"),
            };
            let options = options().head(head);
            let error = Model::load(case.folder(), options).expect_err(&what);
            let said = error.to_string();
            assert!(
                said.contains(tensor) || said.contains("pooler"),
                "{what}: {said}"
            );
        }
    }
}

#[test]
fn inspection_tells_what_lies_there() {
    for case in cases() {
        let found = inspect(case.folder()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let name = &case.name;
        assert_eq!(found.heads, case.meant(), "{name}");
        assert_eq!(found.checkpoint.format().to_string(), case.format, "{name}");
        assert_eq!(found.checkpoint.files().len(), case.files, "{name}");
        assert_eq!(found.interleaved, case.interleaved, "{name}");
        assert_eq!(found.enhanced_mask_decoder, case.enhanced, "{name}");
        assert_eq!(found.vocabulary_rows, case.rows, "{name}");
        let mut unused = found.unused.clone();
        unused.sort();
        assert_eq!(unused, case.unused, "{name}");
        let tokenizer = found.tokenizer.expect(name);
        assert!(tokenizer.vocab_size() <= case.rows, "{name}");
        let warns = |part: &str| found.warnings.iter().any(|warning| warning.contains(part));
        let named = !found.config.architectures.is_empty();
        assert_eq!(warns("names no architecture"), !named, "{name}");
        assert!(warns("PyTorch's format"), "{name}: {:?}", found.warnings);
        // A masked language model that has lost its positions says so.
        assert_eq!(warns("lost its absolute positions"), name == "mdeberta");
        assert_eq!(warns("not used"), !case.unused.is_empty(), "{name}");
        assert!(!warns("tokenizer"), "{name}: {:?}", found.warnings);
    }
    let labels = inspect(case("fine_tune").folder()).unwrap().config.labels;
    assert_eq!(labels.names(), ["entailment", "neutral", "contradiction"]);
}

/// The new directory has a tokenizer and heads of its own, and gives the same bits.
#[test]
fn converted_directories_give_the_same_bits() {
    let out = tempfile::tempdir().unwrap();
    for case in cases() {
        let (source, target) = (case.folder(), out.path().join(&case.name));
        let done = convert(&source, &target, &ConvertOptions::default(), |_| true)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert!(
            done.left_out.is_empty(),
            "{}: {:?}",
            case.name,
            done.left_out
        );
        let texts = case.expected().texts;
        let options = EncodeOptions::default();
        let encodings = [&source, &target].map(|folder| encode(folder, &texts, &options));
        assert_eq!(encodings[0], encodings[1], "{}", case.name);
        let batch = batch(&target, &texts);
        for head in case.heads() {
            let outputs = [&source, &target].map(|folder| load(folder, head).forward(&batch));
            let [before, after] = outputs.map(|output| bits(&output.unwrap()));
            assert!(before == after, "{} as {head}", case.name);
        }
        let found = inspect(&target).unwrap();
        assert_eq!(found.checkpoint.format(), Format::Safetensors);
        assert_eq!(found.heads, case.meant(), "{}", case.name);
        assert_eq!(found.enhanced_mask_decoder, case.enhanced, "{}", case.name);
        let config: serde_json::Value = json(&target.join("config.json"));
        assert_eq!(config["vocab_size"], case.rows, "{}", case.name);
    }
}

/// The task on top: the shards and the labels of a fine-tuned classifier.
#[test]
fn a_fine_tuned_classifier_answers() {
    let case = case("fine_tune");
    let classifier = TextClassifier::load(case.folder()).unwrap();
    let logits = case.numbers().matrix("sequence");
    let names = ["entailment", "neutral", "contradiction"];
    for (text, row) in case.expected().texts.iter().zip(logits.outer_iter()) {
        let input = match &text.pair {
            Some(pair) => deberta_core::tasks::Input::Pair(&text.text, pair),
            None => deberta_core::tasks::Input::Single(&text.text),
        };
        let answer = classifier.classify(input).unwrap();
        let largest = (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(answer.label, names[largest], "{:?}", text.text);
        let sum: f32 = row.iter().map(|x| (x - row[largest]).exp()).sum();
        assert!((answer.score - 1.0 / sum).abs() < 2e-5, "{answer:?}");
    }
}
