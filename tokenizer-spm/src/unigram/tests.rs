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
