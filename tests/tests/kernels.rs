//! Kernels against numbers of PyTorch and `transformers`, under every instruction set.
//!
//! `tests/reference/make_parity_fixtures.py` made the fixtures, in double precision where the functions allow it.

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

#[test]
fn slots_equal_the_reference() {
    #[derive(Deserialize)]
    struct Tables {
        tables: Vec<Table>,
    }
    #[derive(Deserialize)]
    struct Table {
        buckets: i64,
        max_position: usize,
        length: usize,
        /// Slots from the lowest distance to the highest: value and how often it repeats.
        slots: Vec<(usize, usize)>,
    }
    let Tables { tables } = read("models/slots.json");
    assert!(tables.len() > 5);
    for table in tables {
        let buckets = usize::try_from(table.buckets).ok().filter(|&b| b > 0);
        let relative = RelativePositions::new(buckets, table.max_position).unwrap();
        let ours = SlotTable::new(relative, table.length);
        let runs = table.slots.iter();
        let expected: Vec<usize> = runs
            .flat_map(|&(slot, times)| std::iter::repeat_n(slot, times))
            .collect();
        let reach = table.length as i64 - 1;
        let found: Vec<usize> = (-reach..=reach).map(|delta| ours.slot(delta)).collect();
        assert_eq!(
            found, expected,
            "{:?} of {} at {}",
            buckets, table.max_position, table.length
        );
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
