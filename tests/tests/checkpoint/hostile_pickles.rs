//! Pickles that want more than tensors, lie about them, or are built to exhaust the reader.

use deberta_core::checkpoint::{Checkpoint, Dim, Dtype, TensorSpec};

use crate::files::WORDS;
use crate::pickles::*;

fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let info = checkpoint.tensors().find(|t| t.name() == name).expect(name);
    let spec = TensorSpec::encoder(
        name,
        info.shape()
            .iter()
            .map(|&n| Dim::Exactly(n))
            .collect::<Vec<_>>(),
    );
    checkpoint.read_f32(&spec).expect(name).0
}

/// The hand-made files are right: what follows is refused for the reason that it shows.
#[test]
fn the_files_that_hostile_ones_are_made_of() {
    for bytes in [
        legacy(&beside_words("n", int(3))),
        zip(&entries(&beside_words("n", int(3)))),
    ] {
        let checkpoint = open(bytes).expect("a good file");
        assert_eq!(values(&checkpoint, WORDS), [1.0, 2.0]);
        assert_eq!(checkpoint.tensors().count(), 1);
    }
}

#[test]
fn names_that_tensors_do_not_need_are_refused_by_name() {
    let command = [text("touch /tmp/pwned")];
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch._utils", "_rebuild_qtensor"),
        ("torch.jit", "load"),
        ("torch", "os.system"),
        ("collections", "OrderedDict.__class__"),
        ("collections", "defaultdict"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("torch", "Storage"),
        ("torch", "EvilStorage"),
        ("__main__", "FloatStorage"),
    ] {
        let stacked = [text(module), text(name), vec![0x93]].concat();
        for function in [global(module, name), stacked] {
            for (_, found) in refused(&beside_words("x", reduce(function, &command))) {
                assert!(found.contains(&format!("{module}.{name}")), "{found}");
                assert!(found.contains("not executed"), "{found}");
            }
        }
    }
}

#[test]
fn instructions_that_tensors_do_not_need_are_refused_by_name() {
    for (code, name) in [
        (&b"(X\x01\0\0\0aios\nsystem\n"[..], "INST"),
        (b"(X\x01\0\0\0ao", "OBJ"),
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\0", "EXT2"),
        (b"\x84\x01\0\0\0", "EXT4"),
        (b"Pstorage\n", "PERSID"),
        (b"N)}\x92", "NEWOBJ_EX"),
        (b"\x97", "NEXT_BUFFER"),
        (b"\xff", "not an instruction"),
        (b"I1\n", "INT"),
    ] {
        for (_, found) in refused(&beside_words("x", code.to_vec())) {
            assert!(found.contains(name), "{found}");
        }
    }
}

#[test]
fn objects_calls_and_ids_of_other_kinds() {
    let ordered_dict = || global("collections", "OrderedDict");
    let float = || global("torch", "FloatStorage");
    let id = |items: &[Vec<u8>]| [tuple(items), b"Q".to_vec()].concat();
    for (object, expected) in [
        // Classes of storages and types of elements are not called.
        (reduce(float(), &[int(9)]), "a call of a function"),
        (
            reduce(global("torch", "float32"), &[]),
            "a call of a function",
        ),
        (
            reduce(global("torch", "Tensor"), &[]),
            "a call of a function",
        ),
        (reduce(text("os.system"), &[]), "a call of a function"),
        ([float(), b")\x81".to_vec()].concat(), "NEWOBJ"),
        ([ordered_dict(), b"N\x81".to_vec()].concat(), "NEWOBJ"),
        (
            [ordered_dict(), b"NR".to_vec()].concat(),
            "a tuple of arguments",
        ),
        (reduce(ordered_dict(), &[int(1)]), "OrderedDict"),
        (reduce(ordered_dict(), &[b"](Ne".to_vec()]), "pairs"),
        ([int(1), b"}b".to_vec()].concat(), "BUILD"),
        ([words(), b"}b".to_vec()].concat(), "BUILD"),
        (
            reduce(global("torch._utils", "_rebuild_parameter"), &[int(1)]),
            "a tensor",
        ),
        (
            reduce(global("torch._tensor", "_rebuild_from_type_v2"), &[int(1)]),
            "a call of a function",
        ),
        (
            id(&[text("module"), float(), text("file"), text("source")]),
            "persistent id",
        ),
        (
            id(&[
                text("storage"),
                text("FloatStorage"),
                text("0"),
                text("cpu"),
                int(2),
            ]),
            "persistent id",
        ),
        (
            id(&[text("storage"), float(), int(0), text("cpu"), int(2)]),
            "persistent id",
        ),
        (id(&[]), "persistent id"),
        ([text("0"), b"Q".to_vec()].concat(), "persistent id"),
        (
            id(&[text("storage"), float(), text("0"), text("cpu"), text("2")]),
            "a number of elements",
        ),
        (
            id(&[
                text("storage"),
                float(),
                text("0"),
                text("cpu"),
                int(2),
                int(3),
            ]),
            "a view",
        ),
        (
            id(&[
                text("storage"),
                float(),
                text("0"),
                text("cpu"),
                int(2),
                ints(&[1]),
            ]),
            "a view",
        ),
    ] {
        for (said, found) in refused(&beside_words("x", object.clone())) {
            assert!(said.contains(expected), "{said}, {found} for {expected}");
        }
    }
}

