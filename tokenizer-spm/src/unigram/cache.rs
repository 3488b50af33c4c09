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

/// The most slots that there are, 64 bytes each. A greater table would find a few more words of a text with
/// very many different ones, but more slowly.
const MAX_SLOTS: usize = 1 << 16;
const MIN_SLOTS: usize = 1 << 8;

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
    fn hash(&self) -> usize {
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
        (mixed.wrapping_mul(FACTORS[0]) >> 40) as usize
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

    #[inline(always)]
    fn version(&self) -> u64 {
        self.header.load(Ordering::Relaxed) >> VERSION_SHIFT
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

/// The table. It takes its memory when the first word is looked up.
pub(super) struct WordCache {
    /// A power of two of them.
    slots: OnceLock<Box<[Slot]>>,
    size: usize,
}

impl WordCache {
    /// An empty table for a vocabulary of so many pieces.
    pub(super) fn new(pieces: usize) -> Self {
        Self {
            slots: OnceLock::new(),
            size: pieces.clamp(MIN_SLOTS, MAX_SLOTS).next_power_of_two(),
        }
    }

    /// What is known of a word, worked out with `settle` if nothing is.
    #[inline(always)]
    pub(super) fn get(&self, word: &Word, settle: impl FnOnce() -> Answer) -> Answer {
        let slots = self.slots.get_or_init(|| {
            std::iter::repeat_with(Slot::default)
                .take(self.size)
                .collect()
        });
        // A word lies in one of two slots side by side.
        let place = word.hash() & (slots.len() - 1);
        let (slot, other) = (&slots[place], &slots[place ^ 1]);
        if let Some(answer) = slot.read(word).or_else(|| other.read(word)) {
            return answer;
        }
        let answer = settle();
        // What has changed less often makes room.
        let slot = if slot.version() <= other.version() {
            slot
        } else {
            other
        };
        slot.write(word, &answer);
        answer
    }
}

/// A copy starts empty.
impl Clone for WordCache {
    fn clone(&self) -> Self {
        Self::new(self.size)
    }
}

impl std::fmt::Debug for WordCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WordCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        let mut window = [0xAB; MAX_WORD];
        window[..text.len()].copy_from_slice(text.as_bytes());
        Word::new(&window, text.len()).unwrap()
    }

    /// An answer that tells whose it is.
    fn answer(number: u32) -> Answer {
        let mut answer = Answer::UNSETTLED;
        for piece in 0..=number % MAX_PIECES as u32 {
            answer.push_front(number, piece as usize + 1).unwrap();
        }
        answer.reach = number as f32;
        answer.cost = -(number as f32);
        answer
    }

    #[test]
    fn words_differ_by_their_bytes_and_their_length() {
        let texts = [
            "a",
            "a\0",
            "ab",
            "b",
            "a\0\0\0\0\0\0\0",
            "abcdefghabcdefghabcdefgh",
        ];
        for (index, one) in texts.iter().enumerate() {
            assert!(texts[..index].iter().all(|other| word(other) != word(one)));
        }
        assert!(Word::new(&[0; MAX_WORD], MAX_WORD + 1).is_none());
    }

    #[test]
    fn pieces_come_back_in_order() {
        let mut answer = Answer::UNSETTLED;
        for (id, length) in [(9, 3), ((1 << 24) - 1, 255), (7, 1)] {
            answer.push_front(id, length).unwrap();
        }
        assert_eq!(answer.push_front(1 << 24, 1), None);
        assert_eq!(answer.push_front(1, 256), None);
        let pieces: Vec<_> = answer.pieces().collect();
        assert_eq!(pieces, [(7, 1), ((1 << 24) - 1, 255), (9, 3)]);
    }

    fn get(cache: &WordCache, text: &str, settle: impl FnOnce() -> Answer) -> Answer {
        cache.get(&word(text), settle)
    }

    #[test]
    fn a_word_is_settled_once() {
        let cache = WordCache::new(0);
        assert_eq!(get(&cache, "one", || answer(1)), answer(1));
        assert_eq!(get(&cache, "one", || answer(2)), answer(1));
        assert_eq!(get(&cache.clone(), "one", || answer(3)), answer(3));
    }

    #[test]
    fn threads_never_see_the_answer_to_another_word() {
        // Far more words than slots, so that all of them are overwritten all the time.
        let cache = WordCache::new(0);
        let settled = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let (cache, settled) = (&cache, &settled);
                scope.spawn(move || {
                    for step in 0..40_000_u32 {
                        let number = (step.wrapping_mul(2_654_435_761) >> 20) + thread % 2;
                        let expected = answer(number);
                        let found = get(cache, &format!("word {number}"), || {
                            settled.fetch_add(1, Ordering::Relaxed);
                            expected
                        });
                        assert_eq!(found, expected);
                    }
                });
            }
        });
        let settled = settled.into_inner();
        assert!(settled > 4096 && settled < 160_000, "{settled}");
    }
}
