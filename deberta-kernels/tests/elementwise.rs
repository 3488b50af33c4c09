//! Activations, normalisation, softmax, gathering and convolution against `f64`, under every instruction set.

mod common;

use common::{Random, assert_close, isas};
use deberta_kernels::{
    Activation, EmbeddingTable, KernelError, LayerNorm, Storage, TokenConv, reference, softmax,
};
use half::{bf16, f16};
use ndarray::{Array2, array};

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

/// Every 40,009th bit pattern: all signs and exponents, NaN and infinities left out. (`accuracy.rs` takes many more.)
fn whole_range() -> Vec<f32> {
    (0..=u32::MAX / 40_009)
        .map(|i| f32::from_bits(i * 40_009))
        .filter(|x| x.is_finite())
        .collect()
}

#[test]
fn activations_equal_their_definitions_over_the_whole_range() {
    let inputs = whole_range();
    for isa in isas() {
        for activation in ACTIVATIONS {
            let mut outputs = inputs.clone();
            activation.apply(isa, &mut outputs);
            for (&x, &y) in inputs.iter().zip(&outputs) {
                let expected = reference::activation(activation, f64::from(x));
                if expected.abs() > f64::from(f32::MAX) || x.abs() > 1e12 {
                    continue;
                }
                let error = (f64::from(y) - expected).abs();
                // Relative to the larger of result and input: x·Φ(x) far below zero is x times almost nothing.
                let bound = 4e-7 * expected.abs() + 1e-7 * f64::from(x.abs()).min(1.0) + 1e-37;
                // A distribution that is not centred at zero has no small input where it is small.
                let bound = bound.max(if activation == Activation::Laplace {
                    2e-7
                } else {
                    0.0
                });
                assert!(
                    error <= bound,
                    "{} {activation:?}({x}) = {y}, expected {expected}",
                    isa.name()
                );
            }
        }
    }
}

#[test]
fn gelu_keeps_relative_accuracy_in_its_negative_tail() {
    for isa in isas() {
        for step in 0..1300 {
            let x = -0.01 * step as f32;
            let mut y = [x];
            Activation::Gelu.apply(isa, &mut y);
            let expected = reference::activation(Activation::Gelu, f64::from(x));
            let error = (f64::from(y[0]) - expected).abs();
            assert!(
                error <= 3e-5 * expected.abs() + 1e-38,
                "{} gelu({x}) = {}",
                isa.name(),
                y[0]
            );
        }
    }
}

#[test]
fn activations_carry_nan_and_limits() {
    for isa in isas() {
        for activation in ACTIVATIONS {
            let mut x = [f32::NAN; 19];
            activation.apply(isa, &mut x);
            assert!(
                x.iter().all(|x| x.is_nan()),
                "{} {activation:?}(NaN)",
                isa.name()
            );
        }
        let mut x = [-200.0, -0.0, 0.0, 200.0];
        Activation::Gelu.apply(isa, &mut x);
        assert_eq!(x, [0.0, 0.0, 0.0, 200.0], "{}", isa.name());
        let mut x = [-200.0, 200.0];
        Activation::Tanh.apply(isa, &mut x);
        assert_eq!(x, [-1.0, 1.0], "{}", isa.name());
    }
}

#[test]
fn every_name_has_a_function() {
    for name in Activation::NAMES {
        assert!(Activation::from_name(name).is_some(), "{name}");
    }
    assert_eq!(Activation::from_name("GELU"), None);
}

#[test]
fn layer_norm_equals_the_oracle() {
    for isa in isas() {
        for (width, offset) in [
            (1, 0.0),
            (7, 0.0),
            (16, 3.0),
            (33, -100.0),
            (384, 0.5),
            (1030, 0.0),
        ] {
            let mut random = Random::new(width as u64);
            let rows = 21;
            let mut x =
                Array2::from_shape_vec((rows, width), random.normals(rows * width, 2.0)).unwrap();
            x += offset;
            let (weight, bias) = (random.normals(width, 1.0), random.normals(width, 1.0));
            let mut expected = Vec::new();
            for row in x.outer_iter() {
                let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                expected.extend(reference::layer_norm(&row, &weight, &bias, 1e-7));
            }
            let norm = LayerNorm::new(weight, bias, 1e-7).unwrap();
            norm.apply(isa, x.view_mut()).unwrap();
            assert_close(x, &expected, 5e-6, &format!("{} width {width}", isa.name()));
        }
    }
    let norm = LayerNorm::new(vec![1.0; 3], vec![0.0; 3], 1e-7).unwrap();
    assert!(
        norm.apply(isas()[0], Array2::zeros((2, 4)).view_mut())
            .is_err()
    );
    assert!(LayerNorm::new(vec![1.0; 3], vec![0.0; 4], 1e-7).is_err());
}

