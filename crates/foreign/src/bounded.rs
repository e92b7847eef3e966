//! Files that a user names: regular ones alone are opened, and those that are read whole within a limit. What a path
//! names may be a device that never ends, or a pipe that waits for somebody to write.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read, Write as _};
use std::path::Path;

mod draft;
mod room;

pub use draft::{Draft, copy, write, write_with};
pub use room::{Needs, Shortage, lacking};

/// Why a file is not opened or read.
#[derive(Debug, thiserror::Error)]
pub enum BoundedError {
    /// It is absent, or the system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is {what}, not a regular file")]
    NotAFile {
        /// What it is.
        what: &'static str,
    },
    /// It is larger than any such file needs to be.
    #[error("it has more than {most} bytes{}, which is the limit for such a file", rounded(*most))]
    TooLarge {
        /// How many bytes it may have.
        most: u64,
    },
    /// It is no UTF-8.
    #[error("it is no text: byte {at} is not UTF-8")]
    NotText {
        /// Which byte, counted from 0.
        at: usize,
    },
}

impl From<BoundedError> for io::Error {
    /// The system's own error, or the refusal as one.
    fn from(error: BoundedError) -> Self {
        match error {
            BoundedError::Io(error) => error,
            refusal => Self::new(io::ErrorKind::InvalidInput, refusal),
        }
    }
}

/// Opens a regular file to be read; links are followed.
///
/// # Errors
/// When it is absent, or a folder, a device, a pipe or a socket, of which none is opened.
pub fn open(path: &Path) -> Result<File, BoundedError> {
    regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The same of a file of at most `most` bytes.
///
/// # Errors
/// As [`open`], and when it is larger.
pub fn open_within(path: &Path, most: u64) -> Result<File, BoundedError> {
    let file = open(path)?;
    if file.metadata()?.len() > most { Err(BoundedError::TooLarge { most }) } else { Ok(file) }
}

/// The same as [`open`] of a file that lies there itself: no link is followed.
///
/// # Errors
/// As [`open`], and when it is a link.
pub fn open_in_place(path: &Path) -> Result<File, BoundedError> {
    let there = fs::symlink_metadata(path)?;
    regular(&there)?;
    let file = File::open(path)?;
    // What had the name may have become a link meanwhile.
    if is_same(&there, &file.metadata()?) { Ok(file) } else { Err(BoundedError::NotAFile { what: "another file now" }) }
}

/// All of a regular file of at most `most` bytes; links are followed.
///
/// # Errors
/// As [`open_within`].
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, BoundedError> {
    read_all(open(path)?, most)
}

/// The same of a file that lies there itself.
///
/// # Errors
/// As [`open_in_place`], and when it is larger.
pub fn read_in_place(path: &Path, most: u64) -> Result<Vec<u8>, BoundedError> {
    read_all(open_in_place(path)?, most)
}

/// The first `count` bytes of a regular file, or all if it has no more; links are followed.
///
/// # Errors
/// As [`open`].
pub fn start(path: &Path, count: u64) -> Result<Vec<u8>, BoundedError> {
    let mut bytes = Vec::new();
    open(path)?.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as [`read`] of a file that must be text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, BoundedError> {
    String::from_utf8(read(path, most)?).map_err(|error| BoundedError::NotText { at: error.utf8_error().valid_up_to() })
}

/// Puts a file in the place of whatever has the name, whole or not at all. Who may read the files around it may read it,
/// too: a cache is looked at by others.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let write = || {
        let folder = folder_of(path);
        fs::create_dir_all(folder)?;
        let mut file = as_usual(&mut tempfile::Builder::new()).tempfile_in(folder)?;
        file.as_file_mut().write_all(bytes)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| lacking(error, Needs::Bytes(bytes.len() as u64)))
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// With the permissions that files have when nothing is said of them; those of temporary ones are their owner's alone.
#[cfg(unix)]
fn as_usual<'a, 'b, 'c>(builder: &'c mut tempfile::Builder<'a, 'b>) -> &'c mut tempfile::Builder<'a, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn as_usual<'a, 'b, 'c>(builder: &'c mut tempfile::Builder<'a, 'b>) -> &'c mut tempfile::Builder<'a, 'b> {
    builder
}

