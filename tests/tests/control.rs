//! Watching, ending and surviving a task with many inputs.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use deberta_core::tasks::{
    Control, Input, Progress, Reranker, Segment, TextClassifier, TokenClassifier, WindowOptions,
};
use deberta_core::{Error, LoadOptions};
use deberta_tests::workspace_root;

fn pipeline(name: &str) -> std::path::PathBuf {
    workspace_root().join("tests/fixtures/pipelines").join(name)
}

/// More texts than are worked on together.
fn texts() -> Vec<String> {
    (0..1200)
        .map(|i| format!("Film number {i} was {} lovely.", "very ".repeat(i % 7)))
        .collect()
}

#[test]
fn progress_rises_to_the_end() {
    let model = TextClassifier::load(pipeline("text_softmax")).expect("a model");
    let texts = texts();
    let inputs: Vec<Input<'_>> = texts.iter().map(Input::from).collect();
    let heard: RefCell<Vec<Progress>> = RefCell::default();
    let hear = |progress| heard.borrow_mut().push(progress);
    let found = model.top_k_each(&inputs, 1, &Control::default().on_progress(&hear));
    assert!(found.iter().all(Result::is_ok));
    let heard = heard.into_inner();
    assert!(heard.len() > 3, "{heard:?}");
    assert!(heard.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert!(heard.iter().all(|progress| progress.total == 1200));
    assert_eq!(heard.last().map(|progress| progress.done), Some(1200));
}

#[test]
fn what_was_answered_before_the_end_is_kept() {
    let model = TextClassifier::load(pipeline("text_softmax")).expect("a model");
    let texts = texts();
    let inputs: Vec<Input<'_>> = texts.iter().map(Input::from).collect();
    let stop = AtomicBool::new(false);
    let hear = |progress: Progress| stop.store(progress.done >= 512, Ordering::Relaxed);
    let control = Control::default().on_progress(&hear).cancelled_by(&stop);
    let found = model.top_k_each(&inputs, 1, &control);
    assert_eq!(found.len(), 1200);
    assert!(found[..512].iter().all(Result::is_ok));
    assert!(
        found[600..]
            .iter()
            .all(|answer| matches!(answer, Err(Error::Cancelled)))
    );
    // From the beginning.
    let stop = AtomicBool::new(true);
    let found = model.top_k_each(&inputs[..3], 1, &Control::default().cancelled_by(&stop));
    assert!(found.iter().all(Result::is_err) && found.len() == 3);
}

/// A model whose vocabulary is smaller than the tokenizer's, as after a mistake in training: some texts cannot be read.
fn narrow() -> (tempfile::TempDir, u32) {
    const ROWS: usize = 120;
    let folder = tempfile::tempdir().expect("a directory");
    let source = pipeline("text_softmax");
    for entry in std::fs::read_dir(&source).expect("a model") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a copy");
    }
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("weights");
    let narrowed = tensors.iter().map(|(name, tensor)| {
        let mut shape = tensor.shape().to_vec();
        let mut data = tensor.data().to_vec();
        if name.ends_with("word_embeddings.weight") {
            data.truncate(data.len() / shape[0] * ROWS);
            shape[0] = ROWS;
        }
        (name.to_owned(), tensor.dtype(), shape, data)
    });
    let narrowed: Vec<_> = narrowed.collect();
    let views = narrowed.iter().map(|(name, dtype, shape, data)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), data);
        (name.as_str(), view.expect("a tensor"))
    });
    let written = safetensors::serialize(views, None).expect("weights");
    std::fs::write(&path, written).expect("a file");
    (folder, ROWS as u32)
}

#[test]
fn a_text_that_cannot_be_read_takes_no_other_with_it() {
    let (folder, rows) = narrow();
    let model = TextClassifier::load(folder.path()).expect("a model");
    let whole = TextClassifier::load(pipeline("text_softmax")).expect("a model");
    let texts: Vec<String> = ["a", "film", "was", "London", "José García", "lovely", "!"]
        .map(str::to_owned)
        .into();
    let inputs: Vec<Input<'_>> = texts.iter().map(Input::from).collect();
    let found = model.top_k_each(&inputs, 1, &Control::default());
    let (mut good, mut bad) = (0, 0);
    for (input, found) in inputs.iter().zip(&found) {
        match found {
            Ok(answer) => {
                good += 1;
                assert_eq!(answer, &whole.top_k(*input, 1).expect("an answer"));
            }
            Err(error) => {
                bad += 1;
                assert!(
                    matches!(error, Error::IdOutOfRange { rows: found, .. } if *found == rows as usize)
                );
            }
        }
    }
    assert!(good > 0 && bad > 0, "{good} and {bad}");
    // Whoever wants all or nothing gets the error.
    assert!(matches!(
        model.classify_batch(&inputs),
        Err(Error::IdOutOfRange { .. })
    ));
}

#[test]
fn other_tasks_have_the_same_control() {
    let stop = AtomicBool::new(true);
    let control = Control::default().cancelled_by(&stop);
    let tagger = TokenClassifier::load(pipeline("token_bio")).expect("a model");
    let found = tagger.entities_each(&["a", "b"], &control);
    assert!(
        found
            .iter()
            .all(|answer| matches!(answer, Err(Error::Cancelled)))
    );
    let reranker = Reranker::load(pipeline("text_one_label")).expect("one label");
    let found = reranker.scores_each(&[("a", "b")], &control);
    assert!(matches!(found[0], Err(Error::Cancelled)));
}

#[test]
fn segments_are_windows_with_scores_of_their_own() {
    let model = TextClassifier::load_with(pipeline("text_softmax"), LoadOptions::default());
    let windows = WindowOptions {
        max_length: Some(16),
        ..WindowOptions::default()
    };
    let model = model
        .and_then(|model| model.with_windows(&windows))
        .expect("a model");
    let text = "Zoë saw a lovely film — and José García moved to London. ".repeat(5);
    let segments = model.segments(&text).expect("segments");
    assert!(segments.len() > 5);
    assert_eq!(segments[0].bytes.start, 0);
    assert_eq!(
        segments.last().map(|s| s.bytes.end),
        Some(text.trim_end().len())
    );
    for pair in segments.windows(2) {
        assert!(pair[0].bytes.start < pair[1].bytes.start, "in order");
        assert!(pair[0].bytes.end >= pair[1].bytes.start, "nothing left out");
    }
    for segment in &segments {
        let part = &text[segment.bytes.clone()];
        assert_eq!(part.chars().count(), segment.chars.len());
        assert_eq!(segment.labels.len(), 3);
        let sum: f32 = segment.labels.iter().map(|label| label.score).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
    for label in 0..3 {
        let worst = Segment::worst(&segments, label).expect("segments");
        let most = segments
            .iter()
            .filter_map(|s| s.score(label))
            .fold(0.0, f32::max);
        assert_eq!(worst.score(label), Some(most));
    }
    assert_eq!(Segment::worst(&[], 0), None);
    assert_eq!(Segment::worst(&segments, 99), None);
    // A short text is one segment, with the scores of the whole.
    let short = model.segments("A film.").expect("a segment");
    assert_eq!(short.len(), 1);
    let mut labels = model.classify_all("A film.").expect("labels");
    labels.sort_by_key(|label| label.index);
    assert_eq!(short[0].labels, labels);
}
