//! Data sets: IDX, CIFAR, pictures in folders, and the index that remembers what was read.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use overinterp_data::{Dataset, Library};
use overinterp_spec::{Cell, DataKind, DataSource, Limit, Photographs, Split, Unreadable};

use super::folder::Folder;
use super::seen;

/// Bytes of an image of CIFAR.
const CIFAR_BYTES: usize = 3 * 32 * 32;

fn source(kind: DataKind, root: &Path) -> DataSource {
    let (name, root) = ("data".to_owned(), Some(root.to_owned()));
    DataSource { name, cell: Cell::new(), kind, root, limit: Limit::default(), corrupted: None }
}

/// Reads a split, and holds what came of it against its shape.
fn load(kind: DataKind, root: &Path, split: Split) {
    let Some(dataset) = seen(Dataset::locate(&source(kind, root))) else { return };
    let Some(loaded) = seen(dataset.load(split)) else { return };
    let images = loaded.images;
    assert_eq!(loaded.content.images, images.len(), "the content has another number of images");
    let classes = images.classes.len();
    assert!(images.labels.iter().all(|&label| usize::from(label) < classes), "a label is of no class");
    for at in 0..images.len().min(4) {
        if let Some(image) = seen(images.image(at)) {
            assert_eq!(image.len(), images.shape.bytes(), "an image is of another shape");
        }
    }
}

/// An IDX file with these extents.
fn idx_file(extents: &[u32], data: &[u8]) -> Vec<u8> {
    let header = [0, 0, 8, extents.len() as u8];
    [&header[..], &extents.iter().flat_map(|extent| extent.to_be_bytes()).collect::<Vec<_>>(), data].concat()
}

/// Reads a file of images or, where it says that it has one dimension, of labels; packed or not. The other file is sound.
pub fn idx(bytes: &[u8]) {
    let folder = Folder::new();
    let ending = if bytes.starts_with(&[0x1f, 0x8b]) { ".gz" } else { "" };
    let of_labels = bytes.get(3) == Some(&1);
    let (images, labels) = (idx_file(&[2, 2, 3], &[7; 12]), idx_file(&[2], &[0, 1]));
    for half in ["train", "t10k"] {
        let (name, other, sound) =
            if of_labels { ("labels-idx1", "images-idx3", &images) } else { ("images-idx3", "labels-idx1", &labels) };
        folder.write(&format!("{half}-{name}-ubyte{ending}"), bytes);
        folder.write(&format!("{half}-{other}-ubyte"), sound);
    }
    load(DataKind::Mnist, folder.path(), Split::Test);
}

/// Reads a file of CIFAR-10 or CIFAR-100: an archive, a pickle, or binary records.
pub fn cifar(bytes: &[u8]) {
    let folder = Folder::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let archive = folder.write("archive.tar.gz", bytes);
        load(DataKind::Cifar10, &archive, Split::Test);
        load(DataKind::Cifar100, &archive, Split::Train);
        return;
    }
    // A pickle begins with its protocol, or with a dict of protocol 0 or 1; a binary file is made of whole records.
    let binary = !matches!(bytes.first(), Some(0x80 | b'(' | b'}')) || bytes.len().is_multiple_of(1 + CIFAR_BYTES);
    let ending = if binary { ".bin" } else { "" };
    for number in 1..=5 {
        folder.write(&format!("data_batch_{number}{ending}"), b"");
    }
    folder.write(&format!("test_batch{ending}"), bytes);
    folder.write(&format!("train{ending}"), b"");
    folder.write(&format!("test{ending}"), bytes);
    if !binary {
        folder.write("meta", bytes);
        folder.write("batches.meta", bytes);
    } else if bytes.len() < 1000 {
        folder.write("batches.meta.txt", bytes);
    }
    load(DataKind::Cifar10, folder.path(), Split::Test);
    load(DataKind::Cifar100, folder.path(), Split::Test);
}

/// Decodes a JPEG file.
pub fn jpeg(bytes: &[u8]) {
    if bytes.starts_with(&[0xff, 0xd8]) {
        picture(bytes);
    }
}

/// Decodes a picture of any format: as one of many of a size, and as a photograph that is made smaller.
pub fn picture(bytes: &[u8]) {
    let folder = Folder::new();
    for half in ["train", "test"] {
        folder.write(&format!("{half}/class/image.png"), bytes);
    }
    load(DataKind::Folder, folder.path(), Split::Train);
    for unreadable in [Unreadable::Refuse, Unreadable::Skip] {
        let how = Photographs { resize: 9, crop: 8, unreadable };
        load(DataKind::ImageFolder(how), folder.path(), Split::Test);
    }
}

/// A folder of pictures that the repository carries, older than what the index remembers nothing of.
fn carried() -> Option<PathBuf> {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    below.map(|folder| folder.join("tests/fixtures/selections/reference/images")).find(|folder| folder.is_dir())
}

/// What the index has of the carried pictures: by which it knows their files, and the rest.
fn remembered() -> Option<&'static (PathBuf, String)> {
    static KNOWN: OnceLock<Option<(PathBuf, String)>> = OnceLock::new();
    let look = || {
        let root = carried()?;
        let (folder, source) = (Folder::new(), source(PHOTOGRAPHS, &root));
        let index = folder.path().join("index");
        Library::new(Some(index.clone())).content(&source, Split::Train).ok()?;
        let text = std::fs::read_to_string(index).ok()?;
        let (fingerprint, _) = text.lines().nth(1)?.split_once(' ')?;
        Some((root, fingerprint.to_owned()))
    };
    KNOWN.get_or_init(look).as_ref()
}

const PHOTOGRAPHS: DataKind = DataKind::ImageFolder(Photographs { resize: 9, crop: 8, unreadable: Unreadable::Skip });

/// Puts the bytes in the place of the index; `FILES` in them stands for that by which the index knows some pictures.
pub fn index(bytes: &[u8]) {
    let Some((root, fingerprint)) = remembered() else { return };
    let text = String::from_utf8_lossy(bytes).replace("FILES", fingerprint);
    let folder = Folder::new();
    let path = folder.write("index", text.as_bytes());
    let source = source(PHOTOGRAPHS, root);
    let library = Library::new(Some(path));
    let Some(content) = seen(library.content(&source, Split::Train)) else { return };
    seen(library.image_files(&source, Split::Train));
    let Some(images) = seen(library.images(&source, Split::Train)) else { return };
    std::hint::black_box(&content);
    for at in 0..images.len().min(4) {
        seen(images.image(at));
    }
}
