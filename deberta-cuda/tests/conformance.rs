//! What every wrapper of `kernels/portable.cuh` does, by plain arithmetic.
//!
//! All other tests of kernels rest on this one: it shows that a GPU, or the emulator, does what the wrappers' comments say.
//! Without a driver it prints `SKIPPED`; `DEBERTA_REQUIRE_CUDA=1` makes that a failure.

mod common;

use common::Random;
use cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg};
use deberta_cuda::{Gpu, Module};
use half::{bf16, f16};
use std::sync::Arc;

/// The kernels on the first device, where there is one.
struct Bench {
    gpu: Gpu,
    stream: Arc<CudaStream>,
}

fn bench() -> Option<Bench> {
    let gpu = common::gpu()?;
    let stream = Arc::clone(gpu.stream());
    Some(Bench { gpu, stream })
}

impl Bench {
    fn kernel(&self, name: &'static str) -> CudaFunction {
        self.kernel_with(name, 0)
    }

    /// A kernel that may use so many bytes of shared memory.
    fn kernel_with(&self, name: &'static str, shared_bytes: u32) -> CudaFunction {
        let found = self.gpu.function(Module::Conformance, name, shared_bytes);
        found.unwrap()
    }
}

fn grid(blocks: usize, threads: u32, shared_mem_bytes: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes,
    }
}

/// All numbers of 16 bits, the middles between neighbours, what is next to those, and any bits.
fn hard_to_round(widen: impl Fn(u16) -> f32) -> Vec<f32> {
    let mut values = vec![
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        0.0,
        -0.0,
    ];
    for bits in 0..=u16::MAX {
        let (here, next) = (widen(bits), widen(bits.wrapping_add(1)));
        values.push(here);
        let middle = ((f64::from(here) + f64::from(next)) / 2.0) as f32;
        let middle = middle.to_bits();
        values.extend([middle, middle.wrapping_add(1), middle.wrapping_sub(1)].map(f32::from_bits));
    }
    // Above the largest f16, where rounding ends in infinity.
    values.extend([
        65504.0,
        65519.0,
        65519.996,
        65520.0,
        65536.0,
        -65520.0,
        1e9,
        f32::MAX,
        f32::MIN,
    ]);
    let mut sequence = Random(1);
    values.extend((0..1 << 16).map(|_| f32::from_bits(sequence.bits())));
    values
}

/// Runs a kernel that converts there and back, and compares both ways with the `half` crate.
fn check_conversion(name: &'static str, narrow: fn(f32) -> u16, widen: fn(u16) -> f32) {
    let Some(bench) = bench() else { return };
    let values = hard_to_round(widen);
    let count = values.len() as i32;
    let x = bench.stream.clone_htod(&values).unwrap();
    let mut bits = bench.stream.alloc_zeros::<u16>(values.len()).unwrap();
    let mut back = bench.stream.alloc_zeros::<f32>(values.len()).unwrap();
    let kernel = bench.kernel(name);
    let mut launch = bench.stream.launch_builder(&kernel);
    launch.arg(&x).arg(&mut bits).arg(&mut back).arg(&count);
    // SAFETY: these are the kernel's parameters, and all arrays have `count` numbers.
    unsafe { launch.launch(grid(values.len().div_ceil(128), 128, 0)) }.unwrap();
    let bits = bench.stream.clone_dtoh(&bits).unwrap();
    let back = bench.stream.clone_dtoh(&back).unwrap();
    for ((&value, &bits), &back) in values.iter().zip(&bits).zip(&back) {
        if value.is_nan() {
            assert_eq!(bits, 0x7fff, "{name}: NaN {:08x}", value.to_bits());
            assert!(back.is_nan(), "{name}: NaN became {back}");
        } else {
            let expected = narrow(value);
            assert_eq!(bits, expected, "{name}: {value:e}, {:08x}", value.to_bits());
            let expected = widen(bits).to_bits();
            assert_eq!(back.to_bits(), expected, "{name}: {bits:04x} widened");
        }
    }
}

#[test]
fn conversions_of_bf16_are_exact() {
    let widen = |bits| bf16::from_bits(bits).to_f32();
    check_conversion("convert_bf16", |x| bf16::from_f32(x).to_bits(), widen);
}

