//! Ids become vectors.

use super::layout::EmbeddingsLayout;
use super::load::Loader;
use crate::backend::{Backend, End, Lookup};
use crate::checkpoint::TensorSpec;
use crate::{Batch, Config, Error};

/// The embedding layer: `LayerNorm(P·(word + position + type))`, the last two tables and the projection P optional.
pub(crate) struct Embeddings<B: Backend> {
    words: Table<B>,
    positions: Option<Table<B>>,
    types: Option<Table<B>>,
    projection: Option<B::Linear>,
    norm: B::Norm,
}

/// A table and how many rows it has.
pub(super) struct Table<B: Backend> {
    table: B::Table,
    rows: usize,
}

impl<B: Backend> Table<B> {
    pub(super) fn load(loader: &Loader<'_, B>, spec: &TensorSpec) -> Result<Self, Error> {
        let mapped = loader.checkpoint.table(spec)?;
        let rows = mapped.rows();
        Ok(Self {
            table: loader.backend.table(mapped)?,
            rows,
        })
    }

    /// The rows of a table of absolute positions that a batch needs.
    pub(super) fn at_positions<'a>(
        &'a self,
        positions: &'a [u32],
        batch: &Batch,
    ) -> Result<Lookup<'a, B>, Error> {
        match beyond(positions, self.rows) {
            Some(token) => Err(Error::PositionOutOfRange {
                sequence: batch.bounds().partition_point(|&bound| bound <= token) - 1,
                position: positions[token] as usize,
                rows: self.rows,
            }),
            None => Ok(Lookup {
                table: &self.table,
                ids: positions,
            }),
        }
    }
}

/// The index of the first id that a table does not have.
fn beyond(ids: &[u32], rows: usize) -> Option<usize> {
    ids.iter().position(|&id| id as usize >= rows)
}

impl<B: Backend> Embeddings<B> {
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &EmbeddingsLayout,
        config: &Config,
    ) -> Result<Self, Error> {
        let table = |spec| Table::load(loader, spec);
        Ok(Self {
            words: table(&layout.words)?,
            positions: layout.positions.as_ref().map(table).transpose()?,
            types: layout.types.as_ref().map(table).transpose()?,
            projection: layout
                .projection
                .as_ref()
                .map(|p| loader.linear(p, loader.form(None)))
                .transpose()?,
            norm: loader.norm(&layout.norm, config.layer_norm_eps)?,
        })
    }

    /// The projection behind the tables, if there is one.
    pub(super) fn projection(&self) -> Option<&B::Linear> {
        self.projection.as_ref()
    }

    /// Rows of the word table.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.rows
    }

    /// `[T, N]`
    pub(crate) fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Matrix, Error> {
        if let Some(position) = beyond(batch.ids(), self.words.rows) {
            let (id, rows) = (batch.ids()[position], self.words.rows);
            return Err(Error::IdOutOfRange { id, rows, position });
        }
        let mut lookups = vec![Lookup {
            table: &self.words.table,
            ids: batch.ids(),
        }];
        let positions;
        if let Some(table) = &self.positions {
            positions = absolute_positions(batch);
            lookups.push(table.at_positions(&positions, batch)?);
        }
        if let Some(Table { table, rows }) = &self.types {
            if let Some(position) = beyond(batch.type_ids(), *rows) {
                let id = batch.type_ids()[position];
                return Err(Error::TypeIdOutOfRange {
                    id,
                    rows: *rows,
                    position,
                });
            }
            lookups.push(Lookup {
                table,
                ids: batch.type_ids(),
            });
        }
        let mut hidden = backend.embed(&lookups)?;
        if let Some(projection) = &self.projection {
            hidden = backend.apply(projection, &hidden, End::plain())?;
        }
        backend.normalize(&self.norm, hidden)
    }
}

/// The position of every token in its sequence, `[T]`.
pub(super) fn absolute_positions(batch: &Batch) -> Vec<u32> {
    match batch.positions() {
        Some(positions) => positions.to_vec(),
        None => (0..batch.len())
            .flat_map(|i| 0..batch.sequence(i).len() as u32)
            .collect(),
    }
}
