//! Ids become vectors.

use super::layout::EmbeddingsLayout;
use super::load::Loader;
use crate::backend::{Backend, End, Lookup};
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
struct Table<B: Backend> {
    table: B::Table,
    rows: usize,
}

impl<B: Backend> Embeddings<B> {
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &EmbeddingsLayout,
        config: &Config,
    ) -> Result<Self, Error> {
        let table = |spec| -> Result<Table<B>, Error> {
            let mapped = loader.checkpoint.table(spec)?;
            let rows = mapped.rows();
            Ok(Table {
                table: loader.backend.table(mapped)?,
                rows,
            })
        };
        Ok(Self {
            words: table(&layout.words)?,
            positions: layout.positions.as_ref().map(table).transpose()?,
            types: layout.types.as_ref().map(table).transpose()?,
            projection: layout
                .projection
                .as_ref()
                .map(|p| loader.linear(p))
                .transpose()?,
            norm: loader.norm(&layout.norm, config.layer_norm_eps)?,
        })
    }

    /// Rows of the word table.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.rows
    }

    /// `[T, N]`
    pub(crate) fn forward(&self, backend: &B, batch: &Batch) -> Result<B::Matrix, Error> {
        let beyond = |ids: &[u32], rows| ids.iter().position(|&id| id as usize >= rows);
        if let Some(position) = beyond(batch.ids(), self.words.rows) {
            let (id, rows) = (batch.ids()[position], self.words.rows);
            return Err(Error::IdOutOfRange { id, rows, position });
        }
        let mut lookups = vec![Lookup {
            table: &self.words.table,
            ids: batch.ids(),
        }];
        let positions;
        if let Some(Table { table, rows }) = &self.positions {
            positions = absolute_positions(batch);
            if let Some(token) = beyond(&positions, *rows) {
                return Err(Error::PositionOutOfRange {
                    sequence: batch.bounds().partition_point(|&bound| bound <= token) - 1,
                    position: positions[token] as usize,
                    rows: *rows,
                });
            }
            lookups.push(Lookup {
                table,
                ids: &positions,
            });
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
fn absolute_positions(batch: &Batch) -> Vec<u32> {
    match batch.positions() {
        Some(positions) => positions.to_vec(),
        None => (0..batch.len())
            .flat_map(|i| 0..batch.sequence(i).len() as u32)
            .collect(),
    }
}
