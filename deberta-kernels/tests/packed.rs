//! Attention over keys and values that were packed before, under every instruction set.

mod common;

use common::plain::{BF16_TOLERANCE, Operands};
use common::{Random, assert_close, isas, pool};
use deberta_kernels::{
    Isa, KernelError, PackedKeyValues, Precision, attend_packed, cross_attention, reference,
};
use ndarray::{Array2, s};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

/// Which sequence each row attends to: runs of several lengths, sequences that come back, one that nobody asks for.
const ROWS: [u32; 14] = [0, 0, 0, 0, 2, 3, 3, 0, 4, 4, 4, 4, 4, 2];

/// Keys and values of sequences with 129, 5, 300, 1 and 16 keys, and a query per row.
fn operands(heads: usize, size: usize) -> Operands {
    let lengths = [(14, 129), (0, 5), (0, 300), (0, 1), (0, 16)];
    Operands::new(heads, size, &lengths, size as u64)
}

fn pack(isa: Isa, precision: Precision, of: &Operands) -> PackedKeyValues {
    let (key, value) = (of.key.view(), of.value.view());
    PackedKeyValues::new(isa, precision, key, value, of.heads, &of.key_bounds).unwrap()
}

fn attend(packed: &PackedKeyValues, of: &Operands, rows: &[u32]) -> Array2<f32> {
    let mut out = Array2::from_elem(of.query.raw_dim(), f32::NAN);
    attend_packed(of.query.view(), rows, packed, of.scale, out.view_mut()).unwrap();
    out
}

/// One row, in plain loops.
fn expected(of: &Operands, row: usize, sequence: usize) -> Vec<f64> {
    let size = of.query.ncols() / of.heads;
    let keys = of.key_bounds[sequence]..of.key_bounds[sequence + 1];
    let head = |head: usize| {
        let columns = head * size..(head + 1) * size;
        let flat = |matrix: &Array2<f32>| -> Vec<f32> {
            let part = matrix.slice(s![keys.clone(), columns.clone()]);
            part.iter().copied().collect()
        };
        let query = of.query.slice(s![row, columns.clone()]).to_vec();
        reference::attend(
            &query,
            &flat(&of.key),
            &flat(&of.value),
            of.scale,
            0..keys.len(),
        )
    };
    (0..of.heads).flat_map(head).collect()
}

