//! A device, its memory and its kernels: on a GPU, on the emulated driver, or, without either, the errors alone.

mod common;

use common::gpu;
use cudarc::driver::{LaunchConfig, PushKernelArg};
use deberta_cuda::{CudaError, Dtype, Gpu, Linear, Matrix, Module, cast};
use deberta_kernels::Activation;
use half::{bf16, f16};
use ndarray::Array2;

#[test]
fn a_device_that_is_not_there_is_an_error() {
    match Gpu::new(99) {
        Err(CudaError::NoDevice { ordinal: 99, count }) => assert_eq!(count, Gpu::count()),
        Err(CudaError::NoDriver | CudaError::OldDriver { .. }) => assert!(gpu().is_none()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn matrices_come_back_rounded_to_their_type() {
    let Some(gpu) = gpu() else { return };
    for shape in [(0, 5), (1, 1), (3, 17), (65, 128)] {
        let values = Array2::from_shape_fn(shape, |(i, j)| (i as f32 - 1.3 * j as f32).sin());
        for dtype in Dtype::ALL {
            let matrix = Matrix::from_f32(&gpu, values.view(), dtype).unwrap();
            let rounded = values.mapv(|x| match dtype {
                Dtype::F32 => x,
                Dtype::F16 => f16::from_f32(x).to_f32(),
                Dtype::Bf16 => bf16::from_f32(x).to_f32(),
            });
            assert_eq!(matrix.to_f32().unwrap(), rounded, "{shape:?} {dtype}");
        }
    }
}

#[test]
fn work_that_was_done_before_allocates_nothing() {
    let Some(gpu) = gpu() else { return };
    let values = Array2::from_shape_fn((100, 64), |(i, j)| (i * j % 7) as f32);
    let matrix = |dtype| Matrix::from_f32(&gpu, values.view(), dtype).unwrap();
    let linear = Linear::new(&gpu, matrix(Dtype::F16), None).unwrap();
    let pass = || {
        let mut x = linear
            .apply(&gpu, &matrix(Dtype::F16), Activation::Gelu)
            .unwrap();
        for _ in 0..3 {
            let wide = cast(&gpu, &x, Dtype::F32).unwrap();
            x = cast(&gpu, &wide, Dtype::F16).unwrap();
        }
        x.to_f32().unwrap()
    };
    let first = pass();
    let before = gpu.allocations();
    assert!(before > 0);
    for _ in 0..3 {
        assert_eq!(pass(), first);
        assert_eq!(gpu.allocations(), before);
    }
}

#[test]
fn a_recording_is_replayed() {
    let Some(gpu) = gpu() else { return };
    let values = Array2::from_shape_fn((5, 7), |(i, j)| i as f32 - j as f32);
    let mut x = Matrix::from_f32(&gpu, values.view(), Dtype::F32).unwrap();
    let run = || cast(&gpu, &x, Dtype::Bf16);
    let (graph, y) = gpu.record(run).unwrap();
    graph.launch().unwrap();
    assert_eq!(y.to_f32().unwrap(), values);
    // It reads what is there when it is replayed.
    let other = Matrix::from_f32(&gpu, (&values * 2.0).view(), Dtype::F32).unwrap();
    gpu.stream()
        .memcpy_dtod(other.memory(), x.memory_mut())
        .unwrap();
    let (milliseconds, ()) = gpu.timed(|| graph.launch()).unwrap();
    assert!(milliseconds >= 0.0);
    assert_eq!(y.to_f32().unwrap(), values * 2.0);
    // An error ends a recording, and the stream goes on.
    let failed = gpu.record(|| Matrix::new(&gpu, usize::MAX, 1, Dtype::F32));
    assert!(failed.is_err());
    assert_eq!(y.to_f32().unwrap().dim(), (5, 7));
}

#[test]
fn too_large_a_matrix_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let found = Matrix::new(&gpu, usize::MAX / 2, 3, Dtype::F32);
    assert!(
        matches!(found, Err(CudaError::Argument { .. })),
        "{found:?}"
    );
    // A number of bytes that fits, and that rounding up would not.
    let found = Matrix::new(&gpu, usize::MAX / 4, 1, Dtype::F32);
    assert!(
        matches!(found, Err(CudaError::Argument { .. })),
        "{found:?}"
    );
    let found = Matrix::new(&gpu, 1 << 22, 1 << 20, Dtype::F32);
    assert!(
        matches!(found, Err(CudaError::OutOfMemory { .. })),
        "{found:?}"
    );
}

#[test]
fn a_kernel_rounds_as_the_processor_does() {
    let Some(gpu) = gpu() else { return };
    let count = 300;
    let special = [
        0.0,
        -0.0,
        1e-41,
        6e-8,
        65504.0,
        65520.0,
        1e30,
        f32::INFINITY,
        -1.0,
    ];
    let value = |i: usize| *special.get(i).unwrap_or(&((i as f32 * 0.37).tan() * 1e-3));
    let values = Array2::from_shape_fn((1, count), |(_, i)| value(i));
    let x = Matrix::from_f32(&gpu, values.view(), Dtype::F32).unwrap();
    for (name, dtype) in [("convert_bf16", Dtype::Bf16), ("convert_f16", Dtype::F16)] {
        let mut bits = Matrix::new(&gpu, 1, count, dtype).unwrap();
        let mut back = Matrix::new(&gpu, 1, count, Dtype::F32).unwrap();
        let kernel = gpu.function(Module::Conformance, name, 0).unwrap();
        let shape = LaunchConfig {
            grid_dim: (count.div_ceil(128) as u32, 1, 1),
            block_dim: (128, 1, 1),
            shared_mem_bytes: 0,
        };
        let n = count as i32;
        let mut launch = gpu.stream().launch_builder(&kernel);
        launch.arg(x.memory());
        launch.arg(bits.memory_mut());
        launch.arg(back.memory_mut());
        launch.arg(&n);
        // SAFETY: the arguments are those of the kernel in conformance.cu, and each array holds `n` numbers.
        unsafe { launch.launch(shape) }.unwrap();
        let rounded = values.mapv(|x| match dtype {
            Dtype::F16 => f16::from_f32(x).to_f32(),
            _ => bf16::from_f32(x).to_f32(),
        });
        assert_eq!(bits.to_f32().unwrap(), rounded, "{name}");
        assert_eq!(back.to_f32().unwrap(), rounded, "{name}");
    }
}

#[test]
fn a_kernel_that_asks_for_too_much_shared_memory_is_refused() {
    let Some(gpu) = gpu() else { return };
    let found = gpu.function(Module::Conformance, "shuffles", 1 << 30);
    assert!(matches!(found, Err(CudaError::Argument { .. })));
    let found = gpu.function(Module::Conformance, "no_such_kernel", 0);
    assert!(matches!(found, Err(CudaError::Driver { .. })));
}
