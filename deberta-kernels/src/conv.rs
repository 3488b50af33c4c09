//! Convolution over the tokens of each sequence.

use crate::gemm::{Epilogue, PackedWeights, linear};
use crate::shape::{check_bounds, check_len, check_matrix, check_positions};
use crate::{Activation, Isa, KernelError};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// A one-dimensional convolution over tokens that keeps the length: `torch.nn.Conv1d` with `padding = (kernel - 1)/2`.
///
/// ```text
/// y[t, o] = f( bias[o] + Σ_tap Σ_c  W[o, c, tap] · x[t + tap - (kernel - 1)/2, c] )
/// ```
///
/// with `c` over the input channels of the output's group. Neighbours are found by position; one that is absent, beyond
/// the ends of the sequence or masked out, counts as zero. Computed as one matrix product per group over gathered
/// neighbours.
#[derive(Debug, Clone)]
pub struct TokenConv {
    groups: Vec<PackedWeights>,
    bias: Vec<f32>,
    kernel: usize,
    channels: usize,
    isa: Isa,
}

impl TokenConv {
    /// Packs `weights: [channels, channels / groups, kernel]`, row-major, and `bias: [channels]`.
    ///
    /// # Errors
    /// [`KernelError`] for an even or zero kernel, a number of groups that does not divide the channels, or the wrong
    /// number of weights.
    pub fn new(
        isa: Isa,
        weights: &[f32],
        bias: Vec<f32>,
        kernel: usize,
        groups: usize,
    ) -> Result<Self, KernelError> {
        let channels = bias.len();
        if kernel.is_multiple_of(2) {
            let reason = "must be odd";
            return Err(KernelError::Parameter {
                parameter: "kernel",
                reason,
                found: kernel,
            });
        }
        if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
            let reason = "must divide the number of channels";
            return Err(KernelError::Parameter {
                parameter: "groups",
                reason,
                found: groups,
            });
        }
        let width = channels / groups;
        let expected = channels
            .checked_mul(width)
            .and_then(|n| n.checked_mul(kernel));
        if expected != Some(weights.len()) {
            return Err(KernelError::Shape {
                argument: "weights",
                expected: vec![channels, width, kernel],
                found: vec![weights.len()],
            });
        }
        // [out, in, tap] -> [out, tap·in]: the order in which neighbours are gathered.
        let mut reordered = Vec::with_capacity(weights.len());
        for row in weights.chunks_exact(width * kernel) {
            for tap in 0..kernel {
                reordered.extend(row.iter().skip(tap).step_by(kernel));
            }
        }
        let groups = reordered
            .chunks_exact(width * width * kernel)
            .map(|group| PackedWeights::new(isa, group, width, width * kernel))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            groups,
            bias,
            kernel,
            channels,
            isa,
        })
    }

    /// Computes `out = activation(conv(x))` for packed sequences, `x` and `out: [T, channels]`.
    ///
    /// `bounds` are the B+1 boundaries of the sequences; `positions`, where given, the place of each token in its
    /// sequence, otherwise tokens are neighbours in packed order.
    ///
    /// # Errors
    /// [`KernelError`] if a shape, a boundary or a position does not fit.
    pub fn forward(
        &self,
        x: ArrayView2<'_, f32>,
        bounds: &[usize],
        positions: Option<&[u32]>,
        activation: Activation,
        mut out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), KernelError> {
        let tokens = x.nrows();
        check_matrix("x", &x, [tokens, self.channels])?;
        check_matrix("out", &out.view(), [tokens, self.channels])?;
        check_bounds(bounds, tokens)?;
        if let Some(positions) = positions {
            check_positions(positions, bounds)?;
        }
        let neighbours = self.neighbours(tokens, bounds, positions);
        let width = self.channels / self.groups.len();
        let mut gathered = Array2::zeros((tokens, width * self.kernel));
        for (index, weights) in self.groups.iter().enumerate() {
            let columns = index * width..(index + 1) * width;
            let rows = gathered.outer_iter_mut().into_par_iter().with_min_len(16);
            rows.zip(neighbours.par_chunks(self.kernel))
                .for_each(|(mut row, taps)| {
                    for (mut part, tap) in row.axis_chunks_iter_mut(Axis(0), width).zip(taps) {
                        match tap {
                            Some(token) => part.assign(&x.slice(s![*token, columns.clone()])),
                            None => part.fill(0.0),
                        }
                    }
                });
            let bias = &self.bias[columns.clone()];
            check_len("bias", bias.len(), width)?;
            let epilogue = Epilogue::default().bias(bias).activation(activation);
            linear(
                gathered.view(),
                weights,
                &epilogue,
                out.slice_mut(s![.., columns]),
            )?;
        }
        Ok(())
    }

    /// For each token the packed indices of the tokens under the kernel, `[T, kernel]`.
    fn neighbours(
        &self,
        tokens: usize,
        bounds: &[usize],
        positions: Option<&[u32]>,
    ) -> Vec<Option<usize>> {
        let reach = (self.kernel - 1) / 2;
        let mut all = Vec::with_capacity(tokens * self.kernel);
        for pair in bounds.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            for t in start..end {
                for tap in 0..self.kernel {
                    all.push(match positions {
                        None => (t + tap)
                            .checked_sub(reach)
                            .filter(|n| (start..end).contains(n)),
                        Some(positions) => (positions[t] as usize + tap)
                            .checked_sub(reach)
                            .and_then(|p| u32::try_from(p).ok())
                            .and_then(|p| positions[start..end].binary_search(&p).ok())
                            .map(|n| start + n),
                    });
                }
            }
        }
        all
    }

    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The instruction set that the weights were packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}
