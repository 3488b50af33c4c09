//! The backend that runs on the processor's cores, through `deberta-kernels`.

use super::arena::{Arena, Inner, Matrix};
use super::{Attend, Backend, By, Columns, End, LinearForm, Lookup, Pass, Rows, WeightRows};
use crate::checkpoint::MappedTable;
use crate::model::pool;
use crate::{Activation, Batch, Error, Pooling, Precision};
use deberta_kernels::{
    Attention, AttentionMap, EmbeddingTable, Epilogue, HeadMixing, Isa, KernelError, LayerNorm,
    Observation, PackedWeights, PositionTables, RelativePositions, SlotTable, TokenConv,
    disentangled_attention, explicit_attention, linear, linear_of_rounded, linear_rounded,
};
use ndarray::{Array2, ArrayView2, s};

/// The processor, with the instruction set to use. Operations run on the current rayon pool.
#[derive(Debug, Clone)]
pub(crate) struct Cpu {
    isa: Isa,
    arena: Arena,
}

impl Cpu {
    /// With the best instruction set, or the one that `DEBERTA_ISA` forces.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            isa: Isa::from_env()?,
            arena: Arena::default(),
        })
    }
}

/// The kernels' name of a precision. Loading has refused those that the processor does not have.
fn arithmetic(precision: Precision) -> deberta_kernels::Precision {
    match precision {
        Precision::F32 | Precision::F16 => deberta_kernels::Precision::F32,
        Precision::Bf16 => deberta_kernels::Precision::Bf16,
        Precision::Int8 => deberta_kernels::Precision::Int8,
    }
}

/// A linear layer with its weights packed.
pub(crate) struct Linear {
    weights: PackedWeights,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// What follows the product.
    fn epilogue<'a>(&'a self, end: &End<'a, Cpu>) -> Epilogue<'a> {
        let mut epilogue = Epilogue::default().activation(end.activation);
        epilogue.bias = self.bias.as_deref();
        match end.residual {
            Some((residual, norm)) => epilogue.residual(residual.view()).norm(norm),
            None => epilogue,
        }
    }

    /// The layer with any end, behind its bias: `[T, K] -> [T, N]`.
    pub(crate) fn forward<'a>(
        &'a self,
        cpu: &Cpu,
        x: &Matrix,
        end: Epilogue<'a>,
    ) -> Result<Matrix, Error> {
        let mut out = cpu.arena.matrix(x.rows(), self.weights.outputs());
        let bias = self.bias.as_deref();
        let epilogue = Epilogue { bias, ..end };
        linear(x.view(), &self.weights, &epilogue, out.view_mut())?;
        Ok(out)
    }

    /// The weights.
    pub(crate) fn weights(&self) -> &PackedWeights {
        &self.weights
    }

    /// The bias.
    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }
}

impl Cpu {
    /// The instruction set.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// A matrix whose values are unspecified.
    pub(crate) fn matrix_of(&self, rows: usize, columns: usize) -> Matrix {
        self.arena.matrix(rows, columns)
    }

    /// Writes or adds rows of a table to those of a matrix.
    pub(crate) fn look_up(
        &self,
        table: &MappedTable,
        ids: &[u32],
        add: bool,
        out: &mut Matrix,
    ) -> Result<(), Error> {
        EmbeddingTable::new(table.bytes(), table.dtype(), table.rows(), table.columns())?
            .gather(ids, add, out.view_mut())
            .map_err(|error| match error {
                KernelError::NonFinite { row } => table.non_finite(row),
                other => other.into(),
            })
    }

    /// A copy of some values as a matrix of our own.
    pub(crate) fn copy(&self, values: ArrayView2<'_, f32>) -> Matrix {
        let mut matrix = self.arena.matrix(values.nrows(), values.ncols());
        matrix.view_mut().assign(&values);
        matrix
    }
}

impl Backend for Cpu {
    type Matrix = Matrix;
    type Inner = Inner;
    type Table = MappedTable;
    type Linear = Linear;
    type Norm = LayerNorm;
    type Conv = TokenConv;
    type PositionTables = PositionTables;
    type Slots = SlotTable;
    type Mixing = HeadMixing;
    type Plan = ();

    fn table(&self, table: MappedTable) -> Result<MappedTable, Error> {
        Ok(table)
    }

