//! Rows of bits, a row an image: in memory while they are few, in a file when they are many.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::UnreadableImage;

/// Bytes of rows that are held in memory; more than that lie in a file.
pub(super) const MOST_HELD: usize = 64 << 20;
/// Bytes that are read at a time, or one row's, where all are wanted.
const PIECE: usize = 1 << 20;

/// Rows of one length.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    /// Bytes of a row.
    width: usize,
    /// The first rows, if they lie in a file.
    filed: Option<Filed>,
    /// The rows behind those.
    held: Vec<u8>,
}

/// Rows in a file, which nobody writes to any more.
#[derive(Clone, Debug)]
struct Filed {
    file: Arc<File>,
    /// What messages call it.
    name: String,
    /// Where in it the rows begin.
    start: u64,
    rows: usize,
}

impl Bits {
    /// No rows yet, of `width` bytes each.
    pub(super) const fn new(width: usize) -> Self {
        Self { width, filed: None, held: Vec::new() }
    }

    /// The rows of `width` bytes that lie at `place` of the file `path`, a whole number of them. They stay there if they
    /// are more than `most_held` bytes.
    ///
    /// # Errors
    /// When they do not stay there and cannot be read.
    pub(super) fn from_file(
        file: File,
        path: &Path,
        place: Range<usize>,
        width: usize,
        most_held: usize,
    ) -> io::Result<Self> {
        let (start, mut bits) = (place.start as u64, Self::new(width));
        if place.len() > most_held {
            let (name, rows) = (path.display().to_string(), place.len() / width);
            bits.filed = Some(Filed { file: Arc::new(file), name, start, rows });
        } else {
            bits.held.resize(place.len(), 0);
            file.read_exact_at(&mut bits.held, start)?;
        }
        Ok(bits)
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows_in_file() + self.held.len() / self.width
    }

    fn rows_in_file(&self) -> usize {
        self.filed.as_ref().map_or(0, |filed| filed.rows)
    }

    /// Adds a row of zeros in memory.
    pub(super) fn push(&mut self) -> &mut [u8] {
        let start = self.held.len();
        self.held.resize(start + self.width, 0);
        &mut self.held[start..]
    }

    /// The bytes of the row `index`, counted from 0, from memory or from the file.
    ///
    /// # Errors
    /// When it lies in a file and cannot be read from there.
    pub(super) fn row(&self, index: usize) -> Result<Cow<'_, [u8]>, UnreadableImage> {
        match &self.filed {
            Some(filed) if index < filed.rows => filed.read(index..index + 1, self.width).map(Cow::Owned),
            _ => Ok(Cow::Borrowed(&self.held[(index - self.rows_in_file()) * self.width..][..self.width])),
        }
    }

    /// All rows, one behind the other, some at a time.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Result<Cow<'_, [u8]>, UnreadableImage>> {
        let together = (PIECE / self.width.max(1)).max(1);
        let filed = self.filed.iter().flat_map(move |filed| {
            let pieces = (0..filed.rows).step_by(together).map(move |first| first..(first + together).min(filed.rows));
            pieces.map(|rows| filed.read(rows, self.width).map(Cow::Owned))
        });
        filed.chain(std::iter::once(Ok(Cow::Borrowed(&self.held[..]))))
    }
}

/// Rows that cannot be read equal none.
impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        let same = |row: usize| self.row(row).is_ok_and(|own| other.row(row).is_ok_and(|others| own == others));
        self.width == other.width && self.rows() == other.rows() && (0..self.rows()).all(same)
    }
}

impl Filed {
    fn read(&self, rows: Range<usize>, width: usize) -> Result<Vec<u8>, UnreadableImage> {
        let mut bytes = vec![0; rows.len() * width];
        self.file.read_exact_at(&mut bytes, self.start + (rows.start * width) as u64).map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => "it has been cut short".to_owned(),
                _ => error.to_string(),
            };
            let (name, image) = (&self.name, rows.start);
            UnreadableImage(format!(
                "cannot read the subset of image {image} from {name}: {why}; run again, which computes anew what is \
                 damaged in the cache"
            ))
        })?;
        Ok(bytes)
    }
}

/// Rows in the making. Those that grow beyond some bytes go to a file without a name, which lasts as long as they do.
#[derive(Debug)]
pub(super) struct GrowingBits<'a> {
    /// Those in memory.
    bits: Bits,
    /// The file of those before them, and how many there are.
    spilled: Option<(File, usize)>,
    /// Where the file lies.
    folder: &'a Path,
    most_held: usize,
}

impl<'a> GrowingBits<'a> {
    /// No rows yet, of `width` bytes each; those that will be more than `most_held` bytes go to a file in `folder`.
    pub(super) const fn new(width: usize, folder: &'a Path, most_held: usize) -> Self {
        Self { bits: Bits::new(width), spilled: None, folder, most_held }
    }

