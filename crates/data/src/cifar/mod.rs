//! CIFAR-10 and CIFAR-100, in either of the forms that their authors publish: binary records, or pickles for Python,
//! which torchvision uses. The same images are the same data in both.

mod binary;
mod pickled;

use std::path::{Path, PathBuf};

use overinterp_spec::{DataKind, ImageShape, Split};

use super::payload::Bound;
use super::{DataError, checksum, payload};

/// Rows, and columns, of every image.
const SIDE: usize = 32;
/// Pixels of every image.
const PIXELS: usize = SIDE * SIDE;
/// The shape of every image.
pub(super) const SHAPE: ImageShape = ImageShape { height: SIDE, width: SIDE, channels: 3 };
/// Images that a packed file may hold: as many as the largest of the published ones. Of files in a folder, their own
/// size is the limit.
const MOST_PACKED: u64 = 50_000;
/// What the names of classes may take, packed or not.
const NAMES: Bound = Bound { most: 1 << 16, what: "the names of classes may have" };

/// How one of the two sets is laid out in one form.
#[derive(Debug)]
pub(super) struct Layout {
    /// The folder that the archive holds.
    pub folder: &'static str,
    pub archive: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// The file of the classes' names, which may be absent.
    pub names: &'static str,
    form: Form,
}

/// What the files hold.
#[derive(Debug)]
enum Form {
    Binary {
        /// Bytes before an image, of which the last is its label.
        label_bytes: usize,
    },
    Pickled(pickled::Keys),
}

/// Of two forms side by side, the first is taken.
const CIFAR10: [Layout; 2] = [
    Layout {
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: &["test_batch.bin"],
        names: "batches.meta.txt",
        form: Form::Binary { label_bytes: 1 },
    },
    Layout {
        folder: "cifar-10-batches-py",
        archive: "cifar-10-python.tar.gz",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: &["test_batch"],
        names: "batches.meta",
        form: Form::Pickled(pickled::Keys { labels: "labels", names: "label_names" }),
    },
];

/// In the binary form a coarse label comes before the fine one.
const CIFAR100: [Layout; 2] = [
    Layout {
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
        train: &["train.bin"],
        test: &["test.bin"],
        names: "fine_label_names.txt",
        form: Form::Binary { label_bytes: 2 },
    },
    Layout {
        folder: "cifar-100-python",
        archive: "cifar-100-python.tar.gz",
        train: &["train"],
        test: &["test"],
        names: "meta",
        form: Form::Pickled(pickled::Keys { labels: "fine_labels", names: "fine_label_names" }),
    },
];

impl Layout {
    /// The layouts of that kind, if it is one of CIFAR's, in the order in which they are looked for.
    pub(super) const fn of(kind: DataKind) -> Option<&'static [Self]> {
        match kind {
            DataKind::Cifar10 => Some(&CIFAR10),
            DataKind::Cifar100 => Some(&CIFAR100),
            DataKind::Cifar10C
            | DataKind::FashionMnist
            | DataKind::Mnist
            | DataKind::Folder
            | DataKind::ImageFolder(_) => None,
        }
    }

    /// The files of a split, in the order of their images.
    pub(super) const fn files(&self, split: Split) -> &'static [&'static str] {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    /// What a packed file of images may take.
    const fn bound(&self) -> Bound {
        match &self.form {
            Form::Binary { label_bytes } => binary::bound(*label_bytes),
            Form::Pickled(_) => pickled::BOUND,
        }
    }

    fn decode(&self, path: &Path, bytes: &[u8], classes: usize) -> Result<Batch, DataError> {
        match &self.form {
            Form::Binary { label_bytes } => binary::decode(*label_bytes, path, bytes, classes),
            Form::Pickled(keys) => pickled::decode(keys, path, bytes, classes),
        }
    }

    fn class_names(&self, path: &Path, bytes: &[u8], classes: usize) -> Result<Vec<String>, DataError> {
        let names = match &self.form {
            Form::Binary { .. } => binary::class_names(path, bytes)?,
            Form::Pickled(keys) => pickled::class_names(keys, path, bytes)?,
        };
        if names.len() == classes {
            Ok(names)
        } else {
            Err(DataError::malformed(path, format!("it names {} classes, expected {classes}", names.len())))
        }
    }
}

/// Where the files lie.
#[derive(Clone, Debug)]
pub(super) enum Container {
    /// In this folder, extracted.
    Folder(PathBuf),
    /// In this archive, which is read as it was downloaded.
    Archive(PathBuf),
}

/// What a split's files hold.
pub(super) struct Decoded {
    /// `[image, height, width, 3]`.
    pub pixels: Vec<u8>,
    pub labels: Vec<u16>,
    /// What the names file says, where there is one.
    pub classes: Option<Vec<String>>,
    /// MD5 of each file.
    pub checksums: Vec<String>,
}

