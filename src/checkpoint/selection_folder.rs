//! A folder with one file for each image's selection, `<dataset>_<i>.npz`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a folder's files are not those of so many images.
#[derive(Debug, thiserror::Error)]
pub enum SelectionFolderError {
    /// The operating system would not list it.
    #[error("cannot list the selections in {path}")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two files are of one image.
    #[error("{first} and {second} are both of image {image}: leave one of them in the folder", first = .files[0].display(), second = .files[1].display())]
    Twice {
        /// The image's number.
        image: usize,
        /// Both files.
        files: [PathBuf; 2],
    },
    /// An image has no file.
    #[error(
        "there is no selection of image {image}, which would be {folder}/*_{image}.npz; {missing} of {count} are \
         missing: put them there, or lower `count`"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The first image without one.
        image: usize,
        /// How many are without.
        missing: usize,
        /// How many are needed.
        count: usize,
    },
}

/// The files of the first `count` images, in the images' order. What stands before the number is left to chance, as
/// the authors leave it; other files are passed over.
///
/// # Errors
/// When the folder cannot be listed, an image has no file, or two.
pub fn list_selections(folder: &Path, count: usize) -> Result<Vec<PathBuf>, SelectionFolderError> {
    let unreadable = |source| SelectionFolderError::Unreadable { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.path());
    }
    names.sort();
    let mut files: BTreeMap<usize, PathBuf> = BTreeMap::new();
    for path in names {
        let Some(image) = image_of(&path).filter(|&image| image < count) else { continue };
        if let Some(first) = files.insert(image, path.clone()) {
            return Err(SelectionFolderError::Twice { image, files: [first, path] });
        }
    }
    match (0..count).find(|image| !files.contains_key(image)) {
        None => Ok(files.into_values().collect()),
        Some(image) => {
            let (folder, missing) = (folder.to_owned(), count - files.len());
            Err(SelectionFolderError::Missing { folder, image, missing, count })
        }
    }
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

    #[test]
    fn files_go_by_the_number_at_their_end_and_others_are_passed_over() {
        let folder = folder(&["a_10.npz", "a_2.npz", "b_c_0.npz", "a_1.npz", "notes_1.txt", "a_x.npz", "1.npz"]);
        let files = list_selections(folder.path(), 3).unwrap();
        let names: Vec<&str> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["b_c_0.npz", "a_1.npz", "a_2.npz"]);
    }

    #[test]
    fn images_without_a_file_or_with_two_are_named() {
        let missing = list_selections(folder(&["a_0.npz", "a_2.npz"]).path(), 4).unwrap_err().to_string();
        assert!(missing.contains("image 1") && missing.contains("*_1.npz; 2 of 4 are missing"), "{missing}");
        let twice = list_selections(folder(&["a_0.npz", "b_0.npz"]).path(), 1).unwrap_err().to_string();
        assert!(twice.contains("a_0.npz") && twice.contains("b_0.npz") && twice.contains("image 0"), "{twice}");
        assert!(list_selections(Path::new("/nowhere/at/all"), 1).is_err());
    }
}
