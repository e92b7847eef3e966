//! Bits of a scan, and the Huffman codes in them.

use super::PictureError;

/// Codes of at most that many bits are looked up.
const SHORT: usize = 9;

/// A table of codes.
pub(super) struct Table {
    /// By the next [`SHORT`] bits: the code's length above its symbol; nothing where it is longer.
    short: Vec<u16>,
    /// By length: the first 16 bits that begin no code of at most that length.
    ends: [u32; 17],
    /// By length: what added to a code gives the place of its symbol; it may wrap.
    shifts: [usize; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// From how many codes there are of each length; none where there cannot be as many.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self { short: vec![0; 1 << SHORT], ends: [0; 17], shifts: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_usize, 0_usize);
        for (length, count) in (1..).zip(counts) {
            table.shifts[length] = place.wrapping_sub(code);
            for _ in 0..*count {
                let symbol = u16::from(*symbols.get(place)?);
                if length <= SHORT {
                    let first = code << (SHORT - length);
                    let entries = table.short.get_mut(first..first + (1 << (SHORT - length)))?;
                    entries.fill((length as u16) << 8 | symbol);
                }
                (code, place) = (code + 1, place + 1);
            }
            if code > 1 << length {
                return None;
            }
            table.ends[length] = (code as u32) << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// What was coded, up to the next marker.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, from the highest on.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest, held: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let (byte, length) = match self.rest {
                [0xff, 0, ..] => (0xff, 2),
                [0xff, ..] | [] => return,
                [byte, ..] => (*byte, 1),
            };
            self.rest = &self.rest[length..];
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn skip(&mut self, count: u32) -> Result<(), PictureError> {
        if count > self.count {
            return Err(PictureError::Truncated { missing: "a scan ends before its last block" });
        }
        self.held <<= count;
        self.count -= count;
        Ok(())
    }

    /// As many bits, at most 16, as a number.
    pub(super) fn take(&mut self, count: u32) -> Result<i32, PictureError> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.fill();
        }
        let bits = (self.held >> (64 - count)) as i32;
        self.skip(count)?;
        Ok(bits)
    }

    /// A number of that many bits, where those that begin with 0 are negative.
    pub(super) fn signed(&mut self, count: u32) -> Result<i32, PictureError> {
        let bits = self.take(count)?;
        let least = if count == 0 { 0 } else { 1 << (count - 1) };
        Ok(if bits < least { bits - (1 << count) + 1 } else { bits })
    }

    /// The next code's symbol.
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, PictureError> {
        if self.count < 16 {
            self.fill();
        }
        let short = table.short[(self.held >> (64 - SHORT)) as usize];
        if short > 0 {
            self.skip(u32::from(short >> 8))?;
            return Ok(short as u8);
        }
        let next = (self.held >> 48) as u32;
        let length = (SHORT + 1..17)
            .find(|length| next < table.ends[*length])
            .ok_or(PictureError::Unsound("a code has no meaning"))?;
        self.skip(length as u32)?;
        let place = ((next >> (16 - length)) as usize).wrapping_add(table.shifts[length]);
        table.symbols.get(place).copied().ok_or(PictureError::Unsound("a code has no meaning"))
    }

    /// Goes on behind the restart marker that comes next.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), PictureError> {
        let found = self.rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
        match found {
            Some(place) if self.rest[place + 1] == 0xd0 + number => {
                *self = Self::new(&self.rest[place + 2..]);
                Ok(())
            }
            _ => Err(PictureError::Truncated { missing: "a restart marker is not where it belongs" }),
        }
    }
}
