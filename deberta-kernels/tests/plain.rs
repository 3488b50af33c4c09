//! Causal and cross-attention against plain loops in `f64`, under every instruction set.

mod common;

use common::plain::{BF16_TOLERANCE, Operands};
use common::{assert_close, isas, pool};
use deberta_kernels::{
    Attention, KernelError, PlainAttention, Precision, causal_attention, cross_attention,
    disentangled_attention,
};
use ndarray::{Array2, s};

const PRECISIONS: [(Precision, f64); 2] =
    [(Precision::F32, 2e-5), (Precision::Bf16, BF16_TOLERANCE)];

/// Compares with the oracle under every instruction set, in both precisions.
#[track_caller]
fn check(operands: &Operands, causal: bool) {
    for (precision, tolerance) in PRECISIONS {
        let expected = match precision {
            Precision::F32 => operands.expected(causal),
            _ => operands.rounded().expected(causal),
        };
        for isa in isas() {
            let out = operands.run(isa, precision, causal);
            let what = format!("{} {precision:?} causal: {causal}", isa.name());
            assert_close(out, &expected, tolerance, &what);
        }
    }
}

#[test]
fn every_head_size_and_length_equals_the_oracle() {
    let lengths = [
        (1, 1),
        (0, 0),
        (15, 15),
        (16, 16),
        (17, 17),
        (0, 4),
        (33, 33),
        (2, 2),
    ];
    for size in [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 64, 80] {
        check(&Operands::new(2, size, &lengths, size as u64), true);
        check(&Operands::new(2, size, &lengths, size as u64), false);
    }
    for length in [127, 128, 129, 130, 143, 144, 145, 255, 256, 257, 300] {
        let operands = Operands::new(1, 5, &[(length, length)], length as u64);
        check(&operands, true);
        check(&operands, false);
    }
}

#[test]
fn keys_may_be_older_than_queries() {
    for (queries, keys) in [
        (1, 2),
        (1, 128),
        (1, 129),
        (3, 130),
        (16, 17),
        (20, 139),
        (130, 300),
        (129, 257),
    ] {
        let operands = Operands::new(2, 9, &[(queries, keys)], keys as u64);
        check(&operands, true);
        check(&operands, false);
    }
}

#[test]
fn cross_attention_takes_any_lengths() {
    let lengths = [
        (1, 300),
        (140, 1),
        (5, 129),
        (0, 0),
        (128, 128),
        (17, 3),
        (0, 9),
        (300, 16),
    ];
    check(&Operands::new(3, 16, &lengths, 4), false);
}

#[test]
fn bits_do_not_depend_on_threads_nor_on_company() {
    let lengths = [(40, 70), (200, 200), (1, 300), (150, 290)];
    let operands = Operands::new(2, 24, &lengths, 5);
    for isa in isas() {
        for (precision, _) in PRECISIONS {
            for causal in [true, false] {
                let run = |threads| pool(threads).install(|| operands.run(isa, precision, causal));
                let whole = run(1);
                for threads in [2, 4, 7] {
                    assert_eq!(whole, run(threads), "{} {threads} threads", isa.name());
                }
                for (index, (queries, keys)) in lengths.into_iter().enumerate() {
                    let alone = operands.part(index, 0..queries, 0..keys);
                    let first = operands.query_bounds[index];
                    let rows = whole.slice(s![first..first + queries, ..]);
                    let what = format!("{} {precision:?} {causal} alone", isa.name());
                    assert_eq!(rows, alone.run(isa, precision, causal), "{what}");
                }
            }
        }
    }
}

