use proptest::prelude::*;

use super::*;

fn model<S: Precision>(pieces: &[(&str, f64)]) -> Unigram<S> {
    let candidates: Vec<_> = pieces
        .iter()
        .zip(1..)
        .map(|(&(piece, score), id)| Candidate { piece, id, score })
        .collect();
    Unigram::new(&candidates, 0, -20.0).unwrap()
}

fn pieces<S: Precision>(model: &Unigram<S>, text: &str) -> Vec<(u32, String)> {
    let mut spans = Vec::new();
    model.segment(text, &mut Lattice::default(), &mut spans);
    let mut end = 0;
    for span in &spans {
        assert_eq!(span.start, end);
        end = span.end;
    }
    assert_eq!(end, text.len());
    spans
        .iter()
        .map(|span| (span.id, text[span.start..span.end].to_owned()))
        .collect()
}

#[test]
fn the_best_path_wins() {
    let model = model::<f32>(&[("a", -1.0), ("b", -1.0), ("ab", -1.5), ("abb", -4.0)]);
    assert_eq!(
        pieces(&model, "abb"),
        [(3, "ab".to_owned()), (2, "b".to_owned())]
    );
    assert_eq!(pieces(&model, ""), []);
}

#[test]
fn unknown_characters_come_one_by_one() {
    let model = model::<f64>(&[("a", -1.0)]);
    let unknown = |text: &str| (0, text.to_owned());
    assert_eq!(
        pieces(&model, "é日a😀"),
        [
            unknown("é"),
            unknown("日"),
            (1, "a".to_owned()),
            unknown("😀")
        ]
    );
}

#[test]
fn the_earliest_start_wins_a_tie() {
    let model = model::<f32>(&[("a", -2.0), ("aa", -3.0), ("aaa", -5.0)]);
    // Into position 3: [aaa] and [a][aa] and [aa][a] all cost 5.
    assert_eq!(pieces(&model, "aaa"), [(3, "aaa".to_owned())]);
}

#[test]
fn a_long_text_keeps_its_precision() {
    // After a million characters an f32 sum of this size could no longer tell the two apart.
    let model = model::<f32>(&[("a", -10.0), ("b", -10.0), ("ab", -19.99)]);
    let pieces = pieces(&model, &"ab".repeat(500_000));
    assert!(pieces.iter().all(|(id, _)| *id == 3));
}

#[test]
fn of_equal_pieces_the_last_counts() {
    let model = model::<f64>(&[("a", -1.0), ("a", -2.0), ("", 5.0)]);
    assert_eq!(pieces(&model, "a"), [(2, "a".to_owned())]);
}

#[test]
fn scores_must_be_finite() {
    for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let candidate = Candidate {
            piece: "a",
            id: 1,
            score,
        };
        let error = Unigram::<f32>::new(&[candidate], 0, -10.0).unwrap_err();
        assert!(error.to_string().contains("finite"), "{error}");
    }
}

/// A vocabulary with many ties and near ties: scores that are equal, or that differ by the last digits of
/// an `f32`, or whose sums do.
fn close_scores() -> impl Strategy<Value = Vec<(String, f64)>> {
    let score = (0..6_i32, -2..3_i32).prop_map(|(coarse, fine)| {
        let coarse = -[1.0_f32, 2.0, 3.0, 0.1, 2.1, 7.3][coarse as usize];
        f64::from(f32::from_bits(coarse.to_bits().wrapping_add_signed(fine)))
    });
    let piece = prop_oneof!["[ab]{1,4}", "_[ab]{0,4}", "_+", "_*é?[ab]", "é{1,2}"];
    proptest::collection::btree_map(piece, score, 1..30)
        .prop_map(|pieces| pieces.into_iter().collect())
}

fn check_words<S: Precision>(
    pieces: &[(String, f64)],
    unknown: f64,
    text: &str,
) -> Result<(), TestCaseError> {
    let candidates: Vec<_> = pieces
        .iter()
        .zip(1..)
        .map(|((piece, score), id)| Candidate {
            piece,
            id,
            score: *score,
        })
        .collect();
    let model = Unigram::<S>::new(&candidates, 0, unknown).unwrap();
    // Where a space stands that has none before it.
    let cuts: Vec<usize> = text
        .match_indices('_')
        .map(|(at, _)| at)
        .filter(|&at| !text[..at].ends_with('_'))
        .collect();
    let mut padded = text.as_bytes().to_vec();
    padded.resize(text.len() + PADDING, b'a');
    let words = Words {
        padded: &padded,
        length: text.len(),
        cuts: &cuts,
    };
    let mut lattice = Lattice::default();
    let mut expected = Vec::new();
    model.best_path(
        text.as_bytes(),
        S::default(),
        0,
        &mut lattice,
        &mut expected,
    );
    // The second time all words are known.
    for _ in 0..2 {
        let mut found = Vec::new();
        model.segment_words(words, &mut lattice, &mut found);
        prop_assert_eq!(&found, &expected, "{:?} {:?}", text, pieces);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn word_by_word_is_the_same_as_all_at_once(
        pieces in close_scores(),
        unknown in prop_oneof![Just(-17.0), Just(-3.0), Just(1.5)],
        words in proptest::collection::vec("_{0,2}[abé]{0,9}c?", 1..60),
    ) {
        let text = words.concat();
        check_words::<f32>(&pieces, unknown, &text)?;
        check_words::<f64>(&pieces, unknown, &text)?;
    }

    #[test]
    fn large_sums_are_the_same_word_by_word(
        pieces in close_scores(),
        scale in prop_oneof![Just(100.0), Just(3_000.0), Just(-3_000.0), Just(1e30)],
        words in proptest::collection::vec("_[ab]{0,6}", 20..200),
    ) {
        let scaled: Vec<_> = pieces
            .iter()
            .map(|(piece, score)| (piece.clone(), f64::from((score * scale) as f32)))
            .collect();
        check_words::<f32>(&scaled, -20.0 * scale, &words.concat())?;
    }
}
