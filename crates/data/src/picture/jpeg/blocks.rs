//! The blocks of a JPEG file's components, from its scans.

use super::header::{BLOCK, Component, Header};
use super::huffman::Bits;
use super::scan::Reading;
use super::tables::Tables;
use super::{PictureError, inverse, markers};

/// A component's blocks, as many as whole units have, by rows.
pub(super) struct Blocks {
    across: usize,
    /// Those of a scan for it alone, which hold a part of the picture.
    pub(super) own: (usize, usize),
    /// Where scans make them more precise.
    coefficients: Vec<[i16; BLOCK]>,
    /// What they are multiples of; that of the first scan counts.
    steps: Option<[u16; BLOCK]>,
    /// What becomes of them; where there are several scans for each, at last.
    values: Vec<u8>,
}

impl Blocks {
    fn new(header: &Header, component: Component) -> Self {
        let (most, units) = (header.most(), header.units());
        let own = (
            (header.width * component.across).div_ceil(8 * most.0),
            (header.height * component.down).div_ceil(8 * most.1),
        );
        let (across, rows) = (units.0 * component.across, units.1 * component.down);
        let (coefficients, values) = if header.is_progressive() {
            (vec![[0; BLOCK]; across * rows], Vec::new())
        } else {
            (Vec::new(), vec![0; across * rows * BLOCK])
        };
        Self { across, own, coefficients, steps: None, values }
    }

    /// Changes a block's coefficients by a scan.
    pub(super) fn change(
        &mut self,
        column: usize,
        row: usize,
        by: impl FnOnce(&mut [i16; BLOCK]) -> Result<(), PictureError>,
    ) -> Result<(), PictureError> {
        if let Some(block) = self.coefficients.get_mut(row * self.across + column) {
            return by(block);
        }
        let mut block = [0; BLOCK];
        by(&mut block)?;
        let steps = self.steps.as_ref().ok_or(PictureError::Lacks("quantisation table"))?;
        put(&mut self.values, self.across, (column, row), &block, steps)
    }

    /// How many values a row has, and all of them.
    pub(super) fn into_values(self) -> Result<(usize, Vec<u8>), PictureError> {
        let Self { across, coefficients, steps, mut values, .. } = self;
        if !coefficients.is_empty() {
            let steps = steps.ok_or(PictureError::Lacks("quantisation table"))?;
            values = vec![0; BLOCK * coefficients.len()];
            for (place, block) in coefficients.iter().enumerate() {
                put(&mut values, across, (place % across, place / across), block, &steps)?;
            }
        }
        Ok((8 * across, values))
    }
}

/// Writes what becomes of a block among the values of its component, of as many blocks `across`.
fn put(
    values: &mut [u8],
    across: usize,
    (column, row): (usize, usize),
    block: &[i16; BLOCK],
    steps: &[u16; BLOCK],
) -> Result<(), PictureError> {
    let block =
        inverse::values(block, steps).ok_or(PictureError::Unsound("a coefficient is too large for any picture"))?;
    for (y, of_row) in block.iter().enumerate() {
        values[8 * ((8 * row + y) * across + column)..][..8].copy_from_slice(of_row);
    }
    Ok(())
}

/// The blocks of every component.
pub(super) fn read(bytes: &[u8], header: &Header) -> Result<Vec<Blocks>, PictureError> {
    let mut all: Vec<Blocks> = header.components.iter().map(|component| Blocks::new(header, *component)).collect();
    let mut tables = Tables::default();
    let mut scans = header.scans.iter();
    for segment in markers::all(bytes) {
        if segment.marker != markers::SCAN {
            tables.define(segment.marker, segment.content).ok_or(PictureError::Unsound("a table is unsound"))?;
            continue;
        }
        let Some(scan) = scans.next() else { break };
        for (place, ..) in &scan.components {
            if all[*place].steps.is_none() {
                all[*place].steps = Some(tables.steps(header.components[*place].table)?);
            }
        }
        Reading { header, scan, tables: &tables }.read(Bits::new(segment.behind), &mut all)?;
    }
    Ok(all)
}
