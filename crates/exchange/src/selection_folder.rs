//! A folder with one file for each image's selection: `<dataset>_<i>.npz` by the image's number, or, of photographs, which
//! have files of their own, by the name of the photograph's: `ILSVRC2012_val_00000001.npz`.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a folder's files are not those of so many images.
#[derive(Debug, thiserror::Error)]
pub enum SelectionFolderError {
    /// The operating system would not list it.
    #[error("cannot list the selections in {path}")]
    Unreadable {
        /// The folder that should hold the selections.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two files are of one image.
    #[error("{first} and {second} are both of image {image}: leave one of them in the folder", first = .files[0].display(), second = .files[1].display())]
    Twice {
        /// The image's number.
        image: usize,
        /// The two files, in the order of their names.
        files: [PathBuf; 2],
    },
    /// An image has no file.
    #[error(
        "there is no selection of image {image}, which would be {folder}/{name}; {missing} of {count} are missing: put \
         them there, or lower `count`"
    )]
    Missing {
        /// The folder that was searched for it.
        folder: PathBuf,
        /// The first image without one.
        image: usize,
        /// The name of the file that it lacks; `*` stands for anything.
        name: String,
        /// How many are without.
        missing: usize,
        /// How many are needed.
        count: usize,
    },
    /// Two photographs are told apart by their folders or endings alone.
    #[error(
        "{first} and {second} would both have their selection in `{stem}.npz`: rename one of the two",
        first = .photographs[0].display(), second = .photographs[1].display()
    )]
    SameStem {
        /// The name that both have.
        stem: String,
        /// The files of the two, in the order of the images.
        photographs: [PathBuf; 2],
    },
}

/// What the files of a split's selections are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectionNames {
    /// After the image's number. What stands before it is left to chance, as the authors leave it.
    Numbers,
    /// After the image's own file, in the images' order.
    Stems(Vec<String>),
}

impl SelectionNames {
    /// The names for images that have these files, or have none of their own.
    ///
    /// # Errors
    /// When two of the files have the same name but for their folder and ending.
    pub fn of(image_files: Option<&[PathBuf]>) -> Result<Self, SelectionFolderError> {
        let Some(files) = image_files else { return Ok(Self::Numbers) };
        let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let stems: Vec<String> = files.iter().map(stem).collect();
        let mut known: BTreeMap<&str, &Path> = BTreeMap::new();
        for (stem, path) in stems.iter().zip(files) {
            if let Some(first) = known.insert(stem, path) {
                let photographs = [first.to_owned(), path.clone()];
                return Err(SelectionFolderError::SameStem { stem: stem.clone(), photographs });
            }
        }
        Ok(Self::Stems(stems))
    }

    /// The name of the file of an image of the data that are called `data`.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn file(&self, data: &str, image: usize) -> String {
        match self {
            Self::Numbers => format!("{data}_{image}.npz"),
            Self::Stems(stems) => format!("{}.npz", stems[image]),
        }
    }

    /// The files in `folder` of the first `count` images, in the images' order. Other files are passed over.
    ///
    /// # Errors
    /// When the folder cannot be listed, an image has no file, or two.
    pub fn list(&self, folder: &Path, count: usize) -> Result<Vec<PathBuf>, SelectionFolderError> {
        let names = names_in(folder)?;
        let files = match self {
            Self::Numbers => numbered(folder, names, count)?,
            Self::Stems(_) => {
                let names: HashSet<OsString> = names.into_iter().collect();
                let present = (0..count).map(|image| (image, self.file("", image)));
                let present = present.filter(|(_, name)| names.contains(OsStr::new(name)));
                present.map(|(image, name)| (image, folder.join(name))).collect()
            }
        };
        match (0..count).find(|image| !files.contains_key(image)) {
            None => Ok(files.into_values().collect()),
            Some(image) => {
                let (name, folder, missing) = (self.file("*", image), folder.to_owned(), count - files.len());
                Err(SelectionFolderError::Missing { folder, image, name, missing, count })
            }
        }
    }
}

