//! Models on a GPU beside the same models on the processor. Without the feature `cuda` or a device to run on, `SKIPPED`.
//!
//! Other tests of models run on a GPU too: `DEBERTA_DEVICE=cuda` is for those that compare with the references.

#![cfg(feature = "cuda")]

mod common;

use common::{Case, case};
use deberta_core::convert::{ConvertOptions, convert};
use deberta_core::{Batch, Device, Error, LoadOptions, Model, Pooling, Precision};
use deberta_tests::fixture;
use ndarray::Array2;
use std::env;
use std::process::Command;

/// Whether there is a GPU, or the emulator; where `DEBERTA_REQUIRE_CUDA` is set, there must be.
fn gpu() -> bool {
    match Device::Cuda(0).check() {
        Ok(()) => true,
        Err(error) => {
            let required = env::var_os("DEBERTA_REQUIRE_CUDA").is_some();
            assert!(!required, "a GPU is required: {error:?}");
            eprintln!("SKIPPED: {error:?}");
            false
        }
    }
}

fn on_gpu() -> LoadOptions {
    LoadOptions::default().device(Device::Cuda(0))
}

/// The root of the mean square.
fn size<'a>(values: impl IntoIterator<Item = &'a f32>) -> f64 {
    let (count, squares) = values.into_iter().fold((0, 0.0), |(n, sum), &x| {
        (n + 1, sum + f64::from(x) * f64::from(x))
    });
    (squares / f64::from(count.max(1))).sqrt()
}

/// Cases of every family, with a convolution, holes, talking heads, and every head.
fn some_cases() -> Vec<Case> {
    [
        "v1",
        "v1_talking_head_holes",
        "v1_sequence",
        "v3",
        "holes_long",
        "conv_groups",
        "embed_proj_small",
        "enhanced_v2_conv",
        "head_64",
        "token_masks",
        "question",
        "choice",
        "replaced_v2_holes",
        "masked_v2_microsoft_absolute",
        "odd_sizes",
    ]
    .map(case)
    .into()
}

#[test]
fn half_precisions_are_near_single() {
    if !gpu() {
        return;
    }
    for case in some_cases() {
        let batch = case.input().batch();
        let exact = case.load_with(LoadOptions::default());
        let exact = exact.forward(&batch).unwrap();
        for (precision, most) in [(Precision::F16, 2.5e-3), (Precision::Bf16, 0.02)] {
            let model = case.load_with(on_gpu().precision(precision));
            assert_eq!(model.precision(), precision);
            let output = model.forward(&batch).unwrap();
            let near = |what: &str, found: &Array2<f32>, expected: &Array2<f32>| {
                let (gap, whole) = (size(&(found - expected)), size(expected));
                let what = format!("{} {precision} {what}: {gap:.2e} of {whole:.2e}", case.name);
                assert!(gap <= most * whole, "{what}");
                assert!(gap > 0.0, "{what}: computed in f32");
            };
            near(
                "hidden",
                &output.last_hidden_state,
                &exact.last_hidden_state,
            );
            if let (Some(found), Some(expected)) = (&output.logits, &exact.logits) {
                near("logits", found, expected);
            }
        }
    }
}

#[test]
fn a_replayed_pass_gives_the_same_bits() {
    if !gpu() {
        return;
    }
    for (name, precision) in [
        ("v3", Precision::F32),
        ("sequence_two_labels", Precision::F16),
        ("conv_gelu", Precision::Bf16),
        ("holes", Precision::F32),
    ] {
        let case = case(name);
        let batch = case.input().batch();
        let load = || case.load_with(on_gpu().precision(precision));
        let first = load().forward(&batch).unwrap();
        let model = load();
        // Another batch of the same shape, so that its numbers would be found where something is not written anew.
        let other: Vec<_> = (0..batch.len())
            .map(|i| {
                let length = batch.sequence(i).len() as u32;
                (
                    (0..length).map(|t| (t * 5 + 3) % 40).collect::<Vec<u32>>(),
                    Vec::new(),
                )
            })
            .collect();
        let other = Batch::packed(other).unwrap();
        for turn in 0..5 {
            let again = model.forward(&batch).unwrap();
            assert_eq!(
                again.last_hidden_state, first.last_hidden_state,
                "{name}, {turn}"
            );
            assert_eq!(again.logits, first.logits, "{name}, turn {turn}");
            assert_eq!(model.logits(&batch).unwrap(), first.logits);
            model.forward(&other).unwrap();
        }
    }
}

