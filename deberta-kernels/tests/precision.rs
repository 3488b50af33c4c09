//! Linear layers in bf16 and int8, under every instruction set: what they round, and that they do nothing else.

mod common;

use common::{Random, assert_close, isas, pool};
use deberta_kernels::{Epilogue, Isa, KernelError, PackedWeights, Precision, linear, reference};
use half::bf16;
use ndarray::{Array2, ArrayView2, s};

const REDUCED: [Precision; 2] = [Precision::Bf16, Precision::Int8];

/// Every remainder of a tile's rows, of a step, of a group, of a panel and of a block of k, with something before it: few
/// rows, whose columns are read as they lie, and many, for which panels are taken apart.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    let rows = (1..=17).chain([191, 193]).map(|t| (t, 37, 50));
    let depths = (1..=9)
        .chain([
            63, 64, 65, 127, 129, 255, 257, 300, 383, 384, 385, 513, 767, 769, 1030,
        ])
        .map(|k| (9, k, 49));
    let columns = (1..=13)
        .chain([47, 48, 49, 95, 96, 97, 150])
        .map(|n| (3, 70, n));
    let blocks = [191, 193, 385, 767, 769, 1535, 1537, 3071, 3074]
        .into_iter()
        .flat_map(|k| [(19, k, 49), (67, k, 25)]);
    rows.chain(depths).chain(columns).chain(blocks)
}

fn product(isa: Isa, precision: Precision, x: &[f32], w: &[f32], k: usize) -> Array2<f32> {
    let (tokens, outputs) = (x.len() / k, w.len() / k);
    let weights = PackedWeights::with_precision(isa, precision, w, outputs, k).unwrap();
    let x = ArrayView2::from_shape((tokens, k), x).unwrap();
    let mut out = Array2::from_elem((tokens, outputs), f32::NAN);
    linear(x, &weights, &Epilogue::default(), out.view_mut()).unwrap();
    out
}

#[test]
fn bf16_rounds_its_operands_and_nothing_else() {
    for isa in isas() {
        for (tokens, inputs, outputs) in shapes() {
            let mut random = Random::new((tokens * 31 + inputs * 7 + outputs) as u64);
            let x = random.normals(tokens * inputs, 1.0);
            let w = random.normals(outputs * inputs, 1.0 / (inputs as f32).sqrt());
            let rounded = |values: &[f32]| -> Vec<f32> {
                values.iter().map(|&v| bf16::from_f32(v).to_f32()).collect()
            };
            let zeros = vec![0.0; outputs];
            let expected = reference::linear(&rounded(&x), &rounded(&w), &zeros, inputs);
            let what = format!("{} {tokens}x{inputs}x{outputs}", isa.name());
            assert_close(
                product(isa, Precision::Bf16, &x, &w, inputs),
                &expected,
                4e-6,
                &what,
            );
        }
    }
}

#[test]
fn int8_is_exact_where_nothing_has_to_be_rounded() {
    for isa in isas() {
        for (tokens, inputs, outputs) in shapes() {
            let mut random = Random::new((tokens * 13 + inputs * 3 + outputs) as u64);
            // Rows of whole numbers with 0 and 255 in every group, weights of whole numbers with 127: every step is 1.
            // Most are as large as they can be, so that sums in fewer bits than 32 would overflow.
            let mut whole = |low: f32, high: f32| {
                let u = random.uniform();
                if u < 0.5 {
                    high
                } else {
                    (low + (high - low) * random.uniform()).round()
                }
            };
            let x: Vec<f32> = (0..tokens * inputs)
                .map(|i| match i % inputs % 16 {
                    0 => 0.0,
                    1 => 255.0,
                    _ => whole(0.0, 255.0),
                })
                .collect();
            let w: Vec<f32> = (0..outputs * inputs)
                .map(|i| match i % inputs % 16 {
                    0 => -127.0,
                    1 => 127.0,
                    _ => whole(-127.0, 127.0),
                })
                .collect();
            let expected = reference::linear(&x, &w, &vec![0.0; outputs], inputs);
            let found = product(isa, Precision::Int8, &x, &w, inputs);
            for (i, (&f, &e)) in found.iter().zip(&expected).enumerate() {
                // f32 holds whole numbers up to 2^24 exactly, and more than one group adds up in f32.
                let error = (f64::from(f) - e).abs() / e.abs().max(f64::from(1 << 24));
                let what = format!("{} {tokens}x{inputs}x{outputs}, value {i}", isa.name());
                assert!(error <= 4e-7, "{what}: {f}, expected {e}");
            }
        }
    }
}

