//! How fast each case runs on one core, beside what that core can do.

use crate::cases::{Work, cases};
use deberta_kernels::Isa;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The time of one run: the best of some batches, each long enough for the clock.
fn seconds(mut run: impl FnMut()) -> f64 {
    const BATCH: Duration = Duration::from_millis(8);
    const BATCHES: usize = 9;
    let start = Instant::now();
    run();
    let first = start.elapsed().max(Duration::from_nanos(50));
    let count = (BATCH.as_secs_f64() / first.as_secs_f64()).ceil().max(1.0) as usize;
    let mut best = f64::INFINITY;
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..count {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() / count as f64);
    }
    best
}

/// Bytes per second, read and written, that a plain pass over as many reaches. (Not a copy by the system's library: on some
/// processors that takes an instruction which is many times slower at unlucky addresses.)
fn pass(bytes: f64) -> f64 {
    let from = vec![1u64; bytes as usize / 16];
    let mut to = vec![0u64; from.len()];
    bytes
        / seconds(|| {
            for (to, from) in black_box(&mut to).iter_mut().zip(black_box(&from)) {
                *to = !from;
            }
        })
}

/// Prints a table of every case, measured on the current thread.
///
/// Products stand beside what a register tile reaches whose operands are at hand ([`deberta_kernels::peak`]), everything
/// else beside a plain pass over as many bytes, both measured in the same run. On a machine that others share, compare within one table.
pub fn print_rates() {
    let isa = Isa::from_env().expect("DEBERTA_ISA names a set of this processor");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a pool of one thread");
    pool.install(|| {
        let peaks = crate::peaks();
        println!(
            "\n| kernel, one thread, {} | µs | Gop/s or GB/s | of the peak or of a pass |",
            isa.name()
        );
        println!("|---|---|---|---|");
        for (_, make) in cases() {
            let mut case = make(isa);
            let time = seconds(&mut case.run);
            let (rate, unit, ceiling) = match case.work {
                Work::Operations(count, precision) => {
                    let peak = peaks.iter().find(|(p, _)| *p == precision);
                    (count / time, "Gop/s", peak.map_or(f64::NAN, |p| p.1))
                }
                Work::Bytes(bytes) => (bytes / time, "GB/s", pass(bytes)),
            };
            let (name, micros) = (&case.name, time * 1e6);
            let (rate, share) = (rate / 1e9, 100.0 * rate / ceiling);
            println!("| {name} | {micros:.1} | {rate:.1} {unit} | {share:.0} % |");
        }
    });
}
