//! Ids become vectors.

use super::layout::EmbeddingsLayout;
use super::load::Loader;
use crate::backend::{Backend, By, End, Lookup, Pass};
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

    /// The table, by a number of each token.
    pub(super) fn by(&self, by: By) -> Lookup<'_, B> {
        Lookup {
            table: &self.table,
            by,
        }
    }

    /// Refuses a batch with positions that the table does not have.
    pub(super) fn check_positions(&self, backend: &B, batch: &Batch) -> Result<(), Error> {
        let positions = batch.absolute_positions();
        match beyond(&positions, self.rows) {
            Some(token) => Err(Error::PositionOutOfRange {
                sequence: batch.bounds().partition_point(|&bound| bound <= token) - 1,
                position: positions[token] as usize,
                rows: self.rows,
            }),
            None => backend.check_rows(&self.table, &positions),
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

    /// Refuses a batch with ids, types or positions that the tables do not have.
    pub(crate) fn check(&self, backend: &B, batch: &Batch) -> Result<(), Error> {
        if let Some(position) = beyond(batch.ids(), self.words.rows) {
            let (id, rows) = (batch.ids()[position], self.words.rows);
            return Err(Error::IdOutOfRange { id, rows, position });
        }
        backend.check_rows(&self.words.table, batch.ids())?;
        if let Some(positions) = &self.positions {
            positions.check_positions(backend, batch)?;
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
            backend.check_rows(table, batch.type_ids())?;
        }
        Ok(())
    }

    /// `[T, N]`, of a batch that passed [`Embeddings::check`].
    pub(crate) fn forward(&self, backend: &B, pass: Pass<'_, B>) -> Result<B::Matrix, Error> {
        let mut lookups = vec![self.words.by(By::Id)];
        lookups.extend(self.positions.iter().map(|table| table.by(By::Position)));
        lookups.extend(self.types.iter().map(|table| table.by(By::TypeId)));
        let Some(projection) = &self.projection else {
            return backend.embed(&lookups, Some(&self.norm), pass);
        };
        let summed = backend.embed(&lookups, None, pass)?;
        let projected = backend.apply(projection, &summed, End::plain())?;
        backend.normalize(&self.norm, projected)
    }
}
