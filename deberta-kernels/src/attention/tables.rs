//! The projected relative-position tables, packed once when a model loads.

use super::left::copy_rows;
use super::panels::Panels;
use crate::gemm::Precision;
use crate::shape::{check_matrix, row_slice};
use crate::{Isa, KernelError};
use ndarray::ArrayView2;

/// The position keys PK and position queries PQ of one layer, `[2·span, H·D]` each, packed per head.
///
/// They are projections of the relative-position embedding, properties of the weights alone. A term that a model does
/// not use is absent.
#[derive(Debug, Clone)]
pub struct PositionTables {
    keys: Option<Vec<Panels>>,
    queries: Option<Vec<Panels>>,
    slots: usize,
    precision: Precision,
}

impl PositionTables {
    /// Packs the tables of `heads` heads: `keys` for the content-to-position term, `queries` for position-to-content.
    ///
    /// # Errors
    /// [`KernelError`] if the tables differ in shape, or their width is not a multiple of the number of heads.
    pub fn new(
        isa: Isa,
        keys: Option<ArrayView2<'_, f32>>,
        queries: Option<ArrayView2<'_, f32>>,
        heads: usize,
    ) -> Result<Self, KernelError> {
        Self::with_precision(isa, Precision::F32, keys, queries, heads)
    }

    /// The same in another precision, that of the [`Attention`](super::Attention) that they are for.
    ///
    /// # Errors
    /// As [`PositionTables::new`].
    pub fn with_precision(
        isa: Isa,
        precision: Precision,
        keys: Option<ArrayView2<'_, f32>>,
        queries: Option<ArrayView2<'_, f32>>,
        heads: usize,
    ) -> Result<Self, KernelError> {
        let (isa, precision) = (isa.without_tiles(), of_attention(precision));
        let shape = keys
            .or(queries)
            .map_or([0, heads], |t| [t.nrows(), t.ncols()]);
        if heads == 0 || !shape[1].is_multiple_of(heads) {
            let reason = "must divide the width of the tables";
            return Err(KernelError::Parameter {
                parameter: "heads",
                reason,
                found: heads,
            });
        }
        let pack = |table: Option<ArrayView2<'_, f32>>, argument, mirrored: bool| {
            let Some(table) = table else { return Ok(None) };
            check_matrix(argument, &table, shape)?;
            let (values, stride) = row_slice(&table, 0..table.nrows());
            let (slots, size) = (shape[0], shape[1] / heads);
            let mut rows = vec![0.0; shape[0] * size];
            let head = |h: usize| {
                if !rows.is_empty() {
                    let part = &values[h * size..];
                    copy_rows(isa, part, stride, size, 1.0, &mut rows);
                    // As the slot table that goes with it.
                    if mirrored {
                        reverse_rows(&mut rows, size);
                    }
                }
                let mut panels = Panels::default();
                panels.pack_transposed(isa, precision, &rows, size, slots, size);
                panels
            };
            Ok(Some((0..heads).map(head).collect()))
        };
        Ok(Self {
            keys: pack(keys, "keys", true)?,
            queries: pack(queries, "queries", false)?,
            slots: shape[0],
            precision,
        })
    }

    /// The number of slots, `2·span`.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The precision of the tables.
    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// The packed position keys of a head, mirrored: the last slot first.
    pub(super) fn keys(&self, head: usize) -> Option<&Panels> {
        self.keys.as_ref().map(|heads| &heads[head])
    }

    /// The packed position queries of a head.
    pub(super) fn queries(&self, head: usize) -> Option<&Panels> {
        self.queries.as_ref().map(|heads| &heads[head])
    }

    /// Heads and head size of the tables, if there are any.
    pub(super) fn heads(&self) -> Option<(usize, usize)> {
        let tables = self.keys.as_ref().or(self.queries.as_ref())?;
        Some((tables.len(), tables.first()?.depth()))
    }
}

/// The precision in which attention computes: never less than bf16.
pub(super) fn of_attention(precision: Precision) -> Precision {
    match precision {
        Precision::Bf16 => Precision::Bf16,
        Precision::F32 | Precision::Int8 => Precision::F32,
    }
}

/// Puts the rows of a matrix in the opposite order.
fn reverse_rows(matrix: &mut [f32], width: usize) {
    let count = matrix.len() / width;
    let (upper, lower) = matrix.split_at_mut(count / 2 * width);
    let pairs = upper.chunks_exact_mut(width);
    for (row, mirror) in pairs.zip(lower.chunks_exact_mut(width).rev()) {
        row.swap_with_slice(mirror);
    }
}
