//! The tables that a JPEG file defines before and between its scans.

use super::PictureError;
use super::header::BLOCK;
use super::huffman::Table;

/// Where in a block the coefficients are, in the order that they are coded in: by diagonals.
pub(super) const PLACES: [usize; BLOCK] = places();

/// Tables as they are when a scan begins.
#[derive(Default)]
pub(super) struct Tables {
    steps: [Option<[u16; BLOCK]>; 4],
    firsts: [Option<Table>; 4],
    others: [Option<Table>; 4],
    /// Units between restarts; 0 where there are none.
    pub(super) restart: usize,
}

impl Tables {
    /// Takes the content of a segment that defines some; none where it is unsound.
    pub(super) fn define(&mut self, marker: u8, content: &[u8]) -> Option<()> {
        match marker {
            0xdb => self.define_steps(content),
            0xc4 => self.define_codes(content),
            0xdd => {
                self.restart = u16::from_be_bytes(*content.first_chunk()?).into();
                Some(())
            }
            _ => Some(()),
        }
    }

    fn define_steps(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = content.split_first() {
            let bytes = if kind >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(BLOCK * bytes)?;
            let mut steps = [0; BLOCK];
            for (place, value) in PLACES.iter().zip(values.chunks_exact(bytes)) {
                steps[*place] = value.iter().fold(0, |number, byte| number << 8 | u16::from(*byte));
            }
            *self.steps.get_mut(usize::from(kind & 15))? = Some(steps);
            content = rest;
        }
        Some(())
    }

    fn define_codes(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = content.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|count| usize::from(*count)).sum())?;
            let of_kind = if kind >> 4 == 0 { &mut self.firsts } else { &mut self.others };
            *of_kind.get_mut(usize::from(kind & 15))? = Some(Table::new(counts, symbols)?);
            content = rest;
        }
        Some(())
    }

    /// What the coefficients of a component are multiples of.
    pub(super) fn steps(&self, table: usize) -> Result<[u16; BLOCK], PictureError> {
        self.steps.get(table).copied().flatten().ok_or(PictureError::Lacks("quantisation table"))
    }

    /// The codes of the first coefficient.
    pub(super) fn first(&self, table: usize) -> Result<&Table, PictureError> {
        self.firsts[table].as_ref().ok_or(PictureError::Lacks("Huffman table"))
    }

    /// The codes of all others.
    pub(super) fn others(&self, table: usize) -> Result<&Table, PictureError> {
        self.others[table].as_ref().ok_or(PictureError::Lacks("Huffman table"))
    }
}

const fn places() -> [usize; BLOCK] {
    let mut places = [0; BLOCK];
    let (mut x, mut y) = (0_usize, 0_usize);
    let mut next = 0;
    while next < BLOCK {
        places[next] = 8 * y + x;
        let goes_up = (x + y) % 2 == 0;
        if goes_up && x == 7 {
            y += 1;
        } else if goes_up {
            (x, y) = (x + 1, y.saturating_sub(1));
        } else if y == 7 {
            x += 1;
        } else {
            (x, y) = (x.saturating_sub(1), y + 1);
        }
        next += 1;
    }
    places
}
