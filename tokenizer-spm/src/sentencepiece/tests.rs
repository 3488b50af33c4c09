//! Models that must be refused, and what the error says.

use prost::Message;

use crate::proto::{ModelProto, NormalizerSpec, PieceProto, TrainerSpec};
use crate::{SentencePiece, TokenizerError};

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

const UNIGRAM: i32 = 1;
const BPE: i32 = 2;
const WORD: i32 = 3;
const CHARACTER: i32 = 4;

fn piece(text: &str, score: f32, kind: i32) -> PieceProto {
    PieceProto {
        piece: Some(text.to_owned()),
        score: Some(score),
        kind: Some(kind),
    }
}

/// A model that loads, to be spoilt.
fn model(model_type: i32) -> ModelProto {
    ModelProto {
        pieces: vec![
            piece("<unk>", 0.0, UNKNOWN),
            piece("<s>", 0.0, CONTROL),
            piece("</s>", 0.0, CONTROL),
            piece("\u{2581}", -2.0, NORMAL),
            piece("a", -3.0, NORMAL),
            piece("b", -3.5, NORMAL),
            piece("ab", -4.0, NORMAL),
            piece("\u{2581}ab", -5.0, NORMAL),
        ],
        trainer_spec: Some(TrainerSpec {
            model_type: Some(model_type),
            ..Default::default()
        }),
        normalizer_spec: None,
        denormalizer_spec: None,
    }
}

fn load(proto: &ModelProto) -> Result<SentencePiece, TokenizerError> {
    SentencePiece::from_bytes(&proto.encode_to_vec())
}

/// The message with which `proto` is refused.
#[track_caller]
fn refusal(proto: &ModelProto) -> String {
    match load(proto) {
        Ok(_) => panic!("the model was accepted"),
        Err(
            error @ (TokenizerError::InvalidModel { .. } | TokenizerError::InvalidCharsMap { .. }),
        ) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
    }
}

fn pieces(model: &SentencePiece, text: &str) -> Vec<(u32, String)> {
    model
        .encode(text)
        .into_iter()
        .map(|piece| (piece.id, piece.piece))
        .collect()
}

fn named(expected: &[(u32, &str)]) -> Vec<(u32, String)> {
    expected
        .iter()
        .map(|&(id, piece)| (id, piece.to_owned()))
        .collect()
}

#[test]
fn the_model_itself_loads() {
    for model_type in [UNIGRAM, BPE, WORD, CHARACTER] {
        load(&model(model_type)).unwrap();
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [
        &b"\xff\xff\xff\xff"[..],
        b"hello",
        b"\x0a\x7f",
        b"\x0a\xff\xff\xff\xff\x0f",
    ] {
        let error = SentencePiece::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, TokenizerError::Protobuf(_)), "{error}");
    }
    // An empty message is valid protobuf.
    assert!(refusal(&ModelProto::default()).contains("exactly one piece of type UNKNOWN"));
}

#[test]
fn there_is_exactly_one_unknown_piece() {
    let mut none = model(UNIGRAM);
    none.pieces.remove(0);
    assert!(refusal(&none).contains("found no such piece"));
    let mut two = model(UNIGRAM);
    two.pieces.push(piece("<unk2>", 0.0, UNKNOWN));
    assert!(refusal(&two).contains("found pieces 0 and 8"));
}

#[test]
fn pieces_are_distinct() {
    for model_type in [UNIGRAM, BPE, WORD, CHARACTER] {
        let mut twice = model(model_type);
        twice.pieces.push(piece("ab", -1.0, NORMAL));
        let message = refusal(&twice);
        assert!(message.contains("\"ab\" twice"), "{message}");
    }
}

#[test]
fn pieces_have_a_text() {
    let mut empty = model(UNIGRAM);
    empty.pieces.push(piece("", -1.0, NORMAL));
    assert!(refusal(&empty).contains("text of piece 8"));
    let mut absent = model(UNIGRAM);
    absent.pieces.push(PieceProto {
        piece: None,
        score: Some(-1.0),
        kind: None,
    });
    assert!(refusal(&absent).contains("text of piece 8"));
    let mut nul = model(UNIGRAM);
    nul.pieces.push(piece("a\0b", -1.0, NORMAL));
    assert!(refusal(&nul).contains("NUL"));
    let mut long = model(UNIGRAM);
    long.pieces.push(piece(&"x".repeat(8000), -1.0, NORMAL));
    assert!(refusal(&long).contains("fewer than 8000 bytes"));
}

