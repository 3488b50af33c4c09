//! Disentangled attention against plain loops in `f64`, under every instruction set.

mod common;

use common::attention::{CASES, Case, Operands, bounds, consecutive, scale};
use common::{Random, assert_close, isas, pool};
use deberta_kernels::{
    Attention, KernelError, PositionTables, Precision, RelativePositions, SlotTable,
    disentangled_attention, reference,
};
use ndarray::{Array2, s};

#[test]
fn packed_sequences_equal_the_oracle() {
    for (index, case) in CASES.into_iter().enumerate() {
        let bounds = bounds(&[1, 70, 0, 2, 65, 33, 128]);
        let operands = Operands::new(case, bounds[bounds.len() - 1], index as u64 + 1);
        let expected = operands.expected(case, &bounds, &consecutive(&bounds));
        for isa in isas() {
            let out = operands.run(isa, case, &bounds, None);
            assert_close(out, &expected, 2e-5, &format!("{} {case:?}", isa.name()));
        }
    }
}

#[test]
fn long_sequences_reach_the_log_and_constant_regions() {
    for (case, length) in [(CASES[0], 700), (CASES[1], 333), (CASES[4], 140)] {
        let bounds = [0, length];
        let operands = Operands::new(case, length, 77);
        let expected = operands.expected(case, &bounds, &consecutive(&bounds));
        for isa in isas() {
            let out = operands.run(isa, case, &bounds, None);
            assert_close(
                out,
                &expected,
                2e-5,
                &format!("{} {case:?} L={length}", isa.name()),
            );
        }
    }
}

#[test]
fn positions_with_holes_keep_their_distances() {
    for case in CASES {
        let bounds = bounds(&[3, 90, 1]);
        let mut random = Random::new(5);
        let mut positions = Vec::new();
        for pair in bounds.windows(2) {
            let mut position = (random.bits() % 4) as u32;
            for _ in pair[0]..pair[1] {
                positions.push(position);
                position += 1 + (random.bits() % 5) as u32;
            }
        }
        let operands = Operands::new(case, 94, 21);
        let expected = operands.expected(case, &bounds, &positions);
        for isa in isas() {
            let out = operands.run(isa, case, &bounds, Some(&positions));
            assert_close(out, &expected, 2e-5, &format!("{} {case:?}", isa.name()));
        }
    }
}

#[test]
fn a_sequence_does_not_depend_on_threads_nor_on_its_company() {
    let case = CASES[1];
    let bounds = bounds(&[10, 200, 64]);
    let operands = Operands::new(case, 274, 2);
    for isa in isas() {
        let whole = pool(1).install(|| operands.run(isa, case, &bounds, None));
        for threads in [2, 3, 16] {
            let again = pool(threads).install(|| operands.run(isa, case, &bounds, None));
            assert_eq!(whole, again, "{} {threads} threads", isa.name());
        }
        let with_positions = operands.run(isa, case, &bounds, Some(&consecutive(&bounds)));
        assert_eq!(whole, with_positions, "{} explicit positions", isa.name());
        let alone = Operands {
            query: operands.query.slice(s![10..210, ..]).to_owned(),
            key: operands.key.slice(s![10..210, ..]).to_owned(),
            value: operands.value.slice(s![10..210, ..]).to_owned(),
            position_keys: operands.position_keys.clone(),
            position_queries: operands.position_queries.clone(),
        };
        let alone = alone.run(isa, case, &[0, 200], None);
        assert_eq!(whole.slice(s![10..210, ..]), alone, "{} alone", isa.name());
    }
}

/// Some cases around a head size: with log buckets so few that a block of keys sees the exact, the logarithmic and the
/// constant region, and without buckets; with each subset of the terms.
fn variants(size: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (buckets, max_positions) in [(Some(16), 40), (None, 24)] {
        for (c2p, p2c) in [(true, true), (true, false), (false, true), (false, false)] {
            cases.push(Case {
                heads: 1,
                size,
                buckets,
                max_positions,
                c2p,
                p2c,
            });
        }
    }
    cases
}

