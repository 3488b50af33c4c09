//! The backend that runs on an NVIDIA GPU, through `deberta-cuda`.
//!
//! What is between layers is stored in the type of the model's precision. Layers that are to be exact (heads, and what
//! makes the position tables) have weights in `f32`, and rows are cast to it on their way in.

use super::{Attend, Backend, By, Columns, End, LinearForm, Lookup, Pass, Rows, WeightRows};
use crate::checkpoint::MappedTable;
use crate::model::check_pooled;
use crate::{Activation, Batch, Error, Pooling, Precision};
use deberta_cuda::{
    Attention, Contents, Dtype, Gpu, HeadMixing, Indices, Linear, Matrix, Norm, Pool,
    PositionTables, ScoreMap, Sequences, Shape, Slots, TokenConv,
};
use deberta_kernels::{AttentionMap, Observation, PackedWeights, RelativePositions, ScoreTerms};
use ndarray::{Array2, Axis};
use std::sync::{Arc, Mutex, PoisonError};

/// A GPU, with a stream of its own. Weights that one handle made can be used with another of the same device.
#[derive(Clone)]
pub(crate) struct Cuda {
    gpu: Gpu,
    /// How what is between layers is stored.
    dtype: Dtype,
    head_size: usize,
    /// The slots of each mapping that was asked for.
    slots: SlotTables,
}

/// Mappings and their slots, which are kept as long as the device is used.
type SlotTables = Arc<Mutex<Vec<(RelativePositions, Arc<Slots>)>>>;

/// An embedding table on the device.
pub(crate) struct Table {
    matrix: Matrix,
    source: MappedTable,
    /// The rows that hold something else than numbers, in order.
    odd: Vec<u32>,
}

impl Cuda {
    /// The device with this number, for a model of this precision and head size.
    pub(crate) fn new(
        ordinal: usize,
        precision: Precision,
        head_size: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            gpu: Gpu::new(ordinal)?,
            dtype: match precision {
                Precision::F32 => Dtype::F32,
                Precision::Bf16 => Dtype::Bf16,
                Precision::F16 | Precision::Int8 => Dtype::F16,
            },
            head_size,
            slots: SlotTables::default(),
        })
    }

    /// The same with a stream and memory of its own.
    pub(crate) fn with_own_stream(&self) -> Result<Self, Error> {
        Ok(Self {
            gpu: self.gpu.with_own_stream()?,
            ..self.clone()
        })
    }

    /// The device.
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Whether the fused attention kernel takes the model's heads.
    pub(crate) fn is_fused(&self) -> bool {
        Attention::is_fused(self.head_size)
    }

    /// Memory for batches of a shape.
    pub(crate) fn sequences(&self, shape: Shape) -> Result<Sequences, Error> {
        let queries = deberta_cuda::queries_per_task(self.dtype, self.head_size);
        Ok(Sequences::new(&self.gpu, shape, queries)?)
    }

    /// The type for weights of a precision.
    fn dtype_of(&self, precision: Precision) -> Dtype {
        match precision {
            Precision::F32 => Dtype::F32,
            _ => self.dtype,
        }
    }

    /// `x` as it is, or cast to another type.
    fn in_type<R>(
        &self,
        x: &Matrix,
        dtype: Dtype,
        run: impl FnOnce(&Matrix) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if x.dtype() == dtype {
            run(x)
        } else {
            run(&deberta_cuda::cast(&self.gpu, x, dtype)?)
        }
    }

    fn attention<'a>(&self, operands: &Attend<'a, Self>) -> Attention<'a> {
        let columns = |c: &Columns<'a, Self>| deberta_cuda::Columns {
            matrix: c.matrix,
            first: c.first,
        };
        Attention {
            query: columns(&operands.query),
            key: columns(&operands.key),
            value: columns(&operands.value),
            width: operands.width,
            heads: operands.heads,
            scale: operands.scale,
            relative: operands.relative.map(|(tables, slots)| (tables, &**slots)),
        }
    }
}

