//! CIFAR's official binary layout: records of one or two label bytes, then a red, a green and a blue plane.

use std::path::{Path, PathBuf};

use crate::spec::{DataKind, ImageShape, Split};

use super::{DataError, checksum, payload};

/// Rows, and columns, of every image.
const SIDE: usize = 32;
/// Pixels of every image.
const PIXELS: usize = SIDE * SIDE;
/// Images that one file may hold: as many as the largest of the published ones.
const MOST_IMAGES: u64 = 50_000;
/// Bytes that the names of classes may have.
const MOST_NAMES: u64 = 1 << 16;
/// What such a file is called where it is too long.
const WHAT: &str = "a file of CIFAR, of 50,000 images or the names of classes,";
/// The shape of every image.
pub(super) const SHAPE: ImageShape = ImageShape { height: SIDE, width: SIDE, channels: 3 };

/// How one of the two sets is laid out.
#[derive(Debug)]
pub(super) struct Layout {
    /// The folder that the archive holds.
    pub folder: &'static str,
    pub archive: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// One class name a line.
    pub names: &'static str,
    /// The label is the last of these bytes.
    label_bytes: usize,
}

const CIFAR10: Layout = Layout {
    folder: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: &["test_batch.bin"],
    names: "batches.meta.txt",
    label_bytes: 1,
};

/// A coarse label comes before the fine one.
const CIFAR100: Layout = Layout {
    folder: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    train: &["train.bin"],
    test: &["test.bin"],
    names: "fine_label_names.txt",
    label_bytes: 2,
};

impl Layout {
    /// The layout of that kind, if it is one of CIFAR's.
    pub(super) const fn of(kind: DataKind) -> Option<&'static Self> {
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

    /// Bytes of an image with its labels.
    const fn record(&self) -> usize {
        self.label_bytes + PIXELS * SHAPE.channels
    }

    /// The files of a split, in the order of their images.
    pub(super) const fn files(&self, split: Split) -> &'static [&'static str] {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }
}

/// Where the files lie.
#[derive(Clone, Debug)]
pub(super) enum Container {
    /// Extracted.
    Folder(PathBuf),
    /// As downloaded.
    Archive(PathBuf),
}

/// What a split's files hold.
pub(super) struct Decoded {
    /// `[image, height, width, 3]`.
    pub pixels: Vec<u8>,
    pub labels: Vec<u16>,
    /// The names file's lines, where there is one.
    pub classes: Option<Vec<String>>,
    /// MD5 of each file.
    pub checksums: Vec<String>,
}

/// Reads a split of CIFAR-10 (`classes` = 10) or CIFAR-100 with fine labels.
pub(super) fn load(layout: &Layout, at: &Container, split: Split, classes: usize) -> Result<Decoded, DataError> {
    let files = layout.files(split);
    let most = MOST_IMAGES * layout.record() as u64;
    let mut batches: Vec<Option<Batch>> = files.iter().map(|_| None).collect();
    let mut names = None;
    let mut take = |index: usize, path: &Path, bytes: &[u8]| {
        match batches.get_mut(index) {
            Some(batch) => *batch = Some(decode(layout, path, bytes, classes)?),
            None => names = Some(class_names(path, bytes, classes)?),
        }
        Ok(())
    };
    match at {
        Container::Folder(folder) => {
            for (index, file) in files.iter().enumerate() {
                let path = folder.join(file);
                take(index, &path, &payload::read(&path, most, WHAT)?)?;
            }
            let path = folder.join(layout.names);
            if path.exists() {
                take(files.len(), &path, &payload::read(&path, MOST_NAMES, WHAT)?)?;
            }
        }
        Container::Archive(archive) => {
            let batches = files.iter().map(|&file| (file, most));
            let members: Vec<(&str, u64)> = batches.chain([(layout.names, MOST_NAMES)]).collect();
            payload::visit_archive(archive, &members, WHAT, take)?;
        }
    }
    let size = batches.iter().flatten().map(|batch| batch.pixels.len()).sum();
    let mut decoded =
        Decoded { pixels: Vec::with_capacity(size), labels: Vec::new(), classes: names, checksums: Vec::new() };
    for (batch, file) in batches.into_iter().zip(files) {
        let Some(batch) = batch else {
            let (Container::Folder(path) | Container::Archive(path)) = at;
            return Err(DataError::malformed(path, format!("there is no {file} in it")));
        };
        decoded.pixels.extend(batch.pixels);
        decoded.labels.extend(batch.labels);
        decoded.checksums.push(batch.checksum);
    }
    Ok(decoded)
}

struct Batch {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    checksum: String,
}

fn decode(layout: &Layout, path: &Path, bytes: &[u8], classes: usize) -> Result<Batch, DataError> {
    let record = layout.record();
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let problem = format!("it has {} bytes, expected a whole number of images of {record} bytes each", bytes.len());
        return Err(DataError::malformed(path, problem));
    }
    let images = bytes.len() / record;
    let mut pixels = vec![0; images * SHAPE.bytes()];
    let mut labels = Vec::with_capacity(images);
    let records = bytes.chunks_exact(record).zip(pixels.chunks_exact_mut(SHAPE.bytes()));
    for (image, (record, target)) in records.enumerate() {
        let (label, planes) = record.split_at(layout.label_bytes);
        let label = label[layout.label_bytes - 1];
        if usize::from(label) >= classes {
            let label = label.into();
            return Err(DataError::LabelOutOfRange { path: path.to_owned(), image, label, classes });
        }
        labels.push(label.into());
        for (channel, plane) in planes.chunks_exact(PIXELS).enumerate() {
            for (pixel, &value) in plane.iter().enumerate() {
                target[pixel * SHAPE.channels + channel] = value;
            }
        }
    }
    Ok(Batch { pixels, labels, checksum: checksum::md5(bytes) })
}

fn class_names(path: &Path, bytes: &[u8], classes: usize) -> Result<Vec<String>, DataError> {
    let text = str::from_utf8(bytes).map_err(|_| DataError::malformed(path, "it is not text in UTF-8"))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != classes {
        return Err(DataError::malformed(path, format!("it names {} classes, expected {classes}", names.len())));
    }
    Ok(names)
}
