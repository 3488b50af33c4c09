//! How exact softmax and LayerNorm are: rows of 1 to 4,096 values of magnitudes from 2^-40 to 2^40 against `f64`.
//!
//! `--nocapture` prints what was found.

mod common;

use common::{Random, isas};
use deberta_kernels::{Isa, LayerNorm, reference, softmax};
use ndarray::ArrayViewMut2;

/// The gap between the `f32` numbers around a size.
fn ulp(size: f64) -> f64 {
    let exponent = size.max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (exponent - 23.0).exp2()
}

/// With fewer lanes sums have longer chains.
fn portable(isa: Isa) -> bool {
    matches!(isa, Isa::Portable(_) | Isa::Generic(_))
}

/// Lengths: all the small ones, some hidden sizes, and some in between.
fn lengths(random: &mut Random) -> Vec<usize> {
    let mut lengths: Vec<usize> = (1..=34).collect();
    lengths.extend([
        255, 256, 257, 384, 512, 768, 1023, 1024, 1536, 3072, 4095, 4096,
    ]);
    lengths.extend((0..12).map(|_| 35 + (random.bits() % 4000) as usize));
    lengths
}

/// Powers of two from 2^-40 to 2^40.
fn magnitudes() -> impl Iterator<Item = f32> {
    (-8..=8).map(|e| (5.0 * e as f32).exp2())
}

/// Rows of every length and magnitude: `see(magnitude, row)`.
fn rows(mut see: impl FnMut(f32, Vec<f32>)) {
    let mut random = Random::new(31);
    for length in lengths(&mut random) {
        for magnitude in magnitudes() {
            see(magnitude, random.normals(length, magnitude));
        }
    }
}

#[test]
fn softmax_keeps_its_bound() {
    for isa in isas() {
        let [largest_bound, all_bound, total_bound] = if portable(isa) {
            [6.0, 8.0, 6e-7]
        } else {
            [3.0, 5.0, 4e-7]
        };
        let (mut largest, mut all, mut total) = (0.0f64, 0.0f64, 0.0f64);
        rows(|_, row| {
            let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let exact = reference::softmax(&wide);
            let top = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut found = row;
            softmax(isa, &mut found);
            for ((&y, &exact), &x) in found.iter().zip(&exact).zip(&wide) {
                let error = (f64::from(y) - exact).abs();
                // What is smaller may be lost: its exponential was below the smallest normal number.
                let error = (error - f64::from(f32::MIN_POSITIVE)).max(0.0) / ulp(exact);
                all = all.max(error - (top - x));
                if x == top {
                    largest = largest.max(error);
                }
            }
            total = total.max((found.iter().map(|&y| f64::from(y)).sum::<f64>() - 1.0).abs());
        });
        let name = isa.name();
        println!(
            "softmax, {name}: largest value {largest:.1} ULP, others {all:.1} + (max - x), sum 1 ± {total:.1e}"
        );
        assert!(
            largest <= largest_bound,
            "{name}: {largest} ULP of the largest value"
        );
        assert!(all <= all_bound, "{name}: {all} ULP beyond the distance");
        assert!(
            total <= total_bound,
            "{name}: the weights sum to 1 ± {total:e}"
        );
    }
}

#[test]
fn layer_norm_keeps_its_bound() {
    for isa in isas() {
        // Rows around zero, around their own size, and far from zero.
        let bounds = if portable(isa) {
            [7.0, 7.0, 7.0, 11.0]
        } else {
            [4.0, 4.0, 4.0, 7.0]
        };
        for (offset, bound) in [0.0f32, 1.0, 100.0, 4096.0].into_iter().zip(bounds) {
            let (mut plain, mut affine) = (0.0f64, 0.0f64);
            let mut random = Random::new(7);
            rows(|magnitude, mut row| {
                row.iter_mut().for_each(|x| *x += offset * magnitude);
                let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                let count = row.len();
                let eps = [1e-5, 1e-7, 1e-12][count % 3];
                let run = |weight: Vec<f32>, bias: Vec<f32>| {
                    let mut found = row.clone();
                    let norm = LayerNorm::new(weight.clone(), bias.clone(), eps).unwrap();
                    let rows = ArrayViewMut2::from_shape((1, count), &mut found).unwrap();
                    norm.apply(isa, rows).unwrap();
                    let ones = vec![1.0; count];
                    let normal = reference::layer_norm(&wide, &ones, &vec![0.0; count], eps);
                    let size = normal.iter().fold(0.0f64, |m, y| m.max(y.abs()));
                    let exact = reference::layer_norm(&wide, &weight, &bias, eps);
                    let errors = found.iter().zip(&exact).zip(weight.iter().zip(&bias));
                    errors
                        .map(|((&y, &exact), (&w, &b))| {
                            let size = f64::from(w).abs() * size + f64::from(b).abs();
                            (f64::from(y) - exact).abs() / ulp(size)
                        })
                        .fold(0.0, f64::max)
                };
                plain = plain.max(run(vec![1.0; count], vec![0.0; count]));
                affine = affine.max(run(random.normals(count, 1.0), random.normals(count, 1.0)));
            });
            let name = isa.name();
            println!(
                "LayerNorm, {name}, mean {offset}·magnitude: {plain:.1} ULP, with weight and bias {affine:.1}"
            );
            assert!(
                plain <= bound && affine <= bound,
                "{name}: {plain}, {affine} ULP at {offset}"
            );
        }
    }
}