/// The shape of a batch.
pub(crate) fn shape(batch: &Batch) -> Shape {
    Shape::exact(batch.tokens(), batch.len(), batch.positions().is_some())
}

/// A batch as the kernels take it.
pub(crate) fn contents(batch: &Batch) -> Contents<'_> {
    Contents {
        ids: batch.ids(),
        type_ids: batch.type_ids(),
        bounds: batch.bounds(),
        positions: batch.positions(),
    }
}

impl Backend for Cuda {
    type Matrix = Matrix;
    type Table = Table;
    type Inner = Matrix;
    type Linear = Linear;
    type Norm = Norm;
    type Conv = TokenConv;
    type PositionTables = PositionTables;
    type Slots = Arc<Slots>;
    type Mixing = HeadMixing;
    type Plan = Sequences;

    fn table(&self, table: MappedTable) -> Result<Table, Error> {
        let (rows, columns, storage) = (table.rows(), table.columns(), table.dtype());
        let mut odd = Vec::new();
        let read = |first: usize, to: &mut [f32]| {
            let width = columns * storage.size();
            let count = to.len() / columns.max(1);
            let bytes = &table.bytes()[first * width..(first + count) * width];
            storage.widen(bytes, to)?;
            for (index, row) in to.chunks_exact_mut(columns.max(1)).enumerate() {
                if !row.iter().all(|x| x.is_finite()) {
                    odd.push((first + index) as u32);
                }
            }
            Ok::<_, Error>(())
        };
        let matrix = Matrix::from_rows(&self.gpu, [rows, columns], self.dtype, read)?;
        Ok(Table {
            matrix,
            source: table,
            odd,
        })
    }

    fn linear(
        &self,
        weight: &impl WeightRows,
        bias: Option<Vec<f32>>,
        form: LinearForm<'_>,
    ) -> Result<Linear, Error> {
        let (outputs, inputs) = weight.shape();
        let dtype = self.dtype_of(form.precision);
        let matrix = Matrix::from_rows(&self.gpu, [outputs, inputs], dtype, |first, to| {
            weight.read(first..first + to.len() / inputs.max(1), to)
        })?;
        Ok(Linear::new(&self.gpu, matrix, bias.as_deref())?)
    }

