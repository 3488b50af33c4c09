//! From tensors in files to a backend's weights.

use super::layout::{Affine, ContentLayout};
use crate::Error;
use crate::backend::Backend;
use crate::checkpoint::{Checkpoint, TensorSpec};
use ndarray::{Array2, Axis};

/// Reads tensors and hands them to the backend.
pub(crate) struct Loader<'a, B: Backend> {
    pub(crate) backend: &'a B,
    pub(crate) checkpoint: &'a Checkpoint,
}

impl<B: Backend> Loader<'_, B> {
    /// A linear layer.
    pub(crate) fn linear(&self, layout: &Affine) -> Result<B::Linear, Error> {
        self.backend
            .linear(self.matrix(&layout.weight)?, self.bias(layout)?)
    }

    /// The projections of the hidden states to queries, keys and values.
    pub(crate) fn projections(
        &self,
        layout: &ContentLayout,
        heads: usize,
    ) -> Result<[B::Linear; 3], Error> {
        match layout {
            ContentLayout::Separate { query, key, value } => {
                Ok([self.linear(query)?, self.linear(key)?, self.linear(value)?])
            }
            ContentLayout::Interleaved {
                weight,
                query_bias,
                value_bias,
            } => {
                let all = self.matrix(weight)?;
                // Rows are [head][q|k|v][d].
                let size = all.nrows() / (3 * heads);
                let part = |part: usize, bias| {
                    let row = |i: usize| (i / size * 3 + part) * size + i % size;
                    let rows: Vec<usize> = (0..heads * size).map(row).collect();
                    self.backend.linear(all.select(Axis(0), &rows), bias)
                };
                Ok([
                    part(0, Some(self.vector(query_bias)?))?,
                    part(1, None)?,
                    part(2, Some(self.vector(value_bias)?))?,
                ])
            }
        }
    }

    /// A layer normalisation.
    pub(crate) fn norm(&self, layout: &Affine, eps: f32) -> Result<B::Norm, Error> {
        let weight = self.vector(&layout.weight)?;
        let bias = self
            .bias(layout)?
            .unwrap_or_else(|| vec![0.0; weight.len()]);
        self.backend.norm(weight, bias, eps)
    }

    /// All values of a tensor, in row-major order.
    pub(crate) fn vector(&self, spec: &TensorSpec) -> Result<Vec<f32>, Error> {
        Ok(self.checkpoint.read_f32(spec)?.0)
    }

    /// A bias, if there is one.
    pub(crate) fn bias(&self, layout: &Affine) -> Result<Option<Vec<f32>>, Error> {
        layout
            .bias
            .as_ref()
            .map(|spec| self.vector(spec))
            .transpose()
    }

    /// A tensor of two dimensions.
    pub(crate) fn matrix(&self, spec: &TensorSpec) -> Result<Array2<f32>, Error> {
        let (values, shape) = self.checkpoint.read_f32(spec)?;
        let rows = shape.first().copied().unwrap_or(0);
        let columns = shape.iter().skip(1).product();
        Array2::from_shape_vec((rows, columns), values).map_err(|_| Error::WeightsFile {
            file: self.checkpoint.source().to_owned(),
            expected: format!("tensor {} to have two dimensions", spec.name),
            found: format!("shape {shape:?}"),
        })
    }
}
