//! Files that an experiment names: hashed when a run is planned, and read later if they are still the same.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use overinterp_data::study;
use overinterp_exchange::{ModelFile, PackedFile, Predictions, SelectionFile};
use overinterp_foreign::bounded::{self, BoundedError};

/// What a file is that an experiment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The weights of a network.
    Model,
    /// The selection of one image.
    Selection,
    /// The selections of many images.
    PackedSelections,
    /// What a network says of each image.
    Predictions,
    /// The answers of people.
    Answers,
    /// What was shown to them.
    AnswerKey,
}

impl FileKind {
    /// How many bytes such a file may have.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Model => ModelFile::MOST_BYTES,
            Self::Selection => SelectionFile::MOST_BYTES,
            Self::PackedSelections => PackedFile::MOST_BYTES,
            Self::Predictions => Predictions::MOST_BYTES,
            Self::Answers | Self::AnswerKey => study::MOST_BYTES,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model file",
            Self::Selection => "selection",
            Self::PackedSelections => "selections",
            Self::Predictions => "predictions",
            Self::Answers => "answer sheet",
            Self::AnswerKey => "key of the answer sheet",
        })
    }
}

/// A file and the BLAKE3 of its bytes, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The BLAKE3, or `absent: PATH` for a file that is not there.
    pub hash: String,
}

impl HashedFile {
    /// Files that stand for those which are absent.
    #[must_use]
    pub fn absent(path: &Path) -> Self {
        Self { path: path.to_owned(), hash: format!("absent: {}", path.display()) }
    }

    /// The file's bytes, if they are still those that were planned with.
    ///
    /// # Errors
    /// When it cannot be read, or has changed.
    pub(super) fn read(&self, kind: FileKind) -> Result<Vec<u8>, NamedFileError> {
        read_unchanged(&self.path, &self.hash, kind)
    }

    /// The same of a file that is too large to be held.
    ///
    /// # Errors
    /// As [`HashedFile::read`].
    pub(super) fn check(&self, kind: FileKind) -> Result<(), NamedFileError> {
        let hash = hash_file(&self.path, kind)
            .map_err(|source| NamedFileError::Unreadable { path: self.path.clone(), source })?;
        if hash == self.hash { Ok(()) } else { Err(NamedFileError::Changed { path: self.path.clone() }) }
    }
}

/// The bytes of a file whose BLAKE3 was `hash`, in hexadecimal, when the run was planned.
///
/// # Errors
/// When it cannot be read, or has changed.
pub(super) fn read_unchanged(path: &Path, hash: &str, kind: FileKind) -> Result<Vec<u8>, NamedFileError> {
    let bytes = bounded::read(path, kind.most())
        .map_err(|error| NamedFileError::Unreadable { path: path.to_owned(), source: error.into() })?;
    if blake3::hash(&bytes).to_hex().as_str() == hash {
        Ok(bytes)
    } else {
        Err(NamedFileError::Changed { path: path.to_owned() })
    }
}

/// The BLAKE3 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read, is no regular file, or is too large to be of that kind.
pub fn hash_file(path: &Path, kind: FileKind) -> io::Result<String> {
    let most = kind.most();
    let mut file = bounded::open_within(path, most)?.take(most + 1);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?;
    if file.limit() == 0 {
        return Err(BoundedError::TooLarge { most }.into());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Why a planned file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum NamedFileError {
    /// The operating system would not give its bytes, or it is no such file.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file that was to be read.
        path: PathBuf,
        /// What the operating system said, or in what way it is no such file.
        source: io::Error,
    },
    /// It is not what was planned with.
    #[error("{path} changed since this run was planned: run again")]
    Changed {
        /// The file whose content is another now.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_file_that_changed_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a_0.npz");
        fs::write(&path, "planned").unwrap();
        let kind = FileKind::Selection;
        let file = HashedFile { hash: hash_file(&path, kind).unwrap(), path: path.clone() };
        assert!(file.read(kind).is_ok() && file.check(kind).is_ok());
        fs::write(&path, "changed").unwrap();
        for error in [file.read(kind).unwrap_err(), file.check(kind).unwrap_err()] {
            assert!(error.to_string().ends_with("a_0.npz changed since this run was planned: run again"), "{error}");
        }
    }

    #[test]
    fn what_is_too_large_for_its_kind_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        for kind in [
            FileKind::Model,
            FileKind::Selection,
            FileKind::PackedSelections,
            FileKind::Predictions,
            FileKind::Answers,
            FileKind::AnswerKey,
        ] {
            // It has no bytes on the disk.
            File::create(&path).unwrap().set_len(kind.most() + 1).unwrap();
            let error = hash_file(&path, kind).unwrap_err().to_string();
            assert!(error.contains(&format!("more than {} bytes", kind.most())), "{error}");
            assert!(read_unchanged(&path, "", kind).is_err());
        }
    }
}
