//! Functions of elements and rows, gathering, convolution and attention with every score in memory: slices at any address
//! and of any length, matrices within others, nothing, very much, and numbers that are subnormal, infinite or none.

mod common;

use common::{Random, assert_close, isas};
use deberta_kernels::{
    Activation, Attention, EmbeddingTable, Isa, LayerNorm, Observation, PositionTables, Precision,
    RelativePositions, SlotTable, Storage, TokenConv, disentangled_attention, explicit_attention,
    reference, softmax,
};
use half::{bf16, f16};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

fn matrix(random: &mut Random, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), random.normals(rows * columns, 1.0)).unwrap()
}

/// The matrix in the middle of a wider one of `around`s.
fn inside(matrix: &Array2<f32>, around: f32) -> Array2<f32> {
    let (rows, columns) = matrix.dim();
    let mut wide = Array2::from_elem((rows, columns + 4), around);
    wide.slice_mut(s![.., 1..1 + columns]).assign(matrix);
    wide
}

const ACTIVATIONS: [Activation; 14] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::GeluClipped,
    Activation::QuickGelu,
    Activation::Relu,
    Activation::Relu6,
    Activation::ReluSquared,
    Activation::LeakyRelu,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Mish,
    Activation::Laplace,
];

#[test]
fn an_activation_depends_on_its_value_alone() {
    let mut random = Random::new(1);
    let mut values = random.normals(50, 3.0);
    values.extend([
        0.0,
        -0.0,
        1e-41,
        -1e-41,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
    ]);
    values.extend([
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1e20,
        -1e20,
        14.9,
        -14.9,
    ]);
    for isa in isas() {
        for activation in ACTIVATIONS {
            let alone: Vec<u32> = values
                .iter()
                .map(|&x| {
                    let mut one = [x];
                    activation.apply(isa, &mut one);
                    one[0].to_bits()
                })
                .collect();
            for start in 0..17 {
                for end in [
                    start,
                    start + 1,
                    start + 7,
                    start + 16,
                    start + 33,
                    values.len(),
                ] {
                    let mut copy = values.clone();
                    activation.apply(isa, &mut copy[start..end]);
                    for (i, (y, x)) in copy.iter().zip(&values).enumerate() {
                        let inside = (start..end).contains(&i);
                        let expected = if inside { alone[i] } else { x.to_bits() };
                        let same = y.to_bits() == expected
                            || (y.is_nan() && f32::from_bits(expected).is_nan());
                        assert!(
                            same,
                            "{} {activation:?}({x}) in {start}..{end}: {y}",
                            isa.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn activations_at_their_limits() {
    for isa in isas() {
        for activation in ACTIVATIONS {
            for x in [
                f32::INFINITY,
                f32::NEG_INFINITY,
                1e-41,
                -1e-41,
                f32::MAX,
                f32::MIN,
            ] {
                let mut y = [x];
                activation.apply(isa, &mut y);
                let expected = reference::activation(activation, f64::from(x)) as f32;
                let what = format!(
                    "{} {activation:?}({x}) = {}, expected {expected}",
                    isa.name(),
                    y[0]
                );
                // x·Φ(x) at minus infinity is infinity times zero: NaN, as in PyTorch.
                assert_eq!(y[0].is_nan(), expected.is_nan(), "{what}");
                if expected.is_infinite() {
                    assert_eq!(y[0], expected, "{what}");
                } else if !expected.is_nan() {
                    let scale = expected.abs().max(f32::MIN_POSITIVE);
                    assert!(
                        (y[0] - expected).abs() <= 1e-6 * scale.max(0.1 * x.abs().min(1.0)),
                        "{what}"
                    );
                }
            }
        }
    }
}

#[test]
fn layer_norm_of_unusual_rows() {
    for isa in isas() {
        for width in (1..=35).chain([767, 769]) {
            let mut random = Random::new(width as u64);
            let (weight, bias) = (random.normals(width, 1.0), random.normals(width, 1.0));
            let norm = LayerNorm::new(weight.clone(), bias.clone(), 1e-7).unwrap();
            let mut x = matrix(&mut random, 9, width);
            x.row_mut(1).fill(0.0);
            x.row_mut(2).fill(3.5);
            x.row_mut(3)[width / 2] = f32::NAN;
            x.row_mut(4)[width - 1] = f32::INFINITY;
            x.row_mut(5)[0] = f32::NEG_INFINITY;
            x.row_mut(6).mapv_inplace(|v| v * 1e-41);
            let mut wide = inside(&x, 7.0);
            norm.apply(isa, wide.slice_mut(s![.., 1..=width])).unwrap();
            for (t, (found, row)) in wide.outer_iter().zip(x.outer_iter()).enumerate() {
                let what = format!("{} width {width}, row {t}", isa.name());
                assert!(
                    [0, width + 1, width + 2, width + 3]
                        .iter()
                        .all(|&c| found[c] == 7.0),
                    "{what}"
                );
                let found = found.slice(s![1..=width]);
                if (3..=5).contains(&t) {
                    assert!(found.iter().all(|y| y.is_nan()), "{what}: {found}");
                    continue;
                }
                let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
                let expected = reference::layer_norm(&row, &weight, &bias, 1e-7);
                assert_close(found.iter().copied(), &expected, 5e-6, &what);
            }
        }
        // No rows, no columns, one very long row.
        let empty = LayerNorm::new(vec![], vec![], 1e-7).unwrap();
        assert!(empty.is_empty() && empty.apply(isa, Array2::zeros((4, 0)).view_mut()).is_ok());
        let one = LayerNorm::new(vec![1.0; 5], vec![0.0; 5], 1e-7).unwrap();
        assert!(one.apply(isa, Array2::zeros((0, 5)).view_mut()).is_ok());
        let width = 300_007;
        let mut x = Random::new(3).normals(width, 2.0);
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let (weight, bias) = (vec![1.0; width], vec![0.0; width]);
        let expected = reference::layer_norm(&wide, &weight, &bias, 1e-7);
        let norm = LayerNorm::new(weight, bias, 1e-7).unwrap();
        norm.apply(isa, ArrayViewMut2::from_shape((1, width), &mut x).unwrap())
            .unwrap();
        // A sum of so many numbers in one chain per lane loses more than that of a model's rows.
        assert_close(x, &expected, 3e-5, isa.name());
    }
}

#[test]
fn softmax_of_unusual_rows() {
    for isa in isas() {
        for length in (1..=35).chain([255, 256, 257, 100_003]) {
            let mut random = Random::new(length as u64);
            let clean = random.normals(length, 1e-41);
            // At an address that is not a multiple of a vector, with neighbours that must stay.
            let run = |row: &[f32]| {
                let mut all = vec![9.0];
                all.extend(row);
                all.push(9.0);
                softmax(isa, &mut all[1..=length]);
                assert_eq!((all[0], all[length + 1]), (9.0, 9.0), "overwritten");
                all[1..=length].to_vec()
            };
            let what = format!("{} length {length}", isa.name());
            let equal = 1.0 / length as f32;
            assert!(
                run(&clean).iter().all(|y| (y / equal - 1.0).abs() < 1e-6),
                "{what}: subnormal"
            );
            for place in [0, length / 2, length - 1] {
                for bad in [f32::NAN, f32::INFINITY] {
                    let mut row = clean.clone();
                    row[place] = bad;
                    assert!(
                        run(&row).iter().all(|y| y.is_nan()),
                        "{what}: {bad} at {place}"
                    );
                }
                let mut row = clean.clone();
                row[place] = f32::NEG_INFINITY;
                let found = run(&row);
                if length == 1 {
                    assert!(found[0].is_nan(), "{what}: nothing to choose from");
                } else {
                    assert_eq!(found[place], 0.0, "{what}");
                    assert!(found.iter().all(|y| y.is_finite()), "{what}");
                }
                let mut row = clean.clone();
                row[place] = f32::MAX;
                let found = run(&row);
                assert_eq!(found[place], 1.0, "{what}");
                assert_eq!(found.iter().sum::<f32>(), 1.0, "{what}");
            }
        }
    }
}

#[test]
fn all_values_of_sixteen_bits_widen_exactly() {
    let bits: Vec<u16> = (0..=u16::MAX).collect();
    let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
    let mut out = vec![0.0f32; bits.len()];
    Storage::F16.widen(&bytes, &mut out).unwrap();
    for (&bits, y) in bits.iter().zip(&out) {
        let expected = f16::from_bits(bits).to_f64();
        assert!(
            f64::from(*y) == expected || (y.is_nan() && expected.is_nan()),
            "f16 {bits:x}"
        );
    }
    Storage::Bf16.widen(&bytes, &mut out).unwrap();
    for (&bits, y) in bits.iter().zip(&out) {
        let expected = bf16::from_bits(bits).to_f64();
        assert!(
            f64::from(*y) == expected || (y.is_nan() && expected.is_nan()),
            "bf16 {bits:x}"
        );
    }
}

#[test]
fn gathering_any_width_from_any_address() {
    for columns in (1..=18).chain([511, 512, 513, 1025]) {
        let rows = 7;
        let mut random = Random::new(columns as u64);
        // Numbers that every storage holds, subnormal ones of f16 among them.
        let values: Vec<f32> = (0..rows * columns)
            .map(|i| {
                if i % 5 == 0 {
                    2f32.powi(-20)
                } else {
                    (random.bits() % 256) as f32
                }
            })
            .collect();
        for storage in [Storage::F32, Storage::F16, Storage::Bf16] {
            // An odd address: the first byte is not the table's.
            let mut bytes = vec![0xff];
            for &v in &values {
                match storage {
                    Storage::F32 => bytes.extend(v.to_le_bytes()),
                    Storage::F16 => bytes.extend(f16::from_f32(v).to_le_bytes()),
                    _ => bytes.extend(bf16::from_f32(v).to_le_bytes()),
                }
            }
            let table = EmbeddingTable::new(&bytes[1..], storage, rows, columns).unwrap();
            let ids = [6, 0, 0, 3, 6];
            let mut wide = Array2::from_elem((ids.len(), columns + 3), 5.0);
            for add in [false, true] {
                table
                    .gather(&ids, add, wide.slice_mut(s![.., 2..2 + columns]))
                    .unwrap();
                let factor = if add { 2.0 } else { 1.0 };
                for (row, &id) in wide.outer_iter().zip(&ids) {
                    let expected = &values[id as usize * columns..][..columns];
                    let found = row.slice(s![2..2 + columns]);
                    assert!(found.iter().zip(expected).all(|(&y, &x)| y == factor * x));
                    assert_eq!([row[0], row[1], row[columns + 2]], [5.0; 3], "overwritten");
                }
            }
            table
                .gather(&[], false, Array2::zeros((0, columns)).view_mut())
                .unwrap();
        }
    }
    // No rows, and rows of nothing.
    let none = EmbeddingTable::new(&[], Storage::F32, 0, 4).unwrap();
    assert!(
        none.gather(&[0], false, Array2::zeros((1, 4)).view_mut())
            .is_err()
    );
    let narrow = EmbeddingTable::new(&[], Storage::F16, 4, 0).unwrap();
    assert!(
        narrow
            .gather(&[3, 0], false, Array2::zeros((2, 0)).view_mut())
            .is_ok()
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 700, 1023] {
            let mut values = vec![1.0f32; 2 * 1024];
            values[1024 + place] = bad;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let table = EmbeddingTable::new(&bytes, Storage::F32, 2, 1024).unwrap();
            let mut out = Array2::zeros((1, 1024));
            assert!(table.gather(&[0], false, out.view_mut()).is_ok());
            assert!(
                table.gather(&[1], false, out.view_mut()).is_err(),
                "{bad} at {place}"
            );
        }
    }
}

#[test]
fn convolution_of_unusual_inputs() {
    let (channels, kernel, tokens) = (6, 5, 23);
    let bounds = [0, 2, 2, 20, 23];
    let mut random = Random::new(11);
    let weights = random.normals(channels * channels / 2 * kernel, 0.3);
    let bias = random.normals(channels, 1.0);
    let x = matrix(&mut random, tokens, channels);
    for isa in isas() {
        let conv = TokenConv::new(isa, &weights, bias.clone(), kernel, 2).unwrap();
        let run = |x: ArrayView2<f32>, bounds: &[usize]| {
            let mut wide = Array2::from_elem((x.nrows(), channels + 2), 7.0);
            let out = wide.slice_mut(s![.., 1..=channels]);
            conv.forward(x, bounds, None, Activation::Identity, out)
                .unwrap();
            assert!(
                wide.column(0)
                    .iter()
                    .chain(wide.column(channels + 1))
                    .all(|&v| v == 7.0)
            );
            wide.slice(s![.., 1..=channels]).to_owned()
        };
        let clean = run(x.view(), &bounds);
        let wide = inside(&x, f32::NAN);
        assert_eq!(
            run(wide.slice(s![.., 1..=channels]), &bounds),
            clean,
            "{}",
            isa.name()
        );
        for bad in [f32::NAN, f32::INFINITY] {
            let mut spoilt = x.clone();
            spoilt[(10, 4)] = bad;
            let found = run(spoilt.view(), &bounds);
            for ((t, c), y) in found.indexed_iter() {
                // Tokens under the kernel, channels of the group.
                let seen = (8..=12).contains(&t) && c >= 3;
                assert_eq!(y.is_finite(), !seen, "{} {bad}: {t}, {c}", isa.name());
                assert!(
                    seen || *y == clean[(t, c)],
                    "{} {bad}: {t}, {c}",
                    isa.name()
                );
            }
        }
        let tiny = run((&x * 1e-41).view(), &bounds);
        let alone: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
        for row in tiny.outer_iter() {
            assert_close(row.iter().copied(), &alone, 1e-7, isa.name());
        }
        assert_eq!(
            run(Array2::zeros((0, channels)).view(), &[0]).dim(),
            (0, channels)
        );
        // Very many tokens, and a kernel that is longer than any sequence.
        let many = matrix(&mut Random::new(2), 20_000, channels);
        let pairs: Vec<usize> = (0..=10_000).map(|i| 2 * i).collect();
        let found = run(many.view(), &pairs);
        let last = run(many.slice(s![19_998.., ..]), &[0, 2]);
        assert_eq!(found.slice(s![19_998.., ..]), last, "{}", isa.name());
    }
}

/// Queries, keys and values side by side, and position tables.
struct Explicit {
    fused: Array2<f32>,
    table: Array2<f32>,
}

const HEADS: usize = 2;

impl Explicit {
    /// With every score in memory, and streaming.
    fn run(&self, isa: Isa, size: usize, terms: bool) -> [Array2<f32>; 2] {
        let (tokens, width) = (self.fused.nrows(), HEADS * size);
        let relative = RelativePositions::new(Some(8), 30).unwrap();
        let table = Some(self.table.view());
        let tables = PositionTables::new(isa, table, table, HEADS).unwrap();
        let slots = SlotTable::new(relative, tokens.max(1));
        let part = |i: usize| self.fused.slice(s![.., 1 + i * width..1 + (i + 1) * width]);
        let attention = Attention {
            query: part(0),
            key: part(1),
            value: part(2),
            heads: HEADS,
            scale: 0.3,
            precision: Precision::F32,
            bounds: &[0, tokens],
            positions: None,
            relative: terms.then_some((&tables, &slots)),
        };
        let mut out = [0, 1].map(|_| Array2::from_elem((tokens, width + 2), 7.0));
        let [explicit, streaming] = &mut out;
        let within = s![.., 1..=width];
        let nothing = Observation::default();
        explicit_attention(isa, &attention, None, nothing, explicit.slice_mut(within)).unwrap();
        disentangled_attention(isa, &attention, streaming.slice_mut(within)).unwrap();
        out.map(|out| {
            assert!(
                out.column(0)
                    .iter()
                    .chain(out.column(width + 1))
                    .all(|&v| v == 7.0)
            );
            out.slice(within).to_owned()
        })
    }

    fn new(tokens: usize, size: usize) -> Self {
        let mut random = Random::new((tokens * 100 + size) as u64);
        Self {
            fused: matrix(&mut random, tokens, 3 * HEADS * size + 2),
            table: matrix(&mut random, 16, HEADS * size),
        }
    }
}

#[test]
fn explicit_attention_at_every_remainder() {
    for length in (0..=34).chain([63, 64, 65, 127, 129]) {
        for size in [1, 3, 8, 17] {
            for isa in isas() {
                let [explicit, streaming] = Explicit::new(length, size).run(isa, size, size != 3);
                let expected: Vec<f64> = streaming.iter().map(|&y| f64::from(y)).collect();
                let what = format!("{} length {length}, size {size}", isa.name());
                assert_close(explicit, &expected, 1e-5, &what);
            }
        }
    }
}

#[test]
fn both_kinds_of_attention_agree_on_what_is_not_finite() {
    let (length, size) = (37, 8);
    let width = HEADS * size;
    for isa in isas() {
        // In a query, a key, a value, and each kind with infinities.
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for part in 0..3 {
                let mut operands = Explicit::new(length, size);
                operands.fused[(20, 1 + part * width + 2)] = bad;
                let [explicit, streaming] = operands.run(isa, size, true);
                let mut spoilt = 0;
                for ((t, c), y) in explicit.indexed_iter() {
                    let what = format!("{} {bad} in operand {part}: {t}, {c}", isa.name());
                    let other = streaming[(t, c)];
                    assert_eq!(y.is_finite(), other.is_finite(), "{what}: {y}, {other}");
                    if y.is_finite() {
                        assert!((y - other).abs() < 1e-5, "{what}: {y}, {other}");
                        // NaN in a query or key or value never looks like a number.
                    } else {
                        assert!(c < size, "{what}: another head");
                        spoilt += 1;
                    }
                }
                let expected = [size, length * size, length];
                assert!(
                    !bad.is_nan() || spoilt == expected[part],
                    "{} {part}: {spoilt}",
                    isa.name()
                );
            }
        }
        // Position tables belong to all queries that meet the slot.
        let mut operands = Explicit::new(length, size);
        operands.table[(8, 0)] = f32::NAN;
        for out in operands.run(isa, size, true) {
            for ((t, c), y) in out.indexed_iter() {
                assert_eq!(y.is_nan(), c < size, "{}: {t}, {c}", isa.name());
            }
        }
    }
}

#[test]
fn attention_over_nothing_and_over_very_much() {
    for isa in isas() {
        let [explicit, streaming] = Explicit::new(0, 4).run(isa, 4, true);
        assert_eq!((explicit.dim(), streaming.dim()), ((0, 8), (0, 8)));
        let [explicit, streaming] = Explicit::new(2500, 2).run(isa, 2, true);
        let expected: Vec<f64> = streaming.iter().map(|&y| f64::from(y)).collect();
        assert_close(explicit, &expected, 1e-5, isa.name());
    }
}
