//! The authors' file of one image's backward selection, `<dataset>_<i>.npz`: read and written.
//!
//! Four arrays: `ordering_over_entire_backselect` int64 `[steps, 3]` of (0, row, column), the pixel masked first in
//! front; `values_over_entire_backselect` float64 `[steps]`, f after each; `sis` int64 `[size, 3]`, the pixel masked
//! last in front; `mask` bool `[1, height, width]`, true for the subset's pixels. Where the subset is empty, as it is
//! at threshold 0, `sis` has shape `[0]` and `mask` is all true: indexing by nothing sets everything.
//!
//! Numbers may be of any type, byte order and order of elements that numpy saves, as long as they are exactly these.
//!
//! References of our own may have a fifth, which the authors' files lack: `values_of_candidates` `[steps, pixels]`, f
//! with each pixel masked on top of those that went before; what stands at pixels that are masked already means nothing.

use std::io::{self, Cursor};
use std::path::Path;

use super::error::{ExchangeError, Fault, Located};
use super::npz::{MOST_ELEMENTS, Npz, read_file, to_bytes};
use overinterp_foreign::bounded;
use overinterp_foreign::numpy::Array;

const SIS: &str = "sis";
const ORDER: &str = "ordering_over_entire_backselect";
const VALUES: &str = "values_over_entire_backselect";
const MASK: &str = "mask";
const CANDIDATES: &str = "values_of_candidates";

/// One image's backward selection, and the sufficient input subset found in it. Pixels are counted row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectionFile {
    height: usize,
    width: usize,
    order: Vec<u32>,
    values: Vec<f64>,
    sis: Vec<u32>,
    candidates: Option<Vec<f64>>,
}

impl SelectionFile {
    /// Bytes that such a file may have: more than those of an image of two million pixels.
    pub const MOST_BYTES: u64 = 128 << 20;

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
        let mut seen = vec![false; height.checked_mul(width).filter(|&pixels| pixels <= MOST_ELEMENTS).unwrap_or(0)];
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
        Ok(Self { height, width, order, values, sis, candidates: None })
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

    /// f of every candidate at every step, `[steps, pixels]`, where the file tells.
    #[must_use]
    pub fn candidates(&self) -> Option<&[f64]> {
        self.candidates.as_deref()
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
    pub fn read(path: &Path) -> Result<Self, ExchangeError> {
        read_file(path, Self::MOST_BYTES, Self::parse)
    }

    /// Reads the bytes of the file `path`.
    ///
    /// # Errors
    /// When they are damaged or contradict themselves.
    pub fn of_bytes(bytes: &[u8], path: &Path) -> Result<Self, ExchangeError> {
        Self::parse(bytes).map_err(|located| located.of(path))
    }

    /// Writes the file as the authors' code would.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let sis_shape = if self.sis.is_empty() { vec![0] } else { vec![self.sis.len(), 3] };
        let sis = Array { shape: sis_shape, elements: coordinates(&self.sis, self.width) };
        let order = Array { shape: vec![self.order.len(), 3], elements: coordinates(&self.order, self.width) };
        let values = Array { shape: vec![self.values.len()], elements: self.values.clone() };
        let mask = Array { shape: vec![1, self.height, self.width], elements: self.mask() };
        let mut arrays = vec![
            (SIS, sis.to_bytes()),
            (ORDER, order.to_bytes()),
            (VALUES, values.to_bytes()),
            (MASK, mask.to_bytes()),
        ];
        if let Some(candidates) = &self.candidates {
            let shape = vec![self.order.len(), self.height * self.width];
            arrays.push((CANDIDATES, Array { shape, elements: candidates.clone() }.to_bytes()));
        }
        Ok(bounded::write(path, &to_bytes(&arrays)?)?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Located> {
        let mut archive = Npz::open(Cursor::new(bytes))?;
        let mask: Array<bool> = archive.array(MASK)?;
        let &[1, height, width] = mask.shape.as_slice() else {
            return Err(Fault::Selection("the mask has not the shape [1, height, width]").at(MASK));
        };
        let order = pixels(&archive.array(ORDER)?, height, width).map_err(|fault| fault.at(ORDER))?;
        let values: Array<f64> = archive.array(VALUES)?;
        if values.shape.len() != 1 {
            return Err(Fault::Selection("the values have more than one dimension").at(VALUES));
        }
        let sis = pixels(&archive.array(SIS)?, height, width).map_err(|fault| fault.at(SIS))?;
        let candidates: Option<Array<f64>> = archive.optional(CANDIDATES)?;
        let mut selection =
            Self::new(height, width, order, values.elements, sis).map_err(|fault| fault.at("its arrays"))?;
        if selection.mask() != mask.elements {
            return Err(Fault::Selection("the mask is true elsewhere than on the subset").at(MASK));
        }
        if let Some(Array { shape, elements }) = candidates {
            if shape != [selection.order.len(), height * width] {
                return Err(Fault::Selection("the candidates have not the shape [steps, pixels]").at(CANDIDATES));
            }
            selection.candidates = Some(elements);
        }
        Ok(selection)
    }
}

/// (0, row, column) of each pixel of an image of that width.
pub(super) fn coordinates(pixels: &[u32], width: usize) -> Vec<i64> {
    let width = width as u32;
    pixels.iter().flat_map(|&pixel| [0, i64::from(pixel / width), i64::from(pixel % width)]).collect()
}

/// The pixel of each (0, row, column).
fn pixels(array: &Array<i64>, height: usize, width: usize) -> Result<Vec<u32>, Fault> {
    if !array.elements.is_empty() && !matches!(array.shape.as_slice(), [_, 3]) {
        return Err(Fault::Selection("the places have not the shape [steps, 3]"));
    }
    places(&array.elements, height, width)
}

/// The pixel of each (0, row, column), one after the other.
pub(super) fn places(elements: &[i64], height: usize, width: usize) -> Result<Vec<u32>, Fault> {
    let within = |place: i64, extent: usize| usize::try_from(place).ok().filter(|&place| place < extent);
    let pixel = |&[plane, row, column]: &[i64; 3]| {
        let (row, column) = (within(row, height)?, within(column, width)?);
        (plane == 0).then(|| u32::try_from(row * width + column).ok())?
    };
    let (places, _) = elements.as_chunks();
    let found = places.iter().enumerate();
    found.map(|(step, place)| pixel(place).ok_or(Fault::Place { step, place: *place, height, width })).collect()
}
