//! Attention in bf16 against plain loops in `f64` over the rounded operands, under every instruction set.

mod common;

use common::attention::{CASES, Operands, bounds, consecutive};
use common::{assert_close, isas, pool};
use deberta_kernels::{
    Attention, Isa, KernelError, Observation, PositionTables, Precision, RelativePositions,
    SlotTable, disentangled_attention, explicit_attention,
};
use half::bf16;
use ndarray::Array2;

/// The weights of the softmax are rounded too, each by up to one part in 512; scores are exact but for the order of
/// their sums.
const TOLERANCE: f64 = 4e-3;

fn rounded(operands: &Operands) -> Operands {
    let round = |matrix: &Array2<f32>| matrix.mapv(|x| bf16::from_f32(x).to_f32());
    Operands {
        query: round(&operands.query),
        key: round(&operands.key),
        value: round(&operands.value),
        position_keys: round(&operands.position_keys),
        position_queries: round(&operands.position_queries),
    }
}

#[test]
fn every_term_is_computed_from_rounded_operands() {
    for (index, case) in CASES.into_iter().enumerate() {
        // Odd lengths leave half a step, others whole ones; 129 and 270 go beyond a block.
        let bounds = bounds(&[1, 70, 0, 2, 33, 129, 270]);
        let operands = Operands::new(case, bounds[bounds.len() - 1], index as u64 + 1);
        let expected = rounded(&operands).expected(case, &bounds, &consecutive(&bounds));
        for isa in isas() {
            let out = operands.run_in(Precision::Bf16, isa, case, &bounds, None);
            let what = format!("{} {case:?}", isa.name());
            assert_close(out, &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn long_sequences_and_positions_with_holes() {
    let case = CASES[0];
    let bounds = [0, 600];
    let positions: Vec<u32> = (0..600).map(|i| i + i / 7).collect();
    let operands = Operands::new(case, 600, 3);
    let expected = rounded(&operands).expected(case, &bounds, &positions);
    for isa in isas() {
        let positions = Some(&positions[..]);
        let out = operands.run_in(Precision::Bf16, isa, case, &bounds, positions);
        assert_close(out, &expected, TOLERANCE, isa.name());
    }
}

#[test]
fn a_sequence_does_not_depend_on_threads_nor_on_its_company() {
    let case = CASES[1];
    let lengths = bounds(&[131, 40, 77]);
    let operands = Operands::new(case, 248, 9);
    for isa in isas() {
        let run = |threads| {
            pool(threads).install(|| operands.run_in(Precision::Bf16, isa, case, &lengths, None))
        };
        let one = run(1);
        assert_eq!(one, run(3), "{}", isa.name());
        let mut alone = Operands::new(case, 248, 9);
        for matrix in [&mut alone.query, &mut alone.key, &mut alone.value] {
            *matrix = matrix.slice(ndarray::s![131..171, ..]).to_owned();
        }
        let alone = alone.run_in(Precision::Bf16, isa, case, &[0, 40], None);
        assert_eq!(
            one.slice(ndarray::s![131..171, ..]),
            alone,
            "{}",
            isa.name()
        );
    }
}

/// One head of size 4 over three tokens, with tables of its own precision.
fn small(precision: Precision, tables: Precision) -> Result<Array2<f32>, KernelError> {
    let isa = Isa::detect();
    let relative = RelativePositions::new(None, 4).unwrap();
    let slots = SlotTable::new(relative, 3);
    let rows = |count: usize, seed: f32| {
        Array2::from_shape_fn((count, 4), |(i, j)| {
            (seed + i as f32 * 0.7 + j as f32).sin()
        })
    };
    let (query, key, value) = (rows(3, 0.1), rows(3, 0.5), rows(3, 0.9));
    let (keys, queries) = (rows(8, 0.2), rows(8, 0.3));
    let tables =
        PositionTables::with_precision(isa, tables, Some(keys.view()), Some(queries.view()), 1)?;
    let attention = Attention {
        query: query.view(),
        key: key.view(),
        value: value.view(),
        heads: 1,
        scale: 0.3,
        precision,
        bounds: &[0, 3],
        positions: None,
        relative: Some((&tables, &slots)),
    };
    let mut out = Array2::zeros((3, 4));
    disentangled_attention(isa, &attention, out.view_mut())?;
    let mut explicit = Array2::zeros((3, 4));
    let nothing = Observation::default();
    explicit_attention(isa, &attention, None, nothing, explicit.view_mut())?;
    let expected: Vec<f64> = out.iter().map(|&x| f64::from(x)).collect();
    assert_close(explicit, &expected, TOLERANCE, "explicit");
    Ok(out)
}

#[test]
fn tables_have_the_precision_of_the_attention() {
    let single = small(Precision::F32, Precision::F32).unwrap();
    let narrow = small(Precision::Bf16, Precision::Bf16).unwrap();
    assert_ne!(single, narrow);
    // There is no attention in 8 bits.
    assert_eq!(single, small(Precision::Int8, Precision::Int8).unwrap());
    assert_eq!(single, small(Precision::Int8, Precision::F32).unwrap());
    let (expected, found) = (Precision::Bf16, Precision::F32);
    let error = small(expected, found).unwrap_err();
    assert_eq!(error, KernelError::TablePrecision { expected, found });
}
