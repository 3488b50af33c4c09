//! The tasks where no pipeline of the reference can tell: long texts, large batches, bad input. `pipelines.rs` compares
//! the rest.

use std::path::PathBuf;

use deberta_core::tasks::{
    Aggregation, Entity, Input, ScoreFunction, TextClassifier, TokenClassifier, WindowMerge,
    WindowOptions,
};
use deberta_core::{Error, HeadKind, LoadOptions};
use deberta_tests::fixture;

fn pipeline(name: &str) -> PathBuf {
    fixture("pipelines").join(name)
}

fn sentiment() -> TextClassifier {
    TextClassifier::load(pipeline("text_softmax")).expect("a model")
}

fn names() -> TokenClassifier {
    TokenClassifier::load(pipeline("token_bio")).expect("a model")
}

fn windows(max_length: usize, overlap: usize, merge: WindowMerge) -> WindowOptions {
    WindowOptions {
        max_length: Some(max_length),
        overlap: Some(overlap),
        merge: Some(merge),
        ..WindowOptions::default()
    }
}

/// A text of more tokens than any window here.
fn long_text() -> String {
    let sentence = "Maria García and José moved to London; what a lovely film. ";
    sentence.repeat(40)
}

#[test]
fn the_empty_text_has_an_answer() {
    let answers = sentiment().classify_all("").expect("an answer");
    assert_eq!(answers.len(), 3);
    assert!((answers.iter().map(|a| a.score).sum::<f32>() - 1.0).abs() < 1e-5);
    assert!(sentiment().classify(("", "")).expect("an answer").windows == 1);
    assert_eq!(names().entities("").expect("an answer"), []);
    assert!(sentiment().classify_batch(&[]).expect("nothing").is_empty());
    assert!(names().entities_batch(&[]).expect("nothing").is_empty());
}

#[test]
fn long_texts_are_read_whole() {
    let text = long_text();
    let read = |merge, text: &str| {
        let classifier = sentiment()
            .with_windows(&windows(64, 16, merge))
            .expect("fits");
        classifier
            .with_function(ScoreFunction::None)
            .classify_all(text)
            .expect("an answer")
    };
    let mean = read(WindowMerge::Mean, &text);
    assert!(mean[0].windows > 10, "{mean:?}");
    // What stands at the end counts.
    let other = read(
        WindowMerge::Mean,
        &format!("{text} terrible terrible terrible terrible"),
    );
    assert_ne!(mean[0].score, other[0].score);
    // The largest logits are not below the mean ones.
    for largest in read(WindowMerge::Max, &text) {
        let same = mean
            .iter()
            .find(|answer| answer.index == largest.index)
            .expect("all labels");
        assert!(largest.score >= same.score, "{largest:?} {same:?}");
    }
    // A window as long as the text is no window.
    let whole = sentiment()
        .with_windows(&windows(5000, 0, WindowMerge::Mean))
        .expect("fits");
    assert_eq!(whole.classify(text.as_str()).expect("an answer").windows, 1);
}

/// The mean over windows is that of the windows' own answers, weighted by the tokens they add.
#[test]
fn the_mean_is_that_of_its_windows() {
    let raw = |options: Option<WindowOptions>, text: &str| {
        let mut classifier = sentiment().with_function(ScoreFunction::None);
        if let Some(options) = options {
            classifier = classifier.with_windows(&options).expect("fits");
        }
        let mut answers = classifier.classify_all(text).expect("an answer");
        answers.sort_by_key(|answer| answer.index);
        answers
    };
    let tokens = |text: &str| {
        let found = names()
            .with_aggregation(Aggregation::None)
            .with_ignored_labels([""; 0]);
        found.entities(text).expect("tokens").len()
    };
    // Two words of as many tokens: windows of four words then end where words do.
    let candidates = ["London", "Anna", "film", "slow", "Acme", "town", "ending"];
    let (one, other) = candidates
        .iter()
        .flat_map(|a| candidates.iter().map(move |b| (*a, *b)))
        .find(|(a, b)| a != b && tokens(a) == tokens(b))
        .expect("two words of the same number of tokens");
    let words = [one, one, one, other, other, other];
    let part = |range: std::ops::Range<usize>| words[range].join(" ");
    let each = tokens(one);
    assert_eq!(tokens(&part(0..6)), 6 * each, "words are tokenized apart");
    let (window, second) = (4 * each, 2 * each);
    let merged = raw(
        Some(windows(window + 2, 2 * each, WindowMerge::Mean)),
        &part(0..6),
    );
    let (first, last) = (raw(None, &part(0..4)), raw(None, &part(2..6)));
    for label in 0..3 {
        let expected = (first[label].score * window as f32 + last[label].score * second as f32)
            / (window + second) as f32;
        assert_eq!(merged[label].windows, 2);
        assert!(
            (merged[label].score - expected).abs() < 1e-5,
            "{merged:?} {expected}"
        );
    }
}

