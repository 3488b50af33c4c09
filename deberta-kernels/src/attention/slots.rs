//! From the distance between two tokens to a row of the relative-position table.

use super::panels::MOST_LANES;
use crate::KernelError;

/// How relative distances map to the rows ("slots") of a position table of `2·span` rows.
///
/// With log buckets (DeBERTa v2 and v3), distances up to `mid = buckets/2` have a slot each; longer ones share slots
/// that grow with the logarithm of the distance, up to `max_positions`:
///
/// ```text
/// bucket(δ) = δ                                                                     |δ| <= mid
///           = sign(δ)·( ⌈ ln(|δ|/mid) / ln((max_positions-1)/mid) · (mid-1) ⌉ + mid )    otherwise
/// slot(δ)   = clamp( bucket(δ) + span, 0, 2·span - 1 )
/// ```
///
/// with `span = buckets`; without buckets `bucket(δ) = δ` and `span = max_positions`. The reference
/// (`make_log_bucket_position` of `transformers`) takes every step in `f32`; so does this, with logarithms rounded
/// correctly. See §A.5 of the DeBERTa paper for the unbucketed form, and DeBERTaV3's code for the buckets.
///
/// ```
/// use deberta_kernels::RelativePositions;
/// let v3 = RelativePositions::new(Some(256), 512)?;
/// assert_eq!(v3.span(), 256);
/// assert_eq!((v3.slot(0), v3.slot(128), v3.slot(129), v3.slot(-10_000)), (256, 384, 385, 0));
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelativePositions {
    buckets: Option<usize>,
    max_positions: usize,
}

impl RelativePositions {
    /// The mapping for a model's `position_buckets` and resolved `max_relative_positions`.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] where the formula is undefined: fewer than two buckets, no positions, or
    /// `max_positions - 1 <= buckets / 2`.
    pub fn new(buckets: Option<usize>, max_positions: usize) -> Result<Self, KernelError> {
        let refuse = |parameter, reason, found| {
            Err(KernelError::Parameter {
                parameter,
                reason,
                found,
            })
        };
        // Slots are kept in 32 bits, and f32 counts exactly up to 2^24.
        if max_positions == 0 || max_positions > 1 << 24 {
            return refuse("max_positions", "must be between 1 and 2^24", max_positions);
        }
        if let Some(buckets) = buckets {
            if !(2..=1 << 24).contains(&buckets) {
                return refuse("buckets", "must be between 2 and 2^24", buckets);
            }
            if max_positions - 1 <= buckets / 2 {
                return refuse(
                    "max_positions",
                    "must exceed buckets / 2 + 1",
                    max_positions,
                );
            }
        }
        Ok(Self {
            buckets,
            max_positions,
        })
    }

    /// Half the number of rows of the position table.
    pub fn span(&self) -> usize {
        self.buckets.unwrap_or(self.max_positions)
    }

    /// The largest distance up to which every distance has a slot of its own.
    pub fn exact_radius(&self) -> usize {
        match self.buckets {
            Some(buckets) => buckets / 2,
            None => self.max_positions - 1,
        }
    }

    /// The row of the position table for `delta = query position - key position`.
    pub fn slot(&self, delta: i64) -> usize {
        let span = self.span() as i64;
        (self.bucket(delta) + span).clamp(0, 2 * span - 1) as usize
    }

    fn bucket(&self, delta: i64) -> i64 {
        let Some(buckets) = self.buckets else {
            return delta;
        };
        let mid = buckets / 2;
        if delta.unsigned_abs() <= mid as u64 {
            return delta;
        }
        let ln = |x: f32| f64::from(x).ln() as f32;
        let ratio = delta.unsigned_abs() as f32 / mid as f32;
        let longest = ((self.max_positions - 1) as f64 / mid as f64) as f32;
        let log = (ln(ratio) / ln(longest) * (mid - 1) as f32).ceil() + mid as f32;
        delta.signum() * log as i64
    }
}

/// The slots of every distance that sequences up to a certain length can have: a table of `2L - 1` entries.
///
/// A slot takes a logarithm, so it is computed once per distance and not once per score.
///
/// ```
/// use deberta_kernels::{RelativePositions, SlotTable};
/// let table = SlotTable::new(RelativePositions::new(None, 4)?, 3);
/// assert_eq!((-2..=2).map(|d| table.slot(d)).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SlotTable {
    relative: RelativePositions,
    /// Mirrored slots, `2·span - 1 - slot(δ)`, for δ from `length - 1` down to `-(length - 1)`. Both mirrored: along a
    /// row of scores, where δ falls as the key moves on, entries follow each other and their values rise.
    mirrored: Vec<u32>,
    /// Slots as they are, for δ from `-(length - 1)` up: along a column of scores, where δ rises with the query.
    rising: Vec<u32>,
    length: usize,
}

/// Both tables go on for this many entries beyond the last distance, with its slot: a row may be read in whole vectors.
const SLACK: usize = MOST_LANES;

impl SlotTable {
    /// The table for sequences of up to `length` positions.
    pub fn new(relative: RelativePositions, length: usize) -> Self {
        let length = length.max(1);
        let last = 2 * relative.span() as u32 - 1;
        let reach = length as i64 - 1;
        let mut rising: Vec<u32> = (-reach..=reach).map(|d| relative.slot(d) as u32).collect();
        let mut mirrored: Vec<u32> = rising.iter().rev().map(|slot| last - slot).collect();
        for table in [&mut rising, &mut mirrored] {
            table.resize(table.len() + SLACK, table[table.len() - 1]);
        }
        Self {
            relative,
            mirrored,
            rising,
            length,
        }
    }

    /// The positions that it covers: every distance is below this.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The mapping that it tabulates.
    pub fn relative(&self) -> RelativePositions {
        self.relative
    }

    /// The slot of a distance.
    ///
    /// # Panics
    /// If the distance is not covered.
    pub fn slot(&self, delta: i64) -> usize {
        assert!(delta.unsigned_abs() < self.length as u64);
        self.rising(delta) as usize
    }

    /// The slot of a distance that is covered.
    #[inline]
    pub(super) fn rising(&self, delta: i64) -> u32 {
        self.rising[(self.length as i64 - 1 + delta) as usize]
    }

    /// The mirrored slot of a distance that is covered.
    #[inline]
    pub(super) fn mirrored(&self, delta: i64) -> u32 {
        self.mirrored[(self.length as i64 - 1 - delta) as usize]
    }

    /// The mirrored slots of query `i` with keys `j..j + count`, or slots of a similar kind where keys end before that.
    #[inline]
    pub(super) fn along_keys(&self, i: usize, j: usize, count: usize) -> &[u32] {
        &self.mirrored[self.length - 1 + j - i..][..count]
    }

    /// The slots of key `j` with queries `i..i + count`, or slots of a similar kind where queries end before that.
    #[inline]
    pub(super) fn along_queries(&self, j: usize, i: usize, count: usize) -> &[u32] {
        &self.rising[self.length - 1 + i - j..][..count]
    }
}
