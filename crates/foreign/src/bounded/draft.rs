//! Files on their way: written beside the place that they get, and there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::room::{Needs, lacking};
use super::{BoundedError, as_usual, folder_of, open, regular};

/// What ends the name of a file that is not finished.
const UNFINISHED: &str = ".unfinished";

/// A file that is being written. From the first failure on it takes the rest without a word: what writes an archive closes
/// it when it goes, and would tell of a failure once more.
#[derive(Debug)]
pub struct Draft {
    file: BufWriter<File>,
    /// What it is called until it is finished.
    unfinished: TempPath,
    target: PathBuf,
    /// Where the next byte goes.
    place: u64,
    /// Where the last one is.
    end: u64,
    failed: Option<ErrorKind>,
}

impl Draft {
    fn beside(path: &Path) -> Result<Self, BoundedError> {
        let there = fs::metadata(path).ok();
        let target = match &there {
            None => path.to_owned(),
            Some(there) => {
                regular(there)?;
                // What may not be written is not replaced either.
                File::options().write(true).open(path)?;
                if path.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() }
            }
        };
        let mut builder = tempfile::Builder::new();
        let (file, unfinished) = as_usual(builder.suffix(UNFINISHED)).tempfile_in(folder_of(&target))?.into_parts();
        if let Some(there) = there {
            file.set_permissions(there.permissions())?;
        }
        Ok(Self { file: BufWriter::new(file), unfinished, target, place: 0, end: 0, failed: None })
    }

    /// Gives the file its name.
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(kind) = self.failed {
            return Err(lacking(kind.into(), Needs::MoreThan(self.end)));
        }
        self.unfinished.persist(&self.target).map_err(|error| error.error)
    }

    fn attempt<T>(&mut self, act: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
        act(&mut self.file).map_err(|error| {
            // Who is interrupted tries again.
            if error.kind() != ErrorKind::Interrupted {
                self.failed = Some(error.kind());
            }
            lacking(error, Needs::MoreThan(self.end))
        })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = if self.failed.is_some() { bytes.len() } else { self.attempt(|file| file.write(bytes))? };
        self.place += written as u64;
        self.end = self.end.max(self.place);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed.is_some() { Ok(()) } else { self.attempt(Write::flush) }
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
        };
        let place = place.ok_or(ErrorKind::InvalidInput)?;
        if self.failed.is_none() {
            self.attempt(|file| file.seek(SeekFrom::Start(place)))?;
        }
        self.place = place;
        Ok(place)
    }
}

/// Writes a regular file, new or in the place of one, with what `fill` puts into it: whole or not at all. Links are
/// followed; one that leads nowhere is replaced.
///
/// # Errors
/// When it cannot be written, or `fill` fails, or something else has the name. What was there stays as it is.
pub fn write_with<E: From<io::Error>>(path: &Path, fill: impl FnOnce(&mut Draft) -> Result<(), E>) -> Result<(), E> {
    let mut draft = Draft::beside(path).map_err(io::Error::from)?;
    fill(&mut draft)?;
    Ok(draft.finish()?)
}

/// The same with these bytes.
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), BoundedError> {
    let needing = |error| lacking(error, Needs::Bytes(bytes.len() as u64));
    let mut draft = Draft::beside(path).map_err(|error| match error {
        BoundedError::Io(error) => BoundedError::Io(needing(error)),
        refusal => refusal,
    })?;
    draft.write_all(bytes).map_err(needing)?;
    Ok(draft.finish().map_err(needing)?)
}

/// The same with the bytes of the regular file `from`.
///
/// # Errors
/// As [`write_with`], and when `from` cannot be read.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let source = open(from)?;
    let bytes = source.metadata()?.len();
    let copied = write_with(to, |draft| io::copy(&mut source.take(bytes), draft).map(drop));
    copied.map_err(|error| lacking(error, Needs::Bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_there_stays_where_the_new_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"first").unwrap();
        let failed = write_with(&path, |draft| {
            draft.write_all(b"sec")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!((fs::read(&path).unwrap(), only(folder.path())), (b"first".to_vec(), vec!["a".to_owned()]));
        copy(&path, &folder.path().join("b")).unwrap();
        assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"first");
    }

    #[test]
    fn after_a_failure_the_rest_is_taken_and_the_end_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let failed = write_with::<io::Error>(&path, |draft| {
            draft.write_all(b"12345")?;
            draft.failed = Some(ErrorKind::StorageFull);
            draft.write_all(b"678")?;
            assert_eq!((draft.stream_position()?, draft.seek(SeekFrom::End(-2))?, draft.end), (8, 6, 8));
            Ok(())
        });
        let error = failed.unwrap_err();
        assert_eq!((error.kind(), Needs::of(&error)), (ErrorKind::StorageFull, Some(Needs::MoreThan(8))));
        assert!(only(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_permissions_and_a_link_stays_one() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        write(&path, b"1").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        write(&link, b"2").unwrap();
        assert!(link.is_symlink() && fs::read(&path).unwrap() == b"2");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