    /// Adds a row of zeros.
    ///
    /// # Errors
    /// When those before it must go to the file and cannot.
    pub(super) fn push(&mut self) -> io::Result<&mut [u8]> {
        if self.bits.held.len() + self.bits.width > self.most_held {
            self.spill()?;
        }
        Ok(self.bits.push())
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> io::Result<()> {
        let (mut file, rows) = match self.spilled.take() {
            Some(spilled) => spilled,
            None => (tempfile::tempfile_in(self.folder)?, 0),
        };
        file.write_all(&self.bits.held)?;
        self.spilled = Some((file, rows + self.bits.rows()));
        self.bits.held.clear();
        Ok(())
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Bits {
        self.bits.filed = self.spilled.map(|(file, rows)| Filed {
            file: Arc::new(file),
            name: format!("a temporary file in {}", self.folder.display()),
            start: 0,
            rows,
        });
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The row that stands at `index` in all of these tests.
    fn fill(index: usize, row: &mut [u8]) {
        for (place, byte) in row.iter_mut().enumerate() {
            *byte = (index * 31 + place * 7 + 1) as u8;
        }
    }

    fn in_memory(rows: usize, width: usize) -> Bits {
        let mut bits = Bits::new(width);
        (0..rows).for_each(|index| fill(index, bits.push()));
        bits
    }

    fn grown(rows: usize, width: usize, most_held: usize, folder: &Path) -> Bits {
        let mut bits = GrowingBits::new(width, folder, most_held);
        (0..rows).for_each(|index| fill(index, bits.push().unwrap()));
        bits.finish()
    }

    proptest! {
        #[test]
        fn rows_are_the_same_wherever_they_lie(rows in 0_usize..40, width in 1_usize..9, most_held in 0_usize..80) {
            let folder = tempfile::tempdir().unwrap();
            let (held, grown) = (in_memory(rows, width), grown(rows, width, most_held, folder.path()));
            prop_assert_eq!(grown.filed.is_some(), rows * width > most_held);
            prop_assert_eq!(&grown, &held);
            let path = folder.path().join("rows");
            std::fs::write(&path, [&b"header"[..], &held.held, b"end"].concat()).unwrap();
            let place = 6..6 + rows * width;
            let mut read = Bits::from_file(File::open(&path).unwrap(), &path, place, width, most_held).unwrap();
            prop_assert_eq!(read.filed.is_some(), rows * width > most_held);
            prop_assert_eq!(&read, &held);
            // More are added behind them, and a copy stays as it was.
            let copy = read.clone();
            fill(rows, read.push());
            prop_assert_eq!(&read, &in_memory(rows + 1, width));
            prop_assert_eq!(&copy, &held);
            for bits in [&grown, &copy] {
                let pieces: Vec<_> = bits.pieces().collect::<Result<_, _>>().unwrap();
                prop_assert_eq!(pieces.concat(), held.held.clone());
            }
        }
    }

    #[test]
    fn rows_that_differ_in_one_bit_are_not_equal_nor_are_those_of_another_length() {
        let folder = tempfile::tempdir().unwrap();
        let (held, mut other) = (in_memory(6, 3), in_memory(6, 3));
        other.held[16] ^= 4;
        assert_ne!(grown(6, 3, 4, folder.path()), other);
        assert_ne!(held, in_memory(5, 3));
        assert_ne!(held, in_memory(9, 2));
    }

    #[test]
    fn many_rows_are_read_in_pieces_of_whole_rows() {
        let (folder, width) = (tempfile::tempdir().unwrap(), PIECE / 2 - 1);
        let bits = grown(5, width, 0, folder.path());
        let lengths: Vec<usize> = bits.pieces().map(|piece| piece.unwrap().len()).collect();
        assert_eq!(lengths, [2 * width, 2 * width, width]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn a_file_that_is_cut_short_is_named_with_the_image_and_equals_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, &in_memory(4, 3).held).unwrap();
        let bits = Bits::from_file(File::open(&path).unwrap(), &path, 0..12, 3, 0).unwrap();
        assert_eq!(bits, bits.clone());
        File::options().write(true).open(&path).unwrap().set_len(8).unwrap();
        assert!(bits.row(1).is_ok());
        let expected = format!(
            "cannot read the subset of image 2 from {}: it has been cut short; run again, which computes anew what is \
             damaged in the cache",
            path.display()
        );
        assert_eq!(bits.row(2).unwrap_err().to_string(), expected);
        assert!(bits.pieces().any(|piece| piece.is_err()));
        assert_ne!(bits, bits.clone());
    }

    #[test]
    fn rows_that_stay_in_their_file_outlive_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, &in_memory(4, 3).held).unwrap();
        let bits = Bits::from_file(File::open(&path).unwrap(), &path, 0..12, 3, 0).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bits, in_memory(4, 3));
    }

    #[test]
    fn rows_without_a_place_to_go_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut bits = GrowingBits::new(3, &gone, 6);
        assert!(bits.push().is_ok() && bits.push().is_ok());
        assert_eq!(bits.push().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
