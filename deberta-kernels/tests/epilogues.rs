//! Ends of linear layers in every precision and under every instruction set: each combination of parts, operands that lie
//! anywhere, shapes at every remainder and of extreme sizes, and values that are not finite.

mod common;

use common::{Random, assert_close, isas};
use deberta_kernels::{
    Activation, Epilogue, Isa, LayerNorm, PackedWeights, Precision, RoundedRows, linear,
    linear_of_rounded, linear_rounded, reference,
};
use ndarray::{Array2, ArrayView2, s};

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// Every instruction set in every precision.
fn all() -> impl Iterator<Item = (Isa, Precision)> {
    isas()
        .into_iter()
        .flat_map(|isa| PRECISIONS.map(|precision| (isa, precision)))
}

/// A layer and what may follow it.
struct Layer {
    x: Array2<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    residual: Array2<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Layer {
    fn new([tokens, inputs, outputs]: [usize; 3]) -> Self {
        let mut random = Random::new((tokens * 131 + inputs * 17 + outputs) as u64);
        let mut matrix = |rows, columns, scale| {
            let values = random.normals(rows * columns, scale);
            Array2::from_shape_vec((rows, columns), values).unwrap()
        };
        Self {
            x: matrix(tokens, inputs, 1.0),
            residual: matrix(tokens, outputs, 1.0),
            w: matrix(outputs, inputs, 1.0 / (inputs as f32).sqrt())
                .into_raw_vec_and_offset()
                .0,
            bias: matrix(1, outputs, 1.0).into_raw_vec_and_offset().0,
            gamma: matrix(1, outputs, 1.0).into_raw_vec_and_offset().0,
            beta: matrix(1, outputs, 1.0).into_raw_vec_and_offset().0,
        }
    }

    fn weights(&self, isa: Isa, precision: Precision) -> PackedWeights {
        let (outputs, inputs) = (self.bias.len(), self.x.ncols());
        PackedWeights::with_precision(isa, precision, &self.w, outputs, inputs).unwrap()
    }

    fn norm(&self) -> LayerNorm {
        LayerNorm::new(self.gamma.clone(), self.beta.clone(), 1e-7).unwrap()
    }

    /// All parts at once, with this residual.
    fn whole<'a>(&'a self, norm: &'a LayerNorm, residual: ArrayView2<'a, f32>) -> Epilogue<'a> {
        let epilogue = Epilogue::default().bias(&self.bias);
        epilogue
            .activation(Activation::Gelu)
            .residual(residual)
            .norm(norm)
    }

    fn run(&self, weights: &PackedWeights, epilogue: &Epilogue<'_>) -> Array2<f32> {
        let mut out = Array2::from_elem(self.residual.raw_dim(), f32::NAN);
        linear(self.x.view(), weights, epilogue, out.view_mut()).unwrap();
        out
    }
}

/// What the parts of an epilogue make of sums, in `f64`.
fn finish(layer: &Layer, sums: &Array2<f32>, epilogue: &Epilogue<'_>) -> Vec<f64> {
    let mut all = Vec::new();
    for (t, sums) in sums.outer_iter().enumerate() {
        let row: Vec<f64> = sums
            .iter()
            .enumerate()
            .map(|(n, &sum)| {
                let bias = epilogue.bias.map_or(0.0, |bias| f64::from(bias[n]));
                let y = reference::activation(epilogue.activation, f64::from(sum) + bias);
                y + epilogue.residual.map_or(0.0, |r| f64::from(r[(t, n)]))
            })
            .collect();
        all.extend(match epilogue.norm {
            Some(_) => reference::layer_norm(&row, &layer.gamma, &layer.beta, 1e-7),
            None => row,
        });
    }
    all
}

