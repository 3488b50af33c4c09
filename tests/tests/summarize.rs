//! Summaries against `generate` and the tokenizers of `transformers`, and what becomes of long texts.
//!
//! `tests/reference/make_summary_fixtures.py` made the fixtures.

mod common;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use common::copy::ModelCopy;
use deberta_core::generate::{EarlyStopping, Ended, GenerationOptions};
use deberta_core::tasks::{Control, LongText, Progress, Summarizer};
use deberta_core::{EncoderDecoder, Error};
use deberta_tests::fixture;
use serde::Deserialize;
use serde_json::{Map, Value};

const MODELS: [&str; 4] = ["bert", "bert_spaces", "roberta", "gpt2"];

#[derive(Deserialize)]
struct Expected {
    summaries: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    options: Map<String, Value>,
    ids: Vec<u32>,
    summary: String,
}

fn folder(model: &str) -> PathBuf {
    fixture("summaries").join(model)
}

fn rows(model: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(folder(model).join("expected.json")).expect(model);
    serde_json::from_str::<Expected>(&text)
        .expect(model)
        .summaries
}

#[track_caller]
fn load(model: &str) -> Summarizer {
    Summarizer::load(folder(model)).unwrap_or_else(|e| panic!("{model}: {e}"))
}

/// What a call says otherwise than the model's files.
fn called(options: &GenerationOptions, call: &Map<String, Value>) -> GenerationOptions {
    let mut options = options.clone();
    for (key, value) in call {
        let size = || value.as_u64().expect("a size") as usize;
        match key.as_str() {
            "num_beams" => options.num_beams = size(),
            "max_new_tokens" => options.max_new_tokens = Some(size()),
            "early_stopping" => options.early_stopping = EarlyStopping::Yes,
            "length_penalty" => options.length_penalty = value.as_f64().expect("a number"),
            other => panic!("an option that the test does not know: {other}"),
        }
    }
    options
}

#[test]
fn summaries_are_those_of_the_reference() {
    let mut ended = 0;
    for name in MODELS {
        let usual = load(name);
        for row in rows(name) {
            let what = format!("{name}: {:?} {:?}", row.text, row.options);
            let options = called(usual.options(), &row.options);
            let end = options
                .eos_token_id
                .contains(row.ids.last().expect("tokens"));
            let summarizer = Summarizer::load(folder(name))
                .expect(&what)
                .with_options(options);
            let found = summarizer.summarize(&row.text).expect(&what);
            assert_eq!(found.text, row.summary.trim(), "{what}");
            assert_eq!(
                found.ended,
                if end { Ended::Eos } else { Ended::Length },
                "{what}"
            );
            assert_eq!(
                found.score.is_some(),
                row.options.contains_key("num_beams"),
                "{what}"
            );
            assert_eq!(found.parts, 1, "{what}");
            ended += usize::from(end);
        }
    }
    assert!(ended > 10, "{ended}");
}

/// The pieces one after the other are the summary, and none is taken back.
#[test]
fn pieces_make_the_summary() {
    for name in MODELS {
        let usual = load(name);
        for beams in [1, 3] {
            let options = usual.options().clone().num_beams(beams);
            let summarizer = load(name).with_options(options);
            let mut pieces = 0;
            for row in rows(name).iter().step_by(3) {
                let mut told = String::new();
                let mut hear = |piece: &str| {
                    pieces += 1;
                    told.push_str(piece);
                };
                let control = Control::default();
                let found = summarizer.summarize_streaming(&row.text, &control, &mut hear);
                let found = found.expect(name);
                assert_eq!(told, found.text, "{name}, {beams} beams");
                assert_eq!(found, summarizer.summarize(&row.text).expect(name));
            }
            assert!(pieces > 24, "{name}, {beams} beams: {pieces}");
        }
    }
}

#[test]
fn a_batch_gives_the_same_summaries_as_its_texts_alone() {
    let summarizer = load("bert");
    let rows = rows("bert");
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let steps = RefCell::new(Vec::new());
    let told = |progress: Progress| steps.borrow_mut().push(progress.done);
    let control = Control::default().on_progress(&told);
    let together = summarizer.summarize_each(&texts, &control);
    for (text, together) in texts.iter().zip(together) {
        assert_eq!(
            together.expect(text),
            summarizer.summarize(text).expect(text)
        );
    }
    assert!(steps.into_inner().is_sorted());
    let batch = summarizer.summarize_batch(&texts[..3]).expect("a batch");
    assert_eq!(batch.len(), 3);
    // One text that fails takes nothing from the others.
    let each = summarizer.summarize_each(&[texts[0], "  ", texts[1]], &Control::default());
    assert!(each[0].is_ok() && each[2].is_ok());
    let said = each[1].as_ref().expect_err("nothing to read").to_string();
    assert!(said.contains("no tokens"), "{said}");
}

