//! The authors' file of one image's backward selection, `<dataset>_<i>.npz`: read and written.
//!
//! Four arrays: `ordering_over_entire_backselect` int64 `[steps, 3]` of (0, row, column), the pixel masked first in
//! front; `values_over_entire_backselect` float64 `[steps]`, f after each; `sis` int64 `[size, 3]`, the pixel masked
//! last in front; `mask` bool `[1, height, width]`, true for the subset's pixels. Where the subset is empty, as it is
//! at threshold 0, `sis` has shape `[0]` and `mask` is all true: indexing by nothing sets everything.

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::error::{CheckpointError, Fault, Located};
use super::npy::{Array, Element};

const SIS: &str = "sis";
const ORDER: &str = "ordering_over_entire_backselect";
const VALUES: &str = "values_over_entire_backselect";
const MASK: &str = "mask";
/// Bytes that an array may have: an order of a million pixels has 24 MB.
const MOST_BYTES: u64 = 1 << 26;

/// One image's backward selection, and the sufficient input subset found in it. Pixels are counted row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectionFile {
    height: usize,
    width: usize,
    order: Vec<u32>,
    values: Vec<f64>,
    sis: Vec<u32>,
}

impl SelectionFile {
    /// A selection from its parts: `order` from the pixel masked first to the one masked last, f after each of them,
    /// and the subset, the pixel masked last in front (empty: none, or none asked for).
    ///
    /// The subset may leave out the very last pixel: where f dips and recovers with everything masked, the authors'
    /// code returns the dip.
    ///
    /// # Errors
    /// When a pixel is repeated or outside the image, `values` is not as long as `order`, or the subset is not what
    /// was masked last.
    pub fn new(height: usize, width: usize, order: Vec<u32>, values: Vec<f64>, sis: Vec<u32>) -> Result<Self, Fault> {
        if order.len() != values.len() {
            return Err(Fault::Selection("the order has another length than the values"));
        }
        let mut seen =
            vec![false; height.checked_mul(width).filter(|&pixels| pixels as u64 <= MOST_BYTES).unwrap_or(0)];
        for &pixel in &order {
            match seen.get_mut(pixel as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(Fault::Selection("the order repeats a pixel or leaves the image")),
            }
        }
        let ends_before = |last: usize| order.iter().rev().skip(last).take(sis.len()).eq(&sis);
        if !ends_before(0) && !ends_before(1) {
            return Err(Fault::Selection("the subset is not what the order masks last"));
        }
        Ok(Self { height, width, order, values, sis })
    }

    /// Rows of the image.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Columns of the image.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The pixels, the one masked first in front.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// f after each pixel of the order was masked.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The sufficient input subset, the pixel masked last in front.
    #[must_use]
    pub fn sis(&self) -> &[u32] {
        &self.sis
    }

    /// One entry a pixel: whether it belongs to the subset; all true where the subset is empty.
    #[must_use]
    pub fn mask(&self) -> Vec<bool> {
        let mut mask = vec![self.sis.is_empty(); self.height * self.width];
        self.sis.iter().for_each(|&pixel| mask[pixel as usize] = true);
        mask
    }

    /// Reads a file that the authors' code wrote, compressed or not.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |source| CheckpointError::Unreadable { path: path.to_owned(), source };
        let malformed =
            |Located { place, fault }| CheckpointError::Malformed { path: path.to_owned(), place, source: fault };
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(malformed(Fault::NotAFile.at("the path")));
        }
        Self::parse(&fs::read(path).map_err(unreadable)?).map_err(malformed)
    }

    /// Writes the file as the authors' code would.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let sis_shape = if self.sis.is_empty() { vec![0] } else { vec![self.sis.len(), 3] };
        let sis = Array { shape: sis_shape, elements: self.coordinates(&self.sis) };
        let order = Array { shape: vec![self.order.len(), 3], elements: self.coordinates(&self.order) };
        let values = Array { shape: vec![self.values.len()], elements: self.values.clone() };
        let mask = Array { shape: vec![1, self.height, self.width], elements: self.mask() };
        let entries =
            [(SIS, sis.to_bytes()), (ORDER, order.to_bytes()), (VALUES, values.to_bytes()), (MASK, mask.to_bytes())];
        for (name, bytes) in entries {
            archive.start_file(format!("{name}.npy"), SimpleFileOptions::default())?;
            archive.write_all(&bytes)?;
        }
        fs::write(path, archive.finish()?.into_inner())
    }

    fn parse(bytes: &[u8]) -> Result<Self, Located> {
        let mut archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| Fault::from(error).at("the archive's directory"))?;
        let mask: Array<bool> = array(&mut archive, MASK)?;
        let &[1, height, width] = mask.shape.as_slice() else {
            return Err(Fault::Selection("the mask has not the shape [1, height, width]").at(MASK));
        };
        let order = pixels(&array(&mut archive, ORDER)?, height, width).map_err(|fault| fault.at(ORDER))?;
        let values: Array<f64> = array(&mut archive, VALUES)?;
        if values.shape.len() != 1 {
            return Err(Fault::Selection("the values have more than one dimension").at(VALUES));
        }
        let sis = pixels(&array(&mut archive, SIS)?, height, width).map_err(|fault| fault.at(SIS))?;
        let selection =
            Self::new(height, width, order, values.elements, sis).map_err(|fault| fault.at("its arrays"))?;
        if selection.mask() == mask.elements {
            Ok(selection)
        } else {
            Err(Fault::Selection("the mask is true elsewhere than on the subset").at(MASK))
        }
    }

    /// (0, row, column) of each pixel.
    fn coordinates(&self, pixels: &[u32]) -> Vec<i64> {
        let width = self.width as u32;
        pixels.iter().flat_map(|&pixel| [0, i64::from(pixel / width), i64::from(pixel % width)]).collect()
    }
}

/// Reads one array of the archive.
fn array<T: Element>(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Array<T>, Located> {
    let mut read = || {
        let mut bytes = Vec::new();
        let entry = archive.by_name(&format!("{name}.npy"))?;
        entry.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES { Err(Fault::LongArray(MOST_BYTES)) } else { Array::parse(&bytes) }
    };
    read().map_err(|fault| fault.at(name))
}

/// The pixel of each (0, row, column).
fn pixels(array: &Array<i64>, height: usize, width: usize) -> Result<Vec<u32>, Fault> {
    const EXPECTED: &str = "a place is not (0, row, column) within the image";
    if !array.elements.is_empty() && !matches!(array.shape.as_slice(), [_, 3]) {
        return Err(Fault::Selection("the places have not the shape [steps, 3]"));
    }
    let within = |place: i64, extent: usize| usize::try_from(place).ok().filter(|&place| place < extent);
    let pixel = |&[plane, row, column]: &[i64; 3]| {
        let (row, column) = (within(row, height)?, within(column, width)?);
        (plane == 0).then(|| u32::try_from(row * width + column).ok())?
    };
    let (places, _) = array.elements.as_chunks();
    places.iter().map(|place| pixel(place).ok_or(Fault::Selection(EXPECTED))).collect()
}
