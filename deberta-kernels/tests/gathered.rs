//! Attention over the slots of a cache against plain loops in `f64`, under every instruction set.

mod common;

use common::attention::bounds;
use common::{Random, assert_close, isas, pool};
use deberta_kernels::{GatheredAttention, Isa, KernelError, gathered_attention, reference};
use ndarray::{Array2, s};

/// A cache, and rows that attend to some of it.
#[derive(Clone)]
struct Cache {
    query: Array2<f32>,
    key: Array2<f32>,
    value: Array2<f32>,
    heads: usize,
    scale: f32,
    slots: Vec<u32>,
    bounds: Vec<usize>,
}

impl Cache {
    /// Rows that attend to as many slots as `counts` says, chosen at random (some of them more than once).
    fn new(heads: usize, size: usize, counts: &[usize], cached: usize) -> Self {
        let mut random = Random::new((size + counts.len()) as u64);
        let bounds = bounds(counts);
        let total = bounds[counts.len()];
        let slots = (0..total).map(|_| (random.bits() % cached as u64) as u32);
        let slots = slots.collect();
        let width = heads * size;
        let mut matrix = |rows| {
            Array2::from_shape_vec((rows, width), random.normals(rows * width, 1.0)).unwrap()
        };
        Self {
            query: matrix(counts.len()),
            key: matrix(cached),
            value: matrix(cached),
            heads,
            scale: 1.0 / (size as f32).sqrt(),
            slots,
            bounds,
        }
    }

    fn attention(&self) -> GatheredAttention<'_> {
        GatheredAttention {
            query: self.query.view(),
            key: self.key.view(),
            value: self.value.view(),
            heads: self.heads,
            scale: self.scale,
            slots: &self.slots,
            bounds: &self.bounds,
        }
    }

    fn run(&self, isa: Isa) -> Array2<f32> {
        let mut out = Array2::from_elem(self.query.raw_dim(), f32::NAN);
        gathered_attention(isa, &self.attention(), out.view_mut()).unwrap();
        out
    }

    fn expected(&self) -> Vec<f64> {
        let size = self.query.ncols() / self.heads;
        let mut out = Vec::new();
        for row in 0..self.query.nrows() {
            let slots = &self.slots[self.bounds[row]..self.bounds[row + 1]];
            for head in 0..self.heads {
                let columns = head * size..(head + 1) * size;
                let flat = |matrix: &Array2<f32>| -> Vec<f32> {
                    let part = matrix.slice(s![.., columns.clone()]);
                    part.iter().copied().collect()
                };
                let query = self.query.slice(s![row, columns.clone()]).to_vec();
                let seen = slots.iter().map(|&slot| slot as usize);
                let (key, value) = (flat(&self.key), flat(&self.value));
                out.extend(reference::attend(&query, &key, &value, self.scale, seen));
            }
        }
        out
    }
}