#[test]
fn the_future_changes_no_bit() {
    for (queries, keys) in [(150, 150), (140, 275)] {
        let operands = Operands::new(2, 12, &[(queries, keys)], 6);
        for isa in isas() {
            for (precision, _) in PRECISIONS {
                let whole = operands.run(isa, precision, true);
                for i in (0..queries)
                    .step_by(7)
                    .chain([15, 16, 127, 128, 129, queries - 1])
                {
                    let seen = 0..keys - queries + i + 1;
                    let what = format!("{} {precision:?} query {i}", isa.name());
                    let prefix = operands.part(0, 0..i + 1, seen.clone());
                    let prefix = prefix.run(isa, precision, true);
                    assert_eq!(whole.row(i), prefix.row(i), "{what}");
                    let alone = operands.part(0, i..i + 1, seen);
                    for causal in [true, false] {
                        let alone = alone.run(isa, precision, causal);
                        assert_eq!(whole.row(i), alone.row(0), "{what} alone");
                    }
                }
            }
        }
    }
}

#[test]
fn without_positions_it_is_disentangled_attention() {
    let operands = Operands::new(2, 16, &[(40, 40), (290, 290)], 7);
    for isa in isas() {
        for (precision, _) in PRECISIONS {
            let attention = Attention {
                query: operands.query.view(),
                key: operands.key.view(),
                value: operands.value.view(),
                heads: operands.heads,
                scale: operands.scale,
                precision,
                bounds: &operands.query_bounds,
                positions: None,
                relative: None,
            };
            let mut expected = Array2::zeros(operands.query.raw_dim());
            disentangled_attention(isa, &attention, expected.view_mut()).unwrap();
            let out = operands.run(isa, precision, false);
            assert_eq!(out, expected, "{} {precision:?}", isa.name());
        }
    }
}

#[test]
fn large_scores_stay_finite() {
    let mut operands = Operands::new(2, 16, &[(140, 150)], 8);
    operands.query *= 1e5;
    operands.key *= 1e5;
    for isa in isas() {
        for (precision, _) in PRECISIONS {
            for causal in [true, false] {
                let out = operands.run(isa, precision, causal);
                assert!(out.iter().all(|x| x.is_finite()), "{}", isa.name());
            }
        }
    }
}

#[test]
fn a_scale_may_be_negative_or_zero() {
    for scale in [-0.3, 0.0] {
        let mut operands = Operands::new(1, 16, &[(140, 145)], 9);
        operands.scale = scale;
        check(&operands, true);
        check(&operands, false);
    }
}

#[test]
fn nan_spoils_what_sees_it_and_nothing_else() {
    let clean = Operands::new(2, 8, &[(200, 200), (20, 20)], 10);
    for isa in isas() {
        let expected = clean.run(isa, Precision::F32, true);
        // In a query: that query. In a key: every query that sees it, in that head.
        for (of_key, token) in [
            (false, 3),
            (false, 130),
            (true, 0),
            (true, 100),
            (true, 199),
        ] {
            let mut operands = clean.clone();
            let matrix = if of_key {
                &mut operands.key
            } else {
                &mut operands.query
            };
            matrix[(token, 9)] = f32::NAN;
            let out = operands.run(isa, Precision::F32, true);
            for ((row, column), &x) in out.indexed_iter() {
                let seen = row == token || (of_key && row > token && row < 200);
                let what = format!("{} row {row}, column {column}", isa.name());
                if seen && column >= 8 {
                    assert!(x.is_nan(), "{what}");
                } else {
                    assert_eq!(x, expected[(row, column)], "{what}");
                }
            }
        }
    }
}

#[test]
fn operands_and_output_may_be_columns_of_wider_matrices() {
    let operands = Operands::new(2, 8, &[(5, 5), (150, 150)], 11);
    let mut fused = Array2::from_elem((155, 3 * 16), f32::NAN);
    for (index, part) in [&operands.query, &operands.key, &operands.value]
        .into_iter()
        .enumerate()
    {
        fused
            .slice_mut(s![.., index * 16..(index + 1) * 16])
            .assign(part);
    }
    for isa in isas() {
        let mut wide = Array2::from_elem((155, 20), 7.0);
        let attention = PlainAttention {
            query: fused.slice(s![.., ..16]),
            key: fused.slice(s![.., 16..32]),
            value: fused.slice(s![.., 32..]),
            ..operands.attention(Precision::F32)
        };
        causal_attention(isa, &attention, wide.slice_mut(s![.., 2..18])).unwrap();
        let expected = operands.run(isa, Precision::F32, true);
        assert_eq!(wide.slice(s![.., 2..18]), expected, "{}", isa.name());
        for column in [0, 1, 18, 19] {
            assert!(wide.column(column).iter().all(|&x| x == 7.0), "overwritten");
        }
    }
}

