//! ASCII text that stays as it is, which most text is: found and copied eight bytes at a time.

use super::Alignment;
use super::output::Normalized;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Which bytes stay as they are, whatever comes next to them.
#[derive(Debug, Clone)]
pub(super) struct Plain {
    is_plain: [bool; 256],
    /// The printable ASCII characters that do not, each eight times.
    others: Vec<u64>,
    /// Whether these are so few that it pays to look at eight bytes at once.
    in_chunks: bool,
}

/// More exceptions than these are found faster byte by byte.
const MAX_OTHERS: usize = 4;

/// The printable ASCII characters except for the space.
const FIRST: u8 = 0x21;
const LAST: u8 = 0x7E;

/// The highest bit of each byte of `bytes` that is less than `limit`, which is at most 128. Above the
/// first such byte more bits may be set.
#[inline(always)]
fn less(bytes: u64, limit: u8) -> u64 {
    bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & HIGH
}

impl Plain {
    /// The bytes for which `is_plain` holds, of those that are printable ASCII characters and no space.
    pub(super) fn new(is_plain: impl Fn(u8) -> bool) -> Self {
        let mut plain = Self {
            is_plain: [false; 256],
            others: Vec::new(),
            in_chunks: false,
        };
        for byte in FIRST..=LAST {
            if is_plain(byte) {
                plain.is_plain[usize::from(byte)] = true;
            } else {
                plain.others.push(ONES * u64::from(byte));
            }
        }
        plain.in_chunks = plain.others.len() <= MAX_OTHERS;
        plain
    }

    /// How many plain bytes eight bytes begin with.
    #[inline(always)]
    fn count(&self, chunk: [u8; 8]) -> usize {
        let bytes = u64::from_le_bytes(chunk);
        // Adding 1 to a byte above LAST sets its highest bit, or finds it set.
        let mut stops = less(bytes, FIRST) | ((bytes.wrapping_add(ONES) | bytes) & HIGH);
        for other in &self.others {
            stops |= less(bytes ^ other, 1);
        }
        (stops.trailing_zeros() / 8) as usize
    }

    /// Appends the plain bytes that `text` begins with; their number.
    #[inline(always)]
    pub(super) fn copy<A: Alignment>(&self, text: &[u8], out: &mut Normalized<A>) -> usize {
        let mut copied = 0;
        while self.in_chunks
            && let Some(chunk) = text.get(copied..).and_then(<[u8]>::first_chunk)
        {
            let count = self.count(*chunk);
            // To copy eight bytes and drop some is quicker than to copy as many as it takes.
            let length = out.bytes.len() + count;
            out.bytes.extend_from_slice(chunk);
            out.bytes.truncate(length);
            copied += count;
            if count < 8 {
                return copied;
            }
        }
        let rest = text.get(copied..).unwrap_or_default();
        let count = rest
            .iter()
            .take_while(|&&byte| self.is_plain[usize::from(byte)])
            .count();
        out.bytes.extend_from_slice(&rest[..count]);
        copied + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_judged_as_the_table_says() {
        for exceptions in ["", "<", "<[!~", "ABCDE"] {
            let plain = Plain::new(|byte| !exceptions.as_bytes().contains(&byte));
            for place in 0..9 {
                for byte in 0..=255 {
                    for follower in [b'a', b' ', 0, 0x7F, 0x80, 0xFF, b'<'] {
                        let mut text = [b'a'; 17];
                        text[place] = byte;
                        text[place + 1] = follower;
                        let expected = text
                            .iter()
                            .take_while(|byte| {
                                (FIRST..=LAST).contains(byte)
                                    && !exceptions.as_bytes().contains(byte)
                            })
                            .count();
                        let mut out = Normalized::<()>::default();
                        assert_eq!(plain.copy(&text, &mut out), expected, "{text:?}");
                        assert_eq!(out.bytes, text[..expected]);
                    }
                }
            }
        }
    }
}
