//! Every kernel at the shapes of a base model, one after the other, and a table of all of them beside the peak and the
//! bandwidth of a pass that the same run measures (on one thread).
#![allow(missing_docs)] // the macros of criterion make public items

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use deberta_benches::cases::{Work, cases};
use deberta_benches::rates::print_rates;
use deberta_kernels::Isa;
use std::time::Duration;

fn kernels(criterion: &mut Criterion) {
    let isa = Isa::from_env().expect("DEBERTA_ISA names a set of this processor");
    let mut group = criterion.benchmark_group("kernels");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    for (name, make) in cases() {
        let mut case = None;
        group.throughput(match make(isa).work {
            Work::Operations(count, _) => Throughput::Elements(count as u64),
            Work::Bytes(bytes) => Throughput::Bytes(bytes as u64),
        });
        group.bench_function(name, |b| {
            let case = case.get_or_insert_with(|| make(isa));
            b.iter(&mut case.run);
        });
    }
    group.finish();
}

fn rates(_: &mut Criterion) {
    print_rates();
}

criterion_group!(benches, kernels, rates);
criterion_main!(benches);