#[test]
fn every_combination_of_parts() {
    // Columns with every remainder of a vector, and of a panel of three; rows with and without a remainder.
    for outputs in (1..=17).chain([47, 48, 49, 97]) {
        let layer = Layer::new([if outputs % 2 == 0 { 8 } else { 13 }, 37, outputs]);
        let norm = layer.norm();
        for (isa, precision) in all() {
            let weights = layer.weights(isa, precision);
            let sums = layer.run(&weights, &Epilogue::default());
            for parts in 0..16 {
                let mut epilogue = Epilogue::default();
                if parts & 1 != 0 {
                    epilogue = epilogue.bias(&layer.bias);
                }
                if parts & 2 != 0 {
                    epilogue = epilogue.activation(Activation::Gelu);
                }
                if parts & 4 != 0 {
                    epilogue = epilogue.residual(layer.residual.view());
                }
                // A row of one or two values has next to no variance to divide by.
                if parts & 8 != 0 && outputs > 2 {
                    epilogue = epilogue.norm(&norm);
                }
                let expected = finish(&layer, &sums, &epilogue);
                let what = format!(
                    "{precision:?} {}, {outputs} columns, parts {parts:b}",
                    isa.name()
                );
                assert_close(layer.run(&weights, &epilogue), &expected, 2e-5, &what);
            }
        }
    }
}

#[test]
fn every_activation() {
    use Activation::{
        GeluClipped, GeluTanh, Identity, Laplace, LeakyRelu, Mish, QuickGelu, Relu, Relu6,
        ReluSquared, Sigmoid, Silu, Tanh,
    };
    let layer = Layer::new([5, 40, 51]);
    for (isa, precision) in all() {
        let weights = layer.weights(isa, precision);
        let sums = layer.run(&weights, &Epilogue::default());
        for activation in [
            Identity,
            GeluTanh,
            GeluClipped,
            QuickGelu,
            Relu,
            Relu6,
            ReluSquared,
            LeakyRelu,
            Silu,
            Sigmoid,
            Tanh,
            Mish,
            Laplace,
        ] {
            let epilogue = Epilogue::default().bias(&layer.bias).activation(activation);
            let expected = finish(&layer, &sums, &epilogue);
            let what = format!("{precision:?} {} {activation:?}", isa.name());
            assert_close(layer.run(&weights, &epilogue), &expected, 2e-6, &what);
        }
    }
}

#[test]
fn single_precision_at_every_remainder() {
    // Of a tile's rows, a block of rows, a panel, a block of columns, and a block of k.
    let rows = (1..=17).chain([191, 192, 193, 385]).map(|t| [t, 7, 20]);
    let depths = (1..=17).chain([767, 768, 769, 1537]).map(|k| [9, k, 49]);
    let columns = (1..=50)
        .chain([95, 96, 97, 767, 768, 769, 1537])
        .map(|n| [3, 11, n]);
    for shape in rows.chain(depths).chain(columns) {
        let layer = Layer::new(shape);
        let x = layer.x.as_slice().unwrap();
        let expected = reference::linear(x, &layer.w, &layer.bias, shape[1]);
        for isa in isas() {
            let weights = layer.weights(isa, Precision::F32);
            let out = layer.run(&weights, &Epilogue::default().bias(&layer.bias));
            assert_close(out, &expected, 4e-6, &format!("{} {shape:?}", isa.name()));
        }
    }
}

