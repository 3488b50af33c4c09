//! The traps that ports of DeBERTa have fallen into, one test each, in the order of the project's specification.
//!
//! Each compares with numbers of the reference, with the scalar oracle in f64, or with numbers that are exact; and most
//! show that the mistake would be seen, by making it.

mod common;

use common::bounds::{HIDDEN, LOGITS, compare, distance};
use common::copy::ModelCopy;
use common::{Case, case, options};
use deberta_core::{Batch, Error, Model, Output};
use deberta_kernels::{
    Activation, Attention, Epilogue, Isa, LayerNorm, PackedWeights, PositionTables, Precision,
    RelativePositions, SlotTable, TokenConv, disentangled_attention, linear, reference,
};
use ndarray::{Array2, array};

/// Every instruction set of this processor, or the one that `DEBERTA_ISA` forces.
fn isas() -> Vec<Isa> {
    match std::env::var_os("DEBERTA_ISA") {
        Some(name) if !name.is_empty() => vec![Isa::from_env().unwrap()],
        _ => Isa::available(),
    }
}

/// Runs a fixture and compares its hidden states, and its logits per token or per sequence, with the reference's.
#[track_caller]
fn run_and_compare(case: &Case) -> Output {
    let input = case.input();
    let output = case.load().forward(&input.batch()).unwrap();
    let (expected, tolerance) = (case.expected(), case.tolerance());
    let hidden = input.real_rows(&expected.floats("last_hidden_state"));
    let found = output.last_hidden_state.view();
    compare(
        &case.name,
        found,
        hidden.view(),
        HIDDEN,
        tolerance.hidden_gap,
    );
    if let Some(logits) = &output.logits {
        let expected = if case.kind().is_per_sequence() {
            expected.matrix("logits")
        } else {
            input.real_rows(&expected.floats("logits"))
        };
        let gap = tolerance.logits_gap;
        compare(&case.name, logits.view(), expected.view(), LOGITS, gap);
    }
    output
}

fn forward(model: &Model, ids: &[u32]) -> Output {
    let batch = Batch::packed([(ids, &[][..])]).unwrap();
    model.forward(&batch).unwrap()
}

/// A bucket by the formula, in f64, from a ratio of distance to mid and the ratio of the longest distance to mid.
fn bucket(mid: f64, ratio: f64, longest: f64) -> i64 {
    ((ratio.ln() / longest.ln() * (mid - 1.0)).ceil() + mid) as i64
}

/// The published numbers: 256 buckets, m = 512.
fn published() -> RelativePositions {
    RelativePositions::new(Some(256), 512).unwrap()
}

#[test]
fn trap_01_integer_division_in_the_log_ratio() {
    let bucket_of = |delta: i64| published().slot(delta) as i64 - 256;
    let wrong = (128..512).filter(|&delta| {
        let truncated = (delta / 128) as f64;
        bucket(128.0, truncated, 511.0 / 128.0) != bucket_of(delta)
    });
    assert_eq!(
        wrong.count(),
        380,
        "distances that integer division puts elsewhere"
    );
    let right = (129..512)
        .filter(|&delta| bucket(128.0, delta as f64 / 128.0, 511.0 / 128.0) == bucket_of(delta));
    assert_eq!(
        right.count(),
        383,
        "distances where the formula in f64 agrees"
    );
    run_and_compare(&case("length_700"));
}

#[test]
fn trap_02_m_is_not_twice_the_buckets() {
    let slot = |m, delta| RelativePositions::new(Some(16), m).unwrap().slot(delta);
    assert_eq!((slot(40, 20), slot(64, 20)), (29, 28));
    let (m_1024, m_512) = (
        RelativePositions::new(Some(256), 1024).unwrap(),
        published(),
    );
    let differ = (-300..=300).filter(|&delta| m_1024.slot(delta) != m_512.slot(delta));
    assert_eq!(differ.count(), 342);
    let case = case("max_relative_positions");
    let config = case.load().config().clone();
    assert_eq!(config.position_buckets, Some(16));
    assert_eq!(config.max_relative_positions, 40);
    run_and_compare(&case);
}