#[test]
fn scores_are_finite() {
    for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for model_type in [UNIGRAM, BPE] {
            let mut bad = model(model_type);
            bad.pieces[4].score = Some(score);
            let message = refusal(&bad);
            assert!(
                message.contains("piece 4 \"a\"") && message.contains("finite"),
                "{message}"
            );
        }
    }
}

#[test]
fn extreme_scores_do_no_harm() {
    let mut extreme = model(UNIGRAM);
    extreme.pieces[4].score = Some(f32::MAX);
    extreme.pieces[5].score = Some(f32::MIN);
    let model = load(&extreme).unwrap();
    let text = "ab ba".repeat(200);
    assert_eq!(model.encode(&text).last().unwrap().end, text.len());
}

#[test]
fn types_are_known() {
    for number in [0, 7, -1, i32::MAX] {
        let mut bad = model(UNIGRAM);
        bad.pieces[4].kind = Some(number);
        assert!(refusal(&bad).contains("type of piece 4"));
    }
    for number in [0, 5, -3] {
        assert!(refusal(&model(number)).contains("model_type"));
    }
}

#[test]
fn byte_pieces_come_all_256_or_not_at_all() {
    let mut stray = model(UNIGRAM);
    stray.pieces.push(piece("<0x41>", 0.0, BYTE));
    assert!(refusal(&stray).contains("byte_fallback"));

    let mut missing = model(UNIGRAM);
    missing.trainer_spec.as_mut().unwrap().byte_fallback = Some(true);
    assert!(refusal(&missing).contains("no piece <0x00>"));
    for byte in 0..255 {
        missing
            .pieces
            .push(piece(&format!("<0x{byte:02X}>"), 0.0, BYTE));
    }
    assert!(refusal(&missing).contains("no piece <0xFF>"));

    let mut complete = missing.clone();
    complete.pieces.push(piece("<0xFF>", 0.0, BYTE));
    let complete = load(&complete).unwrap();
    assert_eq!(
        pieces(&complete, "aé"),
        named(&[
            (3, "\u{2581}"),
            (4, "a"),
            (8 + 0xC3, "<0xC3>"),
            (8 + 0xA9, "<0xA9>")
        ])
    );

    for name in ["<0xff>", "<0x1>", "<0x100>", "<0x+F>", "FF"] {
        let mut bad = missing.clone();
        bad.pieces.push(piece(name, 0.0, BYTE));
        assert!(refusal(&bad).contains("<0x00> to <0xFF>"), "{name}");
    }
}

#[test]
fn a_lone_nul_piece_is_tolerated_where_bytes_make_it_needless() {
    let mut proto = model(UNIGRAM);
    proto.trainer_spec.as_mut().unwrap().byte_fallback = Some(true);
    for byte in 0..=255 {
        proto
            .pieces
            .push(piece(&format!("<0x{byte:02X}>"), 0.0, BYTE));
    }
    proto.pieces.push(piece("\0", -1.0, NORMAL));
    let model = load(&proto).unwrap();
    assert_eq!(
        pieces(&model, "a\0"),
        named(&[(3, "\u{2581}"), (4, "a"), (8, "<0x00>")])
    );
}

#[test]
fn a_unigram_model_has_something_to_find() {
    let mut proto = model(UNIGRAM);
    proto.pieces.truncate(3);
    assert!(refusal(&proto).contains("NORMAL or USER_DEFINED"));
}

#[test]
fn every_model_type_segments() {
    let unigram = load(&model(UNIGRAM)).unwrap();
    assert_eq!(
        pieces(&unigram, "ab b"),
        named(&[(7, "\u{2581}ab"), (3, "\u{2581}"), (5, "b")])
    );
    let bpe = load(&model(BPE)).unwrap();
    assert_eq!(
        pieces(&bpe, "ab b"),
        named(&[(7, "\u{2581}ab"), (3, "\u{2581}"), (5, "b")])
    );
    let word = load(&model(WORD)).unwrap();
    assert_eq!(
        pieces(&word, "ab ab b"),
        named(&[(7, "\u{2581}ab"), (7, "\u{2581}ab"), (0, "\u{2581}b")])
    );
    let character = load(&model(CHARACTER)).unwrap();
    assert_eq!(
        pieces(&character, "abcc"),
        named(&[(3, "\u{2581}"), (4, "a"), (5, "b"), (0, "cc")])
    );
}