/// The names in a folder, in the order of their bytes.
fn names_in(folder: &Path) -> Result<Vec<OsString>, SelectionFolderError> {
    let unreadable = |source| SelectionFolderError::Unreadable { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// The files that go by numbers below `count`.
fn numbered(
    folder: &Path,
    names: Vec<OsString>,
    count: usize,
) -> Result<BTreeMap<usize, PathBuf>, SelectionFolderError> {
    let mut files: BTreeMap<usize, PathBuf> = BTreeMap::new();
    for path in names.into_iter().map(|name| folder.join(name)) {
        let Some(image) = image_of(&path).filter(|&image| image < count) else { continue };
        if let Some(first) = files.insert(image, path.clone()) {
            return Err(SelectionFolderError::Twice { image, files: [first, path] });
        }
    }
    Ok(files)
}

/// The number at the end of `<dataset>_<i>.npz`.
fn image_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?.strip_suffix(".npz")?;
    let (_, number) = name.rsplit_once('_')?;
    number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    fn names(files: &[PathBuf]) -> Vec<&str> {
        files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn files_go_by_the_number_at_their_end_and_others_are_passed_over() {
        let folder = folder(&["a_10.npz", "a_2.npz", "b_c_0.npz", "a_1.npz", "notes_1.txt", "a_x.npz", "1.npz"]);
        let files = SelectionNames::Numbers.list(folder.path(), 3).unwrap();
        assert_eq!(names(&files), ["b_c_0.npz", "a_1.npz", "a_2.npz"]);
        assert_eq!(SelectionNames::Numbers.file("cifar10_test", 7), "cifar10_test_7.npz");
    }

    #[test]
    fn images_without_a_file_or_with_two_are_named() {
        let refused = |names, count| SelectionNames::Numbers.list(folder(names).path(), count).unwrap_err().to_string();
        let missing = refused(&["a_0.npz", "a_2.npz"], 4);
        assert!(missing.contains("image 1") && missing.contains("*_1.npz; 2 of 4 are missing"), "{missing}");
        let twice = refused(&["a_0.npz", "b_0.npz"], 1);
        assert!(twice.contains("a_0.npz") && twice.contains("b_0.npz") && twice.contains("image 0"), "{twice}");
        assert!(SelectionNames::Numbers.list(Path::new("/nowhere/at/all"), 1).is_err());
    }

    #[test]
    fn files_of_photographs_go_by_the_photographs_names() {
        let photographs = ["val/owl/n_2.JPEG", "val/fox/n_1.png", "val/cat/2.1.jpg"].map(PathBuf::from);
        let stems = SelectionNames::of(Some(&photographs)).unwrap();
        let folder = folder(&["n_1.npz", "2.1.npz", "n_2.npz", "n_0.npz", "x_n_1.npz"]);
        let files = stems.list(folder.path(), 3).unwrap();
        assert_eq!(names(&files), ["n_2.npz", "n_1.npz", "2.1.npz"]);
        assert_eq!(stems.file("photographs_test", 2), "2.1.npz");
        fs::remove_file(&files[1]).unwrap();
        let missing = stems.list(folder.path(), 3).unwrap_err().to_string();
        assert!(missing.contains("image 1") && missing.contains("/n_1.npz; 1 of 3 are missing"), "{missing}");
        assert_eq!(stems.list(folder.path(), 1).unwrap().len(), 1);
        assert_eq!(SelectionNames::of(None).unwrap(), SelectionNames::Numbers);
    }

    #[test]
    fn photographs_of_the_same_name_are_named() {
        let photographs = ["val/owl/1.png", "val/fox/2.png", "val/fox/1.jpg"].map(PathBuf::from);
        let refused = SelectionNames::of(Some(&photographs)).unwrap_err().to_string();
        assert!(
            refused.starts_with("val/owl/1.png and val/fox/1.jpg would both") && refused.contains("`1.npz`"),
            "{refused}"
        );
    }
}
