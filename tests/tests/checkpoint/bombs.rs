//! Small files that would be large if they were believed or written out.

use deberta_core::checkpoint::{Dim, Dtype, TensorSpec};

use crate::pickles::*;

/// A view may repeat elements without end. It is listed and not read, for want of memory that a file paid for.
#[test]
fn views_larger_than_their_file_are_not_read() {
    let object = beside_words(
        "x",
        tensor(storage("Float", "0", 2), 1, &[1 << 20, 1 << 20], &[0, 0]),
    );
    for bytes in [legacy(&object), zip(&entries(&object))] {
        let checkpoint = open(bytes).expect("listed");
        let tensor = checkpoint
            .tensors()
            .find(|t| t.name() == "x")
            .expect("listed");
        assert_eq!(tensor.shape(), [1 << 20, 1 << 20]);
        for dtype in [Dtype::F32, Dtype::F16] {
            let error = tensor
                .copy_to(&mut std::io::sink(), dtype)
                .expect_err("refused");
            assert!(
                error.to_string().contains("no larger than its file"),
                "{error}"
            );
        }
        let spec = TensorSpec::encoder("x", [Dim::Any, Dim::Any]);
        assert!(checkpoint.read_f32(&spec).is_err());
        assert!(checkpoint.table(&spec).is_err());
    }
}

/// What is built in a few bytes each and would be large if it were copied.
#[test]
fn bombs_are_refused_or_cost_nothing() {
    // Tuples in tuples, so deep that any recursion overflows the stack, in dropping too.
    let deep = [b")".to_vec(), b"\x85".repeat(200_000)].concat();
    assert!(open(legacy(&beside_words("x", deep))).is_ok());
    let lists = [b"]".repeat(100_000), b"a".repeat(99_999)].concat();
    assert!(open(legacy(&beside_words("x", lists))).is_ok());
    // Each tuple holds the last one twice: 2^1000 entries if it were written out.
    let laughs = [b")".to_vec(), b"2\x86".repeat(1000)].concat();
    assert!(open(legacy(&beside_words("x", laughs))).is_ok());
    // The same with the memo, and a dictionary that holds itself.
    let memo = [&b")q\0"[..], &b"h\0h\0\x86q\0".repeat(1000)].concat();
    assert!(open(legacy(&beside_words("x", memo))).is_ok());
    let own = [&b"}q\0"[..], &text("model"), b"h\0s"].concat();
    assert!(matches!(
        open(legacy_with(&own, &[])),
        Err(deberta_core::Error::EncoderNotFound { .. })
    ));
    let limits = [
        // Open lists, values, objects, memos.
        b"(".repeat(5000),
        b"N".repeat(2_000_000),
        b")0".repeat(300_000),
        [b"N".to_vec(), b"\x94".repeat(1_100_000)].concat(),
    ];
    for bomb in limits {
        for (expected, _) in refused(&bomb) {
            assert!(expected.contains("at most"), "{expected}");
        }
    }
    // One long list, copied by many calls.
    let copies = [
        &b"](q\0"[..0],
        b"](",
        &b"NN\x86".repeat(1000),
        b"eq\0",
        &[global("collections", "OrderedDict"), b"h\0\x85R0".to_vec()]
            .concat()
            .repeat(10_000),
    ]
    .concat();
    for (expected, _) in refused(&copies) {
        assert!(expected.contains("at most"), "{expected}");
    }
}
