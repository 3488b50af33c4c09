//! A forward pass whose shapes have been seen before takes its memory from the model: it asks the system for its result,
//! and for little else.
//!
//! The matrices of these passes are small enough for the allocator; larger ones get pages of their own, which it does not
//! see, from the same arena.

use deberta_core::{Batch, LoadOptions, Model, Precision};
use deberta_tests::workspace_root;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The bytes that `run` asks for.
fn allocated<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let result = run();
    (region.change().bytes_allocated, result)
}

// One test only: the allocator counts for all threads. And one thread: each has some memory of its own.
#[test]
fn a_pass_that_was_run_before_asks_for_its_result_alone() {
    let folder = workspace_root().join("models/sentiment");
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let options = LoadOptions::default().precision(precision).threads(1);
        let model = Model::load(&folder, options).unwrap();
        // Ragged, so that attention and the slots of its positions differ from sequence to sequence.
        let sequences = [70, 3, 128, 41].map(|length| {
            let ids: Vec<u32> = (0..length).map(|i| 5 + i * 97 % 8000).collect();
            (ids, Vec::new())
        });
        let batch = Batch::packed(Vec::from(sequences)).unwrap();
        let (first, _) = allocated(|| model.forward(&batch).unwrap());
        model.forward(&batch).unwrap();
        let (bytes, output) = allocated(|| model.forward(&batch).unwrap());
        let result = size_of::<f32>() * output.last_hidden_state.len();
        let besides = bytes.checked_sub(result).expect("the result is new");
        let what = format!(
            "{precision}: {first} bytes at first, then {besides} besides the result's {result}"
        );
        println!("{what}");
        // Lists of tasks and slots; a single hidden matrix would be more.
        assert!(besides < 32 * 1024, "{what}");
        assert!(first > 32 * besides, "{what}");
    }
}
