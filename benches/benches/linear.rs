//! Linear layers of a base model: ours in every precision, and `matrixmultiply` as the baseline.
//!
//! Throughput counts operations: a multiply-add is two. What one core can do at most is printed first.
#![allow(missing_docs)] // the macros of criterion make public items

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deberta_benches::{numbers, peaks};
use deberta_kernels::{Activation, Epilogue, Isa, PackedWeights, Precision, linear};
use ndarray::Array2;
use std::hint::black_box;

/// Tokens, inputs, outputs.
const SHAPES: [(usize, usize, usize); 7] = [
    (1, 768, 768),
    (16, 768, 2304),
    (128, 768, 768),
    (128, 768, 3072),
    (128, 3072, 768),
    (1024, 768, 3072),
    (1024, 3072, 768),
];

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// Weights are used in turn, so that they come from where they come from in a model, which does not fit a cache.
const COPIES: usize = 6;

fn products(criterion: &mut Criterion) {
    let _ = peaks();
    let mut group = criterion.benchmark_group("linear");
    group.sample_size(20);
    for (tokens, inputs, outputs) in SHAPES {
        let shape = format!("{tokens}x{inputs}x{outputs}");
        group.throughput(Throughput::Elements((2 * tokens * inputs * outputs) as u64));
        let x = Array2::from_shape_vec((tokens, inputs), numbers(tokens * inputs)).unwrap();
        let w = numbers(inputs * outputs);
        let bias = numbers(outputs);
        let mut out = Array2::zeros((tokens, outputs));
        let isas = match std::env::var_os("DEBERTA_ISA") {
            Some(_) => vec![Isa::from_env().expect("a set of this processor")],
            None => vec![Isa::detect()],
        };
        for (isa, precision) in isas.iter().flat_map(|&isa| PRECISIONS.map(|p| (isa, p))) {
            let weights: Vec<_> = (0..COPIES)
                .map(|_| PackedWeights::with_precision(isa, precision, &w, outputs, inputs))
                .collect::<Result<_, _>>()
                .unwrap();
            let mut turn = weights.iter().cycle();
            let epilogue = Epilogue::default().bias(&bias);
            let name = format!("{precision:?} {}", isa.name());
            group.bench_function(BenchmarkId::new(name, &shape), |b| {
                b.iter(|| {
                    let weights = turn.next().unwrap();
                    linear(x.view(), weights, &epilogue, black_box(out.view_mut())).unwrap()
                });
            });
        }
        group.bench_function(BenchmarkId::new("matrixmultiply", &shape), |b| {
            b.iter(|| {
                // SAFETY: x is [tokens, inputs], w read as its transpose [inputs, outputs], out [tokens, outputs].
                unsafe {
                    matrixmultiply::sgemm(
                        tokens,
                        inputs,
                        outputs,
                        1.0,
                        x.as_ptr(),
                        inputs as isize,
                        1,
                        w.as_ptr(),
                        1,
                        inputs as isize,
                        0.0,
                        black_box(&mut out).as_mut_ptr(),
                        outputs as isize,
                        1,
                    );
                }
            });
        });
    }
    group.finish();
}

fn epilogues(criterion: &mut Criterion) {
    let (tokens, inputs, outputs) = (128, 768, 3072);
    let mut group = criterion.benchmark_group("epilogue 128x768x3072");
    group.sample_size(20);
    group.throughput(Throughput::Elements((2 * tokens * inputs * outputs) as u64));
    let x = Array2::from_shape_vec((tokens, inputs), numbers(tokens * inputs)).unwrap();
    let weights =
        PackedWeights::new(Isa::detect(), &numbers(inputs * outputs), outputs, inputs).unwrap();
    let bias = numbers(outputs);
    let mut out = Array2::zeros((tokens, outputs));
    for (name, activation) in [
        ("bias", Activation::Identity),
        ("bias, gelu", Activation::Gelu),
    ] {
        let epilogue = Epilogue::default().bias(&bias).activation(activation);
        group.bench_function(name, |b| {
            b.iter(|| linear(x.view(), &weights, &epilogue, black_box(out.view_mut())).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, products, epilogues);
criterion_main!(benches);
