//! Memory that begins at a cache line.

use std::ops::{Deref, DerefMut};

/// Values of a cache line.
const LINE: usize = 16;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A growing buffer of values, aligned to cache lines: a vector that is loaded from a multiple of its own size never
/// takes two lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// Room for at least `count` values. What is in the buffer stays, and new values are zero.
    pub(super) fn reserve(&mut self, count: usize) -> &mut [f32] {
        let lines = count.div_ceil(LINE);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0.0; LINE]));
        }
        self
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of values without padding, one after another.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        let (data, count) = (self.lines.as_mut_ptr(), self.lines.len() * LINE);
        // SAFETY: as in `deref`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(data.cast(), count) }
    }
}
