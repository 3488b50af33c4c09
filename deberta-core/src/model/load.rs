//! From tensors in files to a backend's weights.

use super::layout::{Affine, ContentLayout, Layout};
use crate::backend::{Backend, LinearForm, WeightRows};
use crate::checkpoint::{Checkpoint, MatrixReader, TensorSpec};
use crate::{Config, Error, Precision};
use ndarray::Array2;
use std::ops::Range;

/// Reads tensors and hands them to the backend.
pub(crate) struct Loader<'a, B: Backend> {
    pub(crate) backend: &'a B,
    pub(crate) checkpoint: &'a Checkpoint,
    /// Of the linear layers of the encoder.
    pub(crate) precision: Precision,
}

/// What is projected: the rows of a layer's queries, keys and values in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    All,
    Queries,
    Keys,
}

impl<B: Backend> Loader<'_, B> {
    /// How the linear layers of the encoder are kept, given the mean of typical inputs if it is known.
    pub(crate) fn form<'m>(&self, mean: Option<&'m [f32]>) -> LinearForm<'m> {
        LinearForm {
            precision: self.precision,
            mean,
        }
    }

    /// How the words that a masked-language-model head predicts are kept: as exactly as so large a table can be.
    pub(crate) fn word_form(&self) -> LinearForm<'static> {
        let precision = match self.precision {
            Precision::F32 => Precision::F32,
            _ => Precision::Bf16,
        };
        LinearForm {
            precision,
            mean: None,
        }
    }

    /// A linear layer.
    pub(crate) fn linear(&self, layout: &Affine, form: LinearForm<'_>) -> Result<B::Linear, Error> {
        let rows = Rows::all(self.checkpoint.reader(&layout.weight)?);
        let bias = self.bias(layout)?;
        match &layout.scales {
            None => self.backend.linear(&rows, bias, form),
            Some(scales) => self.backend.quantized(&rows, &self.vector(scales)?, bias),
        }
    }

    /// Linear layers of the same inputs as one whose outputs are theirs side by side. A layer without a bias adds nothing.
    pub(crate) fn stacked(
        &self,
        layouts: &[Affine],
        form: LinearForm<'_>,
    ) -> Result<B::Linear, Error> {
        let (mut rows, mut bias) = (Rows::default(), Vec::new());
        let mut scales = Vec::new();
        for layout in layouts {
            let reader = self.checkpoint.reader(&layout.weight)?;
            bias.extend(match self.bias(layout)? {
                Some(bias) => bias,
                None => vec![0.0; reader.rows()],
            });
            rows.append(reader);
            scales.extend(&layout.scales);
        }
        if scales.is_empty() {
            return self.backend.linear(&rows, Some(bias), form);
        }
        let scales = scales.into_iter().map(|scales| self.vector(scales));
        let scales = scales.collect::<Result<Vec<_>, _>>()?.concat();
        self.backend.quantized(&rows, &scales, Some(bias))
    }

    /// A linear layer in single precision, whatever the precision of the encoder.
    pub(crate) fn exact(&self, layout: &Affine) -> Result<B::Linear, Error> {
        self.linear(layout, LinearForm::EXACT)
    }

    /// The projection of the hidden states to queries, keys and values, side by side in this order; or a part of it.
    pub(crate) fn projection(
        &self,
        layout: &ContentLayout,
        heads: usize,
        part: Content,
        form: LinearForm<'_>,
    ) -> Result<B::Linear, Error> {
        let wanted = match part {
            Content::All => 0..3,
            Content::Queries => 0..1,
            Content::Keys => 1..2,
        };
        let layout = match layout {
            ContentLayout::Separate(parts) => return self.stacked(&parts[wanted], form),
            ContentLayout::Interleaved(layout) => layout,
        };
        let (mut rows, mut bias) = (Rows::default(), Vec::new());
        rows.readers.push(self.checkpoint.reader(&layout.weight)?);
        let size = rows.readers[0].rows() / (3 * heads);
        for part in wanted {
            // Rows of the file are [head][q|k|v][d].
            rows.spans.extend((0..heads).map(|head| Span {
                reader: 0,
                first: (head * 3 + part) * size,
                count: size,
            }));
            // A part without a bias adds nothing to its columns.
            bias.extend(match &layout.biases[part] {
                Some(spec) => self.vector(spec)?,
                None => vec![0.0; heads * size],
            });
        }
        let Some(scales) = &layout.scales else {
            return self.backend.linear(&rows, Some(bias), form);
        };
        let scales = rows.arrange(&self.vector(scales)?);
        self.backend.quantized(&rows, &scales, Some(bias))
    }

    /// A layer normalisation.
    pub(crate) fn norm(&self, layout: &Affine, eps: f32) -> Result<B::Norm, Error> {
        let weight = self.vector(&layout.weight)?;
        let bias = self
            .bias(layout)?
            .unwrap_or_else(|| vec![0.0; weight.len()]);
        self.backend.norm(weight, bias, eps)
    }

    /// The relative-position table that the layers project, `[2·span, N]`, if the model has one.
    pub(crate) fn relative_table(
        &self,
        layout: &Layout,
        config: &Config,
    ) -> Result<Option<B::Matrix>, Error> {
        let Some(relative) = &layout.relative else {
            return Ok(None);
        };
        let table = self.backend.matrix(self.matrix(&relative.table)?)?;
        let Some(norm) = &relative.norm else {
            return Ok(Some(table));
        };
        let norm = self.norm(norm, config.layer_norm_eps)?;
        self.backend.normalize(&norm, table).map(Some)
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

/// Rows of some matrices in a new order.
#[derive(Default)]
struct Rows<'a> {
    readers: Vec<MatrixReader<'a>>,
    spans: Vec<Span>,
}

