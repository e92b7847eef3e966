//! Which image files a folder of classes holds: `CLASS/*`, and in folders below.
//!
//! Classes are the names of the training folders in byte order, and images go in turns: the first file of each
//! class, then the second of each, so that the first N of them are of all classes. Files of a class are in byte order of
//! their folders, and of their names in each.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use super::DataError;

/// How the names of image files end, in whatever case. Those that cannot be decoded are taken, too, so that none is
/// left out without a word.
const ENDINGS: [&str; 23] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "dib", "webp", "tif", "tiff", "ppm", "pgm", "pbm",
    "pnm", "avif", "heic", "heif", "jp2", "jxl", "tga", "qoi",
];
/// A folder that macOS adds to archives.
const FORKS: &str = "__MACOSX";

/// The image files of a split.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// The training folders' names.
    pub classes: Vec<String>,
    /// Class and path, in the order of the images.
    pub files: Vec<(u16, PathBuf)>,
    /// How many files were passed over, because their names do not end as those of images do.
    pub passed: usize,
}

impl Listing {
    /// The number of images.
    pub(super) const fn len(&self) -> usize {
        self.files.len()
    }

    /// The first `count` images.
    pub(super) fn first(&self, count: usize) -> Self {
        let Self { classes, files, passed } = self;
        Self { classes: classes.clone(), files: files[..count].to_vec(), passed: *passed }
    }
}

/// What lies in a folder.
#[derive(Default)]
struct Entries {
    folders: Vec<String>,
    images: Vec<String>,
    passed: usize,
}

/// Finds the image files in `folder`, whose classes are those of `like`. Names that begin with a dot are passed over.
pub(super) fn list(folder: &Path, like: &Path) -> Result<Listing, DataError> {
    let classes = class_folders(like)?.folders;
    let mut files = Vec::new();
    let Entries { folders, mut passed, .. } = class_folders(folder)?;
    for class in folders {
        let path = folder.join(&class);
        let Ok(place) = classes.binary_search(&class) else {
            let problem = format!("there is no class of that name in {}", like.display());
            return Err(DataError::malformed(&path, problem));
        };
        let label = label(place, like)?;
        let (below, others) = images_below(&path)?;
        passed += others;
        files.extend(below.into_iter().enumerate().map(|(turn, path)| (turn, label, path)));
    }
    files.sort();
    if files.is_empty() {
        let others =
            if passed > 0 { format!("; {passed} files of other endings were passed over") } else { String::new() };
        let problem = format!("there is no image in it, expected CLASS/*.png, CLASS/*.jpg or the like{others}");
        return Err(DataError::malformed(folder, problem));
    }
    Ok(Listing { classes, files: files.into_iter().map(|(_, label, path)| (label, path)).collect(), passed })
}

/// [`list`] of a folder of training images, of which every class must have some.
pub(super) fn list_train(folder: &Path) -> Result<Listing, DataError> {
    let listing = list(folder, folder)?;
    let known: BTreeSet<u16> = listing.files.iter().map(|(label, _)| *label).collect();
    match listing.classes.iter().zip(0..).find(|(_, label)| !known.contains(label)) {
        None => Ok(listing),
        Some((class, _)) => {
            let problem = "there is no image in this class: put images there, or remove its folder";
            Err(DataError::malformed(&folder.join(class), problem))
        }
    }
}

/// A class by its place; labels have 16 bits.
fn label(place: usize, folder: &Path) -> Result<u16, DataError> {
    u16::try_from(place).map_err(|_| DataError::Classes { path: folder.to_owned() })
}

/// The folders of classes, and how many files lie beside them.
fn class_folders(folder: &Path) -> Result<Entries, DataError> {
    let entries = entries(folder)?;
    match entries.images.first() {
        Some(name) => {
            let expected = "a folder named after a class".to_owned();
            Err(DataError::NotAFolder { path: folder.join(name), what: "a file", expected })
        }
        None => Ok(entries),
    }
}

/// The image files of a class and of the folders below it, and how many others lie there. Links to folders are
/// followed, but those that lead back up, or to a folder for the second time.
fn images_below(class: &Path) -> Result<(Vec<PathBuf>, usize), DataError> {
    let (mut files, mut passed) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<(PathBuf, Option<PathBuf>)> = vec![(class.to_owned(), None)];
    while let Some((folder, above)) = waiting.pop() {
        let real = folder.canonicalize().map_err(DataError::reading(&folder))?;
        if above.is_some_and(|above| above.starts_with(&real)) || !seen.insert(real.clone()) {
            continue;
        }
        let entries = entries(&folder)?;
        passed += entries.passed;
        // The last to wait is the first to be looked into.
        let below = entries.folders.iter().rev();
        waiting.extend(below.map(|name| (folder.join(name), Some(real.clone()))));
        files.extend(entries.images.into_iter().map(|name| (folder.clone(), name)));
    }
    files.sort_by(|(folder, name), (other, last)| {
        (folder.as_os_str().as_encoded_bytes(), name).cmp(&(other.as_os_str().as_encoded_bytes(), last))
    });
    Ok((files.into_iter().map(|(folder, name)| folder.join(name)).collect(), passed))
}

/// What lies in a folder and has no name that begins with a dot, in byte order.
fn entries(folder: &Path) -> Result<Entries, DataError> {
    let mut found = Entries::default();
    for entry in fs::read_dir(folder).map_err(DataError::reading(folder))? {
        let entry = entry.map_err(DataError::reading(folder))?;
        let name = entry.file_name();
        let lossy = name.to_string_lossy();
        if lossy.starts_with('.') || lossy == FORKS {
            continue;
        }
        let image = has_ending_of_image(&lossy);
        let is_folder = match is_folder(&entry, image) {
            Ok(is_folder) => is_folder,
            // A link to nothing, or what is neither a file nor a folder, by the name of no image.
            Err(_) if !image => false,
            Err(error) => return Err(error),
        };
        if !is_folder && !image {
            found.passed += 1;
            continue;
        }
        let name =
            name.into_string().map_err(|name| DataError::malformed(&folder.join(name), "its name is not UTF-8"))?;
        if is_folder { found.folders.push(name) } else { found.images.push(name) }
    }
    found.folders.sort();
    found.images.sort();
    Ok(found)
}

/// Whether it is a folder, or a link to one. A pipe or a device by the name of an image is an error: it might be read
/// for ever.
fn is_folder(entry: &DirEntry, image: bool) -> Result<bool, DataError> {
    let path = entry.path();
    let mut kind = entry.file_type().map_err(DataError::reading(&path))?;
    if kind.is_symlink() {
        kind = fs::metadata(&path).map_err(DataError::reading(&path))?.file_type();
    }
    if image && !kind.is_dir() && !kind.is_file() {
        return Err(DataError::malformed(&path, "it is neither a file nor a folder"));
    }
    Ok(kind.is_dir())
}

fn has_ending_of_image(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_65536_classes_are_refused() {
        assert_eq!(label(65_535, Path::new("train")).unwrap(), u16::MAX);
        let message = label(65_536, Path::new("train")).unwrap_err().to_string();
        assert_eq!(message, "train has over 65,536 folders, each of which is a class; that many is the limit");
    }
}
