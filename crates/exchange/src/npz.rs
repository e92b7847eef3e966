//! NumPy's archive of several arrays (`.npz`): a zip file with one `.npy` for each, compressed or not.

use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::error::{ExchangeError, Fault, Located};
use overinterp_foreign::bounded;
use overinterp_foreign::numpy::{Array, Exact};
use overinterp_foreign::sniff::{Foreign, LOOKED_AT};

/// Elements that an array may have when it is read as a whole: an order of a million pixels has three million. They take
/// 64 MiB, whatever the archive's compression makes of them.
pub(super) const MOST_ELEMENTS: usize = 1 << 23;

/// An archive that is read.
pub(super) struct Npz<R>(ZipArchive<R>);

impl<R: Read + Seek> Npz<R> {
    /// Opens an archive.
    pub fn open(mut file: R) -> Result<Self, Located> {
        let mut start = Vec::new();
        let looked = file.by_ref().take(LOOKED_AT as u64).read_to_end(&mut start).and_then(|_| file.rewind());
        let opened = looked.map_err(ZipError::from).and_then(|()| ZipArchive::new(file));
        opened.map(Self).map_err(|error| match Foreign::in_place(&start) {
            Some(foreign) => Fault::Instead(foreign).at("its first bytes"),
            None => Fault::from(error).at("the archive's directory"),
        })
    }

    /// An array that must be there.
    pub fn array<T: Exact>(&mut self, name: &str) -> Result<Array<T>, Located> {
        self.optional(name)?.ok_or_else(|| Fault::NoArray.at(name))
    }

    /// An array that may be there.
    pub fn optional<T: Exact>(&mut self, name: &str) -> Result<Option<Array<T>>, Located> {
        let mut read = || {
            let Some(mut entry) = self.find(name)? else { return Ok(None) };
            Ok(Some(Array::read(&mut entry, MOST_ELEMENTS)?))
        };
        read().map_err(|fault: Fault| fault.at(name))
    }

    /// The bytes of an array file, as they come.
    pub fn stream(&mut self, name: &str) -> Result<impl Read + '_, Located> {
        let found = self.find(name).and_then(|entry| entry.ok_or(Fault::NoArray));
        found.map_err(|fault| fault.at(name))
    }

    fn find(&mut self, name: &str) -> Result<Option<impl Read + '_>, Fault> {
        match self.0.by_name(&format!("{name}.npy")) {
            Ok(entry) => Ok(Some(entry)),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The archive of some array files, in their order. Equal arrays give equal bytes.
pub(super) fn to_bytes(arrays: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default())?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// Reads the file `path` of at most `most` bytes and makes of them what `parse` says.
pub(super) fn read_file<T>(
    path: &Path,
    most: u64,
    parse: impl FnOnce(&[u8]) -> Result<T, Located>,
) -> Result<T, ExchangeError> {
    let bytes = bounded::read(path, most).map_err(|error| ExchangeError::unreadable(path, error))?;
    parse(&bytes).map_err(|located| located.of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_download_left_in_place_of_an_archive_is_named() {
        for (bytes, named) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"[..], "this is a Git LFS pointer"),
            (b"<!DOCTYPE html><html></html>", "this is an HTML page"),
        ] {
            let error = Npz::open(Cursor::new(bytes)).err().unwrap().of(Path::new("a.npz"));
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.starts_with(named), "{error}: {cause}");
        }
        assert!(Npz::open(Cursor::new(to_bytes(&[("a", vec![1, 2])]).unwrap())).is_ok());
    }
}