#[test]
fn trap_03_bucket_arithmetic_is_of_full_precision_and_done_once() {
    // The same in bf16, as a model cast to it would: another slot for many distances.
    let bf16 = |x: f32| {
        let bits = x.to_bits();
        f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
    };
    let table = SlotTable::new(published(), 700);
    let wrong = (129..512).filter(|&delta| {
        let log = bf16(bf16(bf16(delta as f32 / 128.0)).ln()) / bf16(bf16(511.0 / 128.0).ln());
        let narrow = (bf16(bf16(log) * 127.0).ceil() + 128.0) as usize + 256;
        narrow != table.slot(delta)
    });
    assert!(wrong.count() > 50);
    // The table holds what the formula gives, and weights in half precision do not change it.
    for delta in -699..700 {
        assert_eq!(table.slot(delta), published().slot(delta));
    }
    for name in ["f16", "bf16", "v1_f16", "v1_bf16"] {
        run_and_compare(&case(name));
    }
}

#[test]
fn trap_04_distances_up_to_mid_have_a_slot_each_and_mid_is_one_of_them() {
    for buckets in [2, 3, 6, 7, 16, 32, 255, 256, 257, 512, 1024] {
        let relative = RelativePositions::new(Some(buckets), 4096).unwrap();
        let mid = (buckets / 2) as i64;
        assert_eq!(relative.exact_radius() as i64, mid);
        for delta in -mid..=mid {
            let expected = (delta + buckets as i64) as usize;
            assert_eq!(relative.slot(delta), expected, "{buckets} buckets");
        }
    }
    assert_eq!((published().slot(128), published().slot(-128)), (384, 128));
    assert_eq!((published().slot(129), published().slot(-129)), (385, 127));
    run_and_compare(&case("odd_buckets"));
}

#[test]
fn trap_05_distances_beyond_the_table_are_clamped() {
    // As `transformers`, which clamps slots. Microsoft clamps distances first: -512 and less are in its slot 1.
    let slots =
        [-10_000, -700, -512, -511, 510, 511, 512, 700, 10_000].map(|d| published().slot(d));
    assert_eq!(slots, [0, 0, 0, 1, 511, 511, 511, 511, 511]);
    let plain = RelativePositions::new(None, 12).unwrap();
    let slots = [-40_000, -13, -12, -11, 11, 12, 40_000].map(|d| plain.slot(d));
    assert_eq!(slots, [0, 0, 0, 1, 23, 23, 23]);
    for name in [
        "length_700",
        "length_600_no_buckets",
        "v1_length_700",
        "v1_length_700_span_4",
    ] {
        let case = case(name);
        let config = case.load().config().clone();
        assert!(
            case.input().ids.ncols() > config.max_position_embeddings.min(512),
            "{name}"
        );
        run_and_compare(&case);
    }
    // Only absolute positions end.
    let model = case("absolute_positions").load();
    let longest = model.config().max_position_embeddings;
    let batch = Batch::packed([(vec![1; longest + 1], vec![])]).unwrap();
    let error = model.forward(&batch).unwrap_err();
    assert!(matches!(error, Error::PositionOutOfRange { .. }), "{error}");
}