#[test]
fn conversions_of_f16_are_exact() {
    let widen = |bits| f16::from_bits(bits).to_f32();
    check_conversion("convert_f16", |x| f16::from_f32(x).to_bits(), widen);
}

#[test]
fn pairs_have_the_first_number_in_the_low_half() {
    let Some(bench) = bench() else { return };
    let mut sequence = Random(2);
    let values: Vec<f32> = (0..2000).map(|_| sequence.number() * 100.0).collect();
    let count = 1000;
    let x = bench.stream.clone_htod(&values).unwrap();
    let mut brain = bench.stream.alloc_zeros::<u32>(1000).unwrap();
    let mut half = bench.stream.alloc_zeros::<u32>(1000).unwrap();
    let kernel = bench.kernel("pack_pairs");
    let mut launch = bench.stream.launch_builder(&kernel);
    launch.arg(&x).arg(&mut brain).arg(&mut half).arg(&count);
    // SAFETY: these are the kernel's parameters; there are `count` pairs in each array.
    unsafe { launch.launch(grid(8, 128, 0)) }.unwrap();
    let brain = bench.stream.clone_dtoh(&brain).unwrap();
    let half = bench.stream.clone_dtoh(&half).unwrap();
    for (i, pair) in values.chunks_exact(2).enumerate() {
        let join = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        let expected = join(
            bf16::from_f32(pair[0]).to_bits(),
            bf16::from_f32(pair[1]).to_bits(),
        );
        assert_eq!(brain[i], expected, "pack_bf16 of {pair:?}");
        let expected = join(
            f16::from_f32(pair[0]).to_bits(),
            f16::from_f32(pair[1]).to_bits(),
        );
        assert_eq!(half[i], expected, "pack_f16 of {pair:?}");
    }
}

/// The error function by its Taylor series, exact to 1e-9 where it is not 1 in f32.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn functions_are_within_their_bounds() {
    let Some(bench) = bench() else { return };
    let mut sequence = Random(3);
    let mut values: Vec<f32> = (-1500..=1270).map(|i| i as f32 / 10.0).collect();
    values.extend((0..20_000).map(|_| sequence.number() * 5.0));
    values.extend((0..2_000).map(|_| sequence.number() * 1e-3));
    values.extend([
        0.0,
        -0.0,
        -126.0,
        -127.0,
        -149.0,
        f32::NEG_INFINITY,
        f32::INFINITY,
        f32::NAN,
    ]);
    let count = values.len();
    let x = bench.stream.clone_htod(&values).unwrap();
    let mut y = bench.stream.alloc_zeros::<f32>(5 * count).unwrap();
    let kernel = bench.kernel("functions");
    let mut launch = bench.stream.launch_builder(&kernel);
    let length = count as i32;
    launch.arg(&x).arg(&mut y).arg(&length);
    // SAFETY: these are the kernel's parameters; `y` has five numbers for each of `x`.
    unsafe { launch.launch(grid(count.div_ceil(128), 128, 0)) }.unwrap();
    let y = bench.stream.clone_dtoh(&y).unwrap();
    // The largest relative errors that the CUDA manuals give, in units of 2^-23, which are at most one last place each.
    type Function = (&'static str, fn(f64) -> f64, f64);
    let functions: [Function; 5] = [
        ("ex2", f64::exp2, 2.0),
        ("expf", f64::exp, 2.0),
        ("erff", erf, 2.0),
        ("tanhf", f64::tanh, 2.0),
        ("rsqrtf", |x| 1.0 / x.sqrt(), 2.0),
    ];
    for (f, (name, exact, units)) in functions.into_iter().enumerate() {
        for (&x, &y) in values.iter().zip(&y[f * count..]) {
            let expected = exact(f64::from(x));
            if expected.is_nan() {
                assert!(y.is_nan(), "{name}({x}): expected NaN, found {y}");
                continue;
            }
            if expected.abs() > f64::from(f32::MAX) {
                assert_eq!(
                    f64::from(y),
                    expected.signum() * f64::INFINITY,
                    "{name}({x})"
                );
                continue;
            }
            // Results that have no normal number may be flushed to zero.
            let smallest = f64::from(f32::MIN_POSITIVE);
            let bound =
                (units * f64::from(f32::EPSILON) * expected.abs()).max(smallest * 1.000_001);
            let error = (f64::from(y) - expected).abs();
            assert!(
                error <= bound,
                "{name}({x}): expected {expected}, found {y}"
            );
            if name == "ex2" && expected < smallest * 0.999 {
                assert_eq!(y, 0.0, "ex2({x}) flushes");
            }
        }
    }
}