/// A text of several sentences, of more tokens than the models are let read at once.
fn long() -> String {
    let texts: Vec<String> = rows("bert").into_iter().map(|row| row.text).collect();
    texts[..12].join(" ")
}

#[test]
fn long_texts_are_refused_unless_somebody_says_otherwise() {
    let text = long();
    let read = |long| {
        let summarizer = load("bert").with_long_texts(long);
        summarizer.with_max_input(24).expect("enough room")
    };
    match read(LongText::Refuse).summarize(&text) {
        Err(Error::Argument {
            name: "text",
            expected,
            found,
        }) => {
            assert!(expected.contains("at most 22 tokens"), "{expected}");
            assert!(found.parse::<usize>().expect("a count") > 22, "{found}");
        }
        other => panic!("{other:?}"),
    }
    // Its beginning, and nothing else.
    let cut = read(LongText::Truncate)
        .summarize(&text)
        .expect("the beginning");
    assert_eq!(cut.parts, 1);
    let whole = load("bert")
        .summarize(&text)
        .expect("the default is long enough");
    assert_ne!(cut.text, whole.text);
    let other_end = format!("{text} Nobody reads this.");
    let again = read(LongText::Truncate).summarize(&other_end);
    assert_eq!(again.expect("the beginning"), cut);
    // What fits is read as ever.
    let short = "It was slow, but the ending was lovely!";
    for long in [LongText::Refuse, LongText::Truncate, LongText::Combine] {
        let found = read(long).summarize(short).expect(short);
        assert_eq!(found, load("bert").summarize(short).expect(short));
    }
}

#[test]
fn parts_of_a_long_text_are_summarised_and_then_their_summaries() {
    let text = long();
    let short = |summarizer: Summarizer| {
        let options = summarizer.options().clone().max_new_tokens(5);
        let summarizer = summarizer
            .with_options(options)
            .with_long_texts(LongText::Combine);
        summarizer.with_max_input(40).expect("enough room")
    };
    for name in MODELS {
        let summarizer = short(load(name));
        let found = summarizer.summarize(&text).expect(name);
        assert!(found.parts > 2, "{name}: {found:?}");
        // Whether it is told as it comes or not, and in company or alone.
        let mut told = String::new();
        let mut hear = |piece: &str| told.push_str(piece);
        let streamed = summarizer.summarize_streaming(&text, &Control::default(), &mut hear);
        assert_eq!(streamed.expect(name), found, "{name}");
        assert_eq!(told, found.text, "{name}");
        let batch = summarizer.summarize_batch(&[&text, "Anna"]).expect(name);
        assert_eq!(batch[0], found, "{name}");
        // The end of the text is read too.
        let other_end = format!("{text} Anna {text}");
        let other = summarizer.summarize(&other_end).expect(name);
        assert!(other.parts > found.parts, "{name}");
    }
}

/// Rows that fill the decoder's table up are no words: they have no text, and where nothing else is written about any part
/// of a text, nothing is its summary.
#[test]
fn tokens_without_a_word_have_no_text() {
    let copy = ModelCopy::of("summaries/bert", "few-words");
    let copy = copy.json("decoder_tokenizer/tokenizer.json", |json| {
        let words = json["model"]["vocab"]
            .as_object_mut()
            .expect("a vocabulary");
        words.retain(|_, id| id.as_u64().expect("an id") < 5);
    });
    let summarizer = Summarizer::load(copy.folder()).expect("few words");
    let found = summarizer
        .summarize("Anna works in Berlin.")
        .expect("a summary");
    assert_eq!(found.text, "");
    let summarizer = summarizer.with_long_texts(LongText::Combine);
    let summarizer = summarizer.with_max_input(24).expect("enough room");
    let found = summarizer.summarize(&long()).expect("a summary");
    assert!(found.text.is_empty() && found.parts > 3, "{found:?}");
    let mut hear = |piece: &str| panic!("{piece}");
    let streamed = summarizer.summarize_streaming(&long(), &Control::default(), &mut hear);
    assert_eq!(streamed.expect("a summary"), found);
}

/// A budget is for each reading, whatever else there is to read.
#[test]
fn a_budget_is_told_of() {
    let summarizer = load("roberta");
    let options = summarizer
        .options()
        .clone()
        .token_budget(3)
        .eos_token_id([]);
    let summarizer = summarizer
        .with_options(options)
        .with_long_texts(LongText::Combine);
    let summarizer = summarizer.with_max_input(24).expect("enough room");
    let text = long();
    let texts = ["Anna works in Berlin.", &text, "Berlin"];
    let together = summarizer.summarize_batch(&texts).expect("summaries");
    for (text, together) in texts.iter().zip(together) {
        assert_eq!(together.ended, Ended::Budget, "{text}");
        assert_eq!(together, summarizer.summarize(text).expect(text));
    }
}

