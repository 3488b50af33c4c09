//! The attention of a decoding step of a base model (12 heads of 64): to a text that was packed before, and to the slots
//! of a cache that beams share. One row is greedy search, four are beams.
//!
//! Throughput counts the operations that cannot be avoided (a multiply-add is two): each row takes a product of the head's
//! size for each score, and as much for each weighted value.
#![allow(missing_docs)] // the macros of criterion make public items

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deberta_benches::{numbers, peaks};
use deberta_kernels::{
    GatheredAttention, Isa, PackedKeyValues, Precision, attend_packed, gathered_attention,
};
use ndarray::Array2;
use std::hint::black_box;

const HEADS: usize = 12;
const WIDTH: usize = HEADS * 64;

/// Rows, and what each attends to.
const SHAPES: [(usize, usize); 6] = [(1, 64), (4, 64), (8, 64), (1, 256), (4, 256), (8, 256)];

fn matrix(rows: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, WIDTH), numbers(rows * WIDTH)).unwrap()
}

fn decoder(criterion: &mut Criterion) {
    let _ = peaks();
    let mut group = criterion.benchmark_group("decoder");
    group.sample_size(20);
    let isa = Isa::from_env().expect("DEBERTA_ISA names a set of this processor");
    for (rows, length) in SHAPES {
        let shape = format!("{rows}x{length}");
        let operations = rows * length * 2 * 2 * WIDTH;
        group.throughput(Throughput::Elements(operations as u64));
        let (query, mut out) = (matrix(rows), Array2::zeros((rows, WIDTH)));

        let (key, value) = (matrix(length), matrix(length));
        let (key, value, bounds) = (key.view(), value.view(), [0, length]);
        let packed = PackedKeyValues::new(isa, Precision::F32, key, value, HEADS, &bounds).unwrap();
        let sequences = vec![0; rows];
        group.bench_function(BenchmarkId::new("packed text", &shape), |b| {
            b.iter(|| {
                let out = black_box(out.view_mut());
                attend_packed(query.view(), &sequences, &packed, 0.125, out).unwrap()
            });
        });

        // Rows share the first half of their past. Of the other, each has its own, with those of the others between.
        let cached = rows * length;
        let (key, value) = (matrix(cached), matrix(cached));
        let slot = |row: usize, n: usize| match n < length / 2 {
            true => (n * rows) as u32,
            false => (n * rows + row) as u32,
        };
        let slots: Vec<u32> = (0..rows)
            .flat_map(|row| (0..length).map(move |n| slot(row, n)))
            .collect();
        let bounds: Vec<usize> = (0..=rows).map(|row| row * length).collect();
        let attention = GatheredAttention {
            query: query.view(),
            key: key.view(),
            value: value.view(),
            heads: HEADS,
            scale: 0.125,
            slots: &slots,
            bounds: &bounds,
        };
        group.bench_function(BenchmarkId::new("cache", &shape), |b| {
            b.iter(|| gathered_attention(isa, &attention, black_box(out.view_mut())).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, decoder);
criterion_main!(benches);
