//! The files that selections made elsewhere lie in, as planning found them.

use super::{HashedFile, Range};

/// Where the selections of a split's first images lie, and what the files contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectionFiles {
    /// One file an image, in the images' order.
    Single(Vec<HashedFile>),
    /// One file of all.
    Packed(HashedFile),
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
}