#[test]
fn trap_06_a_fully_masked_input_gives_no_nan() {
    for name in [
        "v3",
        "conv_gelu",
        "v1",
        "v1_talking_head",
        "token_five_labels",
    ] {
        let model = case(name).load();
        let (ids, none) = (Array2::from_elem((2, 5), 7), Array2::zeros((2, 5)));
        let batch = Batch::from_padded(ids.view(), Some(none.view()), None).unwrap();
        let output = model.forward(&batch).unwrap();
        assert_eq!(output.last_hidden_state.nrows(), 0, "{name}");
        assert!(
            output.logits.is_none_or(|logits| logits.nrows() == 0),
            "{name}"
        );
    }
    for name in [
        "fully_masked_row",
        "v1_fully_masked_row",
        "v1_talking_head_holes",
        "token_masks",
        "v1_token",
    ] {
        let output = run_and_compare(&case(name));
        let logits = output.logits.iter().flatten();
        assert!(
            output
                .last_hidden_state
                .iter()
                .chain(logits)
                .all(|x| x.is_finite()),
            "{name}"
        );
    }
    // A head that reads [CLS] says that there is none.
    let model = case("sequence_two_labels").load();
    let batch = Batch::packed([(vec![1, 2], vec![]), (vec![], vec![])]).unwrap();
    let error = model.forward(&batch).unwrap_err();
    assert!(
        matches!(error, Error::NoClsToken { sequence: 1 }),
        "{error}"
    );
}

#[test]
fn trap_07_holes_in_a_mask_keep_positions() {
    for name in [
        "holes",
        "holes_absolute",
        "v1_holes",
        "v1_holes_absolute",
        "holes_long",
    ] {
        let case = case(name);
        let output = run_and_compare(&case);
        // Had the tokens been pushed together, the result would be another.
        let batch = case.input().batch();
        assert!(batch.positions().is_some(), "{name}");
        let squeezed = Batch::packed((0..batch.len()).map(|i| {
            let tokens = batch.sequence(i);
            (&batch.ids()[tokens.clone()], &batch.type_ids()[tokens])
        }));
        let squeezed = case.load().forward(&squeezed.unwrap()).unwrap();
        let gap = distance(
            squeezed.last_hidden_state.view(),
            output.last_hidden_state.view(),
        );
        assert!(gap > 0.01, "{name}: {gap}");
    }
}

#[test]
fn trap_08_the_convolution_sees_zeros_where_rows_are_padded() {
    for name in ["conv_padding", "conv_groups", "conv_kernel_over_length"] {
        let case = case(name);
        let output = run_and_compare(&case);
        // What stands under the mask has no influence.
        let mut input = case.input();
        let mask = input.mask.clone().unwrap();
        for (id, &real) in input.ids.iter_mut().zip(&mask) {
            if real == 0 {
                *id = 9;
            }
        }
        let other = case.load().forward(&input.batch()).unwrap();
        assert_eq!(output.last_hidden_state, other.last_hidden_state, "{name}");
    }
    // The kernel alone, with a hole at position 2: absent is zero, and the tokens beside it are no neighbours.
    let (x, weights, bias) = (noise(3, 4, 13), noise(4, 4 * 3, 14), vec![0.5; 4]);
    let by_oracle = |positions: &[u32]| {
        let (x, w) = (x.as_slice().unwrap(), weights.as_slice().unwrap());
        reference::conv(x, positions, w, &bias, 3, 1)
    };
    let expected = by_oracle(&[0, 1, 3]);
    let pushed = by_oracle(&[0, 1, 2]);
    assert!(
        expected
            .iter()
            .zip(&pushed)
            .any(|(a, b)| (a - b).abs() > 0.1)
    );
    for isa in isas() {
        let conv = TokenConv::new(isa, weights.as_slice().unwrap(), bias.clone(), 3, 1).unwrap();
        let mut out = Array2::zeros((3, 4));
        let (bounds, positions) = ([0, 3], [0, 1, 3]);
        conv.forward(
            x.view(),
            &bounds,
            Some(&positions),
            Activation::Identity,
            out.view_mut(),
        )
        .unwrap();
        for (found, expected) in out.iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "{}",
                isa.name()
            );
        }
    }
}

