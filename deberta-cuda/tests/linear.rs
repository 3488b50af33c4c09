//! Products of matrices and convolutions against plain loops in `f64`.

mod common;

use common::{Random, bounds, compare, gpu, rounded, sequences, unit, upload};
use deberta_cuda::{Dtype, Linear, TokenConv};
use deberta_kernels::{Activation, reference};
use ndarray::{Array2, s};

/// The bound on a sum of `depth` products of numbers of size one, rounded to the type in the end.
fn bound(dtype: Dtype, depth: usize) -> (f64, f64) {
    // Operands as they are; f32 is three products of tf32, and tensor cores cut off where f32 rounds.
    let sum =
        (depth as f64).sqrt() * depth as f64 * 2f64.powi(-24) / 8.0 + depth as f64 * 2f64.powi(-24);
    match dtype {
        Dtype::F32 => (1e-6, sum + 1e-6),
        other => (1.01 * unit(other), sum + 1e-6),
    }
}

#[test]
fn shapes_around_the_sizes_of_blocks() {
    let Some(gpu) = gpu() else { return };
    let shapes = [
        [1, 1, 1],
        [1, 40, 24],
        [3, 7, 5],
        [31, 33, 35],
        [33, 31, 64],
        [65, 130, 70],
        [64, 256, 96],
        // As many blocks as the emulated device has multiprocessors, of each size.
        [200, 300, 40],
        [130, 260, 33],
    ];
    let mut random = Random(3);
    for dtype in Dtype::ALL {
        for [rows, outputs, inputs] in shapes {
            let x = rounded(&random.matrix(rows, inputs, 1.0), dtype);
            let w = rounded(&random.matrix(outputs, inputs, 1.0), dtype);
            // cuBLASLt takes it in the type of the matrices.
            let bias = rounded(&random.matrix(1, outputs, 1.0), dtype)
                .into_raw_vec_and_offset()
                .0;
            let linear = Linear::new(&gpu, upload(&gpu, &w, dtype), Some(&bias)).unwrap();
            let found = linear
                .apply(&gpu, &upload(&gpu, &x, dtype), Activation::Identity)
                .unwrap()
                .to_f32()
                .unwrap();
            let (x, w) = (x.as_slice().unwrap(), w.as_slice().unwrap());
            let expected = reference::linear(x, w, &bias, inputs);
            let (relative, absolute) = bound(dtype, inputs);
            let what = format!("{rows} x {outputs} x {inputs} {dtype}");
            let worst = compare(&what, found.view(), &expected, relative, absolute);
            println!("{what}: {worst:.2} of the bound");
        }
    }
}

