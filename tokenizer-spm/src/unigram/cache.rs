//! Words seen before: a table of fixed size from the bytes of a word to its pieces.
//!
//! All threads that use a vocabulary share one table, without locks. A slot has a version, which changes
//! with its content: who has read a slot whose version was the same before and after has read one
//! answer whole, and anyone else takes the word as not found. What a word becomes depends on the word
//! and the vocabulary alone, so it makes no difference to any result what the table holds at a time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The longest word that is remembered, in bytes.
pub(crate) const MAX_WORD: usize = 24;
/// The most pieces of a word that is remembered.
pub(super) const MAX_PIECES: usize = 6;

const KEY: usize = MAX_WORD / 8;
const PIECES: usize = MAX_PIECES / 2;

/// How many slots there are: 64 bytes each, taken when the first word is looked up.
const LOG2_SLOTS: u32 = 15;
const SLOTS: usize = 1 << LOG2_SLOTS;

/// A word of at most [`MAX_WORD`] bytes, in a form that is quick to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// Its bytes, zeros after them.
    key: [u64; KEY],
    length: usize,
}

/// For each length, the bits of the bytes of a word that long.
const MASKS: [[u64; KEY]; MAX_WORD + 1] = {
    let mut masks = [[0; KEY]; MAX_WORD + 1];
    let mut length = 0;
    while length <= MAX_WORD {
        let mut byte = 0;
        while byte < length {
            masks[length][byte / 8] |= 0xFF << (8 * (byte % 8));
            byte += 1;
        }
        length += 1;
    }
    masks
};

impl Word {
    /// The first `length` bytes of `window`; `None` for a longer word.
    #[inline(always)]
    pub(super) fn new(window: &[u8; MAX_WORD], length: usize) -> Option<Self> {
        let masks = MASKS.get(length)?;
        let (chunks, _) = window.as_chunks::<8>();
        let mut key = [0; KEY];
        for ((key, chunk), mask) in key.iter_mut().zip(chunks).zip(masks) {
            *key = u64::from_le_bytes(*chunk) & mask;
        }
        Some(Self { key, length })
    }

    #[inline(always)]
    fn slot(&self) -> usize {
        // Numbers without pattern: the first digits of the square roots of 2, 3, 5.
        const FACTORS: [u64; KEY] = [
            0xB504_F333_F9DE_6485,
            0xDDB3_D742_C265_5394 | 1,
            0x8F1B_BCDC_BFA5_3E0B,
        ];
        let mut mixed = self.length as u64;
        for (key, factor) in self.key.iter().zip(FACTORS) {
            let product = u128::from(key ^ factor) * u128::from(factor);
            mixed = mixed.rotate_left(23) ^ (product as u64) ^ ((product >> 64) as u64);
        }
        (mixed.wrapping_mul(FACTORS[0]) >> (64 - LOG2_SLOTS)) as usize
    }
}

/// What is known of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    /// How far from zero the score before the word may lie; negative if the answer never holds.
    pub(super) reach: f32,
    /// By how much the word may move it further.
    pub(super) cost: f32,
    count: u8,
    /// An id in the upper 24 bits, a length in bytes in the lower 8; from the last piece to the first.
    pieces: [u32; MAX_PIECES],
}

impl Answer {
    /// That the word has to be searched every time.
    pub(super) const UNSETTLED: Self = Self {
        reach: -1.0,
        cost: 0.0,
        count: 0,
        pieces: [0; MAX_PIECES],
    };

    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Puts a piece before the others; `None` if there is no room, or if its id takes too much.
    pub(super) fn push_front(&mut self, id: u32, length: usize) -> Option<()> {
        let piece = id.checked_mul(1 << 8)? | u32::from(u8::try_from(length).ok()?);
        let place = self.len();
        *self.pieces.get_mut(place)? = piece;
        self.count += 1;
        Some(())
    }

    /// Ids and lengths in order.
    #[inline(always)]
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        let pieces = self.pieces.get(..self.len()).unwrap_or_default();
        pieces
            .iter()
            .rev()
            .map(|piece| (piece >> 8, (piece & 0xFF) as usize))
    }
}

/// One cache line.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Slot {
    /// Bits 0 to 7: the number of pieces; 8 to 15: the length of the word, 0 in a slot that is empty or
    /// being written; the rest: the version.
    header: AtomicU64,
    /// Reach and cost.
    numbers: AtomicU64,
    key: [AtomicU64; KEY],
    pieces: [AtomicU64; PIECES],
}

const VERSION_SHIFT: u32 = 16;

impl Slot {
    #[inline(always)]
    fn read(&self, word: &Word) -> Option<Answer> {
        let header = self.header.load(Ordering::Acquire);
        if (header >> 8) & 0xFF != word.length as u64 {
            return None;
        }
        for (stored, key) in self.key.iter().zip(word.key) {
            if stored.load(Ordering::Relaxed) != key {
                return None;
            }
        }
        let numbers = self.numbers.load(Ordering::Relaxed);
        let mut pieces = [0; MAX_PIECES];
        for (pair, stored) in pieces.as_chunks_mut::<2>().0.iter_mut().zip(&self.pieces) {
            let both = stored.load(Ordering::Relaxed);
            *pair = [both as u32, (both >> 32) as u32];
        }
        fence(Ordering::Acquire);
        if self.header.load(Ordering::Relaxed) != header {
            return None;
        }
        Some(Answer {
            reach: f32::from_bits(numbers as u32),
            cost: f32::from_bits((numbers >> 32) as u32),
            count: header as u8,
            pieces,
        })
    }

    fn write(&self, word: &Word, answer: &Answer) {
        let old = self.header.load(Ordering::Relaxed);
        let version = (old >> VERSION_SHIFT).wrapping_add(1);
        let writing = version << VERSION_SHIFT | 1;
        let is_empty_or_whole = old == 0 || old & 0xFF00 != 0;
        // A slot that another thread is writing is left to it.
        if !is_empty_or_whole
            || self
                .header
                .compare_exchange(old, writing, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        fence(Ordering::Release);
        for (stored, key) in self.key.iter().zip(word.key) {
            stored.store(key, Ordering::Relaxed);
        }
        let numbers = u64::from(answer.reach.to_bits()) | u64::from(answer.cost.to_bits()) << 32;
        self.numbers.store(numbers, Ordering::Relaxed);
        for (stored, pair) in self.pieces.iter().zip(answer.pieces.as_chunks::<2>().0) {
            let both = u64::from(pair[0]) | u64::from(pair[1]) << 32;
            stored.store(both, Ordering::Relaxed);
        }
        let whole = version << VERSION_SHIFT | (word.length as u64) << 8 | u64::from(answer.count);
        self.header.store(whole, Ordering::Release);
    }
}

/// The table. A copy of it starts empty.
#[derive(Default)]
pub(super) struct WordCache {
    slots: OnceLock<Box<[Slot]>>,
}

impl WordCache {
    /// What is known of a word, worked out with `settle` if nothing is.
    #[inline(always)]
    pub(super) fn get(&self, word: &Word, settle: impl FnOnce() -> Answer) -> Answer {
        let slots = self
            .slots
            .get_or_init(|| std::iter::repeat_with(Slot::default).take(SLOTS).collect());
        let slot = &slots[word.slot() % slots.len()];
        if let Some(answer) = slot.read(word) {
            return answer;
        }
        let answer = settle();
        slot.write(word, &answer);
        answer
    }
}

impl Clone for WordCache {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for WordCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WordCache").finish_non_exhaustive()
    }
}