/// What one file holds, in the same order.
struct Batch {
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

/// Reads a split of CIFAR-10 (`classes` = 10) or CIFAR-100 with fine labels. An archive may have any of `layouts`; the
/// first is taken of which all files are there.
pub(super) fn load(
    layouts: &'static [Layout],
    at: &Container,
    split: Split,
    classes: usize,
) -> Result<Decoded, DataError> {
    let mut parts: Vec<Parts> = layouts.iter().map(|layout| Parts::new(layout, split, classes)).collect();
    match at {
        Container::Folder(folder) => {
            for part in &mut parts {
                part.read(folder)?;
            }
        }
        Container::Archive(archive) => {
            let mut members = Vec::new();
            for (number, part) in parts.iter().enumerate() {
                members.extend(part.members().map(|(file, bound)| (number, file, bound)));
            }
            let wanted: Vec<(&str, Bound)> = members.iter().map(|&(_, file, bound)| (file, bound)).collect();
            payload::visit_archive(archive, &wanted, |index, path, bytes| {
                let (number, file, _) = members[index];
                parts[number].take(file, path, bytes)
            })?;
        }
    }
    let missing: Vec<&str> = parts.iter().filter_map(Parts::missing).collect();
    let nearest = parts.into_iter().min_by_key(Parts::lacks);
    match nearest {
        Some(part) if part.lacks() == 0 => Ok(part.join()),
        Some(part) if !part.is_empty() => Err(absent(at, part.missing().unwrap_or_default())),
        _ => Err(absent(at, &missing.join(" and no "))),
    }
}

fn absent(at: &Container, files: &str) -> DataError {
    let (Container::Folder(path) | Container::Archive(path)) = at;
    DataError::malformed(path, format!("there is no {files} in it"))
}

/// The files of a split in one layout, as far as they were read.
struct Parts {
    layout: &'static Layout,
    files: &'static [&'static str],
    classes: usize,
    /// Of each file its images and its MD5.
    batches: Vec<Option<(Batch, String)>>,
    names: Option<Vec<String>>,
}

impl Parts {
    fn new(layout: &'static Layout, split: Split, classes: usize) -> Self {
        let files = layout.files(split);
        Self { layout, files, classes, batches: files.iter().map(|_| None).collect(), names: None }
    }

    /// The files that an archive may hold.
    fn members(&self) -> impl Iterator<Item = (&'static str, Bound)> {
        let images = self.files.iter().map(|&file| (file, self.layout.bound()));
        images.chain([(self.layout.names, NAMES)])
    }

    /// Reads all files of a folder.
    fn read(&mut self, folder: &Path) -> Result<(), DataError> {
        for file in self.files {
            let path = folder.join(file);
            self.take(file, &path, &payload::read_whole(&path)?)?;
        }
        let path = folder.join(self.layout.names);
        if path.exists() {
            self.take(self.layout.names, &path, &payload::read(&path, NAMES)?)?;
        }
        Ok(())
    }

    /// Decodes the file of that name.
    fn take(&mut self, file: &str, path: &Path, bytes: &[u8]) -> Result<(), DataError> {
        if let Some(index) = self.files.iter().position(|known| *known == file) {
            let batch = self.layout.decode(path, bytes, self.classes)?;
            self.batches[index] = Some((batch, checksum::md5(bytes)));
        } else {
            self.names = Some(self.layout.class_names(path, bytes, self.classes)?);
        }
        Ok(())
    }

    /// How many files of images are missing.
    fn lacks(&self) -> usize {
        self.batches.iter().filter(|batch| batch.is_none()).count()
    }

    /// Whether all of them are.
    fn is_empty(&self) -> bool {
        self.lacks() == self.files.len()
    }

    /// The first that is.
    fn missing(&self) -> Option<&'static str> {
        let place = self.batches.iter().position(Option::is_none)?;
        Some(self.files[place])
    }

    /// All images, one file after the other.
    fn join(self) -> Decoded {
        let all: usize = self.batches.iter().flatten().map(|(batch, _)| batch.pixels.len()).sum();
        let mut decoded =
            Decoded { pixels: Vec::new(), labels: Vec::new(), classes: self.names, checksums: Vec::new() };
        for (batch, checksum) in self.batches.into_iter().flatten() {
            // Those of a single file, as CIFAR-100's 150 MB, are not copied.
            if decoded.pixels.is_empty() {
                decoded.pixels = batch.pixels;
                decoded.pixels.reserve_exact(all - decoded.pixels.len());
            } else {
                decoded.pixels.extend(batch.pixels);
            }
            decoded.labels.extend(batch.labels);
            decoded.checksums.push(checksum);
        }
        decoded
    }
}

/// Makes an image's planes of red, green and blue its pixels.
fn interleave(planes: &[u8], pixels: &mut [u8]) {
    for (channel, plane) in planes.chunks_exact(PIXELS).enumerate() {
        for (pixel, &value) in plane.iter().enumerate() {
            pixels[pixel * SHAPE.channels + channel] = value;
        }
    }
}