/// Consecutive rows of one matrix.
struct Span {
    reader: usize,
    first: usize,
    count: usize,
}

impl<'a> Rows<'a> {
    /// All rows of a matrix.
    fn all(reader: MatrixReader<'a>) -> Self {
        let mut rows = Self::default();
        rows.append(reader);
        rows
    }

    /// Adds all rows of a matrix.
    fn append(&mut self, reader: MatrixReader<'a>) {
        self.spans.push(Span {
            reader: self.readers.len(),
            first: 0,
            count: reader.rows(),
        });
        self.readers.push(reader);
    }

    /// Brings what belongs to the rows of the only matrix, as much to each, in the new order.
    fn arrange(&self, of_rows: &[f32]) -> Vec<f32> {
        let rows = self.readers.first().map_or(0, MatrixReader::rows);
        let each = of_rows.len() / rows.max(1);
        let spans = self.spans.iter();
        let parts = spans.map(|span| &of_rows[span.first * each..(span.first + span.count) * each]);
        parts.collect::<Vec<_>>().concat()
    }

    /// Calls `read` with each of some rows' matrices, the rows of it, and the rows' part of `to`.
    fn visit<T>(
        &self,
        rows: Range<usize>,
        mut to: &mut [T],
        read: impl Fn(&MatrixReader<'a>, Range<usize>, &mut [T]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut start = 0;
        for span in &self.spans {
            let end = start + span.count;
            let (first, last) = (rows.start.max(start), rows.end.min(end));
            if first < last {
                let reader = &self.readers[span.reader];
                let (part, rest) = to.split_at_mut((last - first) * reader.columns());
                let offset = span.first + first - start;
                read(reader, offset..offset + last - first, part)?;
                to = rest;
            }
            start = end;
        }
        Ok(())
    }
}

impl WeightRows for Rows<'_> {
    fn shape(&self) -> (usize, usize) {
        let columns = self.readers.first().map_or(0, MatrixReader::columns);
        (self.spans.iter().map(|span| span.count).sum(), columns)
    }

    fn read(&self, rows: Range<usize>, to: &mut [f32]) -> Result<(), Error> {
        self.visit(rows, to, MatrixReader::read)
    }

    fn read_bytes(&self, rows: Range<usize>, to: &mut [u8]) -> Result<(), Error> {
        self.visit(rows, to, MatrixReader::read_bytes)
    }
}
