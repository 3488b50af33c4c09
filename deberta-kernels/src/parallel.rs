//! How work is given to the threads of the current rayon pool.

use rayon::prelude::*;
use std::ops::Range;

/// Tasks per thread, so that no thread waits long for the last.
const TASKS_PER_THREAD: usize = 3;

/// How many tasks keep every thread busy.
pub(crate) fn wanted_tasks() -> usize {
    TASKS_PER_THREAD * rayon::current_num_threads()
}

/// Runs tasks `0..tasks` on the current pool, or here if there is but one thread or task.
pub(crate) fn parallel(tasks: usize, run: impl Fn(usize) + Sync + Send) {
    if tasks <= 1 || rayon::current_num_threads() == 1 {
        (0..tasks).for_each(run);
    } else {
        (0..tasks).into_par_iter().with_max_len(1).for_each(run);
    }
}

/// Runs items `0..items` on the current pool, each thread a few spans of them; all here where there is less work than
/// `grain` for each of two: waking another thread takes longer than what it would do.
pub(crate) fn parallel_spans(
    items: usize,
    work: usize,
    grain: usize,
    run: impl Fn(Range<usize>) + Sync + Send,
) {
    let tasks = (work / grain).clamp(1, wanted_tasks()).min(items);
    parallel(tasks, |index| {
        run(items * index / tasks..items * (index + 1) / tasks);
    });
}
