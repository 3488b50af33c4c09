//! Activations, LayerNorm and softmax on one thread, under every instruction set.
#![allow(missing_docs)] // the macros of criterion make public items

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deberta_benches::numbers;
use deberta_kernels::{Activation, Isa, LayerNorm, softmax};
use ndarray::Array2;
use std::hint::black_box;

const WIDTH: usize = 3072;

fn elementwise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("elementwise");
    group.throughput(Throughput::Elements(WIDTH as u64));
    let inputs = numbers(WIDTH);
    for isa in Isa::available() {
        for (name, activation) in [
            ("gelu", Activation::Gelu),
            ("gelu_new", Activation::GeluTanh),
            ("tanh", Activation::Tanh),
        ] {
            let mut values = inputs.clone();
            group.bench_function(BenchmarkId::new(name, isa.name()), |b| {
                b.iter(|| {
                    values.copy_from_slice(&inputs);
                    activation.apply(isa, black_box(&mut values));
                });
            });
        }
        let mut values = inputs.clone();
        group.bench_function(BenchmarkId::new("softmax", isa.name()), |b| {
            b.iter(|| {
                values.copy_from_slice(&inputs);
                softmax(isa, black_box(&mut values));
            });
        });
        let norm = LayerNorm::new(numbers(WIDTH), numbers(WIDTH), 1e-7).unwrap();
        let mut row = Array2::from_shape_vec((1, WIDTH), inputs.clone()).unwrap();
        group.bench_function(BenchmarkId::new("layer norm", isa.name()), |b| {
            b.iter(|| norm.apply(isa, black_box(row.view_mut())).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, elementwise);
criterion_main!(benches);
