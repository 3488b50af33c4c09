//! Weights that are quantised already: taken apart, and packed again under every instruction set.

mod common;

use common::{Random, isas};
use deberta_kernels::{Epilogue, Isa, KernelError, PackedWeights, Precision, linear};
use ndarray::{Array2, ArrayView2};

/// Every remainder of a step, of a group, of a block of rows and of a panel.
fn shapes() -> impl Iterator<Item = (usize, usize)> {
    let depths = (1..=9).chain([63, 64, 255, 257, 300, 383, 384, 385, 767, 769, 1030]);
    let columns = (1..=17).chain([31, 33, 47, 48, 49, 95, 97]);
    depths.map(|k| (49, k)).chain(columns.map(|n| (n, 70)))
}

/// Rows `[outputs, inputs]` and scales `[outputs, groups]`.
fn taken_apart(weights: &PackedWeights) -> (Vec<u8>, Vec<f32>) {
    let (mut rows, mut scales) = (Vec::new(), Vec::new());
    for output in 0..weights.outputs() {
        let (row, of_row) = weights.quantized_row(output).unwrap();
        assert_eq!(row.len(), weights.inputs());
        rows.extend(row.into_iter().map(|w| w as u8));
        scales.extend(of_row);
    }
    assert_eq!(weights.quantized_row(weights.outputs()), None);
    (rows, scales)
}

fn packed(isa: Isa, rows: &[u8], scales: &[f32], n: usize, k: usize) -> PackedWeights {
    PackedWeights::from_quantized(isa, n, k, scales, |outputs, to| {
        to.copy_from_slice(&rows[outputs.start * k..outputs.end * k]);
        Ok::<(), KernelError>(())
    })
    .unwrap()
}

fn product(weights: &PackedWeights, x: &[f32]) -> Vec<u32> {
    let tokens = x.len() / weights.inputs();
    let x = ArrayView2::from_shape((tokens, weights.inputs()), x).unwrap();
    let mut out = Array2::from_elem((tokens, weights.outputs()), f32::NAN);
    linear(x, weights, &Epilogue::default(), out.view_mut()).unwrap();
    out.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn quantised_weights_pack_as_quantising_packs_them() {
    for (n, k) in shapes() {
        let mut random = Random::new((n * 31 + k) as u64);
        let w = random.normals(n * k, 0.1);
        let x = random.normals(3 * k, 1.0);
        let mut first = None;
        for isa in isas() {
            let what = format!("{} {n}x{k}", isa.name());
            let quantised =
                PackedWeights::with_precision(isa, Precision::Int8, &w, n, k).expect(&what);
            let (rows, scales) = taken_apart(&quantised);
            let size = PackedWeights::quantized_group_size(k);
            let groups = PackedWeights::quantized_groups(k);
            assert_eq!(scales.len(), n * groups, "{what}");
            for (i, (&p, &w)) in rows.iter().zip(&w).enumerate() {
                let scale = scales[i / k * groups + i % k / size];
                let rounded = f32::from(p as i8) * scale;
                assert!((rounded - w).abs() <= 0.501 * scale, "{what}: weight {i}");
            }
            let again = packed(isa, &rows, &scales, n, k);
            assert_eq!(again.precision(), Precision::Int8);
            assert_eq!(again.bytes(), quantised.bytes(), "{what}");
            assert_eq!(
                taken_apart(&again),
                (rows.clone(), scales.clone()),
                "{what}"
            );
            assert_eq!(product(&again, &x), product(&quantised, &x), "{what}");
            // Whoever quantises, the weights are the same.
            let (first_rows, first_scales) = first.get_or_insert((rows.clone(), scales.clone()));
            assert_eq!(
                (first_rows, first_scales),
                (&mut { rows }, &mut { scales }),
                "{what}"
            );
        }
    }
}

/// The cut into groups is part of the format of int8 files: where one of these changes, its version must.
#[test]
fn groups_are_those_of_the_file_format() {
    for (inputs, size, groups) in [
        (0, 0, 0),
        (1, 4, 1),
        (383, 384, 1),
        (384, 384, 1),
        (385, 240, 2),
        (512, 288, 2),
        (768, 384, 2),
        (1024, 384, 3),
        (1536, 384, 4),
        (3072, 384, 8),
        (4096, 384, 11),
    ] {
        assert_eq!(
            PackedWeights::quantized_group_size(inputs),
            size,
            "{inputs}"
        );
        assert_eq!(PackedWeights::quantized_groups(inputs), groups, "{inputs}");
    }
}

/// A file may hold -128, which quantising never gives.
#[test]
fn every_byte_is_a_weight() {
    let rows: Vec<u8> = (0..=255).collect();
    let x = [255.0, 0.0].repeat(128);
    let expected: f32 = rows
        .iter()
        .step_by(2)
        .map(|&p| f32::from(p as i8) * 255.0)
        .sum();
    for isa in isas() {
        let bits = product(&packed(isa, &rows, &[1.0], 1, 256), &x);
        assert_eq!(f32::from_bits(bits[0]), expected, "{}", isa.name());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    assert_eq!(PackedWeights::quantized_groups(0), 0);
    let nothing = |_: std::ops::Range<usize>, _: &mut [u8]| Ok::<(), KernelError>(());
    for isa in isas() {
        for (n, k, scales) in [
            (3, 600, 3),
            (3, 600, 7),
            (0, 4, 0),
            (4, 0, 0),
            (usize::MAX, 4, 1),
        ] {
            let error = PackedWeights::from_quantized(isa, n, k, &vec![1.0; scales], nothing);
            assert!(
                matches!(error, Err(KernelError::Shape { .. })),
                "{n}x{k}: {error:?}"
            );
        }
        let fails =
            |_: std::ops::Range<usize>, _: &mut [u8]| Err(KernelError::NonFinite { row: 7 });
        let error = PackedWeights::from_quantized(isa, 100, 5, &[1.0; 100], fails);
        assert_eq!(error.unwrap_err(), KernelError::NonFinite { row: 7 });
        let single = PackedWeights::new(isa, &[1.0; 6], 2, 3).unwrap();
        assert_eq!(single.quantized_row(0), None);
    }
}