#[test]
fn shuffles_and_votes_reach_the_lanes_that_they_name() {
    let Some(bench) = bench() else { return };
    let values: Vec<i32> = (0..32).map(|lane| 1000 + lane * lane).collect();
    let x = bench.stream.clone_htod(&values).unwrap();
    let mut y = bench.stream.alloc_zeros::<i32>(12 * 32).unwrap();
    let kernel = bench.kernel("shuffles");
    let mut launch = bench.stream.launch_builder(&kernel);
    launch.arg(&x).arg(&mut y);
    // SAFETY: these are the kernel's parameters; `y` has twelve rows of 32.
    unsafe { launch.launch(grid(1, 32, 0)) }.unwrap();
    let y = bench.stream.clone_dtoh(&y).unwrap();
    let odd = (0..32).filter(|&lane| values[lane] % 2 == 1);
    let odd = odd.map(|lane| 1u32 << lane).sum::<u32>() as i32;
    for lane in 0..32 {
        let (group, within) = (lane / 8 * 8, lane % 8);
        let from = |cond: bool, other: usize| values[if cond { other } else { lane }];
        let expected = [
            values[(7 * lane + 3) % 32],
            values[group + 5],
            values[lane ^ 16],
            values[lane ^ 3],
            from(lane + 5 < 32, lane + 5),
            from(within + 3 < 8, lane + 3),
            from(lane >= 5, lane.wrapping_sub(5)),
            from(within >= 3, lane.wrapping_sub(3)),
            odd,
            1,
            0,
            // Another group of 8 is reached downwards only.
            from(lane ^ 8 < lane, lane ^ 8),
        ];
        for (row, expected) in expected.into_iter().enumerate() {
            assert_eq!(y[row * 32 + lane], expected, "row {row}, lane {lane}");
        }
    }
}

fn check_multiplication(name: &'static str, narrow: fn(f32) -> u16, widen: fn(u16) -> f32) {
    let Some(bench) = bench() else { return };
    let mut sequence = Random(4);
    for round in 0..20 {
        // Whole numbers first: their sums are exact in any order, so that only a wrong place can differ.
        let mut numbers = |count: usize| -> Vec<f32> {
            let whole = |x: f32| if round < 10 { (x * 9.0).round() } else { x };
            (0..count).map(|_| whole(sequence.number())).collect()
        };
        let (a, b, d) = (numbers(256), numbers(128), numbers(128));
        let bits = |values: &[f32]| values.iter().map(|&x| narrow(x)).collect::<Vec<_>>();
        let (a, b) = (bits(&a), bits(&b));
        let a_device = bench.stream.clone_htod(&a).unwrap();
        let b_device = bench.stream.clone_htod(&b).unwrap();
        let mut d_device = bench.stream.clone_htod(&d).unwrap();
        let kernel = bench.kernel(name);
        let mut launch = bench.stream.launch_builder(&kernel);
        launch.arg(&a_device).arg(&b_device).arg(&mut d_device);
        // SAFETY: these are the kernel's parameters: matrices of 16x16, 16x8 and 16x8.
        unsafe { launch.launch(grid(1, 32, 0)) }.unwrap();
        let found = bench.stream.clone_dtoh(&d_device).unwrap();
        for row in 0..16 {
            for column in 0..8 {
                let at = row * 8 + column;
                let products = (0..16).map(|k| {
                    f64::from(widen(a[row * 16 + k])) * f64::from(widen(b[k * 8 + column]))
                });
                let (sum, size) = products
                    .fold((f64::from(d[at]), f64::from(d[at]).abs()), |(s, z), p| {
                        (s + p, z + p.abs())
                    });
                // Tensor cores cut off where f32 rounds: one last place of the largest partial sum for each addition.
                let bound = if round < 10 {
                    0.0
                } else {
                    17.0 * f64::from(f32::EPSILON) * size
                };
                let error = (f64::from(found[at]) - sum).abs();
                assert!(
                    error <= bound,
                    "{name} [{row}][{column}]: {sum}, {}",
                    found[at]
                );
            }
        }
    }
}