/// A function that calls others does not lead around their checks.
#[test]
fn attributes_of_tensors_are_left_out_and_their_functions_checked() {
    let from_type = |function: Vec<u8>, arguments: Vec<u8>| {
        let arguments = [
            function,
            global("torch", "Tensor"),
            arguments,
            b"}".to_vec(),
        ];
        reduce(global("torch._tensor", "_rebuild_from_type_v2"), &arguments)
    };
    let arguments = tuple(&[storage("Float", "0", 2), int(1), ints(&[1]), ints(&[1])]);
    let good = from_type(
        global("torch._utils", "_rebuild_tensor_v2"),
        arguments.clone(),
    );
    let checkpoint = open(legacy(&beside_words("x", good))).expect("a good file");
    assert_eq!(values(&checkpoint, "x"), [2.0]);
    let nested = from_type(
        global("torch._tensor", "_rebuild_from_type_v2"),
        tuple(&[
            global("torch._utils", "_rebuild_tensor_v2"),
            global("torch", "Tensor"),
            arguments,
            b"}".to_vec(),
        ]),
    );
    refused(&beside_words("x", nested));
    refused(&beside_words(
        "x",
        from_type(global("torch", "FloatStorage"), ints(&[1])),
    ));
}

#[test]
fn views_that_leave_their_storage() {
    let max = i64::MAX;
    for (offset, shape, strides) in [
        (0, &[3][..], &[1][..]),
        (1, &[2], &[1]),
        (2, &[1], &[1]),
        (-1, &[1], &[1]),
        (0, &[-1], &[1]),
        (1, &[2], &[-1]),
        (0, &[2], &[2]),
        (0, &[2, 2], &[1, 1]),
        (0, &[2], &[1, 1]),
        (0, &[1, 1], &[1]),
        (max, &[1], &[1]),
        (0, &[max], &[1]),
        (0, &[2], &[max]),
        (0, &[max, max], &[0, 0]),
        (0, &[1 << 31, 1 << 31, 1 << 31], &[0, 0, 0]),
        (0, &[2, 2], &[max, max]),
        (1, &[3, 3], &[max / 2, max / 2]),
        (0, &[1; 17], &[1; 17]),
    ] {
        let object = beside_words(
            "x",
            tensor(storage("Float", "0", 2), offset, shape, strides),
        );
        for (expected, found) in refused(&object) {
            assert!(
                ["inside its storage", "not negative", "dimensions"]
                    .iter()
                    .any(|e| expected.contains(e)),
                "{expected}, {found}"
            );
        }
    }
    // Where there are no elements, nothing is outside.
    for shape in [&[0][..], &[0, max], &[max, 0, max]] {
        let object = beside_words(
            "x",
            tensor(storage("Float", "0", 2), 9, shape, &vec![max; shape.len()]),
        );
        let checkpoint = open(legacy(&object)).expect("no elements");
        let tensor = checkpoint
            .tensors()
            .find(|t| t.name() == "x")
            .expect("listed");
        assert_eq!(tensor.elements(), 0);
        tensor
            .copy_to(&mut std::io::sink(), Dtype::F16)
            .expect("nothing to copy");
        assert!(values(&checkpoint, "x").is_empty());
    }
}

