//! Operations on rows against plain loops in `f64`.

mod common;

use common::{Random, bounds, compare, gpu, rounded, sequences, unit, upload};
use deberta_cuda::{Dtype, Indices, Lookup, Norm, Pool, cast, embed, gather, join, pool};
use deberta_kernels::reference;
use ndarray::{Array2, Axis, s};

const EPS: f32 = 1e-7;

fn normalized(rows: &Array2<f64>, weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let of_row =
        |row: ndarray::ArrayView1<'_, f64>| reference::layer_norm(&row.to_vec(), weight, bias, EPS);
    rows.outer_iter().flat_map(of_row).collect()
}

#[test]
fn embeddings_are_summed_and_normalized() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(6);
    for dtype in Dtype::ALL {
        for columns in [1, 7, 24, 256, 300, 1100] {
            for count in 1..=3 {
                let rows = [50, 20, 2];
                let tables: Vec<Array2<f32>> = (0..count)
                    .map(|i| rounded(&random.matrix(rows[i], columns, 1.0), dtype))
                    .collect();
                let ids: Vec<Vec<i32>> = (0..count)
                    .map(|i| (0..9).map(|_| random.below(rows[i]) as i32).collect())
                    .collect();
                let sums = Array2::from_shape_fn((9, columns), |(t, c)| {
                    let of_table = |i: usize| f64::from(tables[i][[ids[i][t] as usize, c]]);
                    (0..count).map(of_table).sum::<f64>()
                });
                let on_device: Vec<_> = tables
                    .iter()
                    .zip(&ids)
                    .map(|(table, ids)| {
                        let ids = Indices::new(&gpu, ids).unwrap();
                        (upload(&gpu, table, dtype), ids)
                    })
                    .collect();
                let lookups: Vec<Lookup<'_>> = on_device
                    .iter()
                    .map(|(table, ids)| Lookup { table, ids })
                    .collect();
                let what = format!("{count} tables, {columns} columns, {dtype}");
                let found = embed(&gpu, &lookups, None).unwrap().to_f32().unwrap();
                let flat: Vec<f64> = sums.iter().copied().collect();
                compare(&what, found.view(), &flat, 1.01 * unit(dtype), 1e-6);

                let (weight, bias) = (random.vector(columns), random.vector(columns));
                let norm = Norm::new(&gpu, &weight, &bias, EPS).unwrap();
                let found = embed(&gpu, &lookups, Some(&norm))
                    .unwrap()
                    .to_f32()
                    .unwrap();
                let expected = normalized(&sums, &weight, &bias);
                compare(
                    &what,
                    found.view(),
                    &expected,
                    1.01 * unit(dtype) + 4e-6,
                    4e-6,
                );
            }
        }
    }
    assert!(embed(&gpu, &[], None).is_err());
}