#[test]
fn long_pairs_are_read_whole() {
    let text = long_text();
    let classifier = sentiment()
        .with_windows(&windows(48, 8, WindowMerge::Mean))
        .expect("fits");
    let read = |input: (&str, &str)| classifier.classify(input).expect("an answer").windows;
    let (first, second) = (read((&text, "short")), read(("short", &text)));
    assert!(first > 10 && first == second, "{first} {second}");
    let both = read((&text[..600], &text[..600]));
    assert!(both > 16, "{both}");
}

/// Far from their cuts, windows see what the whole text sees; what they answer comes once and in order.
#[test]
fn entities_of_long_texts_come_once_and_in_order() {
    let text = long_text();
    let whole = names()
        .with_windows(&windows(5000, 0, WindowMerge::Mean))
        .expect("fits");
    let whole = whole
        .with_aggregation(Aggregation::None)
        .with_ignored_labels([""; 0]);
    let cut = names()
        .with_windows(&windows(128, 64, WindowMerge::Mean))
        .expect("fits");
    let cut = cut
        .with_aggregation(Aggregation::None)
        .with_ignored_labels([""; 0]);
    let (whole, cut) = (
        whole.entities(&text).expect("ok"),
        cut.entities(&text).expect("ok"),
    );
    assert!(whole.len() > 500);
    let spans = |entities: &[Entity]| entities.iter().map(|e| e.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(spans(&whole), spans(&cut), "every token once, in order");
    let tokens: Vec<_> = cut.iter().map(|e| e.tokens.clone()).collect();
    assert_eq!(tokens, (0..cut.len()).map(|i| i..i + 1).collect::<Vec<_>>());
}

/// A hundred thousand characters, and many short texts: bounded memory, quickly, in order.
#[test]
fn large_inputs() {
    let huge = "word ".repeat(20_000);
    assert!(
        sentiment()
            .classify(huge.as_str())
            .expect("an answer")
            .windows
            > 40
    );
    let unbroken = "x".repeat(100_000);
    assert!(
        sentiment()
            .classify(unbroken.as_str())
            .expect("an answer")
            .windows
            > 1
    );
    let texts: Vec<String> = (0..1500)
        .map(|i| "a film ".repeat(1 + i % 7) + &i.to_string())
        .collect();
    let inputs: Vec<Input<'_>> = texts.iter().map(Input::from).collect();
    let classifier = sentiment();
    let answers = classifier.classify_batch(&inputs).expect("answers");
    assert_eq!(answers.len(), inputs.len());
    for i in [0, 511, 512, 1000, 1499] {
        assert_eq!(
            answers[i],
            classifier.classify(inputs[i]).expect("an answer"),
            "text {i}"
        );
    }
}

#[test]
fn answers_do_not_depend_on_threads() {
    let text = long_text();
    let answers: Vec<_> = [1, 2, 5]
        .map(|threads| {
            let options = LoadOptions::default().threads(threads);
            let classifier = TextClassifier::load_with(pipeline("text_softmax"), options);
            let classifier = classifier.expect("a model");
            classifier
                .classify_all_batch(&[Input::from(&text), Input::from("a")])
                .expect("ok")
        })
        .into();
    assert!(answers.iter().all(|answer| answer == &answers[0]));
}

#[test]
fn other_heads_and_bad_options_are_typed_errors() {
    let error = TextClassifier::load(pipeline("token_bio")).expect_err("a token head");
    assert!(matches!(error, Error::Head { .. }), "{error:?}");
    let error = TokenClassifier::load(pipeline("text_softmax")).expect_err("a sequence head");
    assert!(
        error.to_string().contains("token classification"),
        "{error}"
    );
    let base = LoadOptions::default().head(HeadKind::Base);
    let error = TextClassifier::load_with(pipeline("text_softmax"), base).expect_err("no head");
    assert!(matches!(error, Error::Head { .. }), "{error:?}");
    let error = TextClassifier::load("no/such/model").expect_err("no directory");
    assert!(error.to_string().contains("no/such/model"), "{error}");
    for (max_length, overlap) in [(2, 0), (0, 0), (10, 8), (10, 100)] {
        let options = windows(max_length, overlap, WindowMerge::Mean);
        assert!(matches!(
            sentiment().with_windows(&options),
            Err(Error::Argument { .. })
        ));
        assert!(matches!(
            names().with_windows(&options),
            Err(Error::Argument { .. })
        ));
    }
    // Room for one text but not for a pair: an error where a pair comes, and not before.
    let narrow = sentiment()
        .with_windows(&windows(4, 0, WindowMerge::Mean))
        .expect("fits");
    assert!(narrow.classify("a film").is_ok());
    assert!(matches!(
        narrow.classify(("a", "b")),
        Err(Error::Argument { .. })
    ));
}