#[test]
fn storages_that_are_not_what_the_pickle_says() {
    let three = dict(&[(WORDS, tensor(storage("Float", "0", 3), 0, &[1, 2], &[2, 1]))]);
    let doubles = dict(&[(
        WORDS,
        tensor(storage("Double", "0", 2), 0, &[1, 2], &[2, 1]),
    )]);
    let absent = dict(&[(WORDS, tensor(storage("Float", "1", 2), 0, &[1, 2], &[2, 1]))]);
    let trick = dict(&[(
        WORDS,
        tensor(storage("Float", "../version", 2), 0, &[1], &[1]),
    )]);
    let huge = dict(&[(
        WORDS,
        tensor(storage("Float", "0", i64::MAX), 0, &[1], &[1]),
    )]);
    let negative = dict(&[(WORDS, tensor(storage("Float", "0", -1), 0, &[1], &[1]))]);
    for object in [three, doubles, absent, trick, huge, negative] {
        refused(&object);
    }
    // In the older format a number of elements precedes each storage.
    let good = dict(&[(WORDS, words())]);
    for storages in [
        &[("0", 3, &NUMBERS[..])][..],
        &[("0", 1, &NUMBERS)],
        &[("0", u64::MAX, &NUMBERS)],
        &[("0", 1 << 62, &NUMBERS)],
        &[("0", 2, &NUMBERS[..7])],
        &[("0", 2, &NUMBERS), ("0", 2, &NUMBERS)],
        &[("1", 2, &NUMBERS)],
        &[("0", 2, &[NUMBERS, NUMBERS].concat())],
        &[],
    ] {
        let error = open(legacy_with(&good, storages)).expect_err("refused");
        assert!(
            matches!(error, deberta_core::Error::TorchFile { .. }),
            "{error}"
        );
    }
}

#[test]
fn parts_of_storages_stay_inside() {
    let part = |offset: i64, elements: i64| {
        let id = [
            text("storage"),
            global("torch", "FloatStorage"),
            text("0"),
            text("cpu"),
            int(2),
            tuple(&[text("9"), int(offset), int(elements)]),
        ];
        let storage = [tuple(&id), b"Q".to_vec()].concat();
        beside_words("x", tensor(storage, 0, &[1], &[1]))
    };
    let checkpoint = open(legacy(&part(1, 1))).expect("a part");
    assert_eq!(values(&checkpoint, "x"), [2.0]);
    for (offset, elements) in [
        (1, 2),
        (2, 1),
        (-1, 1),
        (0, 0),
        (i64::MAX, 1),
        (1, i64::MAX),
        (i64::MAX / 4, i64::MAX / 4),
    ] {
        refused(&part(offset, elements));
    }
}

#[test]
fn numbers_of_other_machines() {
    let mut big = entries(&dict(&[(WORDS, words())]));
    big[1] = Entry::new("archive/byteorder", b"big");
    let message = open(zip(&big)).expect_err("big").to_string();
    assert!(
        message.contains("little-endian") && message.contains("big"),
        "{message}"
    );
    let good = legacy(&dict(&[(WORDS, words())]));
    let key = [text("little_endian"), vec![0x88]].concat();
    let at = good
        .windows(key.len())
        .position(|w| w == key)
        .expect("the key");
    let mut bad = good;
    bad[at + key.len() - 1] = 0x89;
    let message = open(bad).expect_err("big").to_string();
    assert!(message.contains("little-endian"), "{message}");
}

#[test]
fn files_of_other_kinds() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let raw_pickle = program(&dict(&[("a", int(1))]));
    for (bytes, expected) in [
        (tar, "tar archive"),
        (Vec::new(), "0 bytes"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            "git lfs pull",
        ),
        (b"{\"a\": 1}".to_vec(), "{\\\"a\\\": 1}"),
        (raw_pickle, "magic number"),
        (b"\x80".to_vec(), "byte"),
        (b"\x80\x06N.".to_vec(), "protocol 6"),
        (b"PK".to_vec(), "truncated"),
        (legacy(&tuple(&[words()])), "a dictionary of tensors"),
        (legacy(&words()), "a dictionary of tensors"),
        (
            legacy(&[dict(&[(WORDS, words())]), b"N".to_vec()].concat()),
            "one value at the end",
        ),
        (
            legacy(&dict(&[(WORDS, words()), (WORDS, words())])),
            "two tensors",
        ),
    ] {
        let message = open(bytes).expect_err(expected).to_string();
        assert!(
            message.contains(expected) && message.contains("pytorch_model.bin"),
            "{message}"
        );
    }
}

