//! Files that are read whole, within a limit: what a path names may be a device that never ends.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::Path;

/// Why a file is not read.
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
    #[error("it has more than {most} bytes, which is the limit for such a file")]
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

/// All of a regular file of at most `most` bytes; links are followed.
///
/// # Errors
/// When it is absent, too large, or a folder, a device, a pipe or a socket, of which none is opened.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, BoundedError> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(BoundedError::NotAFile { what: kind(metadata.file_type()) });
    }
    if metadata.len() > most {
        return Err(BoundedError::TooLarge { most });
    }
    // Some files of the kernel's have no size of which anything is known, and a file may grow.
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(BoundedError::TooLarge { most }) } else { Ok(bytes) }
}

/// The same of a file that must be text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, BoundedError> {
    String::from_utf8(read(path, most)?).map_err(|error| BoundedError::NotText { at: error.utf8_error().valid_up_to() })
}

#[cfg(unix)]
fn kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "something else" }
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
        fs::write(&path, b"ab\xff").unwrap();
        assert!(matches!(read_text(&path, 5), Err(BoundedError::NotText { at: 2 })));
        File::create(&path).unwrap().set_len(2 << 30).unwrap();
        assert!(matches!(read(&path, 1 << 20), Err(BoundedError::TooLarge { .. })), "nothing of it is read");
        assert!(matches!(read(&folder.path().join("absent"), 9), Err(BoundedError::Io(_))));
        assert!(matches!(read(folder.path(), 9), Err(BoundedError::NotAFile { what: "a folder" })));
    }

    #[cfg(unix)]
    #[test]
    fn what_never_ends_is_not_opened() {
        assert!(matches!(read(Path::new("/dev/zero"), 9), Err(BoundedError::NotAFile { what: "a device" })));
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(read(&pipe, 9), Err(BoundedError::NotAFile { what: "a pipe" })));
    }
}
