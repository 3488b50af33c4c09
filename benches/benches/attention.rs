//! Disentangled attention of a base model (12 heads of 64, 256 buckets): all terms, and content alone.
//!
//! Throughput counts scores: B·H·L² elements.
#![allow(missing_docs)] // the macros of criterion make public items

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use deberta_benches::numbers;
use deberta_kernels::{
    Attention, Isa, PositionTables, RelativePositions, SlotTable, disentangled_attention,
};
use ndarray::Array2;
use std::hint::black_box;

const HEADS: usize = 12;
const SIZE: usize = 64;

fn attention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    group.sample_size(10);
    let isa = Isa::from_env().expect("DEBERTA_ISA names a set of this processor");
    let width = HEADS * SIZE;
    let relative = RelativePositions::new(Some(256), 512).unwrap();
    let matrix =
        |rows: usize| Array2::from_shape_vec((rows, width), numbers(rows * width)).unwrap();
    let table = matrix(512);
    let tables = PositionTables::new(isa, Some(table.view()), Some(table.view()), HEADS).unwrap();
    for (batch, length) in [(1, 16), (1, 128), (1, 512), (8, 128), (1, 2048)] {
        let (query, key, value) = (
            matrix(batch * length),
            matrix(batch * length),
            matrix(batch * length),
        );
        let bounds: Vec<usize> = (0..=batch).map(|i| i * length).collect();
        let slots = SlotTable::new(relative, length);
        let mut out = Array2::zeros(query.raw_dim());
        group.throughput(Throughput::Elements(
            (batch * HEADS * length * length) as u64,
        ));
        for (name, relative) in [
            ("disentangled", Some((&tables, &slots))),
            ("content only", None),
        ] {
            let attention = Attention {
                query: query.view(),
                key: key.view(),
                value: value.view(),
                heads: HEADS,
                scale: 0.07,
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