/// Compares one case with the oracle under every instruction set.
fn check(case: Case, length: usize) {
    let bounds = [0, length];
    let operands = Operands::new(case, length, length as u64);
    let expected = operands.expected(case, &bounds, &consecutive(&bounds));
    for isa in isas() {
        let out = operands.run(isa, case, &bounds, None);
        let what = format!("{} {case:?} L={length}", isa.name());
        assert_close(out, &expected, 2e-5, &what);
    }
}

#[test]
fn every_length_around_the_blocks_equals_the_oracle() {
    for length in 1..=140 {
        check(variants(3)[length % 8], length);
        check(variants(5)[0], length);
    }
    for block in [256usize, 384] {
        for length in block - 2..=block + 3 {
            for case in variants(4) {
                check(case, length);
            }
        }
    }
    // The published buckets, with which blocks are wholly exact, mixed, and wholly constant.
    for length in [127, 129, 257, 900] {
        let case = Case {
            buckets: Some(256),
            max_positions: 512,
            ..variants(2)[0]
        };
        check(case, length);
    }
}

/// A few rows of the longest text: its ends, and where regions of the distance meet.
#[test]
fn the_longest_text_equals_the_oracle() {
    const LENGTH: usize = 32_768;
    let queries = [
        0,
        1,
        128,
        129,
        511,
        512,
        16_383,
        16_384,
        LENGTH - 513,
        LENGTH - 1,
    ];
    let case = Case {
        buckets: Some(256),
        max_positions: 512,
        ..variants(2)[0]
    };
    let operands = Operands::new(case, LENGTH, 9);
    let flat = |matrix: &Array2<f32>| matrix.iter().copied().collect::<Vec<f32>>();
    let expected = reference::attention_of(
        &reference::Head {
            query: &flat(&operands.query),
            key: &flat(&operands.key),
            value: &flat(&operands.value),
            size: case.size,
            scale: scale(case),
            positions: &consecutive(&[0, LENGTH]),
            relative: RelativePositions::new(case.buckets, case.max_positions).ok(),
            position_keys: Some(&flat(&operands.position_keys)),
            position_queries: Some(&flat(&operands.position_queries)),
        },
        &queries,
    );
    for isa in isas() {
        let out = operands.run(isa, case, &[0, LENGTH], None);
        let found = queries.iter().flat_map(|&i| out.row(i).to_vec());
        assert_close(found, &expected, 2e-5, isa.name());
    }
}

#[test]
fn every_head_size_equals_the_oracle() {
    for size in (1..=20).chain([32, 64, 80, 128, 160]) {
        for case in variants(size) {
            check(case, 37);
        }
        check(variants(size)[0], 131);
    }
}

#[test]
fn operands_and_output_may_be_columns_of_wider_matrices() {
    let case = CASES[1];
    let bounds = bounds(&[5, 150, 33]);
    let operands = Operands::new(case, 188, 6);
    let width = case.heads * case.size;
    let mut fused = Array2::from_elem((188, 3 * width + 7), f32::NAN);
    for (index, part) in [&operands.query, &operands.key, &operands.value]
        .into_iter()
        .enumerate()
    {
        let first = 1 + index * (width + 2);
        fused.slice_mut(s![.., first..first + width]).assign(part);
    }
    let part = |index: usize| {
        let first = 1 + index * (width + 2);
        fused.slice(s![.., first..first + width])
    };
    let relative = RelativePositions::new(case.buckets, case.max_positions).unwrap();
    let slots = SlotTable::new(relative, 150);
    for isa in isas() {
        let expected = operands.run(isa, case, &bounds, None);
        let tables = PositionTables::new(
            isa,
            Some(operands.position_keys.view()),
            Some(operands.position_queries.view()),
            case.heads,
        )
        .unwrap();
        let attention = Attention {
            query: part(0),
            key: part(1),
            value: part(2),
            heads: case.heads,
            scale: scale(case),
            precision: Precision::F32,
            bounds: &bounds,
            positions: None,
            relative: Some((&tables, &slots)),
        };
        let mut wide = Array2::from_elem((188, width + 5), 7.0);
        let out = wide.slice_mut(s![.., 2..2 + width]);
        disentangled_attention(isa, &attention, out).unwrap();
        assert_eq!(wide.slice(s![.., 2..2 + width]), expected, "{}", isa.name());
        for column in [0, 1, width + 2, width + 4] {
            assert!(wide.column(column).iter().all(|&x| x == 7.0), "overwritten");
        }
    }
}

