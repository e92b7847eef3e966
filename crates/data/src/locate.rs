//! Finds a data set's files without reading them.

use std::path::{Path, PathBuf};
use std::slice;

use overinterp_foreign::bounded;
use overinterp_spec::{Corrupted, DataKind, DataSource, Photographs, Split};

use super::cifar::{Container, Layout};
use super::listing::{self, Listing};
use super::official::{Official, official};
use super::{DataError, cifar10c, idx, photographs};

/// Where Debian's packages put data sets.
const SYSTEM: &str = "/usr/share/datasets";

/// The files of a data set.
#[derive(Clone, Debug)]
pub(super) enum Files {
    /// An archive that goes by any name may have any of the layouts; otherwise there is one.
    Cifar {
        official: &'static Official,
        layouts: &'static [Layout],
        at: Container,
    },
    Cifar10C {
        official: &'static Official,
        at: Container,
        images: Corrupted,
    },
    Idx {
        official: &'static Official,
        train: idx::Files,
        test: idx::Files,
    },
    Folder {
        train: Listing,
        test: Listing,
    },
    Photographs(photographs::Splits),
}

impl Files {
    /// The files from which a split is made.
    pub(super) fn of(&self, split: Split) -> Vec<PathBuf> {
        match self {
            Self::Cifar { at: Container::Archive(archive), .. }
            | Self::Cifar10C { at: Container::Archive(archive), .. } => vec![archive.clone()],
            Self::Cifar10C { at: Container::Folder(folder), images, .. } => {
                cifar10c::files(*images).into_iter().map(|file| folder.join(file)).collect()
            }
            Self::Cifar { at: Container::Folder(folder), layouts, .. } => {
                let files = layouts.iter().flat_map(|layout| layout.files(split)).map(|file| folder.join(file));
                let names = layouts.iter().map(|layout| folder.join(layout.names));
                files.chain(names.filter(|path| path.exists())).collect()
            }
            Self::Idx { train, test, .. } => {
                let files = if split == Split::Train { train } else { test };
                vec![files.images.clone(), files.labels.clone()]
            }
            Self::Folder { train, test } => {
                let paths = |listing: &Listing| listing.files.iter().map(|(_, path)| path.clone()).collect();
                let mut files: Vec<PathBuf> = paths(train);
                if split == Split::Test {
                    files.extend::<Vec<_>>(paths(test));
                }
                files
            }
            Self::Photographs(splits) => splits
                .of(split)
                .map_or_else(Vec::new, |listing| listing.files.iter().map(|(_, path)| path.clone()).collect()),
        }
    }
}

/// Where a data set of that kind is looked for when its source names no root, the first being where
/// `overinterp data fetch` puts it.
#[must_use]
pub fn usual_places(kind: DataKind) -> Vec<PathBuf> {
    match kind {
        DataKind::Folder | DataKind::ImageFolder(_) => Vec::new(),
        kind => vec![
            Path::new("data").join(home(kind)),
            Path::new("data").join(kind.name()),
            PathBuf::from("data"),
            Path::new(SYSTEM).join(kind.name()),
        ],
    }
}

/// The folder in `data` of a published data set: by the name of the folder in its archive, if it is one.
const fn home(kind: DataKind) -> &'static str {
    match kind {
        DataKind::Cifar10 => "cifar-10-batches-bin",
        DataKind::Cifar100 => "cifar-100-binary",
        DataKind::Cifar10C => "cifar-10-c",
        kind => kind.name(),
    }
}

/// Finds the files of both splits.
pub(super) fn locate(source: &DataSource) -> Result<Files, DataError> {
    let roots = source.root.clone().map_or_else(|| usual_places(source.kind), |root| vec![root]);
    match (official(source.kind), Layout::of(source.kind), source.corrupted) {
        (Some(official), Some(layouts), _) => {
            let places = layouts.iter().map(|layout| {
                let wanted = Split::ALL.iter().flat_map(|split| layout.files(*split)).map(PathBuf::from).collect();
                Place { folder: layout.folder, archive: layout.archive, ending: ".tar.gz", wanted }
            });
            let (place, at) = locate_files(source, &places.collect::<Vec<_>>(), &roots)?;
            let layouts = place.map_or(layouts, |place| slice::from_ref(&layouts[place]));
            Ok(Files::Cifar { official, layouts, at })
        }
        (Some(official), None, Some(images)) => {
            let wanted = cifar10c::files(images).into_iter().map(PathBuf::from).collect();
            let place = Place { folder: cifar10c::FOLDER, archive: cifar10c::ARCHIVE, ending: ".tar", wanted };
            locate_files(source, &[place], &roots).map(|(_, at)| Files::Cifar10C { official, at, images })
        }
        (Some(_), None, None) if source.kind == DataKind::Cifar10C => {
            Err(DataError::WhichImages { name: source.name.clone() })
        }
        (Some(official), None, None) => {
            locate_idx(source, &roots).map(|[train, test]| Files::Idx { official, train, test })
        }
        (None, ..) => match source.kind {
            DataKind::ImageFolder(how) => locate_photographs(source, how),
            _ => locate_folder(source),
        },
    }
}

