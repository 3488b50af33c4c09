//! Linear layers against plain loops in `f64`, under every instruction set.

mod common;

use common::{Random, assert_close, isas, pool};
use deberta_kernels::{
    Activation, Epilogue, KernelError, LayerNorm, PackedWeights, linear, reference,
};
use ndarray::{Array2, ArrayView2, s};

const SHAPES: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (1, 768, 40),
    (2, 3, 5),
    (7, 33, 31),
    (12, 192, 32),
    (13, 193, 33),
    (25, 64, 97),
    (95, 200, 64),
    (97, 385, 130),
    (193, 48, 600),
    (16, 384, 1024),
    (300, 20, 17),
];

#[test]
fn products_equal_the_oracle_for_any_shape() {
    for isa in isas() {
        for (tokens, inputs, outputs) in SHAPES {
            let mut random = Random::new((tokens * inputs * outputs) as u64);
            let x = random.normals(tokens * inputs, 1.0);
            let w = random.normals(outputs * inputs, 1.0 / (inputs as f32).sqrt());
            let bias = random.normals(outputs, 1.0);
            let weights = PackedWeights::new(isa, &w, outputs, inputs).unwrap();
            let view = ArrayView2::from_shape((tokens, inputs), &x).unwrap();
            let mut out = Array2::from_elem((tokens, outputs), f32::NAN);
            linear(
                view,
                &weights,
                &Epilogue::default().bias(&bias),
                out.view_mut(),
            )
            .unwrap();
            let expected = reference::linear(&x, &w, &bias, inputs);
            assert_close(
                out,
                &expected,
                4e-6,
                &format!("{} {tokens}x{inputs}x{outputs}", isa.name()),
            );
        }
    }
}

#[test]
fn the_whole_epilogue_applies_in_order() {
    let (tokens, inputs, outputs) = (29, 70, 84);
    let mut random = Random::new(3);
    let x = random.normals(tokens * inputs, 1.0);
    let w = random.normals(outputs * inputs, 0.12);
    let bias = random.normals(outputs, 1.0);
    let residual = random.normals(tokens * outputs, 1.0);
    let (gamma, beta) = (random.normals(outputs, 1.0), random.normals(outputs, 1.0));
    let norm = LayerNorm::new(gamma.clone(), beta.clone(), 1e-7).unwrap();
    let rows = ArrayView2::from_shape((tokens, outputs), &residual).unwrap();

    let mut expected = Vec::new();
    let sums = reference::linear(&x, &w, &bias, inputs);
    for (sums, residual) in sums.chunks(outputs).zip(residual.chunks(outputs)) {
        let row: Vec<f64> = sums
            .iter()
            .zip(residual)
            .map(|(&y, &r)| reference::activation(Activation::Gelu, y) + f64::from(r))
            .collect();
        expected.extend(reference::layer_norm(&row, &gamma, &beta, 1e-7));
    }
    for isa in isas() {
        let weights = PackedWeights::new(isa, &w, outputs, inputs).unwrap();
        let view = ArrayView2::from_shape((tokens, inputs), &x).unwrap();
        let mut out = Array2::zeros((tokens, outputs));
        let epilogue = Epilogue::default()
            .bias(&bias)
            .activation(Activation::Gelu)
            .residual(rows)
            .norm(&norm);
        linear(view, &weights, &epilogue, out.view_mut()).unwrap();
        assert_close(out, &expected, 4e-6, isa.name());
    }
}

#[test]
fn rows_do_not_depend_on_threads_nor_on_other_rows() {
    let (tokens, inputs, outputs) = (211, 300, 200);
    let mut random = Random::new(9);
    let x = Array2::from_shape_vec((tokens, inputs), random.normals(tokens * inputs, 1.0)).unwrap();
    let w = random.normals(outputs * inputs, 0.1);
    for isa in isas() {
        let weights = PackedWeights::new(isa, &w, outputs, inputs).unwrap();
        let run = |threads, rows: ArrayView2<f32>| {
            let mut out = Array2::zeros((rows.nrows(), outputs));
            pool(threads)
                .install(|| linear(rows, &weights, &Epilogue::default(), out.view_mut()))
                .unwrap();
            out
        };
        let whole = run(1, x.view());
        assert_eq!(whole, run(2, x.view()), "{}: two threads", isa.name());
        assert_eq!(whole, run(7, x.view()), "{}: seven threads", isa.name());
        for (start, end) in [(0, 1), (100, 113), (37, 200)] {
            let part = run(2, x.slice(s![start..end, ..]));
            assert_eq!(
                whole.slice(s![start..end, ..]),
                part,
                "{}: rows {start}..{end}",
                isa.name()
            );
        }
    }
}

#[test]
fn operands_may_be_parts_of_larger_matrices() {
    let mut random = Random::new(17);
    let wide = Array2::from_shape_vec((9, 50), random.normals(450, 1.0)).unwrap();
    let w = random.normals(6 * 20, 1.0);
    for isa in isas() {
        let weights = PackedWeights::new(isa, &w, 6, 20).unwrap();
        let mut out = Array2::from_elem((9, 30), 7.0);
        let x = wide.slice(s![.., 10..30]);
        linear(
            x,
            &weights,
            &Epilogue::default(),
            out.slice_mut(s![.., 4..10]),
        )
        .unwrap();
        let compact: Vec<f32> = x.iter().copied().collect();
        let expected = reference::linear(&compact, &w, &[0.0; 6], 20);
        assert_close(
            out.slice(s![.., 4..10]).iter().copied(),
            &expected,
            4e-6,
            isa.name(),
        );
        assert!(
            out.slice(s![.., ..4])
                .iter()
                .chain(out.slice(s![.., 10..]))
                .all(|&x| x == 7.0)
        );
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let isa = isas()[0];
    let weights = PackedWeights::new(isa, &[0.0; 6], 2, 3).unwrap();
    let x = Array2::<f32>::zeros((4, 3));
    let mut narrow = Array2::<f32>::zeros((4, 1));
    let error = linear(x.view(), &weights, &Epilogue::default(), narrow.view_mut()).unwrap_err();
    let expected = KernelError::Shape {
        argument: "out",
        expected: vec![4, 2],
        found: vec![4, 1],
    };
    assert_eq!(error, expected);
    let mut out = Array2::<f32>::zeros((4, 2));
    let error = linear(x.t(), &weights, &Epilogue::default(), out.view_mut()).unwrap_err();
    assert!(matches!(error, KernelError::Shape { argument: "x", .. }));
    let tall = Array2::<f32>::zeros((3, 4));
    let error = linear(tall.t(), &weights, &Epilogue::default(), out.view_mut()).unwrap_err();
    assert!(matches!(error, KernelError::Strides { argument: "x", .. }));
    let epilogue = Epilogue::default().bias(&[0.0; 3]);
    assert!(linear(x.view(), &weights, &epilogue, out.view_mut()).is_err());
    assert!(PackedWeights::new(isa, &[0.0; 5], 2, 3).is_err());
    assert!(PackedWeights::new(isa, &[], usize::MAX, 2).is_err());
}