/// Makes sure that a file can be written at `path` without waiting for anybody: there is a regular one or nothing.
///
/// # Errors
/// When something else is there.
pub fn writable(path: &Path) -> Result<(), BoundedError> {
    fs::metadata(path).map_or(Ok(()), |metadata| regular(&metadata))
}

/// What lies at a path that is no regular file: a folder, a device; none where there is one, or nothing.
#[must_use]
pub fn stranger(path: &Path) -> Option<&'static str> {
    match regular(&fs::metadata(path).ok()?) {
        Err(BoundedError::NotAFile { what }) => Some(what),
        _ => None,
    }
}

/// A number of bytes as people say it, where that is a whole number of larger units.
fn rounded(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB")];
    let unit = units.into_iter().find(|(power, _)| bytes > 0 && bytes.is_multiple_of(1 << power));
    unit.map_or_else(String::new, |(power, unit)| format!(" ({} {unit})", bytes >> power))
}

fn read_all(file: File, most: u64) -> Result<Vec<u8>, BoundedError> {
    let size = file.metadata()?.len();
    if size > most {
        return Err(BoundedError::TooLarge { most });
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX)).map_err(io::Error::from)?;
    // Some files of the kernel's have no size of which anything is known, and a file may grow.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(BoundedError::TooLarge { most }) } else { Ok(bytes) }
}

fn regular(metadata: &Metadata) -> Result<(), BoundedError> {
    if metadata.is_file() { Ok(()) } else { Err(BoundedError::NotAFile { what: kind(metadata.file_type()) }) }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, other: &Metadata) -> bool {
    other.is_file()
}

#[cfg(unix)]
fn kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_symlink() => "a link",
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn kind(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_symlink() => "a link",
        kind if kind.is_dir() => "a folder",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_within_the_limit_is_read_and_none_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(matches!(read(&path, 4), Err(BoundedError::TooLarge { most: 4 })));
        assert!(open_within(&path, 5).is_ok() && open_within(&path, 4).is_err());
        fs::write(&path, b"ab\xff").unwrap();
        assert!(matches!(read_text(&path, 5), Err(BoundedError::NotText { at: 2 })));
        File::create(&path).unwrap().set_len(2 << 30).unwrap();
        assert!(matches!(read(&path, 1 << 20), Err(BoundedError::TooLarge { .. })), "nothing of it is read");
        assert!(matches!(read(&folder.path().join("absent"), 9), Err(BoundedError::Io(_))));
        assert!(matches!(read(folder.path(), 9), Err(BoundedError::NotAFile { what: "a folder" })));
        assert_eq!((stranger(folder.path()), stranger(&path)), (Some("a folder"), None));
    }

    #[cfg(unix)]
    #[test]
    fn what_never_ends_is_not_opened() {
        assert!(matches!(read(Path::new("/dev/zero"), 9), Err(BoundedError::NotAFile { what: "a device" })));
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, expected) in [(&pipe, "a pipe"), (&socket, "a socket")] {
            assert!(matches!(open(path), Err(BoundedError::NotAFile { what }) if what == expected));
            assert!(matches!(read_in_place(path, 9), Err(BoundedError::NotAFile { what }) if what == expected));
            assert!(matches!(write(path, b"1"), Err(BoundedError::NotAFile { what }) if what == expected));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_replaced_is_read_by_whom_others_are() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (memo, other) = (folder.path().join("below/memo"), folder.path().join("other"));
        fs::write(&other, "").unwrap();
        for text in ["first", "second"] {
            replace(&memo, text.as_bytes()).unwrap();
            assert_eq!(read_text(&memo, 9).unwrap(), text);
        }
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&memo), mode(&other));
        assert_eq!(fs::read_dir(folder.path().join("below")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_unless_the_file_must_lie_there_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&file, b"12345").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!((read(&link, 5).unwrap(), read_in_place(&file, 5).unwrap()), (b"12345".to_vec(), b"12345".to_vec()));
        assert!(matches!(read_in_place(&link, 5), Err(BoundedError::NotAFile { what: "a link" })));
        assert!(matches!(read_in_place(&file, 4), Err(BoundedError::TooLarge { most: 4 })));
    }
}
