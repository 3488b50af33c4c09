//! A convolution over the tokens of each sequence.

use crate::launch::{Kernel, arguments};
use crate::linear::Operands;
use crate::matrix::Vector;
use crate::{CudaError, Dtype, Gpu, Matrix, Module, Sequences};
use deberta_kernels::Activation;
use ndarray::ArrayView2;

/// A one-dimensional convolution over tokens that keeps the length, as `deberta_kernels::TokenConv` computes it: one
/// product per group with gathered neighbours.
#[derive(Debug)]
pub struct TokenConv {
    /// `[channels, kernel·channels/groups]`, the channels of a neighbour side by side.
    weight: Matrix,
    bias: Vector,
    channels: usize,
    groups: usize,
    kernel: usize,
}

impl TokenConv {
    /// Takes `weight: [channels, channels / groups, kernel]`, row-major, and `bias: [channels]`.
    ///
    /// # Errors
    /// [`CudaError`] for an even or zero kernel, a number of groups that does not divide the channels, the wrong number
    /// of weights, or where memory does not suffice.
    pub fn new(
        gpu: &Gpu,
        weight: &[f32],
        bias: &[f32],
        kernel: usize,
        groups: usize,
        dtype: Dtype,
    ) -> Result<Self, CudaError> {
        let channels = bias.len();
        let argument = |argument, expected: &str, found: usize| {
            let (expected, found) = (expected.to_owned(), found.to_string());
            Err(CudaError::Argument {
                argument,
                expected,
                found,
            })
        };
        if kernel.is_multiple_of(2) {
            return argument("kernel", "an odd number", kernel);
        }
        if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
            return argument("groups", "a divisor of the channels", groups);
        }
        let width = channels / groups;
        let expected = channels
            .checked_mul(width)
            .and_then(|n| n.checked_mul(kernel));
        if expected != Some(weight.len()) {
            return Err(CudaError::Shape {
                argument: "weight",
                expected: vec![channels, width, kernel],
                found: vec![weight.len()],
            });
        }
        // [out, in, tap] -> [out, tap·in]: the order in which neighbours are gathered.
        let mut reordered = Vec::with_capacity(weight.len());
        for row in weight.chunks_exact(width * kernel) {
            for tap in 0..kernel {
                reordered.extend(row.iter().skip(tap).step_by(kernel));
            }
        }
        let shape = (channels, width * kernel);
        let rows = ArrayView2::from_shape(shape, &reordered).map_err(|_| CudaError::Shape {
            argument: "weight",
            expected: vec![shape.0, shape.1],
            found: vec![reordered.len()],
        })?;
        Ok(Self {
            weight: Matrix::from_f32(gpu, rows, dtype)?,
            bias: Vector::new(gpu, bias)?,
            channels,
            groups,
            kernel,
        })
    }

    /// `[T, channels] -> [T, channels]`
    ///
    /// # Errors
    /// [`CudaError`] where shapes or types differ, or memory does not suffice.
    pub fn apply(
        &self,
        gpu: &Gpu,
        x: &Matrix,
        sequences: &Sequences,
        activation: Activation,
    ) -> Result<Matrix, CudaError> {
        let (dtype, rows) = (self.weight.dtype(), sequences.shape().tokens);
        x.check("x", rows, self.channels, dtype)?;
        let (begin, end) = (sequences.begin(), sequences.end());
        let positions = sequences.shape().positions.then(|| sequences.positions());
        let depth = self.weight.columns();
        // The columns of each group begin where rows of the weights may: at multiples of 16 bytes.
        let per_group = self.weight.stride();
        let gathered = Matrix::new(gpu, rows, self.groups * per_group, dtype)?;
        let unfold = Kernel {
            module: Module::Rows,
            name: &format!("unfold_{dtype}"),
            blocks: [rows.div_ceil(4), 1],
            threads: 128,
            shared_bytes: 0,
        };
        // SAFETY: these are the kernel's parameters; `gathered` has a place for every neighbour of every group.
        unsafe {
            unfold.enqueue(
                gpu,
                arguments![
                    x.pointer(),
                    x.stride(),
                    begin.pointer(),
                    end.pointer(),
                    positions.as_ref().map(|positions| positions.pointer()),
                    gathered.pointer(),
                    gathered.stride(),
                    per_group,
                    rows,
                    self.channels,
                    self.groups,
                    self.kernel,
                ],
            )?;
        }
        let out = Matrix::new(gpu, rows, self.channels, dtype)?;
        let width = self.channels / self.groups;
        for group in 0..self.groups {
            let first = group * width;
            let operands = Operands {
                x: (gathered.pointer_to(group * per_group), gathered.stride()),
                weight: (
                    self.weight
                        .pointer()
                        .after(first * per_group * dtype.bytes()),
                    per_group,
                ),
                bias: Some(self.bias.pointer().after(first * size_of::<f32>())),
                out: (out.pointer_to(first), out.stride()),
                shape: [rows, width, depth],
            };
            // SAFETY: the columns and rows are those of the group; columns begin at multiples of 16 bytes.
            unsafe { operands.multiply(gpu, dtype, activation)? };
        }
        Ok(out)
    }
}