#[test]
fn trap_09_gelu_is_the_exact_one() {
    let exact = Activation::from_name("gelu").unwrap();
    let tanh = Activation::from_name("gelu_new").unwrap();
    let points: Vec<f32> = (-600..=600).map(|i| i as f32 / 100.0).collect();
    let mut drift = 0.0_f64;
    for isa in isas() {
        let mut values = points.clone();
        exact.apply(isa, &mut values);
        for (&x, &y) in points.iter().zip(&values) {
            let x = f64::from(x);
            let expected = reference::activation(Activation::Gelu, x);
            assert!(
                (f64::from(y) - expected).abs() <= 4e-7,
                "{} gelu({x})",
                isa.name()
            );
            let other = reference::activation(tanh, x);
            drift = drift.max((f64::from(y) - other).abs());
        }
    }
    assert!(drift > 4e-4, "the form with tanh is that far away: {drift}");
    // The published configs say `gelu`; a model with the other form has other hidden states.
    assert_eq!(case("v3").load().config().hidden_act, Activation::Gelu);
    let changed = ModelCopy::new("v3", "trap-09").config("hidden_act", "gelu_new".into());
    let batch = case("v3").input().batch();
    let found = run_and_compare(&case("v3"));
    let other = changed.load().unwrap().forward(&batch).unwrap();
    let gap = distance(
        found.last_hidden_state.view(),
        other.last_hidden_state.view(),
    );
    assert!(gap > 10.0 * HIDDEN, "{gap}");
    run_and_compare(&case("act_gelu_new"));
}

#[test]
fn trap_10_layer_norm_keeps_an_epsilon_that_half_precision_loses() {
    // A variance of 1e-8 beside an epsilon of 1e-7: without it, values would be three times as large.
    let row = [1.0_f32, 1.0002, 0.9998, 1.0, 1.0001, 0.9999, 1.0, 1.0];
    let (ones, zeros, eps) = (vec![1.0; 8], vec![0.0; 8], 1e-7_f32);
    let wide = row.map(f64::from);
    let expected = reference::layer_norm(&wide, &ones, &zeros, eps);
    let without = reference::layer_norm(&wide, &ones, &zeros, 0.0);
    assert!(without[1] > 2.0 * expected[1]);
    for isa in isas() {
        let norm = LayerNorm::new(ones.clone(), zeros.clone(), eps).unwrap();
        let mut x = Array2::from_shape_vec((1, 8), row.to_vec()).unwrap();
        norm.apply(isa, x.view_mut()).unwrap();
        for (found, expected) in x.iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-3,
                "{}",
                isa.name()
            );
        }
        // No variance at all: zeros, not NaN.
        let mut x = Array2::from_elem((1, 8), 3.0);
        norm.apply(isa, x.view_mut()).unwrap();
        assert!(x.iter().all(|&y| y == 0.0), "{}", isa.name());
        // Statistics in half precision would overflow at a square of 65,504 and more.
        let mut x = Array2::from_shape_fn((1, 8), |(_, i)| 1000.0 * i as f32);
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let expected = reference::layer_norm(&wide, &ones, &zeros, eps);
        norm.apply(isa, x.view_mut()).unwrap();
        for (found, expected) in x.iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "{}",
                isa.name()
            );
        }
    }
    assert_eq!(
        case("microsoft_config").load().config().layer_norm_eps,
        1e-7
    );
    run_and_compare(&case("norm_eps"));
    run_and_compare(&case("v1_norm_eps"));
}

/// Queries, keys and position tables of one head, and attention over them by the kernel and by the oracle in f64.
struct OneHead {
    query: Array2<f32>,
    key: Array2<f32>,
    value: Array2<f32>,
    positions: (Array2<f32>, Array2<f32>),
    scale: f32,
}

