//! Kernels against numbers of PyTorch and `transformers`, under every instruction set.
//!
//! `tests/reference/make_kernel_fixtures.py` and `make_slot_fixtures.py` made the fixtures, in double precision where
//! the functions allow it.

use deberta_kernels::{Activation, Isa, LayerNorm, RelativePositions, SlotTable, softmax};
use deberta_tests::fixture;
use ndarray::Array2;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = fixture(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every instruction set of this processor, or the one that `DEBERTA_ISA` forces.
fn isas() -> Vec<Isa> {
    match std::env::var_os("DEBERTA_ISA") {
        Some(name) if !name.is_empty() => vec![Isa::from_env().unwrap()],
        _ => Isa::available(),
    }
}

#[derive(Deserialize)]
struct Tables {
    tables: Vec<Table>,
}

/// The slots of all distances up to `reach`.
#[derive(Deserialize)]
struct Table {
    buckets: i64,
    max_position: usize,
    reach: i64,
    /// Where slots change: from `distance` on, `count` successive distances have successive slots from `slot`; those up
    /// to the next change keep the last of them.
    changes: Vec<(i64, usize, i64)>,
}

impl Table {
    fn relative(&self) -> RelativePositions {
        let buckets = usize::try_from(self.buckets).ok().filter(|&b| b > 0);
        RelativePositions::new(buckets, self.max_position).unwrap()
    }

    /// The slots from distance `-reach` to `reach`.
    fn slots(&self) -> Vec<usize> {
        let ends = self.changes.iter().skip(1).map(|change| change.0);
        let mut slots = Vec::new();
        for (&(start, slot, count), end) in self.changes.iter().zip(ends.chain([self.reach + 1])) {
            slots.extend((start..end).map(|delta| slot + (delta - start).min(count - 1) as usize));
        }
        slots
    }
}

#[test]
fn slots_equal_the_reference_up_to_forty_thousand() {
    let Tables { tables } = read("kernels/slots.json");
    assert!(tables.iter().filter(|table| table.buckets > 0).count() >= 32);
    for table in tables {
        let name = format!("{} buckets, m = {}", table.buckets, table.max_position);
        let expected = table.slots();
        assert_eq!((table.reach, expected.len()), (40_000, 80_001), "{name}");
        let relative = table.relative();
        let tabulated = SlotTable::new(relative, 40_001);
        for (delta, slot) in (-40_000..=40_000).zip(expected) {
            assert_eq!(relative.slot(delta), slot, "{name} at {delta}");
            assert_eq!(tabulated.slot(delta), slot, "{name} at {delta}, tabulated");
        }
    }
}

#[test]
fn slots_of_a_short_table_are_those_of_a_long_one() {
    let Tables { tables } = read("kernels/slots.json");
    for table in tables {
        for length in [1, 2, 129, 700] {
            let short = SlotTable::new(table.relative(), length);
            let reach = length as i64 - 1;
            let slots = &table.slots()[40_000 - reach as usize..];
            for (delta, &slot) in (-reach..=reach).zip(slots) {
                assert_eq!(short.slot(delta), slot, "{length} tokens at {delta}");
            }
        }
    }
}

#[test]
fn activations_equal_the_reference() {
    let functions: BTreeMap<String, Vec<(f64, f64)>> = read("kernels/activations.json");
    assert!(functions.len() > 10);
    for (name, points) in functions {
        let activation =
            Activation::from_name(&name).unwrap_or_else(|| panic!("no activation {name}"));
        for isa in isas() {
            let mut values: Vec<f32> = points.iter().map(|p| p.0 as f32).collect();
            activation.apply(isa, &mut values);
            for (&y, &(x, expected)) in values.iter().zip(&points) {
                let error = (f64::from(y) - expected).abs();
                let bound = 4e-7 * expected.abs() + 1e-7 * x.abs().min(1.0) + 1e-37;
                // A distribution that is not centred at zero has no small input where it is small.
                let bound = bound.max(if activation == Activation::Laplace {
                    2e-7
                } else {
                    0.0
                });
                let overflows = expected.abs() > f64::from(f32::MAX) && y.is_infinite();
                assert!(
                    error <= bound || overflows,
                    "{} {name}({x}) = {y}, expected {expected}",
                    isa.name()
                );
            }
        }
    }
}

#[derive(Deserialize)]
struct Samples {
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    kind: String,
    #[serde(default)]
    eps: f32,
    x: Vec<f32>,
    #[serde(default)]
    weight: Vec<f32>,
    #[serde(default)]
    bias: Vec<f32>,
    y: Vec<f64>,
}

#[track_caller]
fn assert_close(isa: Isa, sample: &Sample, found: &[f32], tolerance: f64) {
    for (i, (&y, &expected)) in found.iter().zip(&sample.y).enumerate() {
        let error = (f64::from(y) - expected).abs();
        let what = format!(
            "{} {} of {}, value {i}",
            isa.name(),
            sample.kind,
            found.len()
        );
        assert!(
            error <= tolerance * (1.0 + expected.abs()),
            "{what}: {y}, expected {expected}"
        );
    }
}

#[test]
fn layer_norm_equals_the_reference() {
    let Samples { samples } = read("kernels/layer_norm.json");
    for sample in &samples {
        for isa in isas() {
            let norm =
                LayerNorm::new(sample.weight.clone(), sample.bias.clone(), sample.eps).unwrap();
            let mut x = Array2::from_shape_vec((1, sample.x.len()), sample.x.clone()).unwrap();
            norm.apply(isa, x.view_mut()).unwrap();
            assert_close(isa, sample, x.as_slice().unwrap(), 5e-6);
        }
    }
}

#[test]
fn softmax_equals_the_reference() {
    let Samples { samples } = read("kernels/softmax.json");
    for sample in &samples {
        for isa in isas() {
            let mut x = sample.x.clone();
            softmax(isa, &mut x);
            assert_close(isa, sample, &x, 1e-6);
        }
    }
}
