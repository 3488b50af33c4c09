//! Disentangled attention of a base model (12 heads of 64, 256 buckets): all terms, and content alone. Queries, keys and
//! values are columns of one matrix, as a fused projection leaves them.
//!
//! Throughput counts the operations that cannot be avoided (a multiply-add is two): each score and each weighted value
//! takes a product of the head's size, and each position term one per query (or key) and slot that it meets.
#![allow(missing_docs)] // the macros of criterion make public items

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deberta_benches::{numbers, peaks};
use deberta_kernels::{
    Attention, Isa, PositionTables, Precision, RelativePositions, SlotTable, disentangled_attention,
};
use ndarray::{Array2, s};
use std::hint::black_box;

const HEADS: usize = 12;
const SIZE: usize = 64;

/// Batch, length.
const SHAPES: [(usize, usize); 6] = [(1, 16), (1, 128), (1, 512), (8, 128), (8, 512), (1, 2048)];

fn attention(criterion: &mut Criterion) {
    let _ = peaks();
    let mut group = criterion.benchmark_group("attention");
    group.sample_size(20);
    let isa = Isa::from_env().expect("DEBERTA_ISA names a set of this processor");
    let width = HEADS * SIZE;
    let relative = RelativePositions::new(Some(256), 512).unwrap();
    let matrix = |rows: usize, columns: usize| {
        Array2::from_shape_vec((rows, columns), numbers(rows * columns)).unwrap()
    };
    let table = matrix(512, width);
    let tables = PositionTables::new(isa, Some(table.view()), Some(table.view()), HEADS).unwrap();
    for (batch, length) in SHAPES {
        let tokens = batch * length;
        let fused = matrix(tokens, 3 * width);
        let bounds: Vec<usize> = (0..=batch).map(|i| i * length).collect();
        let slots = SlotTable::new(relative, length);
        let mut out = Array2::zeros((tokens, width));
        let last = length as i64 - 1;
        let met: usize = (0..=last)
            .map(|i| slots.slot(i) - slots.slot(i - last) + 1)
            .sum();
        let content = 2 * length * length;
        for (name, relative, products) in [
            ("disentangled", Some((&tables, &slots)), content + 2 * met),
            ("content only", None, content),
        ] {
            let operations = batch * HEADS * products * 2 * SIZE;
            group.throughput(Throughput::Elements(operations as u64));
            let attention = Attention {
                query: fused.slice(s![.., ..width]),
                key: fused.slice(s![.., width..2 * width]),
                value: fused.slice(s![.., 2 * width..]),
                heads: HEADS,
                scale: 0.07,
                precision: Precision::F32,
                bounds: &bounds,
                positions: None,
                relative,
            };
            group.bench_function(BenchmarkId::new(name, format!("{batch}x{length}")), |b| {
                b.iter(|| {
                    disentangled_attention(isa, &attention, black_box(out.view_mut())).unwrap()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, attention);
criterion_main!(benches);