#[test]
fn broken_stacks_and_lengths() {
    for object in [
        &b"0"[..],
        b"(0",
        b"(1",
        b"1",
        b"2",
        b"t",
        b"h\x07",
        b"j\x07\0\0\0",
        b"q\0",
        b"\x94",
        b"R",
        b"NR",
        b"\x93",
        b"NN\x93",
        b"s",
        b"}Ns",
        b"}(Nu",
        b"(Nd",
        b"(NNu",
        b"u",
        b"Na",
        b"N(Ne",
        b"}(Ne",
        b"Q",
        b"b",
        b"\x87",
        b"X\xff\xff\xff\xffa",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa",
        b"X\x01\0\0\0\xff",
        b"\x8b\xff\xff\xff\xff",
        b"B\0\0\0\x80",
        b"cos\nsystem",
        b"cos",
        b"\x95\x01",
        b"N(",
        b"N(N",
    ] {
        for bytes in [legacy(object), zip(&entries(object))] {
            let error = open(bytes).expect_err("refused");
            assert!(
                matches!(error, deberta_core::Error::TorchFile { .. }),
                "{object:?}: {error}"
            );
        }
    }
}

/// A reference to part of a storage, which only the older format's writer makes, means that part in either format.
#[test]
fn parts_of_storages_are_parts_in_both_formats() {
    let part = tuple(&[text("part"), int(1), int(1)]);
    let class = global("torch", "FloatStorage");
    let id = [text("storage"), class, text("0"), text("cpu"), int(2), part];
    let storage = [tuple(&id), b"Q".to_vec()].concat();
    let object = beside_words("x", tensor(storage, 0, &[1], &[1]));
    for bytes in [legacy(&object), zip(&entries(&object))] {
        let checkpoint = open(bytes).expect("a good file");
        assert_eq!(values(&checkpoint, WORDS), [1.0, 2.0]);
        assert_eq!(values(&checkpoint, "x"), [2.0]);
    }
}

/// Of several state dicts in one file, which one is meant is not for the reader to guess.
#[test]
fn several_state_dicts_are_refused() {
    let inner = || dict(&[(WORDS, words())]);
    for (expected, found) in refused(&dict(&[("model", inner()), ("state_dict", inner())])) {
        assert!(expected.contains("one state dict"), "{expected}");
        assert!(found.contains("state_dict, model"), "{found}");
    }
    // A name that only looks like one, and one that is not known: the other is meant.
    for name in ["model", "ema"] {
        let other = if name == "ema" { inner() } else { int(3) };
        let object = dict(&[(name, other), ("state_dict", inner())]);
        assert!(open(legacy(&object)).is_ok(), "{name}");
    }
}

/// Files under the other format's name: the error says what they are.
#[test]
fn files_under_the_wrong_name_are_told() {
    let object = dict(&[(WORDS, words())]);
    for bytes in [legacy(&object), zip(&entries(&object))] {
        let error = Checkpoint::from_bytes("model.safetensors", bytes).expect_err("refused");
        assert!(error.to_string().contains("pytorch_model.bin"), "{error}");
    }
    let header = br#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let error = open(bytes).expect_err("refused");
    assert!(
        error.to_string().contains("name it model.safetensors"),
        "{error}"
    );
    // A header whose length begins as a pickle does is one all the same.
    let padded = [&header[..], &b" ".repeat(0x280 - header.len())].concat();
    let bytes = [&(padded.len() as u64).to_le_bytes()[..], &padded].concat();
    let error = Checkpoint::from_bytes("model.safetensors", bytes).expect_err("no encoder");
    assert!(!error.to_string().contains("pytorch_model.bin"), "{error}");
}
