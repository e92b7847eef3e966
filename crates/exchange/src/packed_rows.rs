//! The rows of an array of a packed file, one after the other along its first axis.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{Fault, Located};
use super::npz::MOST_ELEMENTS;
use super::packed_file::archive;
use overinterp_foreign::numpy::{ArrayError, ArrayHeader, ElementType, Exact};

/// Bytes of the rows that are gathered together where those of one row do not lie together.
const BLOCK: usize = 1 << 25;

/// An array that is read row by row.
pub(super) struct Rows<R> {
    array: &'static str,
    shape: Vec<usize>,
    stored: ElementType,
    /// The rows that were begun.
    begun: usize,
    row: Vec<u8>,
    source: Source<R>,
}

/// Where the rows come from.
enum Source<R> {
    /// One lies behind the other.
    Successive(R),
    /// In Fortran's order the first elements of all rows come first: some rows at a time are gathered, each time from
    /// all of the array.
    Scattered { path: PathBuf, gathered: Vec<u8> },
}

impl<R: Read> Rows<R> {
    /// Reads the header of an array of the packed file `path`, which must have that shape; `file` is the array's bytes.
    pub fn open(mut file: R, path: &Path, shape: &[usize], array: &'static str) -> Result<Self, Located> {
        let mut open = || {
            let header = ArrayHeader::read(&mut file)?;
            if header.shape != shape {
                return Err(Fault::Selection("its shape does not belong to the index and the masks"));
            }
            let stored = header.element_type()?;
            let elements = shape[1..].iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
            let elements = elements.filter(|&count| count <= MOST_ELEMENTS);
            let elements = elements.ok_or(ArrayError::TooLong { most: MOST_ELEMENTS })?;
            Ok((header.column_major, stored, elements * stored.bytes()))
        };
        let (column_major, stored, bytes) = open().map_err(|fault| fault.at(array))?;
        let source = if column_major {
            Source::Scattered { path: path.to_owned(), gathered: Vec::new() }
        } else {
            Source::Successive(file)
        };
        Ok(Self { array, shape: shape.to_vec(), stored, begun: 0, row: vec![0; bytes], source })
    }

    /// Goes to the next row.
    pub fn advance(&mut self) -> Result<(), Located> {
        let place = self.begun;
        self.begun += 1;
        let row = self.row.len();
        match &mut self.source {
            Source::Successive(file) => {
                return file.read_exact(&mut self.row).map_err(|error| Fault::from(error).at(self.array));
            }
            Source::Scattered { gathered, .. } if row == 0 => gathered.clear(),
            Source::Scattered { path, gathered } => {
                let together = (BLOCK / row).clamp(1, self.shape[0]);
                if place.is_multiple_of(together) {
                    let count = together.min(self.shape[0].saturating_sub(place));
                    *gathered = gather(path, self.array, &self.shape, self.stored.bytes(), place, count)?;
                }
                let start = place % together * row;
                let truncated = Fault::Selection("it has no further row").at(self.array);
                self.row.copy_from_slice(gathered.get(start..start + row).ok_or(truncated)?);
            }
        }
        Ok(())
    }

    /// The elements of the row.
    pub fn row<T: Exact>(&self) -> Result<Vec<T>, Located> {
        self.stored.decode(&self.row).map_err(|(place, found)| {
            let before = self.begun.saturating_sub(1) * (self.row.len() / self.stored.bytes());
            let header = ArrayHeader::new("", &self.shape);
            Fault::from(header.unfit::<T>(before + place, found)).at(self.array)
        })
    }
}

/// The rows from number `first` on, `count` of them, of an array in Fortran's order.
fn gather(
    path: &Path,
    array: &'static str,
    shape: &[usize],
    element: usize,
    first: usize,
    count: usize,
) -> Result<Vec<u8>, Located> {
    let mut archive = archive(path)?;
    let mut file = archive.stream(array)?;
    let mut read = || -> Result<Vec<u8>, Fault> {
        ArrayHeader::read(&mut file)?;
        let row: usize = shape[1..].iter().product();
        let mut gathered = vec![0; count * row * element];
        let mut slice = vec![0; count * element];
        for target in targets(&shape[1..]) {
            skip(&mut file, first * element)?;
            file.read_exact(&mut slice)?;
            skip(&mut file, (shape[0] - first - count) * element)?;
            for (place, bytes) in slice.chunks_exact(element).enumerate() {
                let start = (place * row + target) * element;
                gathered[start..start + element].copy_from_slice(bytes);
            }
        }
        Ok(gathered)
    };
    read().map_err(|fault| fault.at(array))
}

/// Where each element of a row comes in C's order, in Fortran's order.
fn targets(shape: &[usize]) -> impl Iterator<Item = usize> + '_ {
    let count: usize = shape.iter().product();
    (0..count).map(move |mut place| {
        let mut target = 0;
        let mut stride = count;
        for &extent in shape {
            stride /= extent;
            target += place % extent * stride;
            place /= extent;
        }
        target
    })
}

fn skip(file: &mut impl Read, bytes: usize) -> io::Result<()> {
    let skipped = io::copy(&mut file.take(bytes as u64), &mut io::sink())?;
    if skipped == bytes as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
