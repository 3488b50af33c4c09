//! The backend that runs on the processor's cores, through `deberta-kernels`.

use super::{Attend, Backend, End, Lookup};
use crate::checkpoint::MappedTable;
use crate::{Batch, Error};
use deberta_kernels::{
    Attention, AttentionMap, EmbeddingTable, Epilogue, HeadMixing, Isa, KernelError, LayerNorm,
    Observation, PackedWeights, PositionTables, RelativePositions, SlotTable, TokenConv,
    disentangled_attention, explicit_attention, linear,
};
use ndarray::{Array2, Axis};

/// The processor, with the instruction set to use. Operations run on the current rayon pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    isa: Isa,
}

impl Cpu {
    /// With the best instruction set, or the one that `DEBERTA_ISA` forces.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            isa: Isa::from_env()?,
        })
    }
}

/// A linear layer with its weights packed.
pub(crate) struct Linear {
    weights: PackedWeights,
    bias: Option<Vec<f32>>,
}

impl Backend for Cpu {
    type Matrix = Array2<f32>;
    type Table = MappedTable;
    type Linear = Linear;
    type Norm = LayerNorm;
    type Conv = TokenConv;
    type PositionTables = PositionTables;
    type Slots = SlotTable;
    type Mixing = HeadMixing;

    fn table(&self, table: MappedTable) -> Result<MappedTable, Error> {
        Ok(table)
    }

    fn linear(&self, weight: Array2<f32>, bias: Option<Vec<f32>>) -> Result<Linear, Error> {
        let (outputs, inputs) = weight.dim();
        let weight = weight.as_standard_layout();
        // The layout is the standard one now, so there is a slice.
        let weights = PackedWeights::new(
            self.isa,
            weight.as_slice().unwrap_or_default(),
            outputs,
            inputs,
        )?;
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

    fn matrix(&self, values: Array2<f32>) -> Result<Array2<f32>, Error> {
        Ok(values)
    }

    fn position_tables(
        &self,
        keys: Option<&Array2<f32>>,
        queries: Option<&Array2<f32>>,
        heads: usize,
    ) -> Result<PositionTables, Error> {
        let (keys, queries) = (keys.map(|t| t.view()), queries.map(|t| t.view()));
        Ok(PositionTables::new(self.isa, keys, queries, heads)?)
    }

    fn mixing(&self, logits: Array2<f32>, weights: Array2<f32>) -> Result<HeadMixing, Error> {
        Ok(HeadMixing::new(logits, weights)?)
    }

    fn slots(&self, relative: RelativePositions, length: usize) -> SlotTable {
        SlotTable::new(relative, length)
    }

    fn embed(&self, lookups: &[Lookup<'_, Self>]) -> Result<Array2<f32>, Error> {
        let shape = lookups
            .first()
            .map_or((0, 0), |l| (l.ids.len(), l.table.columns()));
        let mut out = Array2::zeros(shape);
        for (index, Lookup { table, ids }) in lookups.iter().enumerate() {
            EmbeddingTable::new(table.bytes(), table.dtype(), table.rows(), table.columns())?
                .gather(ids, index > 0, out.view_mut())
                .map_err(|error| match error {
                    KernelError::NonFinite { row } => table.non_finite(row),
                    other => other.into(),
                })?;
        }
        Ok(out)
    }

    fn apply(
        &self,
        layer: &Linear,
        x: &Array2<f32>,
        end: End<'_, Self>,
    ) -> Result<Array2<f32>, Error> {
        let mut out = Array2::zeros((x.nrows(), layer.weights.outputs()));
        let mut epilogue = Epilogue::default().activation(end.activation);
        epilogue.bias = layer.bias.as_deref();
        if let Some((residual, norm)) = end.residual {
            epilogue = epilogue.residual(residual.view()).norm(norm);
        }
        linear(x.view(), &layer.weights, &epilogue, out.view_mut())?;
        Ok(out)
    }

    fn normalize(&self, norm: &LayerNorm, mut x: Array2<f32>) -> Result<Array2<f32>, Error> {
        norm.apply(self.isa, x.view_mut())?;
        Ok(x)
    }

    fn attend(&self, operands: Attend<'_, Self>, batch: &Batch) -> Result<Array2<f32>, Error> {
        if operands.mixing.is_some() {
            let nothing = Observation::default();
            return Ok(self.attend_observed(operands, batch, nothing)?.0);
        }
        let mut out = Array2::zeros(operands.query.raw_dim());
        disentangled_attention(self.isa, &attention(&operands, batch), out.view_mut())?;
        Ok(out)
    }

    fn attend_observed(
        &self,
        operands: Attend<'_, Self>,
        batch: &Batch,
        observation: Observation<'_>,
    ) -> Result<(Array2<f32>, Vec<AttentionMap>), Error> {
        let mut out = Array2::zeros(operands.query.raw_dim());
        let (mixing, attention) = (operands.mixing, attention(&operands, batch));
        let maps = explicit_attention(self.isa, &attention, mixing, observation, out.view_mut())?;
        Ok((out, maps))
    }

    fn convolve(
        &self,
        conv: &TokenConv,
        x: &Array2<f32>,
        batch: &Batch,
        end: End<'_, Self>,
    ) -> Result<Array2<f32>, Error> {
        let mut out = Array2::zeros(x.raw_dim());
        conv.forward(
            x.view(),
            batch.bounds(),
            batch.positions(),
            end.activation,
            out.view_mut(),
        )?;
        match end.residual {
            None => Ok(out),
            Some((residual, norm)) => {
                out += residual;
                self.normalize(norm, out)
            }
        }
    }

    fn gather(&self, x: &Array2<f32>, rows: &[usize]) -> Result<Array2<f32>, Error> {
        Ok(x.select(Axis(0), rows))
    }

    fn add(&self, x: Array2<f32>, y: &Array2<f32>) -> Result<Array2<f32>, Error> {
        Ok(x + y)
    }

    fn read(&self, x: Array2<f32>) -> Result<Array2<f32>, Error> {
        Ok(x)
    }

    fn peek(&self, x: &Array2<f32>) -> Result<Array2<f32>, Error> {
        Ok(x.clone())
    }
}

/// The kernel's view of the operands.
fn attention<'a>(operands: &Attend<'a, Cpu>, batch: &'a Batch) -> Attention<'a> {
    Attention {
        query: operands.query.view(),
        key: operands.key.view(),
        value: operands.value.view(),
        heads: operands.heads,
        scale: operands.scale,
        bounds: batch.bounds(),
        positions: batch.positions(),
        relative: operands.relative,
    }
}
