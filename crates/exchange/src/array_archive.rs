//! A numpy archive (`.npz`) that is written array by array and row by row, so that it need not fit into memory.

use std::io::{self, Write};
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use overinterp_foreign::bounded::{self, Draft};
use overinterp_foreign::numpy::{ArrayHeader, Stored};

/// From so many bytes on an entry needs wider fields in the archive.
const LARGE: usize = 1 << 31;

/// An archive in the making.
pub struct ArrayArchive<'a>(ZipWriter<&'a mut Draft>);

impl ArrayArchive<'_> {
    /// Writes the archive `path` with the arrays that `fill` adds to it. It is there complete or not at all.
    ///
    /// # Errors
    /// When it cannot be written, or `fill` fails.
    pub fn write<E: From<io::Error>>(
        path: &Path,
        fill: impl FnOnce(&mut ArrayArchive<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        bounded::write_with(path, |draft| {
            let mut archive = ArrayArchive(ZipWriter::new(draft));
            fill(&mut archive)?;
            archive.0.finish().map_err(io::Error::from)?;
            Ok(())
        })
    }

    /// Begins an array of this shape, whose elements follow by [`ArrayArchive::push`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn start<T: Stored>(&mut self, name: &str, shape: &[usize]) -> io::Result<()> {
        let elements = shape.iter().product::<usize>();
        self.entry(&ArrayHeader::new(T::NAME, shape), name, elements.saturating_mul(size_of::<T>()))
    }

    /// The next elements of the array that was begun last.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn push<T: Stored>(&mut self, elements: impl IntoIterator<Item = T>) -> io::Result<()> {
        let mut bytes = Vec::new();
        elements.into_iter().for_each(|element| element.encode(&mut bytes));
        self.0.write_all(&bytes)
    }

    /// A whole array of one dimension.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn array<T: Stored>(&mut self, name: &str, elements: impl ExactSizeIterator<Item = T>) -> io::Result<()> {
        self.start::<T>(name, &[elements.len()])?;
        self.push(elements)
    }

    /// A whole array of texts, as numpy keeps them: all of one length, four bytes a character.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn texts(&mut self, name: &str, texts: &[String]) -> io::Result<()> {
        // numpy has no texts of length 0.
        let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
        self.entry(&ArrayHeader::new(&format!("<U{longest}"), &[texts.len()]), name, texts.len() * longest * 4)?;
        let padded = texts.iter().flat_map(|text| text.chars().chain(std::iter::repeat('\0')).take(longest));
        let bytes: Vec<u8> = padded.flat_map(|character| u32::from(character).to_le_bytes()).collect();
        self.0.write_all(&bytes)
    }

    fn entry(&mut self, header: &ArrayHeader, name: &str, bytes: usize) -> io::Result<()> {
        let options = SimpleFileOptions::default().large_file(bytes >= LARGE);
        self.0.start_file(format!("{name}.npy"), options)?;
        self.0.write_all(&header.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Read};

    use super::*;
    use crate::npz::Npz;
    use overinterp_foreign::numpy::Array;

    #[test]
    fn arrays_and_texts_come_back_and_nothing_stays_of_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        ArrayArchive::write::<io::Error>(&path, |archive| {
            archive.start::<f32>("rows", &[2, 2])?;
            archive.push([1.5_f32, 2.5])?;
            archive.push([3.5_f32, 4.5])?;
            archive.array("labels", [7_i64, 8].into_iter())?;
            archive.texts("names", &["dog".to_owned(), "\u{e9}".to_owned()])
        })
        .unwrap();
        let bytes = fs::read(&path).unwrap();
        let mut archive = Npz::open(Cursor::new(&bytes)).unwrap();
        let rows: Array<f64> = archive.array("rows").unwrap();
        assert_eq!((&rows.shape[..], &rows.elements[..]), (&[2, 2][..], &[1.5, 2.5, 3.5, 4.5][..]));
        assert_eq!(archive.array::<i64>("labels").unwrap().elements, [7, 8]);
        let mut names = archive.stream("names").unwrap();
        let header = ArrayHeader::read(&mut names).unwrap();
        assert_eq!((&header.descr[..], &header.shape[..]), ("<U3", &[2][..]));
        let mut rest = Vec::new();
        names.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"d\0\0\0o\0\0\0g\0\0\0\xe9\0\0\0\0\0\0\0\0\0\0\0");

        let other = folder.path().join("b.npz");
        let failed = ArrayArchive::write::<io::Error>(&other, |_| Err(io::Error::other("no")));
        assert!(failed.is_err() && fs::read_dir(folder.path()).unwrap().count() == 1);
    }
}