    fn linear(
        &self,
        weight: &impl WeightRows,
        mut bias: Option<Vec<f32>>,
        form: LinearForm<'_>,
    ) -> Result<Linear, Error> {
        let (outputs, inputs) = weight.shape();
        let read = |rows, to: &mut [f32]| weight.read(rows, to);
        let weights = match form {
            LinearForm {
                precision: Precision::Int8,
                mean: Some(mean),
            } => {
                let (weights, drift) =
                    PackedWeights::quantized(self.isa, outputs, inputs, mean, read)?;
                let bias = bias.get_or_insert_with(|| vec![0.0; outputs]);
                bias.iter_mut().zip(drift).for_each(|(b, d)| *b += d);
                weights
            }
            LinearForm { precision, .. } => {
                PackedWeights::from_rows(self.isa, arithmetic(precision), outputs, inputs, read)?
            }
        };
        Ok(Linear { weights, bias })
    }

    fn quantized(
        &self,
        weight: &impl WeightRows,
        scales: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Result<Linear, Error> {
        let (outputs, inputs) = weight.shape();
        let read = |rows, to: &mut [u8]| weight.read_bytes(rows, to);
        let weights = PackedWeights::from_quantized(self.isa, outputs, inputs, scales, read)?;
        Ok(Linear { weights, bias })
    }

    fn norm(&self, weight: Vec<f32>, bias: Vec<f32>, eps: f32) -> Result<LayerNorm, Error> {
        Ok(LayerNorm::new(weight, bias, eps)?)
    }

    fn conv(
        &self,
        weight: &[f32],
        bias: Vec<f32>,
        kernel: usize,
        groups: usize,
    ) -> Result<TokenConv, Error> {
        Ok(TokenConv::new(self.isa, weight, bias, kernel, groups)?)
    }

    fn matrix(&self, values: Array2<f32>) -> Result<Matrix, Error> {
        Ok(self.copy(values.view()))
    }

    fn position_tables(
        &self,
        keys: Option<Matrix>,
        queries: Option<Matrix>,
        heads: usize,
        precision: Precision,
    ) -> Result<PositionTables, Error> {
        let keys = keys.as_ref().map(Matrix::view);
        let queries = queries.as_ref().map(Matrix::view);
        let (isa, precision) = (self.isa, arithmetic(precision));
        let tables = PositionTables::with_precision(isa, precision, keys, queries, heads)?;
        Ok(tables)
    }

    fn mixing(&self, logits: Array2<f32>, weights: Array2<f32>) -> Result<HeadMixing, Error> {
        Ok(HeadMixing::new(logits, weights)?)
    }

    fn slots(&self, relative: RelativePositions, length: usize) -> Result<SlotTable, Error> {
        Ok(SlotTable::new(relative, length))
    }

    fn check_rows(&self, _table: &MappedTable, _ids: &[u32]) -> Result<(), Error> {
        Ok(()) // rows are checked when they are gathered
    }

    fn plan(&self, _batch: &Batch) -> Result<(), Error> {
        Ok(())
    }

    fn embed(
        &self,
        lookups: &[Lookup<'_, Self>],
        norm: Option<&LayerNorm>,
        pass: Pass<'_, Self>,
    ) -> Result<Matrix, Error> {
        let columns = lookups.first().map_or(0, |l| l.table.columns());
        let mut out = self.arena.matrix(pass.batch.tokens(), columns);
        for (index, Lookup { table, by }) in lookups.iter().enumerate() {
            let positions;
            let ids = match by {
                By::Id => pass.batch.ids(),
                By::TypeId => pass.batch.type_ids(),
                By::Position => {
                    positions = pass.batch.absolute_positions();
                    &positions
                }
            };
            self.look_up(table, ids, index > 0, &mut out)?;
        }
        match norm {
            Some(norm) => self.normalize(norm, out),
            None => Ok(out),
        }
    }

    fn apply(&self, layer: &Linear, x: &Matrix, end: End<'_, Self>) -> Result<Matrix, Error> {
        let mut out = self.arena.matrix(x.rows(), layer.weights.outputs());
        let epilogue = layer.epilogue(&end);
        linear(x.view(), &layer.weights, &epilogue, out.view_mut())?;
        Ok(out)
    }

    fn apply_before(
        &self,
        layer: &Linear,
        x: &Matrix,
        activation: Activation,
        next: &Linear,
    ) -> Result<Inner, Error> {
        let mut out = self.arena.inner();
        let epilogue = layer.epilogue(&End::activation(activation));
        let (weights, next) = (&layer.weights, &next.weights);
        linear_rounded(x.view(), weights, &epilogue, next, &mut out)?;
        Ok(out)
    }

    fn apply_after(&self, layer: &Linear, x: &Inner, end: End<'_, Self>) -> Result<Matrix, Error> {
        let mut out = self.arena.matrix(x.rows(), layer.weights.outputs());
        let epilogue = layer.epilogue(&end);
        linear_of_rounded(x, &layer.weights, &epilogue, out.view_mut())?;
        Ok(out)
    }

    fn normalize(&self, norm: &LayerNorm, mut x: Matrix) -> Result<Matrix, Error> {
        norm.apply(self.isa, x.view_mut())?;
        Ok(x)
    }

    fn attend(&self, operands: Attend<'_, Self>, pass: Pass<'_, Self>) -> Result<Matrix, Error> {
        if operands.mixing.is_some() {
            let nothing = Observation::default();
            return Ok(self.attend_observed(operands, pass, nothing)?.0);
        }
        let mut out = self
            .arena
            .matrix(operands.query.matrix.rows(), operands.width);
        disentangled_attention(self.isa, &attention(&operands, pass.batch), out.view_mut())?;
        Ok(out)
    }

    fn attend_observed(
        &self,
        operands: Attend<'_, Self>,
        pass: Pass<'_, Self>,
        observation: Observation<'_>,
    ) -> Result<(Matrix, Vec<AttentionMap>), Error> {
        let mut out = self
            .arena
            .matrix(operands.query.matrix.rows(), operands.width);
        let (mixing, attention) = (operands.mixing, attention(&operands, pass.batch));
        let maps = explicit_attention(self.isa, &attention, mixing, observation, out.view_mut())?;
        Ok((out, maps))
    }

    fn convolve(
        &self,
        conv: &TokenConv,
        x: &Matrix,
        pass: Pass<'_, Self>,
        end: End<'_, Self>,
    ) -> Result<Matrix, Error> {
        let mut out = self.arena.matrix(x.rows(), x.columns());
        conv.forward(
            x.view(),
            pass.batch.bounds(),
            pass.batch.positions(),
            end.activation,
            out.view_mut(),
        )?;
        match end.residual {
            None => Ok(out),
            Some((residual, norm)) => {
                let sum = self.add(out, residual)?;
                self.normalize(norm, sum)
            }
        }
    }

    fn gather(&self, x: &Matrix, rows: Rows<'_>, pass: Pass<'_, Self>) -> Result<Matrix, Error> {
        let batch = pass.batch;
        let sequences = (0..batch.len()).map(|i| batch.sequence(i));
        let rows: Vec<usize> = match rows {
            Rows::First => sequences.map(|tokens| tokens.start).collect(),
            Rows::FirstOfEach => sequences
                .flat_map(|tokens| std::iter::repeat_n(tokens.start, tokens.len()))
                .collect(),
            Rows::These(rows) => rows.iter().map(|&row| row as usize).collect(),
        };
        let mut out = self.arena.matrix(rows.len(), x.columns());
        for (mut to, row) in out.view_mut().outer_iter_mut().zip(rows) {
            to.assign(&x.view().row(row));
        }
        Ok(out)
    }

    fn pool(
        &self,
        x: &Matrix,
        pooling: Pooling,
        normalize: bool,
        pass: Pass<'_, Self>,
    ) -> Result<Array2<f32>, Error> {
        pool(x.view(), pass.batch, pooling, normalize)
    }

    fn mean(&self, x: &Matrix) -> Result<Vec<f32>, Error> {
        let mut sums = vec![0.0f64; x.columns()];
        for row in x.view().outer_iter() {
            sums.iter_mut()
                .zip(row)
                .for_each(|(s, &v)| *s += f64::from(v));
        }
        let count = x.rows().max(1) as f64;
        Ok(sums.into_iter().map(|s| (s / count) as f32).collect())
    }

    fn add(&self, mut x: Matrix, y: &Matrix) -> Result<Matrix, Error> {
        x.view_mut().zip_mut_with(&y.view(), |x, y| *x += y);
        Ok(x)
    }

    fn read(&self, x: &Matrix, rows: usize) -> Result<Array2<f32>, Error> {
        Ok(x.view().slice(s![..rows, ..]).to_owned())
    }

    fn release(&self) -> Result<(), Error> {
        self.arena.clear();
        Ok(())
    }

    fn peek(&self, x: &Matrix) -> Result<Array2<f32>, Error> {
        Ok(x.view().to_owned())
    }
}

/// The kernel's view of the operands.
fn attention<'a>(operands: &Attend<'a, Cpu>, batch: &'a Batch) -> Attention<'a> {
    let columns = |c: &Columns<'a, Cpu>| {
        let all = c.matrix.view();
        all.slice_move(s![.., c.first..c.first + operands.width])
    };
    Attention {
        query: columns(&operands.query),
        key: columns(&operands.key),
        value: columns(&operands.value),
        heads: operands.heads,
        scale: operands.scale,
        precision: arithmetic(operands.precision),
        bounds: batch.bounds(),
        positions: batch.positions(),
        relative: operands.relative,
    }
}