#[test]
fn rows_lie_at_any_address_and_distance() {
    let (tokens, inputs, outputs) = (21, 70, 52);
    let layer = Layer::new([tokens, inputs, outputs]);
    let norm = layer.norm();
    for (isa, precision) in all() {
        let weights = layer.weights(isa, precision);
        let expected = layer.run(&weights, &layer.whole(&norm, layer.residual.view()));
        for shift in [1, 2, 3, 5] {
            // NaN around the operands would show if it were read.
            let inside = |matrix: &Array2<f32>| {
                let (rows, columns) = matrix.dim();
                let mut wide = Array2::from_elem((rows, columns + shift + 3), f32::NAN);
                wide.slice_mut(s![.., shift..shift + columns])
                    .assign(matrix);
                wide
            };
            let (x, residual) = (inside(&layer.x), inside(&layer.residual));
            let mut out = Array2::from_elem((tokens, outputs + shift + 3), 7.0);
            let epilogue = layer.whole(&norm, residual.slice(s![.., shift..shift + outputs]));
            linear(
                x.slice(s![.., shift..shift + inputs]),
                &weights,
                &epilogue,
                out.slice_mut(s![.., shift..shift + outputs]),
            )
            .unwrap();
            let what = format!("{precision:?} {} from {shift}", isa.name());
            assert_eq!(
                out.slice(s![.., shift..shift + outputs]),
                expected,
                "{what}"
            );
            let before = out.slice(s![.., ..shift]);
            let after = out.slice(s![.., shift + outputs..]);
            assert!(
                before.iter().chain(after).all(|&v| v == 7.0),
                "{what}: overwritten"
            );
        }
    }
}

#[test]
fn what_is_not_finite_spoils_what_it_belongs_to() {
    let [tokens, inputs, outputs] = [10, 33, 53];
    for (isa, precision) in all() {
        let mut layer = Layer::new([tokens, inputs, outputs]);
        let weights = layer.weights(isa, precision);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let what = format!("{precision:?} {} {bad}", isa.name());
            layer.bias[50] = bad;
            layer.residual[(9, 2)] = bad;
            let epilogue = Epilogue::default()
                .bias(&layer.bias)
                .residual(layer.residual.view());
            let out = layer.run(&weights, &epilogue);
            for ((t, n), y) in out.indexed_iter() {
                assert_eq!(
                    y.is_finite(),
                    n != 50 && (t, n) != (9, 2),
                    "{what}: {t}, {n}"
                );
            }
            // A row's mean takes the spoilt value everywhere in the row.
            let (norm, clean) = (layer.norm(), Layer::new([tokens, inputs, outputs]));
            let epilogue = Epilogue::default()
                .residual(layer.residual.view())
                .norm(&norm);
            let out = layer.run(&weights, &epilogue);
            let unspoilt = Epilogue::default()
                .residual(clean.residual.view())
                .norm(&norm);
            let expected = layer.run(&weights, &unspoilt);
            assert!(out.row(9).iter().all(|y| y.is_nan()), "{what}");
            assert_eq!(
                out.slice(s![..9, ..]),
                expected.slice(s![..9, ..]),
                "{what}"
            );
            (layer.bias[50], layer.residual[(9, 2)]) = (0.0, 0.0);
        }
    }
}

#[test]
fn subnormal_numbers_count() {
    let [tokens, inputs, outputs] = [9, 40, 30];
    for isa in isas() {
        let mut layer = Layer::new([tokens, inputs, outputs]);
        layer.x *= 1e-42;
        let scale = f64::from(f32::MIN_POSITIVE);
        let weights = layer.weights(isa, Precision::F32);
        let out = layer.run(&weights, &Epilogue::default());
        let x = layer.x.as_slice().unwrap();
        let expected = reference::linear(x, &layer.w, &vec![0.0; outputs], inputs);
        for (y, expected) in out.iter().zip(expected) {
            let error = (f64::from(*y) - expected).abs();
            // As many roundings to the least subnormal number as there are products.
            assert!(
                error <= 2.0 * inputs as f64 * scale * 2f64.powi(-24),
                "{}",
                isa.name()
            );
        }
        assert!(out.iter().any(|&y| y != 0.0), "{}", isa.name());
    }
}