#[test]
fn every_head_size_and_number_of_slots_equals_the_oracle() {
    let counts = [
        1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 128, 129, 300,
    ];
    for size in (1..=20).chain([31, 32, 33, 64, 80, 100, 128, 160]) {
        let cache = Cache::new(if size == 64 { 12 } else { 2 }, size, &counts, 310);
        let expected = cache.expected();
        for isa in isas() {
            let what = format!("{} D={size}", isa.name());
            assert_close(cache.run(isa), &expected, 2e-5, &what);
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_company_nor_place() {
    // Enough work for several threads.
    let cache = Cache::new(12, 64, &[640, 1, 300, 17, 1280, 64], 1600);
    for isa in isas() {
        let run = |threads| pool(threads).install(|| cache.run(isa));
        let whole = run(1);
        for threads in [2, 4, 7] {
            assert_eq!(whole, run(threads), "{} {threads} threads", isa.name());
        }
        for row in 0..6 {
            // The row alone, its slots in order at the beginning of a cache of their own.
            let slots = &cache.slots[cache.bounds[row]..cache.bounds[row + 1]];
            let indices: Vec<usize> = slots.iter().map(|&slot| slot as usize).collect();
            let alone = Cache {
                query: cache.query.slice(s![row..row + 1, ..]).to_owned(),
                key: cache.key.select(ndarray::Axis(0), &indices),
                value: cache.value.select(ndarray::Axis(0), &indices),
                slots: (0..slots.len() as u32).collect(),
                bounds: vec![0, slots.len()],
                ..cache
            };
            assert_eq!(
                whole.row(row),
                alone.run(isa).row(0),
                "{} row {row}",
                isa.name()
            );
        }
    }
}

#[test]
fn nan_is_seen_by_those_whose_slots_name_it() {
    let mut cache = Cache::new(2, 24, &[40, 20, 33], 100);
    cache.slots = (0..93).collect();
    for isa in isas() {
        let clean = cache.run(isa);
        for (of_value, slot) in [(false, 41), (true, 59), (false, 95), (true, 99)] {
            let mut spoiled = cache.clone();
            let matrix = if of_value {
                &mut spoiled.value
            } else {
                &mut spoiled.key
            };
            matrix[(slot, 30)] = f32::NAN;
            let out = spoiled.run(isa);
            for ((row, column), &x) in out.indexed_iter() {
                let hit = row == 1 && slot < 60 && column >= 24 && (!of_value || column == 30);
                let what = format!("{} row {row}, column {column}", isa.name());
                if hit {
                    assert!(x.is_nan(), "{what}");
                } else {
                    assert_eq!(x, clean[(row, column)], "{what}");
                }
            }
        }
    }
}

#[test]
fn large_scores_and_any_scale() {
    let mut cache = Cache::new(2, 17, &[33, 5], 40);
    for scale in [-0.4, 0.0] {
        cache.scale = scale;
        for isa in isas() {
            assert_close(cache.run(isa), &cache.expected(), 2e-5, isa.name());
        }
    }
    cache.scale = 1.0;
    cache.query *= 1e5;
    cache.key *= 1e5;
    for isa in isas() {
        let out = cache.run(isa);
        assert!(out.iter().all(|x| x.is_finite()), "{}", isa.name());
    }
}

#[test]
fn operands_and_output_may_be_columns_of_wider_matrices() {
    let cache = Cache::new(2, 8, &[9, 30], 20);
    let mut fused = Array2::from_elem((20, 40), f32::NAN);
    fused.slice_mut(s![.., 1..17]).assign(&cache.key);
    fused.slice_mut(s![.., 20..36]).assign(&cache.value);
    for isa in isas() {
        let attention = GatheredAttention {
            key: fused.slice(s![.., 1..17]),
            value: fused.slice(s![.., 20..36]),
            ..cache.attention()
        };
        let mut wide = Array2::from_elem((2, 20), 7.0);
        gathered_attention(isa, &attention, wide.slice_mut(s![.., 2..18])).unwrap();
        assert_eq!(wide.slice(s![.., 2..18]), cache.run(isa), "{}", isa.name());
        for column in [0, 1, 18, 19] {
            assert!(wide.column(column).iter().all(|&x| x == 7.0), "overwritten");
        }
    }
}

#[test]
fn bad_arguments_are_errors() {
    let isa = isas()[0];
    let cache = Cache::new(2, 4, &[2, 3], 6);
    let good = cache.attention();
    let mut out = Array2::zeros((2, 8));
    let mut run =
        |attention: GatheredAttention| gathered_attention(isa, &attention, out.view_mut());
    assert_eq!(run(good), Ok(()));
    let error = run(GatheredAttention {
        slots: &[0, 1, 2, 6, 4],
        ..good
    });
    let expected = KernelError::Parameter {
        parameter: "slots",
        reason: "must be rows of the keys",
        found: 6,
    };
    assert_eq!(error, Err(expected));
    let error = run(GatheredAttention {
        bounds: &[0, 5, 5],
        ..good
    });
    assert_eq!(error, Err(KernelError::NoKeys { query: 1 }));
    for bounds in [&[0, 2, 4][..], &[1, 2, 5], &[0, 6, 5]] {
        let error = run(GatheredAttention { bounds, ..good });
        assert!(
            matches!(error, Err(KernelError::Bounds { .. })),
            "{bounds:?}"
        );
    }
    for bounds in [&[][..], &[0, 5], &[0, 1, 2, 5]] {
        let error = run(GatheredAttention { bounds, ..good });
        assert!(matches!(
            error,
            Err(KernelError::Shape {
                argument: "bounds",
                ..
            })
        ));
    }
    for heads in [0, 3] {
        let error = run(GatheredAttention { heads, ..good });
        assert!(matches!(
            error,
            Err(KernelError::Parameter {
                parameter: "heads",
                ..
            })
        ));
    }
    for (argument, attention) in [
        (
            "key",
            GatheredAttention {
                key: cache.key.slice(s![.., 1..]),
                ..good
            },
        ),
        (
            "value",
            GatheredAttention {
                value: cache.value.slice(s![1.., ..]),
                ..good
            },
        ),
        (
            "out",
            GatheredAttention {
                query: cache.query.slice(s![1.., ..]),
                ..good
            },
        ),
    ] {
        let error = run(attention);
        assert!(
            matches!(error, Err(KernelError::Shape { argument: found, .. }) if found == argument),
            "{error:?}"
        );
    }
    // No rows are no work.
    let none = Array2::zeros((0, 8));
    let attention = GatheredAttention {
        query: none.view(),
        slots: &[],
        bounds: &[0],
        ..good
    };
    let mut nothing = Array2::zeros((0, 8));
    assert_eq!(
        gathered_attention(isa, &attention, nothing.view_mut()),
        Ok(())
    );
}