#[test]
fn an_unused_piece_is_taken_apart_again() {
    let mut proto = model(BPE);
    proto.pieces[7].kind = Some(UNUSED);
    let bpe = load(&proto).unwrap();
    assert_eq!(pieces(&bpe, "ab"), named(&[(3, "\u{2581}"), (6, "ab")]));
    proto.pieces[4].kind = Some(UNUSED);
    let bpe = load(&proto).unwrap();
    assert_eq!(pieces(&bpe, "a"), named(&[(3, "\u{2581}"), (0, "a")]));
}

#[test]
fn a_user_defined_symbol_is_kept_whole() {
    for model_type in [UNIGRAM, BPE, CHARACTER] {
        let mut proto = model(model_type);
        proto.pieces.push(piece("b a", 0.0, USER_DEFINED));
        proto.normalizer_spec = Some(NormalizerSpec {
            escape_whitespaces: Some(false),
            ..Default::default()
        });
        let model = load(&proto).unwrap();
        let found = model.encode("ab ab");
        assert!(
            found
                .iter()
                .any(|piece| piece.id == 8 && (piece.start, piece.end) == (1, 4))
        );
    }
}

/// A charsmap blob of these units and replacements.
fn blob(units: &[u32], replacements: &[u8]) -> Vec<u8> {
    let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
    blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    blob.extend(replacements);
    blob
}

const VALUE: u32 = 1 << 31;
const HAS_VALUE: u32 = 1 << 8;

/// The trie of one key, `x`, with value 0: the root's children at base 256, those of `x` at 512.
fn units() -> Vec<u32> {
    let mut units = vec![0; 768];
    let x = 256 + usize::from(b'x');
    units[0] = 256 << 10;
    units[x] = (((x ^ 512) as u32) << 10) | HAS_VALUE | u32::from(b'x');
    units[512] = VALUE;
    // Positions that hold nothing need a label that leads nowhere.
    for (position, unit) in units.iter_mut().enumerate().filter(|(_, unit)| **unit == 0) {
        *unit = if position & 0xFF == 1 { 2 } else { 1 };
    }
    units
}

fn with_charsmap(blob: Vec<u8>) -> ModelProto {
    let mut proto = model(UNIGRAM);
    proto.normalizer_spec = Some(NormalizerSpec {
        precompiled_charsmap: Some(blob),
        ..Default::default()
    });
    proto
}

#[test]
fn a_charsmap_is_applied() {
    let model = load(&with_charsmap(blob(&units(), b"ab\0"))).unwrap();
    assert_eq!(model.normalize("axb"), "\u{2581}aabb");
}

#[test]
fn a_damaged_charsmap_is_refused() {
    let good = units();
    let refuse = |blob| refusal(&with_charsmap(blob));
    assert!(refuse(vec![0]).contains("header"));
    assert!(refuse(blob(&[], b"ab\0")).contains("multiple of 1024"));
    assert!(refuse(blob(&good[..100], b"ab\0")).contains("multiple of 1024"));
    assert!(refuse(blob(&good, b"")).contains("less than the bytes that follow"));
    let mut lying = blob(&good, b"ab\0");
    lying[..4].copy_from_slice(&0xFFFF_FC00_u32.to_le_bytes());
    assert!(refuse(lying).contains("less than the bytes that follow"));
    assert!(refuse(blob(&good, b"ab")).contains("final NUL"));
    assert!(refuse(blob(&good, b"\xff\0")).contains("UTF-8"));

    let x = 256 + usize::from(b'x');
    let mut outside = good.clone();
    outside[0] = 0x1F_FFFF << 10;
    assert!(refuse(blob(&outside, b"ab\0")).contains("inside the trie"));
    let mut outside = good.clone();
    outside[x] |= 1 << 9;
    assert!(refuse(blob(&outside, b"ab\0")).contains("inside the trie"));
    let mut value = good.clone();
    value[512] = VALUE | 3;
    assert!(refuse(blob(&value, b"ab\0")).contains("offsets of replacements"));
    let mut value = good.clone();
    value[512] = VALUE | 1;
    assert!(refuse(blob(&value, "é\0".as_bytes())).contains("offsets of replacements"));
    // The children of `x` are the root's children: x, xx, xxx and so on for ever.
    let mut cycle = good;
    cycle[x] = (((x ^ 256) as u32) << 10) | u32::from(b'x');
    assert!(refuse(blob(&cycle, b"ab\0")).contains("cycle"));
}