#[test]
fn no_rows_and_very_many() {
    for (isa, precision) in all() {
        let layer = Layer::new([0, 20, 9]);
        let norm = layer.norm();
        let epilogue = Epilogue::default().bias(&layer.bias).norm(&norm);
        let out = layer.run(&layer.weights(isa, precision), &epilogue);
        assert_eq!(out.dim(), (0, 9));
        for (outputs, inputs) in [(0, 4), (4, 0), (0, 0)] {
            let empty = PackedWeights::with_precision(isa, precision, &[], outputs, inputs);
            assert!(empty.is_err(), "{outputs} outputs of {inputs} inputs");
        }
        // Tall, wide and deep.
        for shape in [[30_011, 3, 5], [2, 5, 30_011], [3, 30_011, 2]] {
            let layer = Layer::new(shape);
            let x = layer.x.as_slice().unwrap();
            let expected = reference::linear(x, &layer.w, &layer.bias, shape[1]);
            let weights = layer.weights(isa, precision);
            let out = layer.run(&weights, &Epilogue::default().bias(&layer.bias));
            let tolerance = match precision {
                Precision::F32 => 3e-5,
                Precision::Bf16 => 0.02,
                _ => 0.05,
            };
            let what = format!("{precision:?} {} {shape:?}", isa.name());
            assert_close(out, &expected, tolerance, &what);
        }
    }
}

#[test]
fn one_row_is_as_good_as_many() {
    let layer = Layer::new([24, 130, 101]);
    for (isa, precision) in all() {
        let weights = layer.weights(isa, precision);
        let epilogue = Epilogue::default()
            .bias(&layer.bias)
            .activation(Activation::Gelu);
        let whole = layer.run(&weights, &epilogue);
        for (t, row) in layer.x.outer_iter().enumerate() {
            let mut out = Array2::zeros((1, 101));
            let row = ArrayView2::from_shape((1, 130), row.to_slice().unwrap()).unwrap();
            linear(row, &weights, &epilogue, out.view_mut()).unwrap();
            assert_eq!(
                out.row(0),
                whole.row(t),
                "{precision:?} {} row {t}",
                isa.name()
            );
        }
    }
}

#[test]
fn rounded_rows_come_from_and_go_to_any_address_with_what_is_not_finite() {
    let [tokens, width, inner] = [19, 21, 85];
    let (up, down) = (
        Layer::new([tokens, width, inner]),
        Layer::new([tokens, inner, width]),
    );
    for (isa, precision) in all() {
        let (first, second) = (up.weights(isa, precision), down.weights(isa, precision));
        let gelu = Epilogue::default()
            .bias(&up.bias)
            .activation(Activation::Gelu);
        let plain = Epilogue::default();
        let mut rows = RoundedRows::new();
        for bad in [0.5, f32::NAN, f32::INFINITY, 1e-41] {
            let mut wide = Array2::from_elem((tokens, width + 5), f32::NAN);
            wide.slice_mut(s![.., 3..3 + width]).assign(&up.x);
            wide[(7, 3)] = bad;
            let x = wide.slice(s![.., 3..3 + width]);
            let mut values = Array2::zeros((tokens, inner));
            linear(x, &first, &gelu, values.view_mut()).unwrap();
            let mut expected = Array2::zeros((tokens, width));
            linear(values.view(), &second, &plain, expected.view_mut()).unwrap();
            linear_rounded(x, &first, &gelu, &second, &mut rows).unwrap();
            let mut out = Array2::from_elem((tokens, width + 2), 7.0);
            let inside = out.slice_mut(s![.., 1..=width]);
            linear_of_rounded(&rows, &second, &plain, inside).unwrap();
            let what = format!("{precision:?} {} {bad}", isa.name());
            for ((t, n), expected) in expected.indexed_iter() {
                let found = out[(t, n + 1)];
                assert_eq!(found.is_finite(), expected.is_finite(), "{what}: {t}, {n}");
                assert!(
                    found == *expected || !found.is_finite(),
                    "{what}: {t}, {n}: {found}, {expected}"
                );
                assert_eq!(found.is_finite(), t != 7 || bad.is_finite(), "{what}: {t}");
            }
            let edges = out.column(0).into_iter().chain(out.column(width + 1));
            assert!(edges.copied().all(|v| v == 7.0), "{what}: overwritten");
        }
    }
}