#[test]
fn queries_shared_out_among_threads_keep_their_bits() {
    for case in variants(16) {
        let operands = Operands::new(case, 300, 8);
        for isa in isas() {
            let run = |threads| pool(threads).install(|| operands.run(isa, case, &[0, 300], None));
            assert_eq!(run(1), run(7), "{} {case:?}", isa.name());
        }
    }
}

#[test]
fn nan_spoils_what_sees_it_and_nothing_else() {
    let case = CASES[1];
    let (bounds, width) = (bounds(&[140, 20]), case.heads * case.size);
    let clean = Operands::new(case, 160, 9);
    for isa in isas() {
        let expected = clean.run(isa, case, &bounds, None);
        // In a key or value: every query of the sequence, that head. In a query: that query.
        for (which, token) in [(0, 3), (0, 139), (1, 0), (1, 139), (2, 128)] {
            let mut operands = Operands::new(case, 160, 9);
            let matrix = match which {
                0 => &mut operands.query,
                1 => &mut operands.key,
                _ => &mut operands.value,
            };
            matrix[(token, case.size)] = f32::NAN;
            let out = operands.run(isa, case, &bounds, None);
            for t in 0..160 {
                for c in 0..width {
                    let head = c / case.size == 1;
                    let seen = match which {
                        0 => head && t == token,
                        1 => head && t < 140,
                        _ => c == case.size && t < 140,
                    };
                    let what = format!("{} operand {which} ({token}): {t}, {c}", isa.name());
                    if seen {
                        assert!(out[(t, c)].is_nan(), "{what}");
                    } else {
                        assert_eq!(out[(t, c)], expected[(t, c)], "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_scale_may_be_negative_or_zero() {
    for factor in [-1.0, 0.0] {
        let case = CASES[1];
        let operands = Operands::new(case, 133, 14);
        let mut flipped = Operands::new(case, 133, 14);
        // What multiplies the queries and one side of the third term multiplies the scores.
        flipped.query *= factor;
        flipped.position_queries *= factor;
        let expected = flipped.expected(case, &[0, 133], &(0..133).collect::<Vec<_>>());
        let relative = RelativePositions::new(case.buckets, case.max_positions).unwrap();
        let slots = SlotTable::new(relative, 133);
        for isa in isas() {
            let (keys, queries) = (&operands.position_keys, &operands.position_queries);
            let (keys, queries) = (Some(keys.view()), Some(queries.view()));
            let tables = PositionTables::new(isa, keys, queries, case.heads).unwrap();
            let attention = Attention {
                query: operands.query.view(),
                key: operands.key.view(),
                value: operands.value.view(),
                heads: case.heads,
                scale: factor * scale(case),
                precision: Precision::F32,
                bounds: &[0, 133],
                positions: None,
                relative: Some((&tables, &slots)),
            };
            let mut out = Array2::zeros(operands.query.raw_dim());
            disentangled_attention(isa, &attention, out.view_mut()).unwrap();
            assert_close(out, &expected, 2e-5, isa.name());
        }
    }
}

#[test]
fn infinities_and_subnormal_numbers() {
    let case = Case {
        heads: 1,
        c2p: false,
        p2c: false,
        ..CASES[1]
    };
    for isa in isas() {
        // A whole block of keys, the first, that scores minus infinity weighs nothing.
        let mut operands = Operands::new(case, 200, 12);
        operands.query.fill(1.0);
        operands.key.slice_mut(s![..128, 0]).fill(f32::NEG_INFINITY);
        let out = operands.run(isa, case, &[0, 200], None);
        let rest = Operands {
            query: operands.query.slice(s![128.., ..]).to_owned(),
            key: operands.key.slice(s![128.., ..]).to_owned(),
            value: operands.value.slice(s![128.., ..]).to_owned(),
            ..Operands::new(case, 1, 1)
        };
        let positions: Vec<u32> = (0..72).collect();
        let expected = rest.expected(case, &[0, 72], &positions);
        for row in out.outer_iter() {
            let what = format!("{} infinity", isa.name());
            assert_close(row.iter().copied(), &expected[..case.size], 2e-5, &what);
        }
        // Nothing but minus infinity has no weights; plus infinity none that are defined. Neither hangs nor panics.
        operands.key.fill(f32::NEG_INFINITY);
        let out = operands.run(isa, case, &[0, 200], None);
        assert!(out.iter().all(|x| x.is_nan()), "{}", isa.name());
        operands.key.fill(f32::INFINITY);
        let out = operands.run(isa, case, &[0, 200], None);
        assert!(out.iter().all(|x| x.is_nan()), "{}", isa.name());
        // Subnormal queries and keys score nothing: the mean of the values.
        let mut operands = Operands::new(case, 200, 13);
        operands.query *= 1e-41;
        operands.key *= 1e-41;
        let out = operands.run(isa, case, &[0, 200], None);
        let expected = operands.expected(case, &[0, 200], &(0..200).collect::<Vec<_>>());
        assert_close(out, &expected, 2e-5, isa.name());
    }
}

#[test]
fn large_scores_stay_finite() {
    let case = CASES[1];
    let mut operands = Operands::new(case, 100, 4);
    operands.query *= 1e4;
    operands.key *= 1e4;
    for isa in isas() {
        let out = operands.run(isa, case, &[0, 100], None);
        assert!(out.iter().all(|x| x.is_finite()), "{}", isa.name());
    }
}

#[test]
fn bad_arguments_are_errors() {
    let case = CASES[1];
    let isa = isas()[0];
    let operands = Operands::new(case, 10, 1);
    let relative = RelativePositions::new(case.buckets, case.max_positions).unwrap();
    let tables =
        PositionTables::new(isa, Some(operands.position_keys.view()), None, case.heads).unwrap();
    let short = SlotTable::new(relative, 4);
    let long = SlotTable::new(relative, 10);
    let good = Attention {
        query: operands.query.view(),
        key: operands.key.view(),
        value: operands.value.view(),
        heads: case.heads,
        scale: 1.0,
        precision: Precision::F32,
        bounds: &[0, 10],
        positions: None,
        relative: Some((&tables, &long)),
    };
    let mut out = Array2::zeros(operands.query.raw_dim());
    let mut run = |attention: Attention| disentangled_attention(isa, &attention, out.view_mut());
    assert_eq!(run(good), Ok(()));
    let error = run(Attention {
        relative: Some((&tables, &short)),
        ..good
    });
    assert_eq!(
        error,
        Err(KernelError::SlotTable {
            covered: 4,
            needed: 10
        })
    );
    let positions = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12];
    let error = run(Attention {
        positions: Some(&positions),
        ..good
    });
    assert_eq!(
        error,
        Err(KernelError::SlotTable {
            covered: 10,
            needed: 13
        })
    );
    let positions = [0, 1, 2, 3, 3, 5, 6, 7, 8, 9];
    let error = run(Attention {
        positions: Some(&positions),
        ..good
    });
    assert_eq!(
        error,
        Err(KernelError::Positions {
            token: 4,
            previous: 3,
            found: 3
        })
    );
    for bounds in [&[0, 9][..], &[0, 11], &[1, 10], &[0, 5, 4, 10], &[]] {
        let error = run(Attention { bounds, ..good });
        assert!(
            matches!(error, Err(KernelError::Bounds { .. })),
            "{bounds:?}"
        );
    }
    assert!(run(Attention { heads: 5, ..good }).is_err());
    assert!(run(Attention { heads: 0, ..good }).is_err());
    assert!(RelativePositions::new(Some(256), 129).is_err());
    assert!(RelativePositions::new(Some(1), 512).is_err());
    assert!(RelativePositions::new(None, 0).is_err());
}