/// Where the files of a data set that comes as an archive are looked for.
struct Place {
    /// The folder that the archive holds.
    folder: &'static str,
    archive: &'static str,
    /// How the name of such an archive ends.
    ending: &'static str,
    /// The files in the folder.
    wanted: Vec<PathBuf>,
}

/// Finds the files in one of `places`, which each root may have side by side: the first that is whole, and which of them
/// it is. An archive that is a root itself may be any of them.
fn locate_files(
    source: &DataSource,
    places: &[Place],
    roots: &[PathBuf],
) -> Result<(Option<usize>, Container), DataError> {
    let mut looked = Vec::new();
    for root in roots {
        if is_no_folder(root) {
            let name = root.file_name().unwrap_or_default().to_string_lossy();
            if root.is_file() && places.iter().any(|place| name.ends_with(place.ending)) {
                return Ok((None, Container::Archive(root.clone())));
            }
            let archives: Vec<&str> = places.iter().map(|place| place.archive).collect();
            return Err(not_a_folder(root, &format!("a folder or {}", archives.join(" or "))));
        }
        let mut incomplete = None;
        for (number, place) in places.iter().enumerate() {
            let archive = root.join(place.archive);
            for folder in [root.clone(), root.join(place.folder)] {
                let (present, missing): (Vec<_>, Vec<_>) =
                    place.wanted.iter().cloned().partition(|file| folder.join(file).is_file());
                if missing.is_empty() {
                    return Ok((Some(number), Container::Folder(folder)));
                }
                if !present.is_empty() {
                    let folder = folder.clone();
                    incomplete.get_or_insert(DataError::Incomplete { folder, missing, remedy: remedy(source) });
                }
                looked.push(folder);
            }
            if archive.is_file() {
                return Ok((Some(number), Container::Archive(archive)));
            }
            looked.push(archive);
        }
        if let Some(incomplete) = incomplete {
            return Err(incomplete);
        }
    }
    Err(missing(source, looked))
}

/// The files of the training and of the test split.
fn locate_idx(source: &DataSource, roots: &[PathBuf]) -> Result<[idx::Files; 2], DataError> {
    let mut looked = Vec::new();
    for root in roots {
        if is_no_folder(root) {
            return Err(not_a_folder(root, &format!("a folder with {}", idx::TRAIN.images)));
        }
        let mut incomplete = None;
        for folder in idx_folders(source.kind, root) {
            let names = [idx::TRAIN.images, idx::TRAIN.labels, idx::TEST.images, idx::TEST.labels];
            let found = names.map(|name| idx_file(&folder, name));
            if let [Some(train_images), Some(train_labels), Some(test_images), Some(test_labels)] = found {
                let train = idx::Files { images: train_images, labels: train_labels };
                let test = idx::Files { images: test_images, labels: test_labels };
                return Ok([train, test]);
            }
            if found.iter().any(Option::is_some) {
                let missing = names.iter().zip(&found).filter(|(_, found)| found.is_none());
                let missing = missing.map(|(name, _)| PathBuf::from(name)).collect();
                incomplete.get_or_insert(DataError::Incomplete {
                    folder: folder.clone(),
                    missing,
                    remedy: remedy(source),
                });
            }
            looked.push(folder);
        }
        if let Some(incomplete) = incomplete {
            return Err(incomplete);
        }
    }
    Err(missing(source, looked))
}

/// Where in `root` IDX files may lie: there, in a folder of the set's name, or where torchvision puts them, of whose own
/// `root`, set's folder or `raw` folder any may be given.
fn idx_folders(kind: DataKind, root: &Path) -> Vec<PathBuf> {
    let torchvision = match kind {
        DataKind::Mnist => "MNIST",
        DataKind::FashionMnist => "FashionMNIST",
        other => other.name(),
    };
    let set = root.join(torchvision);
    vec![root.to_owned(), root.join(kind.name()), set.join("raw"), set, root.join("raw")]
}

