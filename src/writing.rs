//! Files that the command line writes for the user: what was written where, or why not and what to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use overinterp_foreign::bounded::{self, Needs, Shortage};

use crate::failure::{Failure, Kind};

/// A file or folder that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}{}", path.display(), advice(path, source))]
pub(crate) struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// What to do where there is no room.
fn advice(path: &Path, error: &io::Error) -> String {
    Shortage::of(error.kind())
        .map_or_else(String::new, |shortage| format!(": {}", shortage.told("it", path, Needs::of(error))))
}

impl WriteError {
    /// A failure to write `path`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::because(Kind::Usage, error)
    }
}

/// Writes a file whole or not at all, and the folders that it lies in.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    path.parent().map_or(Ok(()), create)?;
    bounded::write(path, bytes).map_err(|error| WriteError::at(path)(error.into()))
}

/// Copies a file whole or not at all, and makes the folders that it lies in.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), WriteError> {
    to.parent().map_or(Ok(()), create)?;
    bounded::copy(from, to).map_err(WriteError::at(to))
}

/// Makes a folder, and those that it lies in.
pub(crate) fn create(folder: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(WriteError::at(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_room_names_the_file_system_what_is_needed_and_what_frees_some() {
        let lacking = bounded::lacking(io::ErrorKind::StorageFull.into(), Needs::Bytes(70));
        let said = Failure::from(WriteError::at(Path::new("out/a.png"))(lacking)).to_string();
        for part in [
            "cannot write out/a.png: no space is left on the file system at /",
            "it needs 70 bytes",
            "`overinterp cache gc`",
            "--cache",
        ] {
            assert!(said.contains(part), "{said}");
        }
        let refused = WriteError::at(Path::new("out/a.png"))(io::ErrorKind::PermissionDenied.into());
        assert_eq!(Failure::from(refused).to_string(), "cannot write out/a.png: permission denied");
    }
}