#[test]
fn tensor_cores_multiply_bf16() {
    let widen = |bits| bf16::from_bits(bits).to_f32();
    check_multiplication("multiply_bf16", |x| bf16::from_f32(x).to_bits(), widen);
}

#[test]
fn tensor_cores_multiply_f16() {
    let widen = |bits| f16::from_bits(bits).to_f32();
    check_multiplication("multiply_f16", |x| f16::from_f32(x).to_bits(), widen);
}

#[test]
fn tensor_cores_multiply_f32_without_its_last_bits() {
    let Some(bench) = bench() else { return };
    let kernel = bench.kernel("multiply_tf32");
    let mut sequence = Random(6);
    // Few bits, so that all sums are exact, and below them some that do not count.
    let mut numbers = |count: usize| -> Vec<f32> {
        let number = |_| (sequence.bits() % 64) as f32 - 31.5;
        (0..count).map(number).collect()
    };
    let (a, b, d) = (numbers(128), numbers(64), numbers(128));
    let noisy = |values: &[f32]| -> Vec<u32> {
        let bits = values.iter().enumerate();
        bits.map(|(i, x)| x.to_bits() | ((i as u32 * 0x123) & 0x1fff))
            .collect()
    };
    let (x, y) = (noisy(&a), noisy(&b));
    let (x, y) = (bench.stream.clone_htod(&x), bench.stream.clone_htod(&y));
    let (x, y) = (x.unwrap(), y.unwrap());
    let mut sums = bench.stream.clone_htod(&d).unwrap();
    let mut launch = bench.stream.launch_builder(&kernel);
    launch.arg(&x).arg(&y).arg(&mut sums);
    // SAFETY: these are the kernel's parameters: matrices of 16 x 8, 8 x 8 and 16 x 8.
    unsafe { launch.launch(grid(1, 32, 0)) }.unwrap();
    let sums = bench.stream.clone_dtoh(&sums).unwrap();
    for (i, &found) in sums.iter().enumerate() {
        let (row, column) = (i / 8, i % 8);
        let product: f32 = (0..8).map(|k| a[row * 8 + k] * b[k * 8 + column]).sum();
        assert_eq!(found, d[i] + product, "row {row}, column {column}");
    }
}

#[test]
fn matrices_are_loaded_as_fragments() {
    let Some(bench) = bench() else { return };
    let values: Vec<u16> = (0..256).collect();
    let x = bench.stream.clone_htod(&values).unwrap();
    let mut plain = bench.stream.alloc_zeros::<u32>(128).unwrap();
    let mut transposed = bench.stream.alloc_zeros::<u32>(128).unwrap();
    let shared_bytes = 32 * 24 * 2;
    let kernel = bench.kernel_with("load_matrices", shared_bytes);
    let mut launch = bench.stream.launch_builder(&kernel);
    launch.arg(&x).arg(&mut plain).arg(&mut transposed);
    // SAFETY: these are the kernel's parameters: four 8x8 matrices and, twice, four words for each of 32 lanes.
    unsafe { launch.launch(grid(1, 32, shared_bytes)) }.unwrap();
    let plain = bench.stream.clone_dtoh(&plain).unwrap();
    let transposed = bench.stream.clone_dtoh(&transposed).unwrap();
    let at = |matrix: usize, row: usize, column: usize| {
        u32::from(values[matrix * 64 + row * 8 + column])
    };
    for lane in 0..32 {
        let (g, t) = (lane / 4, lane % 4);
        for i in 0..4 {
            let expected = at(i, g, 2 * t) | at(i, g, 2 * t + 1) << 16;
            assert_eq!(plain[lane * 4 + i], expected, "lane {lane}, matrix {i}");
            let expected = at(i, 2 * t, g) | at(i, 2 * t + 1, g) << 16;
            assert_eq!(
                transposed[lane * 4 + i],
                expected,
                "transposed: lane {lane}, matrix {i}"
            );
        }
    }
}

