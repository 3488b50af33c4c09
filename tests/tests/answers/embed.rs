//! One vector for a text.

use deberta_core::Pooling;
use deberta_core::tasks::{Embedder, WindowOptions};

use super::{cases, expect_near, folder, list, text};

#[test]
fn vectors_are_those_of_sentence_transformers() {
    let mut compared = 0;
    for case in cases("embed", 7) {
        let model = Embedder::load(&case.folder).expect(&case.name);
        let truncated = WindowOptions {
            truncate: true,
            ..WindowOptions::default()
        };
        let model = model.with_windows(&truncated).expect("room");
        let rows = list(&case.expected["texts"]);
        let inputs: Vec<&str> = rows.iter().map(|row| text(&row["text"])).collect();
        let found = model.embed_batch(&inputs).expect(&case.name);
        for ((row, input), found) in rows.iter().zip(inputs).zip(found) {
            let what = format!("{}: {input:?}", case.name);
            let expected = list(&row["embedding"]);
            assert_eq!(found.len(), expected.len(), "{what}");
            assert_eq!(found.len(), model.dimension(), "{what}");
            for (&found, expected) in found.iter().zip(expected) {
                expect_near(found, expected, &what);
            }
            assert_eq!(model.embed(input).expect(&what), found, "{what}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn long_texts_are_averaged_over_windows() {
    let text = "The bank opened an office in New York, and it was slow. ".repeat(10);
    for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max] {
        let model = Embedder::load(folder("embed_mean")).expect("a model");
        let windows = WindowOptions {
            max_length: Some(20),
            ..WindowOptions::default()
        };
        let model = model.with_windows(&windows).expect("room");
        let model = model.with_pooling(pooling).with_normalize(true);
        let vector = model.embed(&text).expect("a vector");
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
        assert_ne!(model.embed(&text[..60]).expect("a vector"), vector);
    }
}