#[test]
fn cancelled_work_is_an_error_and_ends() {
    let summarizer = load("roberta");
    let stop = AtomicBool::new(false);
    let control = Control::default().cancelled_by(&stop);
    let mut hear = |_: &str| stop.store(true, Ordering::Relaxed);
    let found = summarizer.summarize_streaming("Anna works in Berlin.", &control, &mut hear);
    assert!(matches!(found, Err(Error::Cancelled)), "{found:?}");
    for found in summarizer.summarize_each(&["Anna", "Berlin"], &control) {
        assert!(matches!(found, Err(Error::Cancelled)), "{found:?}");
    }
}

/// A decoder's tokenizer as a vocabulary alone is the same tokenizer.
#[test]
fn a_vocabulary_of_lines_will_do_for_a_decoder() {
    for name in ["bert", "bert_spaces"] {
        let copy = ModelCopy::of(&format!("summaries/{name}"), name);
        let own = copy.folder().join("decoder_tokenizer");
        let json = std::fs::read(own.join("tokenizer.json")).expect("a tokenizer");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        let vocabulary = json["model"]["vocab"].as_object().expect("a vocabulary");
        let mut lines: Vec<(&str, u64)> = vocabulary
            .iter()
            .map(|(piece, id)| (piece.as_str(), id.as_u64().expect("an id")))
            .collect();
        lines.sort_by_key(|(_, id)| *id);
        let lines: String = lines
            .iter()
            .map(|(piece, _)| format!("{piece}\n"))
            .collect();
        std::fs::write(own.join("vocab.txt"), lines).expect("written");
        std::fs::remove_file(own.join("tokenizer.json")).expect("removed");
        let summarizer = Summarizer::load(copy.folder()).expect(name);
        for row in rows(name).iter().filter(|row| row.options.is_empty()) {
            let found = summarizer.summarize(&row.text).expect(name);
            assert_eq!(found.text, row.summary.trim(), "{name}: {:?}", row.text);
        }
    }
}

#[test]
fn tokenizers_that_do_not_fit_are_refused() {
    // Without its own tokenizer, the decoder would be asked for words that it does not have.
    let copy = ModelCopy::of("summaries/bert", "no-tokenizer");
    std::fs::remove_dir_all(copy.folder().join("decoder_tokenizer")).expect("removed");
    let said = Summarizer::load(copy.folder())
        .expect_err("a refusal")
        .to_string();
    assert!(
        said.contains("decoder's tokenizer") && said.contains("decoder_tokenizer"),
        "{said}"
    );
    let copy = ModelCopy::of("summaries/bert", "empty-tokenizer");
    let own = copy.folder().join("decoder_tokenizer");
    std::fs::remove_dir_all(&own).expect("removed");
    std::fs::create_dir(&own).expect("made");
    let said = Summarizer::load(copy.folder())
        .expect_err("a refusal")
        .to_string();
    assert!(said.contains("decoder_tokenizer"), "{said}");
    let error = Summarizer::load(fixture("models/v3")).expect_err("a refusal");
    assert!(matches!(error, Error::UnsupportedModel { .. }), "{error:?}");
    let said = load("bert")
        .with_max_input(2)
        .expect_err("no room")
        .to_string();
    assert!(said.contains('2'), "{said}");
}

/// The model behind it gives the reference's tokens.
#[test]
fn tokens_are_those_of_the_reference() {
    for name in MODELS {
        let model = EncoderDecoder::load(folder(name), Default::default()).expect(name);
        let summarizer = load(name);
        for row in rows(name).iter().take(9) {
            let mut tokens = Vec::new();
            let mut hear = |decided: deberta_core::generate::Decided<'_>| {
                tokens.extend_from_slice(decided.tokens);
            };
            let tokenizer = tokenizer_spm::deberta::DebertaTokenizer::from_dir(folder(name));
            let given = tokenizer
                .expect(name)
                .encode(row.text.as_str(), &Default::default());
            let given = given.expect(name);
            let batch = deberta_core::Batch::packed([(given.ids, Vec::<u32>::new())]).expect(name);
            let options = called(summarizer.options(), &row.options);
            let watch = deberta_core::generate::Watch::default().on_tokens(&mut hear);
            model.generate_watched(&batch, &options, watch).expect(name);
            assert_eq!(tokens, row.ids, "{name}: {:?}", row.text);
        }
    }
}