impl OneHead {
    #[track_caller]
    fn compare(&self, bound: f64) {
        let relative = RelativePositions::new(None, self.positions.0.nrows() / 2).unwrap();
        let (length, size) = self.query.dim();
        let standing: Vec<u32> = (0..length as u32).collect();
        let expected = reference::attention(&reference::Head {
            query: self.query.as_slice().unwrap(),
            key: self.key.as_slice().unwrap(),
            value: self.value.as_slice().unwrap(),
            size,
            scale: self.scale,
            positions: &standing,
            relative: Some(relative),
            position_keys: self.positions.0.as_slice(),
            position_queries: self.positions.1.as_slice(),
        });
        let slots = SlotTable::new(relative, length);
        for isa in isas() {
            let (keys, queries) = (self.positions.0.view(), self.positions.1.view());
            let tables = PositionTables::new(isa, Some(keys), Some(queries), 1).unwrap();
            let attention = Attention {
                query: self.query.view(),
                key: self.key.view(),
                value: self.value.view(),
                heads: 1,
                scale: self.scale,
                precision: Precision::F32,
                bounds: &[0, length],
                positions: None,
                relative: Some((&tables, &slots)),
            };
            let mut out = Array2::zeros((length, size));
            disentangled_attention(isa, &attention, out.view_mut()).unwrap();
            for (found, expected) in out.iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= bound,
                    "{}: {found}, expected {expected}",
                    isa.name()
                );
            }
        }
    }
}

/// Numbers from -1 to 1 that follow no pattern.
fn noise(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut state = seed;
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    })
}

#[test]
fn trap_11_scores_beyond_the_range_of_half_precision() {
    // Products of up to 64·60² = 230,400 before the scale, where f16 ends at 65,504; probabilities that are nearly one.
    let head = OneHead {
        query: noise(40, 64, 1) * 60.0,
        key: noise(40, 64, 2) * 60.0,
        value: noise(40, 64, 3),
        positions: (noise(32, 64, 4) * 60.0, noise(32, 64, 5) * 60.0),
        scale: 1.0 / (64.0_f32 * 3.0).sqrt(),
    };
    let largest = head
        .query
        .dot(&head.key.t())
        .fold(0.0_f32, |a, &b| a.max(b.abs()));
    assert!(largest > 65_504.0 / 2.0, "{largest}");
    head.compare(5e-3);
    // All scores equal and huge: an even average, not NaN from infinity minus infinity.
    let head = OneHead {
        query: Array2::from_elem((5, 64), 1e4),
        key: Array2::from_elem((5, 64), -1e4),
        value: noise(5, 64, 6),
        positions: (Array2::zeros((8, 64)), Array2::zeros((8, 64))),
        scale: 1.0,
    };
    head.compare(1e-6);
}

