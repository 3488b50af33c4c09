//! Benchmarks of deberta-rs live in `benches/`; this library is empty.