#[test]
fn logits_of_some_tokens_are_those_of_all() {
    if !gpu() {
        return;
    }
    for case in [
        "masked_v2_microsoft_absolute",
        "enhanced_v2_conv",
        "token_masks",
    ]
    .map(case)
    {
        let name = &case.name;
        let batch = case.input().batch();
        let model = case.load_with(on_gpu());
        let all = model.logits(&batch).unwrap().expect("a head");
        let tokens = [batch.tokens() - 1, 0, 2];
        for _ in 0..2 {
            let some = model.logits_at(&batch, &tokens).unwrap();
            for (row, &token) in some.outer_iter().zip(&tokens) {
                let gap = size(&(&row - &all.row(token)));
                assert!(gap <= 1e-6, "{name}, token {token}: {gap}");
            }
        }
    }
}

#[test]
fn vectors_of_sequences_are_pooled_there() {
    if !gpu() {
        return;
    }
    let case = case("v3");
    let batch = case.input().batch();
    let model = case.load_with(on_gpu());
    let output = model.forward(&batch).unwrap();
    for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max] {
        for normalize in [false, true] {
            let expected = output.embeddings(&batch, pooling, normalize).unwrap();
            for _ in 0..3 {
                let found = model.embeddings(&batch, pooling, normalize).unwrap();
                let gap = size(&(&found - &expected));
                assert!(gap <= 1e-6, "{pooling:?}: {gap}");
            }
        }
    }
    let empty = Batch::packed([(vec![1_u32, 2], vec![]), (vec![], vec![])]).unwrap();
    assert!(model.embeddings(&empty, Pooling::Mean, false).is_err());
}

#[test]
fn weights_in_8_bits_are_widened() {
    if !gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["v3", "v1", "head_64"] {
        let target = folder.path().join(name);
        let source = fixture("models").join(name);
        convert(&source, &target, &ConvertOptions::default().int8(), |_| {
            true
        })
        .unwrap();
        let batch = case(name).input().batch();
        let exact = case(name).load_with(LoadOptions::default());
        let exact = exact.forward(&batch).unwrap().last_hidden_state;
        let model = Model::load(&target, on_gpu()).unwrap();
        assert_eq!(model.precision(), Precision::F16);
        let found = model.forward(&batch).unwrap().last_hidden_state;
        // The bound of int8 on the processor, whose activations are rounded too.
        let (gap, whole) = (size(&(&found - &exact)), size(&exact));
        assert!(gap <= 0.06 * whole, "{name}: {gap} of {whole}");
    }
}

#[test]
fn precisions_that_a_device_does_not_have_are_refused() {
    let folder = case("v3").folder();
    let error = Model::load(&folder, LoadOptions::default().precision(Precision::F16));
    assert!(error.unwrap_err().to_string().contains("f32, bf16 or int8"));
    let error = Model::load(&folder, on_gpu().precision(Precision::Int8));
    assert!(error.unwrap_err().to_string().contains("f32, f16 or bf16"));
}

#[test]
fn a_pass_is_profiled() {
    if !gpu() {
        return;
    }
    let case = case("conv_gelu");
    let (output, profile) = case
        .load_with(on_gpu())
        .profile(&case.input().batch())
        .unwrap();
    assert!(profile.total().as_nanos() > 0);
    assert!(output.last_hidden_state.nrows() > 0);
}