#[test]
fn softmax_equals_the_oracle() {
    for isa in isas() {
        for length in [0, 1, 2, 15, 16, 17, 100] {
            let mut random = Random::new(length as u64 + 1);
            let mut row = random.normals(length, 20.0);
            let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            softmax(isa, &mut row);
            assert_close(
                row,
                &reference::softmax(&wide),
                5e-7,
                &format!("{} {length}", isa.name()),
            );
        }
    }
}

#[test]
fn gathering_widens_and_checks_rows() {
    let values = [0.5f32, -2.0, 3.0, 65504.0, f32::NAN, 1.0];
    let f32s: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let f16s: Vec<u8> = values
        .iter()
        .flat_map(|&x| f16::from_f32(x).to_le_bytes())
        .collect();
    let bf16s: Vec<u8> = values
        .iter()
        .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
        .collect();
    for (bytes, storage) in [
        (&f32s, Storage::F32),
        (&f16s, Storage::F16),
        (&bf16s, Storage::Bf16),
    ] {
        let table = EmbeddingTable::new(bytes, storage, 3, 2).unwrap();
        let mut out = Array2::from_elem((3, 2), 1.0);
        table.gather(&[1, 0, 1], false, out.view_mut()).unwrap();
        let large = if storage == Storage::Bf16 {
            65536.0
        } else {
            65504.0
        };
        assert_eq!(out, array![[3.0, large], [0.5, -2.0], [3.0, large]]);
        table.gather(&[0, 0, 0], true, out.view_mut()).unwrap();
        assert_eq!(out.row(1), array![1.0, -4.0]);
        let error = table.gather(&[0, 2, 1], false, out.view_mut()).unwrap_err();
        assert_eq!(error, KernelError::NonFinite { row: 2 });
        let error = table.gather(&[0, 1, 3], false, out.view_mut()).unwrap_err();
        assert_eq!(
            error,
            KernelError::IdOutOfRange {
                id: 3,
                token: 2,
                rows: 3
            }
        );
        assert!(table.gather(&[0], false, out.view_mut()).is_err());
        assert!(EmbeddingTable::new(&bytes[1..], storage, 3, 2).is_err());
        assert!(EmbeddingTable::new(bytes, storage, usize::MAX, 2).is_err());
    }
}

#[test]
fn convolution_equals_the_oracle() {
    for isa in isas() {
        for (channels, groups, kernel) in [(4, 1, 3), (6, 2, 3), (48, 4, 5), (5, 5, 1), (64, 1, 3)]
        {
            let bounds = [0, 1, 1, 12, 40];
            let mut random = Random::new((channels * groups + kernel) as u64);
            let x = random.normals(40 * channels, 1.0);
            let weights = random.normals(channels * (channels / groups) * kernel, 0.3);
            let bias = random.normals(channels, 0.2);
            let conv = TokenConv::new(isa, &weights, bias.clone(), kernel, groups).unwrap();
            let holes: Vec<u32> = (0..40).map(|t| t + t / 3).collect();
            let consecutive: Vec<u32> = bounds
                .windows(2)
                .flat_map(|b| 0..(b[1] - b[0]) as u32)
                .collect();
            for (positions, given) in [(&consecutive, None), (&holes, Some(&holes[..]))] {
                let mut expected = Vec::new();
                for pair in bounds.windows(2) {
                    let part = &x[pair[0] * channels..pair[1] * channels];
                    let positions = &positions[pair[0]..pair[1]];
                    expected.extend(reference::conv(
                        part, positions, &weights, &bias, kernel, groups,
                    ));
                }
                let expected: Vec<f64> = expected
                    .iter()
                    .map(|&y| reference::activation(Activation::Tanh, y))
                    .collect();
                let input = ndarray::ArrayView2::from_shape((40, channels), &x).unwrap();
                let mut out = Array2::zeros((40, channels));
                conv.forward(input, &bounds, given, Activation::Tanh, out.view_mut())
                    .unwrap();
                let what = format!("{} {channels}/{groups} kernel {kernel}", isa.name());
                assert_close(out, &expected, 4e-6, &what);
            }
        }
    }
    let isa = isas()[0];
    assert!(TokenConv::new(isa, &[0.0; 8], vec![0.0; 2], 2, 1).is_err());
    assert!(TokenConv::new(isa, &[0.0; 12], vec![0.0; 2], 3, 3).is_err());
    assert!(TokenConv::new(isa, &[0.0; 11], vec![0.0; 2], 3, 1).is_err());
}
