//! `forward`: token ids in, numbers out.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::{answer, fixture, folder, refusal, run};

/// What of the files a model does not use, and observations too large for any memory.
#[test]
fn forward_remarks_and_limits() {
    let output = folder("forward").join("remarks.safetensors");
    let run = |case: &str, more: &[&str]| {
        let model = fixture(&format!("models/{case}"));
        let input = format!("{model}/input.safetensors");
        let mut arguments = vec!["--model", &model, "--input", &input, "--output"];
        arguments.push(output.to_str().expect("UTF-8"));
        arguments.extend(more);
        let output = run("forward", &arguments, b"");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert_eq!(run("v3", &[]), "");
    let said = run("ignored_tensors", &[]);
    assert!(
        said.contains("no head") && said.contains("does not use"),
        "{said}"
    );
    assert_eq!(run("ignored_tensors", &["--head", "base"]), "");

    let long = folder("forward").join("long.safetensors");
    let bytes = vec![0; 40_000 * 8];
    let ids = TensorView::new(Dtype::I64, vec![1, 40_000], &bytes).expect("a view");
    fs::write(
        &long,
        serialize([("input_ids", ids)], None).expect("a file"),
    )
    .expect("written");
    let model = fixture("models/v3");
    let arguments = [
        "--model",
        &model,
        "--input",
        long.to_str().expect("UTF-8"),
        "--output",
        output.to_str().expect("UTF-8"),
        "--attentions",
    ];
    let said = refusal("forward", &arguments, b"");
    assert!(said.contains("38.4 GB"), "{said}");
}

/// `forward` on a recorded case gives the reference's numbers, in the shapes that it promises.
#[test]
fn forward_writes_the_reference_s_numbers() {
    for (case, names) in [
        ("holes", &["last_hidden_state"][..]),
        ("head_16", &["last_hidden_state"]),
    ] {
        let model = fixture(&format!("models/{case}"));
        let (input, output) = (
            format!("{model}/input.safetensors"),
            folder("forward").join(format!("{case}.safetensors")),
        );
        let arguments = [
            "--model",
            &model,
            "--input",
            &input,
            "--output",
            output.to_str().expect("UTF-8"),
        ];
        answer("forward", &arguments, b"");
        let read = |path: &Path| fs::read(path).expect("a file");
        let (found, expected) = (
            read(&output),
            read(&Path::new(&model).join("expected.safetensors")),
        );
        let found = SafeTensors::deserialize(&found).expect("safetensors");
        let expected = SafeTensors::deserialize(&expected).expect("safetensors");
        for name in names {
            let (found, expected) = (
                found.tensor(name).expect(name),
                expected.tensor(name).expect(name),
            );
            assert_eq!(
                (found.shape(), found.dtype()),
                (expected.shape(), Dtype::F32),
                "{case}"
            );
            let numbers = |bytes: &[u8]| -> Vec<f32> {
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&b| f32::from_le_bytes(b))
                    .collect()
            };
            // Masked rows are zeros in both.
            for (a, b) in numbers(found.data()).iter().zip(numbers(expected.data())) {
                assert!((a - b).abs() < 1e-4, "{case}: {a} {b}");
            }
        }
    }
}

#[test]
fn forward_refuses_what_it_cannot_run() {
    let model = fixture("models/head_16");
    let here = folder("refused");
    let (input, output) = (here.join("in.safetensors"), here.join("out.safetensors"));
    let arguments = [
        "--model",
        &model,
        "--input",
        input.to_str().expect("UTF-8"),
        "--output",
        output.to_str().expect("UTF-8"),
    ];
    let write = |tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]| {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (
                *name,
                TensorView::new(*dtype, shape.clone(), bytes).expect("a view"),
            )
        });
        fs::write(&input, serialize(views, None).expect("a file")).expect("written");
    };
    let ids = |values: &[i64]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let said = refusal("forward", &arguments, b"");
    assert!(said.contains("in.safetensors"), "{said}");
    write(&[("ids", Dtype::I64, vec![1, 2], ids(&[1, 2]))]);
    assert!(refusal("forward", &arguments, b"").contains("input_ids"));
    write(&[("input_ids", Dtype::I64, vec![2], ids(&[1, 2]))]);
    assert!(refusal("forward", &arguments, b"").contains("[B, L]"));
    write(&[("input_ids", Dtype::F32, vec![1, 2], vec![0; 8])]);
    assert!(refusal("forward", &arguments, b"").contains("F32"));
    write(&[("input_ids", Dtype::I64, vec![1, 2], ids(&[1, -2]))]);
    assert!(refusal("forward", &arguments, b"").contains("-2"));
    write(&[("input_ids", Dtype::I64, vec![1, 2], ids(&[1, 1_000_000]))]);
    assert!(refusal("forward", &arguments, b"").contains("1000000"));
    write(&[
        ("input_ids", Dtype::I64, vec![1, 2], ids(&[1, 2])),
        ("attention_mask", Dtype::I64, vec![2, 1], ids(&[1, 1])),
    ]);
    assert!(refusal("forward", &arguments, b"").contains("attention_mask"));
    assert!(
        !output.exists(),
        "nothing is written where nothing was computed"
    );
    for (dtype, bytes, found) in [
        (Dtype::U8, vec![1, 2], "2"),
        (Dtype::F32, vec![0; 8], "F32"),
    ] {
        write(&[
            ("input_ids", Dtype::I64, vec![1, 2], ids(&[1, 2])),
            ("attention_mask", dtype, vec![1, 2], bytes),
        ]);
        let said = refusal("forward", &arguments, b"");
        assert!(
            said.contains("attention_mask") && said.contains(found),
            "{said}"
        );
    }
    write(&[("input_ids", Dtype::BOOL, vec![1, 2], vec![1, 1])]);
    assert!(refusal("forward", &arguments, b"").contains("BOOL"));
    assert!(
        !output.exists(),
        "nothing is written where nothing was computed"
    );
    // 32-bit ids are as good.
    write(&[(
        "input_ids",
        Dtype::I32,
        vec![1, 2],
        vec![1, 0, 0, 0, 2, 0, 0, 0],
    )]);
    answer("forward", &arguments, b"");
    assert!(output.exists());
    // So is a mask of booleans or bytes; and it masks.
    let outputs = |dtype, mask: Vec<u8>| {
        write(&[
            ("input_ids", Dtype::I64, vec![1, 3], ids(&[1, 5, 2])),
            ("attention_mask", dtype, vec![1, 3], mask),
        ]);
        answer("forward", &arguments, b"");
        fs::read(&output).expect("the outputs")
    };
    let expected = outputs(Dtype::I64, ids(&[1, 0, 1]));
    assert_eq!(outputs(Dtype::BOOL, vec![1, 0, 1]), expected);
    assert_eq!(outputs(Dtype::U8, vec![1, 0, 1]), expected);
    assert_ne!(outputs(Dtype::BOOL, vec![1, 1, 1]), expected);
}