#[test]
fn every_row_equals_the_oracle_and_cross_attention() {
    for (heads, size) in [(2, 64), (3, 17), (1, 1), (2, 8), (1, 33), (1, 80)] {
        let operands = operands(heads, size);
        for precision in PRECISIONS {
            let (exact, tolerance) = match precision {
                Precision::F32 => (operands.clone(), 2e-5),
                _ => (operands.rounded(), BF16_TOLERANCE),
            };
            for isa in isas() {
                let packed = pack(isa, precision, &operands);
                assert_eq!(packed.sequences(), 5);
                let out = attend(&packed, &operands, &ROWS);
                for (row, &sequence) in ROWS.iter().enumerate() {
                    let what = format!("{} {precision:?} {heads}x{size} row {row}", isa.name());
                    let expected = expected(&exact, row, sequence as usize);
                    assert_close(out.row(row).to_vec(), &expected, tolerance, &what);
                    let keys = operands.key_bounds[sequence as usize + 1]
                        - operands.key_bounds[sequence as usize];
                    let mut alone = operands.part(sequence as usize, 0..0, 0..keys);
                    alone.query = operands.query.slice(s![row..row + 1, ..]).to_owned();
                    alone.query_bounds = vec![0, 1];
                    let mut cross = Array2::zeros((1, heads * size));
                    cross_attention(isa, &alone.attention(precision), cross.view_mut()).unwrap();
                    assert_eq!(out.row(row), cross.row(0), "{what} cross-attention");
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_nor_on_company() {
    // Enough work for several threads.
    let (mut operands, rows) = (operands(6, 24), ROWS.repeat(20));
    let copies = vec![operands.query.view(); 20];
    operands.query = ndarray::concatenate(ndarray::Axis(0), &copies).unwrap();
    for isa in isas() {
        for precision in PRECISIONS {
            let packed = pool(3).install(|| pack(isa, precision, &operands));
            let run = |threads| pool(threads).install(|| attend(&packed, &operands, &rows));
            let whole = run(1);
            for threads in [2, 4] {
                assert_eq!(whole, run(threads), "{} {threads} threads", isa.name());
            }
            for row in 0..ROWS.len() {
                let mut alone = operands.clone();
                alone.query = operands.query.slice(s![row..row + 1, ..]).to_owned();
                let alone = attend(&packed, &alone, &ROWS[row..row + 1]);
                assert_eq!(whole.row(row), alone.row(0), "{} row {row}", isa.name());
            }
        }
    }
}

#[test]
fn a_run_may_be_longer_than_a_block() {
    let mut operands = operands(1, 8);
    let mut random = Random::new(3);
    operands.query = Array2::from_shape_vec((300, 8), random.normals(2400, 1.0)).unwrap();
    for isa in isas() {
        let packed = pack(isa, Precision::F32, &operands);
        let out = attend(&packed, &operands, &[2; 300]);
        for row in [0, 127, 128, 299] {
            let expected = expected(&operands, row, 2);
            assert_close(out.row(row).to_vec(), &expected, 2e-5, isa.name());
        }
    }
}

#[test]
fn many_callers_share_a_pool() {
    let operands = operands(2, 8);
    let packed = pack(isas()[0], Precision::F32, &operands);
    let expected = attend(&packed, &operands, &ROWS);
    pool(4).scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|_| assert_eq!(attend(&packed, &operands, &ROWS), expected));
        }
    });
}

#[test]
fn large_scores_and_negative_scales() {
    let mut operands = operands(2, 16);
    operands.scale = -0.2;
    for isa in isas() {
        let packed = pack(isa, Precision::F32, &operands);
        let out = attend(&packed, &operands, &ROWS);
        for (row, &sequence) in ROWS.iter().enumerate() {
            let expected = expected(&operands, row, sequence as usize);
            assert_close(out.row(row).to_vec(), &expected, 2e-5, isa.name());
        }
    }
    operands.query *= 1e5;
    operands.key *= 1e5;
    for isa in isas() {
        let packed = pack(isa, Precision::F32, &operands);
        let out = attend(&packed, &operands, &ROWS);
        assert!(out.iter().all(|x| x.is_finite()), "{}", isa.name());
    }
}

#[test]
fn bf16_takes_half_the_memory() {
    let isa = isas()[0];
    let of = Operands::new(2, 64, &[(0, 128), (0, 256)], 1);
    let single = pack(isa, Precision::F32, &of).bytes();
    assert_eq!(single, 2 * 384 * 128 * size_of::<f32>());
    assert_eq!(pack(isa, Precision::Bf16, &of).bytes(), single / 2);
}

#[test]
fn bad_arguments_are_errors() {
    let isa = isas()[0];
    let of = Operands::new(2, 4, &[(3, 2), (0, 0), (0, 4)], 1);
    let (key, value, bounds) = (of.key.view(), of.value.view(), &of.key_bounds[..]);
    let new = |key, value, heads, bounds: &[usize]| {
        PackedKeyValues::new(isa, Precision::F32, key, value, heads, bounds).map(|_| ())
    };
    assert_eq!(new(key, value, 2, bounds), Ok(()));
    assert!(matches!(
        new(key, value, 3, bounds),
        Err(KernelError::Parameter { found: 3, .. })
    ));
    assert!(matches!(
        new(key, value, 0, bounds),
        Err(KernelError::Parameter { found: 0, .. })
    ));
    let short = of.value.slice(s![1.., ..]);
    let error = new(key, short, 2, bounds);
    assert!(matches!(
        error,
        Err(KernelError::Shape {
            argument: "value",
            ..
        })
    ));
    assert!(matches!(
        new(key, value, 2, &[0, 5]),
        Err(KernelError::Bounds { .. })
    ));
    assert!(matches!(
        new(key, value, 2, &[]),
        Err(KernelError::Bounds { .. })
    ));

    let packed = pack(isa, Precision::F32, &of);
    let mut out = Array2::zeros((3, 8));
    let mut run = |rows: &[u32]| attend_packed(of.query.view(), rows, &packed, 1.0, out.view_mut());
    assert_eq!(run(&[2, 0, 0]), Ok(()));
    assert_eq!(run(&[2, 1, 0]), Err(KernelError::NoKeys { query: 1 }));
    let error = run(&[0, 0, 3]);
    let expected = KernelError::Parameter {
        parameter: "sequence_of_row",
        reason: "must be the index of a packed sequence",
        found: 3,
    };
    assert_eq!(error, Err(expected));
    let error = run(&[0, 0]);
    assert!(matches!(
        error,
        Err(KernelError::Shape {
            argument: "sequence_of_row",
            ..
        })
    ));
    let narrow = of.query.slice(s![.., ..4]);
    let error = attend_packed(narrow, &[0; 3], &packed, 1.0, out.view_mut());
    assert!(matches!(
        error,
        Err(KernelError::Shape {
            argument: "query",
            ..
        })
    ));
    let error = attend_packed(
        of.query.view(),
        &[0; 3],
        &packed,
        1.0,
        out.slice_mut(s![1.., ..]),
    );
    assert!(matches!(
        error,
        Err(KernelError::Shape {
            argument: "out",
            ..
        })
    ));
    // No rows are no work.
    let (none, mut nothing) = (Array2::zeros((0, 8)), Array2::zeros((0, 8)));
    assert_eq!(
        attend_packed(none.view(), &[], &packed, 1.0, nothing.view_mut()),
        Ok(())
    );
}
