//! Reads from a slice, and says how much was missing.

use super::error::Fault;

/// A position in a slice of bytes.
#[derive(Clone, Debug)]
pub struct Bytes<'a> {
    all: &'a [u8],
    position: usize,
}

impl<'a> Bytes<'a> {
    /// From the slice's beginning.
    #[must_use]
    pub const fn new(all: &'a [u8]) -> Self {
        Self { all, position: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The bytes that follow.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.all[self.position..]
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let left = self.rest();
        let taken = usize::try_from(count).ok().and_then(|count| left.get(..count));
        let taken = taken.ok_or(Fault::Truncated { wanted: count, left: left.len() as u64 })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// The next `SIZE` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Fault> {
        let left = self.rest();
        let taken = left.first_chunk().ok_or(Fault::Truncated { wanted: SIZE as u64, left: left.len() as u64 })?;
        self.position += SIZE;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    /// What is left of the line, without its end.
    ///
    /// # Errors
    /// When fewer are left, or no end of a line.
    pub fn line(&mut self) -> Result<&'a [u8], Fault> {
        let left = self.rest();
        let end = left.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or(Fault::Truncated { wanted: left.len() as u64 + 1, left: left.len() as u64 })?;
        self.position += end + 1;
        Ok(left[..end].strip_suffix(b"\r").unwrap_or(&left[..end]))
    }
}