#[test]
fn int8_rounds_by_half_a_step_at_most() {
    for isa in isas() {
        for (tokens, inputs, outputs) in shapes().filter(|&(_, k, _)| k > 4) {
            let mut random = Random::new((tokens * 17 + inputs * 5 + outputs) as u64);
            let x = random.normals(tokens * inputs, 1.0);
            let w = random.normals(outputs * inputs, 1.0 / (inputs as f32).sqrt());
            let exact = reference::linear(&x, &w, &vec![0.0; outputs], inputs);
            let found = product(isa, Precision::Int8, &x, &w, inputs);
            // No group spans more than its row: the widest steps there are.
            let spread = |row: &[f32]| {
                let (low, high) = row
                    .iter()
                    .fold((0.0f32, 0.0f32), |(l, h), &v| (l.min(v), h.max(v)));
                (
                    f64::from(high - low) / 255.0,
                    f64::from(high.max(-low)) / 127.0,
                )
            };
            for (t, x) in x.chunks(inputs).enumerate() {
                let (step, _) = spread(x);
                for (n, w) in w.chunks(inputs).enumerate() {
                    let (_, scale) = spread(w);
                    let bound: f64 = x
                        .iter()
                        .zip(w)
                        .map(|(&x, &w)| {
                            let (x, w) = (f64::from(x).abs(), f64::from(w).abs());
                            (w + scale / 2.0) * step / 2.0 + x * scale / 2.0
                        })
                        .sum();
                    let error = (f64::from(found[[t, n]]) - exact[t * outputs + n]).abs();
                    assert!(
                        error <= bound * 1.0001 + 1e-6,
                        "{} {tokens}x{inputs}x{outputs} at {t}, {n}: {error:e} of {bound:e}",
                        isa.name()
                    );
                }
            }
        }
    }
}

#[test]
fn all_instruction_sets_round_alike() {
    let mut random = Random::new(5);
    let (tokens, inputs, outputs) = (21, 700, 61);
    let x = random.normals(tokens * inputs, 1.0);
    let w = random.normals(outputs * inputs, 0.05);
    for precision in REDUCED {
        let expected: Vec<f64> = product(
            Isa::from_name("portable").unwrap(),
            precision,
            &x,
            &w,
            inputs,
        )
        .iter()
        .map(|&v| f64::from(v))
        .collect();
        for isa in isas() {
            let what = format!("{precision:?} {}", isa.name());
            assert_close(
                product(isa, precision, &x, &w, inputs),
                &expected,
                2e-6,
                &what,
            );
        }
    }
}

#[test]
fn rows_do_not_depend_on_threads_nor_on_other_rows() {
    let (tokens, inputs, outputs) = (211, 300, 200);
    let mut random = Random::new(9);
    let x = Array2::from_shape_vec((tokens, inputs), random.normals(tokens * inputs, 1.0)).unwrap();
    let w = random.normals(outputs * inputs, 0.1);
    for (isa, precision) in isas().into_iter().flat_map(|isa| REDUCED.map(|p| (isa, p))) {
        let weights = PackedWeights::with_precision(isa, precision, &w, outputs, inputs).unwrap();
        let run = |threads, rows: ArrayView2<f32>| {
            let mut out = Array2::zeros((rows.nrows(), outputs));
            pool(threads)
                .install(|| linear(rows, &weights, &Epilogue::default(), out.view_mut()))
                .unwrap();
            out
        };
        let whole = run(1, x.view());
        assert_eq!(whole, run(3, x.view()), "{precision:?} {}", isa.name());
        for (start, end) in [(0, 1), (100, 113), (37, 200)] {
            let part = run(2, x.slice(s![start..end, ..]));
            assert_eq!(
                whole.slice(s![start..end, ..]),
                part,
                "{precision:?} {}",
                isa.name()
            );
        }
    }
}

