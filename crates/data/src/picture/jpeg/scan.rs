//! The blocks of one scan.

use std::ops::RangeInclusive;

use super::PictureError;
use super::blocks::Blocks;
use super::header::{BLOCK, Header, Scan};
use super::huffman::{Bits, Table};
use super::tables::{PLACES, Tables};

/// A scan with what it is read by.
pub(super) struct Reading<'a> {
    pub(super) header: &'a Header,
    pub(super) scan: &'a Scan,
    pub(super) tables: &'a Tables,
}

/// What goes from block to block.
#[derive(Default)]
struct State {
    /// The last first coefficient of each component of the scan.
    before: [i32; 4],
    /// How many blocks to come have nothing new.
    empty: i32,
}

impl Reading<'_> {
    /// Reads it from what was coded into the blocks of all components.
    pub(super) fn read(&self, mut bits: Bits<'_>, all: &mut [Blocks]) -> Result<(), PictureError> {
        // Components of their own have one block a unit, and no blocks beside the picture.
        let is_alone = self.scan.components.len() == 1;
        let units = if is_alone { all[self.scan.components[0].0].own } else { self.header.units() };
        let mut state = State::default();
        for unit in 0..units.0 * units.1 {
            if self.tables.restart > 0 && unit > 0 && unit % self.tables.restart == 0 {
                bits.restart(((unit / self.tables.restart - 1) % 8) as u8)?;
                state = State::default();
            }
            let (x, y) = (unit % units.0, unit / units.0);
            for (turn, (place, ..)) in self.scan.components.iter().enumerate() {
                let component = self.header.components[*place];
                let (across, down) = if is_alone { (1, 1) } else { (component.across, component.down) };
                for row in y * down..(y + 1) * down {
                    for column in x * across..(x + 1) * across {
                        all[*place].change(column, row, |block| self.block(turn, &mut bits, &mut state, block))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn block(
        &self,
        turn: usize,
        bits: &mut Bits<'_>,
        state: &mut State,
        block: &mut [i16; BLOCK],
    ) -> Result<(), PictureError> {
        let Scan { components, first, last, high, low } = self.scan;
        let (_, firsts, others) = components[turn];
        if *first == 0 && *high > 0 {
            block[0] |= (bits.take(1)? << low) as i16;
        } else if *first == 0 {
            let size = bits.symbol(self.tables.first(firsts)?)?;
            state.before[turn] = state.before[turn].wrapping_add(bits.signed(u32::from(size.min(16)))?);
            block[0] = (state.before[turn] << low) as i16;
        }
        if *last == 0 {
            return Ok(());
        }
        let (codes, range) = (self.tables.others(others)?, (*first).max(1)..=*last);
        if *high == 0 {
            tell(codes, bits, &mut state.empty, block, range, *low)
        } else {
            refine(codes, bits, &mut state.empty, block, range, *low)
        }
    }
}

/// Coefficients of which nothing is known but that they are 0 where nothing is told.
fn tell(
    codes: &Table,
    bits: &mut Bits<'_>,
    empty: &mut i32,
    block: &mut [i16; BLOCK],
    range: RangeInclusive<usize>,
    low: u32,
) -> Result<(), PictureError> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut next = *range.start();
    while next <= *range.end() {
        let symbol = bits.symbol(codes)?;
        let (run, size) = (symbol >> 4, u32::from(symbol & 15));
        if size == 0 && run < 15 {
            *empty = (1 << run) - 1 + bits.take(run.into())?;
            break;
        }
        next += usize::from(run);
        if size > 0 {
            let place = PLACES[..=*range.end()]
                .get(next)
                .ok_or(PictureError::Unsound("a coefficient lies outside its block"))?;
            block[*place] = (bits.signed(size)? << low) as i16;
        }
        next += 1;
    }
    Ok(())
}

/// One more bit of coefficients.
fn refine(
    codes: &Table,
    bits: &mut Bits<'_>,
    empty: &mut i32,
    block: &mut [i16; BLOCK],
    range: RangeInclusive<usize>,
    low: u32,
) -> Result<(), PictureError> {
    let mut next = *range.start();
    while next <= *range.end() && *empty == 0 {
        let symbol = bits.symbol(codes)?;
        let (mut run, size) = (symbol >> 4, symbol & 15);
        let mut new = 0;
        if size > 1 {
            return Err(PictureError::Unsound("a code has no meaning"));
        } else if size == 1 {
            new = if bits.take(1)? == 1 { 1 << low } else { -1 << low };
        } else if run < 15 {
            *empty = (1 << run) + bits.take(run.into())?;
            break;
        }
        // Those that are not 0 yet get their bit on the way; the run counts the others.
        while next <= *range.end() {
            let value = &mut block[PLACES[next]];
            if *value != 0 {
                correct(value, bits, low)?;
            } else if run == 0 {
                *value = new;
                break;
            } else {
                run -= 1;
            }
            next += 1;
        }
        if next > *range.end() && size == 1 {
            return Err(PictureError::Unsound("a coefficient lies outside its block"));
        }
        next += 1;
    }
    if *empty > 0 {
        for place in PLACES.get(next..=*range.end()).unwrap_or_default() {
            if block[*place] != 0 {
                correct(&mut block[*place], bits, low)?;
            }
        }
        *empty -= 1;
    }
    Ok(())
}

/// The next bit of a coefficient that is not 0.
fn correct(value: &mut i16, bits: &mut Bits<'_>, low: u32) -> Result<(), PictureError> {
    let bit = 1 << low;
    if bits.take(1)? == 1 && *value & bit == 0 {
        *value = value.wrapping_add(if *value > 0 { bit } else { -bit });
    }
    Ok(())
}