#[test]
fn trap_12_token_classification_has_a_bias() {
    for name in ["token_five_labels", "v1_token"] {
        let plain = run_and_compare(&case(name)).logits.unwrap();
        let changed = ModelCopy::new(name, &format!("trap-12-{name}")).tensors(|tensor, values| {
            Some(match tensor {
                "classifier.bias" => values.iter().map(|_| 0.0).collect(),
                _ => values,
            })
        });
        let model = changed.load().unwrap();
        let without = model.forward(&case(name).input().batch()).unwrap();
        let gap = distance(plain.view(), without.logits.unwrap().view());
        assert!(gap > 0.1, "{name}: {gap}");
    }
    let folder = ModelCopy::new("token_five_labels", "trap-12-missing")
        .tensors(|tensor, values| (tensor != "classifier.bias").then_some(values));
    match folder.load() {
        Err(Error::Weights { missing, .. }) => assert_eq!(missing.len(), 1, "{missing:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn trap_13_the_convolution_takes_part() {
    let case = case("conv_gelu");
    let with = run_and_compare(&case);
    let copy = ModelCopy::new("conv_gelu", "trap-13").config("conv_kernel_size", 0.into());
    let model = copy.load().unwrap();
    assert!(
        model
            .unused_tensors()
            .iter()
            .any(|name| name.contains("conv"))
    );
    let without = model.forward(&case.input().batch()).unwrap();
    let gap = distance(
        with.last_hidden_state.view(),
        without.last_hidden_state.view(),
    );
    assert!(gap > 0.1, "{gap}");
    for name in [
        "conv_default_act",
        "conv_groups_4_relu",
        "conv_one_layer",
        "conv_long",
    ] {
        run_and_compare(&self::case(name));
    }
}

#[test]
fn trap_14_keys_and_values_do_not_come_from_the_queries() {
    // The decoder of Microsoft's masked language models is where they part: queries know their absolute position, keys
    // and values do not. (tests/microsoft.rs compares with Microsoft's own numbers.)
    for name in ["enhanced_v1", "enhanced_v2", "enhanced_v2_conv"] {
        let case = case(name);
        let model = case.load();
        assert!(model.has_enhanced_mask_decoder(), "{name}");
        let logits = run_and_compare(&case).logits.unwrap();
        // Without the decoder the logits are far off.
        if name == "enhanced_v2" {
            let copy = ModelCopy::new(name, "trap-14").tensors(|tensor, values| {
                (!tensor.contains("position_embeddings")).then_some(values)
            });
            let plain = copy.load().unwrap();
            assert!(!plain.has_enhanced_mask_decoder());
            let plain = plain.forward(&case.input().batch()).unwrap();
            let gap = distance(logits.view(), plain.logits.unwrap().view());
            assert!(gap > 0.1, "{gap}");
        }
    }
}

#[test]
fn trap_15_labels_have_the_order_of_id2label() {
    let case = case("sequence_named_labels");
    let config = case.load().config().clone();
    // Keys as text would sort "10" before "2"; names sort the other way round.
    let expected: Vec<String> = (0..11_u8)
        .map(|i| format!("class {}", char::from(75 - i)))
        .collect();
    assert_eq!(config.labels.names(), expected);
    assert_eq!(config.labels.index("class K"), Some(0));
    assert_eq!(config.labels.index("class A"), Some(10));
    run_and_compare(&case);

    // Checkpoints of one task differ in the place of a label.
    for (index, names) in [
        ["entailment", "neutral", "contradiction"],
        ["contradiction", "neutral", "entailment"],
    ]
    .into_iter()
    .enumerate()
    {
        let id2label: serde_json::Map<_, _> = (0..3)
            .rev()
            .map(|i| (i.to_string(), names[i].into()))
            .collect();
        let copy = ModelCopy::new("sequence_tanh_pooler", &format!("trap-15-{index}"))
            .config("id2label", id2label.into())
            .config("label2id", serde_json::Value::Null);
        let labels = copy.load().unwrap().config().labels.clone();
        assert_eq!(labels.names(), names);
        assert_eq!(labels.index("entailment"), Some(2 * index));
    }
}

#[test]
fn trap_16_token_types_without_a_table_are_accepted_and_ignored() {
    for name in ["token_types_ignored", "v1_token_types_ignored"] {
        let case = case(name);
        let model = case.load();
        assert_eq!(model.config().type_vocab_size, 0);
        let with = run_and_compare(&case);
        let mut input = case.input();
        assert!(
            input.types.as_ref().unwrap().iter().any(|&t| t != 0),
            "{name}"
        );
        input.types = None;
        let without = model.forward(&input.batch()).unwrap();
        assert_eq!(with.last_hidden_state, without.last_hidden_state, "{name}");
    }
    // With a table they count.
    let case = case("token_types");
    let with = run_and_compare(&case);
    let mut input = case.input();
    input.types = None;
    let without = case.load().forward(&input.batch()).unwrap();
    let gap = distance(
        with.last_hidden_state.view(),
        without.last_hidden_state.view(),
    );
    assert!(gap > 0.1, "{gap}");
}

#[test]
fn trap_17_sums_are_taken_in_f32() {
    // 4096 + 2048·0.5: in f16, where neighbours of 4096 are four apart, not one half would arrive.
    let inputs = 2049;
    let weights: Vec<f32> = (0..inputs)
        .map(|k| if k == 0 { 4096.0 } else { 0.5 })
        .collect();
    let x = Array2::ones((3, inputs));
    for isa in isas() {
        let packed = PackedWeights::new(isa, &weights, 1, inputs).unwrap();
        let mut out = Array2::zeros((3, 1));
        linear(x.view(), &packed, &Epilogue::default(), out.view_mut()).unwrap();
        assert!(
            out.iter().all(|&sum| sum == 5120.0),
            "{}: {out}",
            isa.name()
        );
    }
    // Scores of many small parts after a large one, in all three terms.
    let mut head = OneHead {
        query: Array2::ones((50, 64)),
        key: noise(50, 64, 7) * 0.01,
        value: noise(50, 64, 8),
        positions: (noise(32, 64, 9) * 0.01, noise(32, 64, 10) * 0.01),
        scale: 1.0 / 3.0_f32.sqrt(),
    };
    head.key.column_mut(0).fill(1000.0);
    head.compare(1e-4);
    // Stored in half precision, used in f32: weights are widened, and nothing is narrowed again.
    for name in [
        "f16",
        "bf16",
        "v1_f16",
        "v1_bf16",
        "head_64",
        "v1_head_64",
        "masked_v2_legacy_act",
    ] {
        run_and_compare(&case(name));
    }
}

#[test]
fn trap_18_no_product_saturates() {
    // Products of unsigned by signed bytes saturate at 32,767 a pair on x86 without VNNI. This crate multiplies in f32,
    // whose sums of whole numbers are exact up to 2^24: the extremes of both bytes, 512 deep, come out exactly.
    let depth = 512;
    for (weight, expected) in [(127.0_f32, 16_581_120.0_f32), (-128.0, -16_711_680.0)] {
        let weights = vec![weight; 7 * depth];
        let x = Array2::from_elem((5, depth), 255.0);
        for isa in isas() {
            let packed = PackedWeights::new(isa, &weights, 7, depth).unwrap();
            let mut out = Array2::zeros((5, 7));
            linear(x.view(), &packed, &Epilogue::default(), out.view_mut()).unwrap();
            assert!(
                out.iter().all(|&sum| sum == expected),
                "{}: {out}",
                isa.name()
            );
        }
    }
    // Activations of any size: a linear layer against the oracle in f64, relative to what is summed.
    let (x, w) = (noise(9, 300, 11) * 3e4, noise(8, 300, 12));
    let bias = vec![0.0; 8];
    let expected = reference::linear(x.as_slice().unwrap(), w.as_slice().unwrap(), &bias, 300);
    for isa in isas() {
        let packed = PackedWeights::new(isa, w.as_slice().unwrap(), 8, 300).unwrap();
        let mut out = Array2::zeros((9, 8));
        linear(x.view(), &packed, &Epilogue::default(), out.view_mut()).unwrap();
        for (found, expected) in out.iter().zip(&expected) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= 3e4 * 300.0 * 1e-7,
                "{}: {found}, expected {expected}",
                isa.name()
            );
        }
    }
    // A whole model whose inner activations are large: layer norms bring every scale back.
    let plain = run_and_compare(&case("v3"));
    let scaled = ModelCopy::new("v3", "trap-18").tensors(|tensor, mut values| {
        if tensor.ends_with("embeddings.word_embeddings.weight") {
            values.iter_mut().for_each(|x| *x *= 4096.0);
        }
        Some(values)
    });
    let ids = array![[1_i64, 8, 11, 2]];
    let batch = Batch::from_padded(ids.view(), None, None).unwrap();
    let small = case("v3").load_with(options()).forward(&batch).unwrap();
    let large = scaled.load().unwrap().forward(&batch).unwrap();
    let gap = distance(
        small.last_hidden_state.view(),
        large.last_hidden_state.view(),
    );
    assert!(gap < HIDDEN, "{gap}");
    assert!(plain.last_hidden_state.iter().all(|x| x.is_finite()));
    assert_eq!(
        forward(&case("v3").load(), &[1, 8, 11, 2]).last_hidden_state,
        small.last_hidden_state
    );
}
