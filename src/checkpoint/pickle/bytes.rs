//! Reads from a slice, and says how much was missing.

use crate::checkpoint::error::Fault;

/// A position in a slice of bytes.
#[derive(Clone, Debug)]
pub(in crate::checkpoint) struct Bytes<'a> {
    all: &'a [u8],
    position: usize,
}

impl<'a> Bytes<'a> {
    /// From the slice's beginning.
    pub const fn new(all: &'a [u8]) -> Self {
        Self { all, position: 0 }
    }

    /// Bytes read so far.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The bytes that follow.
    pub fn rest(&self) -> &'a [u8] {
        &self.all[self.position..]
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let left = self.rest();
        let taken = usize::try_from(count).ok().and_then(|count| left.get(..count));
        let taken = taken.ok_or(Fault::Truncated { wanted: count, left: left.len() as u64 })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// The next `SIZE` bytes.
    pub fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Fault> {
        let left = self.rest();
        let taken = left.first_chunk().ok_or(Fault::Truncated { wanted: SIZE as u64, left: left.len() as u64 })?;
        self.position += SIZE;
        Ok(*taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    /// What is left of the line, without its end.
    pub fn line(&mut self) -> Result<&'a [u8], Fault> {
        let left = self.rest();
        let end = left.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or(Fault::Truncated { wanted: left.len() as u64 + 1, left: left.len() as u64 })?;
        self.position += end + 1;
        Ok(left[..end].strip_suffix(b"\r").unwrap_or(&left[..end]))
    }
}