#[test]
fn a_residual_joins_and_is_normalized() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(7);
    for dtype in Dtype::ALL {
        for (rows, columns) in [(1, 1), (3, 24), (10, 35), (5, 768), (6, 1030)] {
            let x = rounded(&random.matrix(rows, columns, 3.0), dtype);
            let y = rounded(&random.matrix(rows, columns, 3.0), dtype);
            let (weight, bias) = (random.vector(columns), random.vector(columns));
            let norm = Norm::new(&gpu, &weight, &bias, EPS).unwrap();
            let (residual, what) = (
                upload(&gpu, &y, dtype),
                format!("{rows} x {columns} {dtype}"),
            );
            let sum = Array2::from_shape_fn(x.dim(), |at| f64::from(x[at]) + f64::from(y[at]));
            // Not as uploaded, with zeros behind each row, but as a kernel leaves it: with whatever was there.
            let start = || match dtype {
                Dtype::F32 => upload(&gpu, &x, dtype),
                _ => cast(&gpu, &upload(&gpu, &x, Dtype::F32), dtype).unwrap(),
            };

            let found = join(&gpu, start(), Some(&residual), Some(&norm)).unwrap();
            let expected = normalized(&sum, &weight, &bias);
            let found = found.to_f32().unwrap();
            compare(
                &what,
                found.view(),
                &expected,
                1.01 * unit(dtype) + 4e-6,
                4e-6,
            );

            let found = join(&gpu, start(), Some(&residual), None).unwrap();
            let expected: Vec<f64> = sum.iter().copied().collect();
            compare(
                &what,
                found.to_f32().unwrap().view(),
                &expected,
                1.01 * unit(dtype),
                1e-6,
            );

            let found = join(&gpu, start(), None, Some(&norm)).unwrap();
            let expected = normalized(&x.mapv(f64::from), &weight, &bias);
            let found = found.to_f32().unwrap();
            compare(
                &what,
                found.view(),
                &expected,
                1.01 * unit(dtype) + 4e-6,
                4e-6,
            );
        }
    }
    let x = upload(&gpu, &Array2::zeros((2, 3)), Dtype::F32);
    let norm = Norm::new(&gpu, &[1.0; 4], &[0.0; 4], EPS).unwrap();
    assert!(join(&gpu, x, None, Some(&norm)).is_err());
    assert!(Norm::new(&gpu, &[1.0; 4], &[0.0; 3], EPS).is_err());
}

#[test]
fn rows_are_gathered() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(8);
    for dtype in Dtype::ALL {
        let x = rounded(&random.matrix(11, 37, 1.0), dtype);
        let rows = [3_usize, 0, 10, 3, 7];
        let indices: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let indices = Indices::new(&gpu, &indices).unwrap();
        let found = gather(&gpu, &upload(&gpu, &x, dtype), &indices).unwrap();
        assert_eq!(found.to_f32().unwrap(), x.select(Axis(0), &rows));
    }
}

#[test]
fn numbers_are_stored_otherwise() {
    let Some(gpu) = gpu() else { return };
    let x = Random(10).matrix(9, 41, 1.0);
    for dtype in [Dtype::F16, Dtype::Bf16] {
        let narrow = cast(&gpu, &upload(&gpu, &x, Dtype::F32), dtype).unwrap();
        assert_eq!(narrow.to_f32().unwrap(), rounded(&x, dtype));
        let wide = cast(&gpu, &narrow, Dtype::F32).unwrap();
        assert_eq!(wide.to_f32().unwrap(), rounded(&x, dtype));
    }
}

#[test]
fn sequences_are_pooled() {
    let Some(gpu) = gpu() else { return };
    let mut random = Random(9);
    let bounds = bounds(&[1, 5, 0, 300]);
    for dtype in Dtype::ALL {
        let x = rounded(&random.matrix(306, 150, 1.0), dtype);
        let on_device = upload(&gpu, &x, dtype);
        let sequences = sequences(&gpu, &bounds, None, 64);
        for kind in [Pool::First, Pool::Mean, Pool::Max] {
            for unit in [false, true] {
                let found = pool(&gpu, &on_device, &sequences.bounds(), kind, unit).unwrap();
                let found = found.to_f32().unwrap();
                for (sequence, pair) in bounds.windows(2).enumerate() {
                    if pair[0] == pair[1] {
                        continue;
                    }
                    let rows = x.slice(s![pair[0]..pair[1], ..]).mapv(f64::from);
                    let mut expected: Vec<f64> = match kind {
                        Pool::First => rows.row(0).to_vec(),
                        Pool::Mean => rows.mean_axis(Axis(0)).unwrap().to_vec(),
                        Pool::Max => rows
                            .columns()
                            .into_iter()
                            .map(|c| c.fold(f64::NEG_INFINITY, |a, &b| a.max(b)))
                            .collect(),
                    };
                    if unit {
                        let length = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
                        expected.iter_mut().for_each(|x| *x /= length);
                    }
                    let row = found.row(sequence).insert_axis(Axis(0));
                    compare(&format!("{kind:?} {dtype}"), row, &expected, 1e-6, 1e-7);
                }
            }
        }
    }
}
