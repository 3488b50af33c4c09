//! Reading little-endian numbers from bytes that may end anywhere.

use super::Refusal;

/// A position in bytes. Its positions are those of `bytes`, which for the machine that reads pickles is the
/// whole file.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self {
            bytes,
            position: position.min(bytes.len()),
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..length).ok_or_else(|| {
            Refusal::new(
                self.position,
                format!("{length} bytes"),
                format!("{}: the data end", rest.len()),
            )
        })?;
        self.position += length;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Refusal> {
        self.take(length).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let at = self.position;
        let taken = self.take(N)?;
        // Always of that length; said without a panic.
        taken
            .try_into()
            .map_err(|_| Refusal::new(at, format!("{N} bytes"), "fewer"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refusal> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text of a length that was read before.
    pub(super) fn text(&mut self, length: usize) -> Result<&'a str, Refusal> {
        let at = self.position;
        std::str::from_utf8(self.take(length)?)
            .map_err(|e| Refusal::new(at, "text in UTF-8", e.to_string()))
    }

    /// Text up to the end of the line, which is left out.
    pub(super) fn line(&mut self) -> Result<&'a str, Refusal> {
        let rest = &self.bytes[self.position..];
        let length = rest
            .iter()
            .position(|&b| b == b'\n')
            .ok_or_else(|| Refusal::new(self.position, "a line of text", "the end of the data"))?;
        let line = self.text(length)?;
        self.position += 1;
        Ok(line)
    }
}