#[test]
fn asynchronous_copies_arrive_when_waited_for() {
    let Some(bench) = bench() else { return };
    for (stages, words) in [(1, 512), (2, 1024), (5, 2560), (3, 801), (3, 802), (4, 0)] {
        let values: Vec<u32> = (0..stages as u32 * 512).map(|i| i + 1).collect();
        let x = bench.stream.clone_htod(&values).unwrap();
        let mut y = bench.stream.alloc_zeros::<u32>(values.len()).unwrap();
        let valid = 4 * words as i32;
        let shared_bytes = 2 * 128 * 16;
        let kernel = bench.kernel_with("copy_pipeline", shared_bytes);
        let mut launch = bench.stream.launch_builder(&kernel);
        launch.arg(&x).arg(&mut y).arg(&stages).arg(&valid);
        // SAFETY: these are the kernel's parameters: both arrays have 128 times 16 bytes for each stage.
        unsafe { launch.launch(grid(1, 128, shared_bytes)) }.unwrap();
        let y = bench.stream.clone_dtoh(&y).unwrap();
        for (i, &found) in y.iter().enumerate() {
            let (stage, vector, part) = (i / 512, i / 4 % 128, i % 4);
            let from = (stage * 128 + 127 - vector) * 4 + part;
            let expected = if from < words { values[from] } else { 0 };
            assert_eq!(found, expected, "stage {stage} of {stages}, {words} words");
        }
    }
}

#[test]
fn barriers_and_atomics_join_threads_that_share_much_memory() {
    let Some(bench) = bench() else { return };
    let kernel = bench.kernel_with("share", 96 << 10);
    for (blocks, words) in [(1usize, 1), (3, 255), (2, 1000), (5, 24 << 10)] {
        let mut total = bench.stream.alloc_zeros::<u32>(1).unwrap();
        let mut most = bench.stream.alloc_zeros::<i32>(1).unwrap();
        let mut launch = bench.stream.launch_builder(&kernel);
        launch.arg(&mut total).arg(&mut most).arg(&words);
        // SAFETY: these are the kernel's parameters; shared memory holds `words` words.
        unsafe { launch.launch(grid(blocks, 256, 4 * words as u32)) }.unwrap();
        let total = bench.stream.clone_dtoh(&total).unwrap();
        let most = bench.stream.clone_dtoh(&most).unwrap();
        let of_block = |block: u32| {
            let of_round = |round: u32| {
                (0..words as u32)
                    .map(|i| i * 3 + round + block)
                    .sum::<u32>()
            };
            of_round(0).wrapping_add(of_round(1))
        };
        let expected = (0..blocks as u32).map(of_block).fold(0, u32::wrapping_add);
        assert_eq!(total, [expected], "{blocks} blocks of {words} words");
        assert_eq!(most, [blocks as i32 * 256 - 1]);
    }
}

#[test]
fn vectors_lie_in_memory_in_order() {
    let Some(bench) = bench() else { return };
    let x: Vec<f32> = (0..128).map(|i| i as f32 - 40.0).collect();
    let z: Vec<u32> = (0..64).map(|i| i * 5).collect();
    let x_device = bench.stream.clone_htod(&x).unwrap();
    let z_device = bench.stream.clone_htod(&z).unwrap();
    let mut y = bench.stream.alloc_zeros::<f32>(128).unwrap();
    let kernel = bench.kernel("vectors");
    let mut launch = bench.stream.launch_builder(&kernel);
    launch.arg(&x_device).arg(&z_device).arg(&mut y);
    // SAFETY: these are the kernel's parameters: 32 vectors of four, of two, and of four.
    unsafe { launch.launch(grid(1, 32, 0)) }.unwrap();
    let y = bench.stream.clone_dtoh(&y).unwrap();
    for i in 0..32 {
        let (v, w) = (&x[4 * i..][..4], &z[2 * i..][..2]);
        let tiny = f32::from_bits(w[0]);
        let expected = [
            v[3],
            v[0] + w[0] as f32,
            v[1] * 2.0 + w[1] as f32,
            v[2].max(tiny),
        ];
        assert_eq!(y[4 * i..][..4], expected, "vector {i}");
    }
}
