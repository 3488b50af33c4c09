//! Activations that go from one product to the next in rounded form give the bits that they give by way of `f32`.

mod common;

use common::{Random, isas};
use deberta_kernels::{
    Activation, Epilogue, Isa, KernelError, LayerNorm, PackedWeights, Precision, RoundedRows,
    linear, linear_of_rounded, linear_rounded,
};
use ndarray::Array2;

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

fn random(count: usize, seed: u64) -> Vec<f32> {
    Random::new(seed).normals(count, 1.0)
}

fn matrix(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), random(rows * columns, seed)).unwrap()
}

fn weights(isa: Isa, precision: Precision, outputs: usize, inputs: usize) -> PackedWeights {
    let values = random(outputs * inputs, 7);
    PackedWeights::with_precision(isa, precision, &values, outputs, inputs).unwrap()
}

/// Both ways through a feed-forward network, in a pool of some threads.
fn check(isa: Isa, precision: Precision, tokens: usize, inner: usize, threads: usize) {
    let (width, mut rows) = (8, RoundedRows::new());
    let (up, down) = (
        weights(isa, precision, inner, width),
        weights(isa, precision, width, inner),
    );
    let (x, bias) = (matrix(tokens, width, 1), random(inner, 2));
    let (residual, scale) = (matrix(tokens, inner, 3), random(inner, 4));
    let norm = LayerNorm::new(scale, bias.clone(), 1e-5).unwrap();
    let gelu = Epilogue::default().bias(&bias).activation(Activation::Gelu);
    let all = gelu.residual(residual.view()).norm(&norm);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(|| {
        // The second time the memory holds something else.
        for epilogue in [gelu, all, gelu] {
            let mut values = Array2::zeros((tokens, inner));
            let mut expected = Array2::zeros((tokens, width));
            let mut found = Array2::from_elem((tokens, width), f32::NAN);
            linear(x.view(), &up, &epilogue, values.view_mut()).unwrap();
            let plain = Epilogue::default();
            linear(values.view(), &down, &plain, expected.view_mut()).unwrap();
            linear_rounded(x.view(), &up, &epilogue, &down, &mut rows).unwrap();
            assert_eq!((rows.rows(), rows.columns()), (tokens, inner));
            linear_of_rounded(&rows, &down, &plain, found.view_mut()).unwrap();
            let bits = |m: &Array2<f32>| m.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                bits(&found),
                bits(&expected),
                "{isa:?} {precision:?} {tokens}x{inner}, {threads} threads"
            );
        }
    });
}

#[test]
fn rounding_within_a_product_changes_no_bit() {
    for isa in isas() {
        for precision in PRECISIONS {
            for (tokens, inner) in [(0, 9), (1, 1), (3, 97), (9, 300), (2, 1536)] {
                check(isa, precision, tokens, inner, 2);
            }
            // Enough blocks for every thread: rows are rounded piece by piece.
            for threads in [1, 2] {
                check(isa, precision, 390, 1536, threads);
            }
            check(isa, precision, 200, 2100, 1);
        }
    }
}

#[test]
fn rows_go_only_to_the_weights_they_were_made_for() {
    let isa = isas()[0];
    let up = weights(isa, Precision::F32, 8, 4);
    let (x, mut rows) = (matrix(2, 4, 1), RoundedRows::new());
    let plain = Epilogue::default();
    let too_wide = weights(isa, Precision::Int8, 4, 9);
    let error = linear_rounded(x.view(), &up, &plain, &too_wide, &mut rows).unwrap_err();
    assert!(matches!(
        error,
        KernelError::Shape {
            argument: "next",
            ..
        }
    ));

    let next = weights(isa, Precision::Int8, 4, 8);
    linear_rounded(x.view(), &up, &plain, &next, &mut rows).unwrap();
    let mut out = Array2::zeros((2, 4));
    for (precision, inputs) in [
        (Precision::F32, 8),
        (Precision::Bf16, 8),
        (Precision::Int8, 7),
    ] {
        let other = weights(isa, precision, 4, inputs);
        let error = linear_of_rounded(&rows, &other, &plain, out.view_mut()).unwrap_err();
        assert_eq!(error, KernelError::Rounded);
    }
    let mut short = Array2::zeros((1, 4));
    let error = linear_of_rounded(&rows, &next, &plain, short.view_mut()).unwrap_err();
    assert!(matches!(
        error,
        KernelError::Shape {
            argument: "out",
            ..
        }
    ));
    linear_of_rounded(&rows, &next, &plain, out.view_mut()).unwrap();
}
