//! Prints how fast each kernel runs beside what the core can do: the table at the end of the benchmark `kernels`, alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        eprintln!(
            "usage: rates (it takes no arguments; RAYON_NUM_THREADS and DEBERTA_ISA are for `cargo bench`)"
        );
        return ExitCode::FAILURE;
    }
    deberta_benches::rates::print_rates();
    ExitCode::SUCCESS
}