#[test]
fn bad_arguments_are_errors() {
    let isa = isas()[0];
    let operands = Operands::new(2, 4, &[(2, 3), (4, 5)], 1);
    let good = operands.attention(Precision::F32);
    let mut out = Array2::zeros((6, 8));
    let mut run = |attention: PlainAttention| {
        let causal = causal_attention(isa, &attention, out.view_mut());
        (causal, cross_attention(isa, &attention, out.view_mut()))
    };
    assert_eq!(run(good), (Ok(()), Ok(())));
    // An empty sequence of queries needs no keys, others do; causal ones one for each query.
    let empty = PlainAttention {
        query_bounds: &[0, 0, 6],
        key_bounds: &[0, 0, 8],
        ..good
    };
    assert_eq!(run(empty), (Ok(()), Ok(())));
    let none = Err(KernelError::NoKeys { query: 2 });
    let without = PlainAttention {
        key_bounds: &[0, 8, 8],
        ..good
    };
    assert_eq!(run(without), (none.clone(), none.clone()));
    let fewer = PlainAttention {
        key_bounds: &[0, 5, 8],
        ..good
    };
    assert_eq!(run(fewer), (none, Ok(())));

    for bad in [&[0, 5][..], &[0, 9, 5], &[1, 3, 8], &[]] {
        let (causal, cross) = run(PlainAttention {
            key_bounds: bad,
            ..good
        });
        assert!(matches!(causal, Err(KernelError::Bounds { .. })), "{bad:?}");
        assert_eq!(causal, cross);
    }
    let (causal, cross) = run(PlainAttention {
        key_bounds: &[0, 8],
        ..good
    });
    let expected = KernelError::Shape {
        argument: "key_bounds",
        expected: vec![3],
        found: vec![2],
    };
    assert_eq!(causal, Err(expected));
    assert_eq!(causal, cross);
    let (causal, cross) = run(PlainAttention {
        query_bounds: &[0, 2, 5],
        ..good
    });
    assert!(matches!(
        causal,
        Err(KernelError::Bounds {
            tokens: 6,
            index: 2,
            found: 5
        })
    ));
    assert_eq!(causal, cross);
    for heads in [0, 3] {
        let (causal, cross) = run(PlainAttention { heads, ..good });
        assert!(matches!(
            causal,
            Err(KernelError::Parameter {
                parameter: "heads",
                ..
            })
        ));
        assert_eq!(causal, cross);
    }
    for (argument, attention) in [
        (
            "key",
            PlainAttention {
                key: operands.key.slice(s![.., 1..]),
                ..good
            },
        ),
        (
            "value",
            PlainAttention {
                value: operands.value.slice(s![1.., ..]),
                ..good
            },
        ),
        (
            "out",
            PlainAttention {
                query: operands.query.slice(s![1.., ..]),
                ..good
            },
        ),
    ] {
        let (causal, cross) = run(attention);
        assert!(
            matches!(causal, Err(KernelError::Shape { argument: found, .. }) if found == argument),
            "{causal:?}"
        );
        assert_eq!(causal, cross);
    }
    let transposed = Array2::zeros((8, 6));
    let (causal, _) = run(PlainAttention {
        query: transposed.t(),
        ..good
    });
    assert!(matches!(
        causal,
        Err(KernelError::Strides {
            argument: "query",
            ..
        })
    ));
}