/// A file of that name, plain or compressed, or with a dot in its name as some unpackers write it.
fn idx_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The folders of a source that hold training and test images, as far as they are there.
struct Halves {
    train: Option<PathBuf>,
    test: Option<PathBuf>,
}

/// What the folder of the test images may be called: the first that is there. Both kinds take all of these, each the
/// name first that it took before it took the others.
const fn test_names(kind: DataKind) -> [&'static str; 4] {
    match kind {
        DataKind::ImageFolder(_) => ["val", "test", "validation", "valid"],
        _ => ["test", "val", "validation", "valid"],
    }
}

/// Finds the folders of both halves.
fn halves(source: &DataSource, root: &Path) -> Result<Halves, DataError> {
    let train = root.join(Split::Train.name());
    let tests = test_names(source.kind).map(|name| root.join(name));
    if let Some(file) =
        [root, &train].into_iter().chain(tests.iter().map(PathBuf::as_path)).find(|place| is_no_folder(place))
    {
        return Err(not_a_folder(file, "a folder that holds one folder of images per class"));
    }
    let there = |folder: &PathBuf| folder.is_dir();
    Ok(Halves { train: Some(train).filter(there), test: tests.into_iter().find(there) })
}

fn locate_folder(source: &DataSource) -> Result<Files, DataError> {
    let root = source.root.as_ref().ok_or_else(|| no_root(source))?;
    match halves(source, root)? {
        Halves { train: Some(train), test: Some(test) } => {
            Ok(Files::Folder { train: listing::list_train(&train)?, test: listing::list(&test, &train)? })
        }
        Halves { train, test } => {
            let absent =
                [(train, Split::Train), (test, Split::Test)].into_iter().filter(|(folder, _)| folder.is_none());
            Err(missing(source, absent.flat_map(|(_, split)| places(source, split)).collect()))
        }
    }
}

/// Both splits, or the one that there is.
fn locate_photographs(source: &DataSource, how: Photographs) -> Result<Files, DataError> {
    let root = source.root.as_ref().ok_or_else(|| no_root(source))?;
    let Halves { train, test } = halves(source, root)?;
    if train.is_none() && test.is_none() {
        return Err(missing(source, Split::ALL.into_iter().flat_map(|split| places(source, split)).collect()));
    }
    photographs::Splits::list(root, train.as_deref(), test.as_deref(), how).map(Files::Photographs)
}

/// Where the images of a split may lie.
fn places(source: &DataSource, split: Split) -> Vec<PathBuf> {
    let root = source.root.clone().unwrap_or_default();
    match split {
        Split::Train => vec![root.join(split.name())],
        Split::Test => test_names(source.kind).map(|name| root.join(name)).to_vec(),
    }
}

/// A split of photographs that is not there.
pub(super) fn absent(source: &DataSource, split: Split) -> DataError {
    missing(source, places(source, split))
}

fn no_root(source: &DataSource) -> DataError {
    DataError::NoRoot { name: source.name.clone(), kind: source.kind.name() }
}

/// Whether something is there, and it is no folder.
fn is_no_folder(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_dir())
}

fn not_a_folder(path: &Path, expected: &str) -> DataError {
    let what = bounded::stranger(path).unwrap_or("a file");
    DataError::NotAFolder { path: path.to_owned(), what, expected: expected.to_owned() }
}

fn missing(source: &DataSource, places: Vec<PathBuf>) -> DataError {
    let mut looked = Vec::new();
    for place in places {
        if !looked.contains(&place) {
            looked.push(place);
        }
    }
    let title = official(source.kind).map_or("the images", |official| official.title);
    DataError::Missing { what: format!("{title} (data `{}`)", source.name), looked, remedy: remedy(source) }
}

/// What the user can do to get the data.
fn remedy(source: &DataSource) -> String {
    let Some(official) = official(source.kind) else {
        let test = if let DataKind::ImageFolder(_) = source.kind { "val" } else { "test" };
        return format!("put images there as train/CLASS/* and {test}/CLASS/*");
    };
    let root = source.root.clone().or_else(|| usual_places(source.kind).into_iter().next()).unwrap_or_default();
    let fetch = format!("overinterp data fetch {} --root {}", source.kind.name(), shell_word(&root));
    match (official.debian_package, &source.root) {
        (None, _) => format!("get it with `{fetch}`"),
        (Some(package), None) => format!("get it with `apt-get install {package}` or `{fetch}`"),
        (Some(package), Some(_)) => {
            format!("get it with `{fetch}`, or with `apt-get install {package}` and no `root` in the experiment")
        }
    }
}

/// A path as a shell reads it back.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+~".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
