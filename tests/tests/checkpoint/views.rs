//! Views of a storage against their definition: element (i, j, ...) is number offset + i·s + j·t + ....

use deberta_core::checkpoint::Dtype;
use proptest::prelude::*;

use crate::files::WORDS;
use crate::pickles::*;

/// The numbers of all elements in row-major order.
fn places(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<i64> {
    let Some((&size, shape)) = shape.split_first() else {
        return vec![offset];
    };
    let (stride, strides) = strides.split_first().expect("as many");
    (0..size)
        .flat_map(|i| places(offset + i * stride, shape, strides))
        .collect()
}

fn shapes() -> impl Strategy<Value = (Vec<i64>, Vec<i64>)> {
    let dimension = (0..5i64, 0..9i64);
    prop::collection::vec(dimension, 0..4).prop_map(|pairs| pairs.into_iter().unzip())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_view_is_its_definition_or_refused((shape, strides) in shapes(), offset in 0..12i64) {
        const LENGTH: i64 = 24;
        let data: Vec<u8> = (0..LENGTH as i16).flat_map(i16::to_le_bytes).collect();
        let view = tensor(storage("Short", "0", LENGTH), offset, &shape, &strides);
        let words = tensor(storage("Short", "0", LENGTH), 0, &[1, 1], &[1, 1]);
        let object = dict(&[(WORDS, words), ("x", view)]);
        let opened = open(legacy_with(&object, &[("0", LENGTH as u64, &data)]));
        let places = places(offset, &shape, &strides);
        if places.iter().any(|&at| at >= LENGTH) {
            prop_assert!(opened.is_err());
            return Ok(());
        }
        let checkpoint = opened.expect("inside");
        let tensor = checkpoint.tensors().find(|t| t.name() == "x").expect("listed");
        prop_assert_eq!(tensor.elements(), places.len());
        let mut copy = Vec::new();
        tensor.copy_to(&mut copy, Dtype::I16).expect("smaller than its file");
        let expected: Vec<u8> = places.iter().flat_map(|&at| (at as i16).to_le_bytes()).collect();
        prop_assert_eq!(copy, expected);
    }
}