#[test]
fn a_row_is_the_same_whatever_other_rows_there_are() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(4);
    for dtype in Dtype::ALL {
        let x = random.matrix(300, 100, 1.0);
        let w = upload(&gpu, &random.matrix(280, 100, 1.0), dtype);
        let linear = Linear::new(&gpu, w, None).unwrap();
        let product = |x: &Array2<f32>| {
            let x = upload(&gpu, x, dtype);
            let y = linear.apply(&gpu, &x, Activation::Identity).unwrap();
            y.to_f32().unwrap()
        };
        // Large blocks, and small ones: fewer rows than cuBLASLt takes, which sums as it likes, but in f32 all.
        let most = if dtype == Dtype::F32 { 300 } else { 120 };
        let all = product(&x.slice(s![..most, ..]).to_owned());
        for rows in [0..1, 5..40, 17..117] {
            let some = product(&x.slice(s![rows.clone(), ..]).to_owned());
            assert_eq!(some, all.slice(s![rows, ..]), "{dtype}");
        }
    }
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
fn activations_follow_a_product() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        // Products with one, so that sums are exact.
        let x = Array2::from_shape_fn((121, 1), |(i, _)| (i as f32 - 60.0) / 4.0);
        let linear = Linear::new(&gpu, upload(&gpu, &Array2::ones((9, 1)), dtype), None).unwrap();
        let x_device = upload(&gpu, &x, dtype);
        for activation in ACTIVATIONS {
            let found = linear.apply(&gpu, &x_device, activation).unwrap();
            let found = found.to_f32().unwrap();
            let expected: Vec<f64> = x
                .iter()
                .flat_map(|&x| [reference::activation(activation, f64::from(x)); 9])
                .collect();
            let relative = 1.01 * unit(dtype) + 4e-6;
            compare(
                &format!("{activation:?} {dtype}"),
                found.view(),
                &expected,
                relative,
                4e-6,
            );
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_errors() {
    let Some(gpu) = gpu() else { return };
    let weight = || upload(&gpu, &Array2::zeros((4, 6)), Dtype::F32);
    assert!(Linear::new(&gpu, weight(), Some(&[0.0; 3])).is_err());
    let linear = Linear::new(&gpu, weight(), None).unwrap();
    for (x, dtype) in [((2, 5), Dtype::F32), ((2, 6), Dtype::F16)] {
        let x = upload(&gpu, &Array2::zeros(x), dtype);
        assert!(linear.apply(&gpu, &x, Activation::Identity).is_err());
    }
    let empty = upload(&gpu, &Array2::zeros((0, 6)), Dtype::F32);
    let found = linear.apply(&gpu, &empty, Activation::Identity).unwrap();
    assert_eq!(found.to_f32().unwrap().dim(), (0, 4));
}

#[test]
fn convolutions_over_tokens() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(5);
    let lengths = [5, 1, 0, 40];
    let bounds = bounds(&lengths);
    let tokens = bounds[bounds.len() - 1];
    for dtype in Dtype::ALL {
        for (channels, kernel, groups) in [(24, 3, 1), (24, 5, 4), (15, 7, 5), (8, 1, 8)] {
            for holes in [false, true] {
                let x = rounded(&random.matrix(tokens, channels, 1.0), dtype);
                let width = channels / groups;
                let weights = random.matrix(channels, width * kernel, 1.0);
                let weights = rounded(&weights, dtype);
                let bias = random.vector(channels);
                let mut positions = Vec::new();
                for length in lengths {
                    let mut position = 0;
                    for _ in 0..length {
                        position += if holes { random.below(3) as u32 } else { 0 };
                        positions.push(position);
                        position += 1;
                    }
                }
                let given = holes.then_some(&positions[..]);
                let sequences = sequences(&gpu, &bounds, given, 64);
                let flat = weights.as_slice().unwrap();
                let conv = TokenConv::new(&gpu, flat, &bias, kernel, groups, dtype).unwrap();
                let found = conv
                    .apply(
                        &gpu,
                        &upload(&gpu, &x, dtype),
                        &sequences,
                        Activation::Identity,
                    )
                    .unwrap()
                    .to_f32()
                    .unwrap();
                for pair in bounds.windows(2) {
                    let rows = pair[0]..pair[1];
                    let part = x.slice(s![rows.clone(), ..]).to_owned();
                    let expected = reference::conv(
                        part.as_slice().unwrap(),
                        &positions[rows.clone()],
                        flat,
                        &bias,
                        kernel,
                        groups,
                    );
                    let (relative, absolute) = bound(dtype, width * kernel);
                    let what = format!("{channels} channels, {kernel}, {groups} groups, {dtype}");
                    compare(
                        &what,
                        found.slice(s![rows, ..]),
                        &expected,
                        relative,
                        absolute,
                    );
                }
            }
        }
    }
    let refused = |kernel, groups, weights: usize| {
        let weights = vec![0.0; weights];
        TokenConv::new(&gpu, &weights, &[0.0; 6], kernel, groups, Dtype::F32).is_err()
    };
    assert!(refused(2, 1, 72) && refused(3, 4, 108) && refused(3, 0, 108) && refused(3, 1, 107));
}