    fn quantized(
        &self,
        weight: &impl WeightRows,
        scales: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Result<Linear, Error> {
        let (outputs, inputs) = weight.shape();
        let group = PackedWeights::quantized_group_size(inputs).max(1);
        let groups = PackedWeights::quantized_groups(inputs);
        let mut bytes = Vec::new();
        let read = |first: usize, to: &mut [f32]| {
            bytes.resize(to.len(), 0);
            weight.read_bytes(first..first + to.len() / inputs.max(1), &mut bytes)?;
            for (index, (to, &byte)) in to.iter_mut().zip(&bytes).enumerate() {
                let (row, column) = (first + index / inputs, index % inputs);
                *to = f32::from(byte.cast_signed()) * scales[row * groups + column / group];
            }
            Ok::<_, Error>(())
        };
        let matrix = Matrix::from_rows(&self.gpu, [outputs, inputs], self.dtype, read)?;
        Ok(Linear::new(&self.gpu, matrix, bias.as_deref())?)
    }

    fn norm(&self, weight: Vec<f32>, bias: Vec<f32>, eps: f32) -> Result<Norm, Error> {
        Ok(Norm::new(&self.gpu, &weight, &bias, eps)?)
    }

    fn conv(
        &self,
        weight: &[f32],
        bias: Vec<f32>,
        kernel: usize,
        groups: usize,
    ) -> Result<TokenConv, Error> {
        let dtype = self.dtype;
        Ok(TokenConv::new(
            &self.gpu, weight, &bias, kernel, groups, dtype,
        )?)
    }

    fn matrix(&self, values: Array2<f32>) -> Result<Matrix, Error> {
        Ok(Matrix::from_f32(&self.gpu, values.view(), Dtype::F32)?)
    }

    fn position_tables(
        &self,
        keys: Option<Matrix>,
        queries: Option<Matrix>,
        _heads: usize,
        _precision: Precision,
    ) -> Result<PositionTables, Error> {
        let stored = |table: Matrix| match table.dtype() == self.dtype {
            true => Ok(table),
            false => deberta_cuda::cast(&self.gpu, &table, self.dtype),
        };
        Ok(PositionTables {
            keys: keys.map(stored).transpose()?,
            queries: queries.map(stored).transpose()?,
        })
    }

    fn mixing(&self, logits: Array2<f32>, weights: Array2<f32>) -> Result<HeadMixing, Error> {
        Ok(HeadMixing {
            logits: self.matrix(logits)?,
            weights: self.matrix(weights)?,
        })
    }

    fn slots(&self, relative: RelativePositions, _length: usize) -> Result<Arc<Slots>, Error> {
        let mut all = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slots)) = all.iter().find(|(other, _)| *other == relative) {
            return Ok(Arc::clone(slots));
        }
        let slots = Arc::new(Slots::new(&self.gpu, relative)?);
        // Other streams will read them.
        self.gpu.synchronize()?;
        all.push((relative, Arc::clone(&slots)));
        Ok(slots)
    }

    fn check_rows(&self, table: &Table, ids: &[u32]) -> Result<(), Error> {
        let odd = |id: &&u32| table.odd.binary_search(id).is_ok();
        match ids.iter().find(odd).filter(|_| !table.odd.is_empty()) {
            Some(&id) => Err(table.source.non_finite(id as usize)),
            None => Ok(()),
        }
    }

    fn plan(&self, batch: &Batch) -> Result<Sequences, Error> {
        let mut sequences = self.sequences(shape(batch))?;
        sequences.write(&self.gpu, contents(batch))?;
        Ok(sequences)
    }

    fn embed(
        &self,
        lookups: &[Lookup<'_, Self>],
        norm: Option<&Norm>,
        pass: Pass<'_, Self>,
    ) -> Result<Matrix, Error> {
        let ids: Vec<_> = lookups
            .iter()
            .map(|lookup| match lookup.by {
                By::Id => pass.plan.ids(),
                By::TypeId => pass.plan.type_ids(),
                By::Position => pass.plan.positions(),
            })
            .collect();
        let lookups: Vec<_> = lookups
            .iter()
            .zip(&ids)
            .map(|(lookup, ids)| deberta_cuda::Lookup {
                table: &lookup.table.matrix,
                ids,
            })
            .collect();
        Ok(deberta_cuda::embed(&self.gpu, &lookups, norm)?)
    }

    fn apply(&self, layer: &Linear, x: &Matrix, end: End<'_, Self>) -> Result<Matrix, Error> {
        let gpu = &self.gpu;
        self.in_type(x, layer.dtype(), |x| {
            Ok(match (end.residual, end.activation) {
                (None, activation) => layer.apply(gpu, x, activation)?,
                (Some((residual, norm)), Activation::Identity) => {
                    layer.apply_and_join(gpu, x, residual, norm)?
                }
                (Some((residual, norm)), activation) => {
                    let y = layer.apply(gpu, x, activation)?;
                    deberta_cuda::join(gpu, y, Some(residual), Some(norm))?
                }
            })
        })
    }

    fn apply_before(
        &self,
        layer: &Linear,
        x: &Matrix,
        activation: Activation,
        _next: &Linear,
    ) -> Result<Matrix, Error> {
        self.apply(layer, x, End::activation(activation))
    }

    fn apply_after(&self, layer: &Linear, x: &Matrix, end: End<'_, Self>) -> Result<Matrix, Error> {
        self.apply(layer, x, end)
    }

    fn normalize(&self, norm: &Norm, x: Matrix) -> Result<Matrix, Error> {
        Ok(deberta_cuda::join(&self.gpu, x, None, Some(norm))?)
    }

    fn attend(&self, operands: Attend<'_, Self>, pass: Pass<'_, Self>) -> Result<Matrix, Error> {
        let attention = self.attention(&operands);
        if operands.mixing.is_some() || !self.is_fused() {
            let nothing = Observation::default();
            return Ok(self.attend_observed(operands, pass, nothing)?.0);
        }
        Ok(attention.apply(&self.gpu, pass.plan)?)
    }

    fn attend_observed(
        &self,
        operands: Attend<'_, Self>,
        pass: Pass<'_, Self>,
        observation: Observation<'_>,
    ) -> Result<(Matrix, Vec<AttentionMap>), Error> {
        let (out, maps) = self.attention(&operands).apply_explicitly(
            &self.gpu,
            pass.plan,
            operands.mixing,
            observation.heads,
            observation.terms,
        )?;
        Ok((out, maps.into_iter().map(attention_map).collect()))
    }

    fn convolve(
        &self,
        conv: &TokenConv,
        x: &Matrix,
        pass: Pass<'_, Self>,
        end: End<'_, Self>,
    ) -> Result<Matrix, Error> {
        let y = conv.apply(&self.gpu, x, pass.plan, end.activation)?;
        match end.residual {
            None => Ok(y),
            Some((residual, norm)) => Ok(deberta_cuda::join(
                &self.gpu,
                y,
                Some(residual),
                Some(norm),
            )?),
        }
    }

    fn gather(&self, x: &Matrix, rows: Rows<'_>, pass: Pass<'_, Self>) -> Result<Matrix, Error> {
        let rows = match rows {
            Rows::First => pass.plan.first_tokens(),
            Rows::FirstOfEach => pass.plan.begin(),
            Rows::These(rows) => {
                // A device counts rows in 31 bits.
                let rows: Vec<i32> = rows.iter().map(|&row| row.cast_signed()).collect();
                Indices::new(&self.gpu, &rows)?
            }
        };
        Ok(deberta_cuda::gather(&self.gpu, x, &rows)?)
    }

    fn pool(
        &self,
        x: &Matrix,
        pooling: Pooling,
        normalize: bool,
        pass: Pass<'_, Self>,
    ) -> Result<Array2<f32>, Error> {
        check_pooled(pass.batch, pooling)?;
        let pool = match pooling {
            Pooling::Cls => Pool::First,
            Pooling::Mean => Pool::Mean,
            Pooling::Max => Pool::Max,
        };
        let bounds = pass.plan.bounds();
        let pooled = deberta_cuda::pool(&self.gpu, x, &bounds, pool, normalize)?;
        self.read(&pooled, pass.batch.len())
    }

    fn mean(&self, x: &Matrix) -> Result<Vec<f32>, Error> {
        let rows = x.to_f32()?.mapv(f64::from);
        let means = rows.mean_axis(Axis(0));
        let means = means.map(|means| means.mapv(|x| x as f32).to_vec());
        Ok(means.unwrap_or_else(|| vec![0.0; x.columns()]))
    }

    fn add(&self, x: Matrix, y: &Matrix) -> Result<Matrix, Error> {
        Ok(deberta_cuda::join(&self.gpu, x, Some(y), None)?)
    }

    fn read(&self, x: &Matrix, rows: usize) -> Result<Array2<f32>, Error> {
        Ok(x.rows_to_f32(rows)?)
    }

    fn release(&self) -> Result<(), Error> {
        self.gpu.synchronize()?;
        self.gpu.release();
        Ok(())
    }

    fn peek(&self, x: &Matrix) -> Result<Array2<f32>, Error> {
        Ok(x.to_f32()?)
    }
}

/// What was seen, in the words of the kernels on the processor.
fn attention_map(map: ScoreMap) -> AttentionMap {
    AttentionMap {
        sequence: map.sequence,
        head: map.head,
        probabilities: map.probabilities,
        terms: map.terms.map(|[content, c2p, p2c]| ScoreTerms {
            content_content: content.unwrap_or_default(),
            content_position: c2p,
            position_content: p2c,
        }),
    }
}