#[test]
fn what_is_not_finite_stays_so_and_stays_where_it_is() {
    let (tokens, inputs, outputs) = (11, 600, 50);
    let mut random = Random::new(2);
    let w = random.normals(outputs * inputs, 0.1);
    let clean = random.normals(tokens * inputs, 1.0);
    let all = [Precision::F32, Precision::Bf16, Precision::Int8];
    for (isa, precision) in isas().into_iter().flat_map(|isa| all.map(|p| (isa, p))) {
        let expected = product(isa, precision, &clean, &w, inputs);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = clean.clone();
            x[4 * inputs + 333] = bad;
            let found = product(isa, precision, &x, &w, inputs);
            for t in 0..tokens {
                if t == 4 {
                    assert!(
                        found.row(t).iter().all(|v| !v.is_finite()),
                        "{precision:?} {bad}"
                    );
                } else {
                    assert_eq!(found.row(t), expected.row(t), "{precision:?} {bad}");
                }
            }
            let mut w = w.clone();
            w[7 * inputs + 1] = bad;
            let found = product(isa, precision, &clean, &w, inputs);
            assert!(
                found.column(7).iter().all(|v| !v.is_finite()),
                "{precision:?} {bad}"
            );
            assert_eq!(found.column(8), expected.column(8), "{precision:?} {bad}");
        }
    }
}

#[test]
fn tiny_constant_and_empty_rows_are_fine() {
    let (inputs, outputs) = (260, 49);
    let mut random = Random::new(4);
    let w = random.normals(outputs * inputs, 0.1);
    for (isa, precision) in isas().into_iter().flat_map(|isa| REDUCED.map(|p| (isa, p))) {
        for value in [0.0, 1e-40, -1e-40, 1e-30, 3.0, -2.5e8] {
            let x = vec![value; inputs];
            let found = product(isa, precision, &x, &w, inputs);
            let exact = reference::linear(&x, &w, &vec![0.0; outputs], inputs);
            let size: f64 = f64::from(value).abs() * 0.1 * inputs as f64;
            for (f, e) in found.iter().zip(exact) {
                assert!(
                    (f64::from(*f) - e).abs() <= 0.01 * size + 1e-30,
                    "{precision:?} {value}"
                );
            }
        }
        let zeros = product(
            isa,
            precision,
            &vec![1.0; inputs],
            &vec![0.0; outputs * inputs],
            inputs,
        );
        assert!(zeros.iter().all(|&v| v == 0.0));
        assert_eq!(product(isa, precision, &[], &w, inputs).dim(), (0, outputs));
    }
}

#[test]
fn the_drift_of_rounding_is_what_a_typical_input_loses() {
    let (inputs, outputs) = (700, 60);
    let mut random = Random::new(8);
    let w = random.normals(outputs * inputs, 0.1);
    let mean = random.normals(inputs, 1.0);
    for isa in isas() {
        let read = |rows: std::ops::Range<usize>, to: &mut [f32]| {
            to.copy_from_slice(&w[rows.start * inputs..rows.end * inputs]);
            Ok::<_, KernelError>(())
        };
        let (weights, drift) = PackedWeights::quantized(isa, outputs, inputs, &mean, read).unwrap();
        let x = ArrayView2::from_shape((1, inputs), &mean).unwrap();
        let mut out = Array2::zeros((1, outputs));
        linear(
            x,
            &weights,
            &Epilogue::default().bias(&drift),
            out.view_mut(),
        )
        .unwrap();
        let exact = reference::linear(&mean, &w, &vec![0.0; outputs], inputs);
        // What is left is the rounding of the input alone, which is a row with a scale of its own.
        let error = |values: &mut dyn Iterator<Item = f32>| -> f64 {
            let squares = values.zip(&exact).map(|(v, e)| (f64::from(v) - e).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let corrected = error(&mut out.iter().copied());
        let plain = product(isa, Precision::Int8, &mean, &w, inputs);
        assert!(
            corrected < 0.8 * error(&mut plain.iter().copied()),
            "{}",
            isa.name()
        );
        assert!(PackedWeights::quantized(isa, outputs, inputs, &mean[1..], read).is_err());
    }
}
