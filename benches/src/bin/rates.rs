//! Prints how fast each kernel runs beside what the core can do: the table at the end of the benchmark `kernels`, alone.

fn main() {
    deberta_benches::rates::print_rates();
}