/// Passes of several threads at once, which print how many gave the numbers of the processor: run by the next test in a
/// process of its own.
#[test]
fn print_what_threads_compute() {
    let Ok(threads) = env::var("DEBERTA_PRINT_THREADS") else {
        return;
    };
    let threads: usize = threads.parse().unwrap();
    let case = case("v3");
    let batch = (0..6).map(|i| {
        (
            (0..60).map(|t| (t * 5 + i) % 40).collect::<Vec<u32>>(),
            vec![],
        )
    });
    let batch = Batch::packed(batch.collect::<Vec<_>>()).unwrap();
    let expected = case.load_with(LoadOptions::default());
    let expected = expected.forward(&batch).unwrap().last_hidden_state;
    let model = match Model::load(case.folder(), on_gpu()) {
        Ok(model) => model,
        Err(error) => return println!("refused: {error}"),
    };
    let is_right = || {
        (0..3).all(|_| match model.forward(&batch) {
            Ok(output) => size(&(&output.last_hidden_state - &expected)) < 1e-5,
            Err(error) => {
                println!("refused: {error}");
                false
            }
        })
    };
    let right = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(is_right)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|&right| right)
            .count()
    });
    println!("right: {right}");
}

#[test]
fn threads_take_turns_where_memory_is_short() {
    if env::var_os("DEBERTA_EMULATED").is_none() {
        eprintln!("SKIPPED: DEBERTA_EMULATED is not set");
        return;
    }
    let said = |threads: usize, memory: usize| {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "print_what_threads_compute", "--nocapture"]);
        child.env("DEBERTA_PRINT_THREADS", threads.to_string());
        child.env("EMU_MEMORY", memory.to_string());
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // What one thread needs, to a tenth.
    let mut memory = 100_000;
    while !said(1, memory).contains("right: 1") {
        memory += memory / 10;
        assert!(memory < 100_000_000, "never enough: {}", said(1, memory));
    }
    for _ in 0..3 {
        let text = said(4, memory);
        assert!(text.contains("right: 4"), "{memory} bytes: {text}");
    }
}

/// Loads a model on the first GPU and prints what happens: run by the next test in a process of its own.
#[test]
fn print_what_loading_says() {
    if env::var_os("DEBERTA_PRINT_LOADING").is_none() {
        return;
    }
    match Model::load(case("v3").folder(), on_gpu()) {
        Ok(model) => println!("loaded on {}", model.device()),
        Err(error) => println!("refused: {error}"),
    }
    let best = Device::best();
    let reason = best.fallback.as_ref().map(Error::to_string);
    println!("best: {}, {reason:?}", best.device);
}

#[test]
fn what_is_missing_is_said() {
    // Only the emulator can be told to be without a GPU, or with an old one.
    if env::var_os("DEBERTA_EMULATED").is_none() {
        eprintln!("SKIPPED: DEBERTA_EMULATED is not set");
        return;
    }
    let said = |variable: &str, value: &str| {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "print_what_loading_says", "--nocapture"]);
        child.env("DEBERTA_PRINT_LOADING", "1").env(variable, value);
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for (variable, value, refusal, best) in [
        ("EMU_DEVICES", "1", "loaded on cuda:0", "best: cuda:0, None"),
        (
            "EMU_DEVICES",
            "0",
            "no CUDA device 0: found 0",
            "best: cpu, Some",
        ),
        (
            "EMU_DRIVER_VERSION",
            "11080",
            "expected one for CUDA 12.4 or later, found CUDA 11.8",
            "best: cpu",
        ),
        (
            "EMU_CAPABILITY",
            "75",
            "compute capability 7.5, expected 8.0",
            "best: cpu",
        ),
        (
            "EMU_MEMORY",
            "20000",
            "out of device memory",
            "best: cuda:0",
        ),
        ("LD_LIBRARY_PATH", "", "no NVIDIA driver", "best: cpu"),
    ] {
        let text = said(variable, value);
        assert!(text.contains(refusal), "{variable}={value}: {text}");
        assert!(text.contains(best), "{variable}={value}: {text}");
    }
}
