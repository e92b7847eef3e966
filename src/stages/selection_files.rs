//! The files that selections made elsewhere lie in, as planning found them.

use std::path::{Path, PathBuf};

use super::Range;

/// Where the selections of a split's first images lie, and what the files contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectionFiles {
    /// One file an image, in the images' order.
    Single(Vec<HashedFile>),
    /// One file of all.
    Packed(HashedFile),
}

/// A file and the BLAKE3 of its bytes, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its content.
    pub hash: String,
}

impl SelectionFiles {
    /// The files of some of the images.
    #[must_use]
    pub fn of(&self, range: Range) -> Self {
        match self {
            Self::Single(files) => Self::Single(files.get(range.indexes()).unwrap_or_default().to_vec()),
            Self::Packed(file) => Self::Packed(file.clone()),
        }
    }

    /// What they are known by: their contents in the images' order, whatever the files are called.
    #[must_use]
    pub fn content(&self) -> String {
        match self {
            Self::Single(files) => {
                let mut hasher = blake3::Hasher::new();
                for file in files {
                    hasher.update(file.hash.as_bytes());
                }
                hasher.finalize().to_hex().to_string()
            }
            Self::Packed(file) => file.hash.clone(),
        }
    }
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
    pub(super) fn read(&self) -> Result<Vec<u8>, HashedFileError> {
        let bytes = std::fs::read(&self.path)
            .map_err(|source| HashedFileError::Unreadable { path: self.path.clone(), source })?;
        if blake3::hash(&bytes).to_hex().as_str() == self.hash {
            Ok(bytes)
        } else {
            Err(HashedFileError::Changed { path: self.path.clone() })
        }
    }

    /// The same of a file that is too large to be held.
    ///
    /// # Errors
    /// As [`HashedFile::read`].
    pub(super) fn check(&self) -> Result<(), HashedFileError> {
        let hash =
            hash_file(&self.path).map_err(|source| HashedFileError::Unreadable { path: self.path.clone(), source })?;
        if hash == self.hash { Ok(()) } else { Err(HashedFileError::Changed { path: self.path.clone() }) }
    }
}

/// The BLAKE3 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Why a planned file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HashedFileError {
    /// The operating system would not give its bytes.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what was planned with.
    #[error("{path} changed since this run was planned: run again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(hashes: &[&str]) -> SelectionFiles {
        let file = |hash: &&str| HashedFile { path: PathBuf::from(format!("{hash}.npz")), hash: (*hash).to_owned() };
        SelectionFiles::Single(hashes.iter().map(file).collect())
    }

    #[test]
    fn the_content_is_that_of_the_files_in_order_and_not_their_names() {
        let range = Range { first: 1, count: 2 };
        assert_eq!(files(&["aa", "bb", "cc"]).of(range), files(&["bb", "cc"]));
        assert_ne!(files(&["bb", "cc"]).content(), files(&["cc", "bb"]).content());
        let SelectionFiles::Single(mut renamed) = files(&["bb", "cc"]) else { unreachable!() };
        renamed[0].path = PathBuf::from("other.npz");
        assert_eq!(SelectionFiles::Single(renamed).content(), files(&["bb", "cc"]).content());
    }

    #[test]
    fn a_file_that_changed_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a_0.npz");
        std::fs::write(&path, "planned").unwrap();
        let file = HashedFile { hash: hash_file(&path).unwrap(), path: path.clone() };
        assert!(file.read().is_ok() && file.check().is_ok());
        std::fs::write(&path, "changed").unwrap();
        for error in [file.read().unwrap_err(), file.check().unwrap_err()] {
            assert!(error.to_string().ends_with("a_0.npz changed since this run was planned: run again"), "{error}");
        }
    }
}
