//! Memory that encoding needs for a moment: kept by each thread from text to text.

use std::cell::Cell;

use crate::normalizer::{Normalized, Runs};
use crate::unigram::{Lattice, Span};

/// What one text needs.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The normalised text, if nobody asks where it stems from.
    pub(super) plain: Normalized<()>,
    /// The normalised text, with its alignment.
    pub(super) aligned: Normalized<Runs>,
    pub(super) lattice: Lattice<f32>,
    pub(super) spans: Vec<Span>,
}

/// Longer texts than about this many bytes have their memory given back.
const KEPT: usize = 1 << 16;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// Calls `work` with this thread's scratch.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let result = work(&mut scratch);
        scratch.spans.clear();
        if scratch.is_large() {
            scratch.shrink();
        }
        SCRATCH.set(Some(scratch));
        result
    }

    fn is_large(&self) -> bool {
        self.plain.capacity() > KEPT || self.aligned.capacity() > KEPT
    }

    fn shrink(&mut self) {
        self.plain.shrink(KEPT);
        self.aligned.shrink(KEPT);
        self.lattice.shrink(KEPT);
        self.spans.shrink_to(KEPT);
    }
}
