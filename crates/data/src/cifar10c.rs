//! CIFAR-10-C (Hendrycks & Dietterich 2019): one array file for each way of corrupting the test images of CIFAR-10, the
//! five severities one after the other, and one file of labels.
//!
//! All of it is 2.9 GB, so only the images asked for are read, by their place in the file; in the archive as well, which
//! is not compressed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use overinterp_foreign::bounded;
use overinterp_foreign::numpy::{ArrayHeader, RandomState};
use overinterp_spec::{Corrupted, Corruption, ImageShape, Severity};

use super::cifar::{Container, SHAPE};
use super::{DataError, payload};

/// The folder that the archive holds.
pub(super) const FOLDER: &str = "CIFAR-10-C";
/// The file name of the archive, as it is published.
pub(super) const ARCHIVE: &str = "CIFAR-10-C.tar";
/// The labels of the images of every other file.
pub(super) const LABELS: &str = "labels.npy";
/// Images of each file as published: the 10,000 test images of CIFAR-10 at each severity.
pub(super) const PUBLISHED: usize = Severity::COUNT * 10_000;
/// Labels that are read at most: a hundred times as many as published.
const MOST_LABELS: usize = 100 * PUBLISHED;
/// Bytes, as numpy names their type.
const BYTES: &str = "|u1";

/// The files from which images are read, that of the labels last.
pub(super) fn files(images: Corrupted) -> Vec<String> {
    let arrays: Vec<Corruption> = match images {
        Corrupted::One { corruption, .. } => vec![corruption],
        Corrupted::Sample { .. } => Corruption::ALL.map(|(_, corruption)| corruption).to_vec(),
    };
    arrays.into_iter().map(file).chain([LABELS.to_owned()]).collect()
}

fn file(corruption: Corruption) -> String {
    format!("{}.npy", corruption.name())
}

/// What was read.
pub(super) struct Decoded {
    /// `[image, height, width, 3]`.
    pub pixels: Vec<u8>,
    pub labels: Vec<u16>,
    /// Images of each file.
    pub of_file: usize,
}

/// Reads the images asked for; `name` is that of the data set.
pub(super) fn load(name: &str, at: &Container, images: Corrupted, classes: usize) -> Result<Decoded, DataError> {
    let labels = read_labels(at, classes)?;
    match images {
        Corrupted::One { corruption, severity } => {
            let mut array = Images::open(at, corruption, labels.len())?;
            let count = labels.len() / Severity::COUNT;
            let first = severity.index() * count;
            let pixels = array.read(first, count)?;
            Ok(Decoded { pixels, labels: labels[first..first + count].to_vec(), of_file: labels.len() })
        }
        Corrupted::Sample { count, seed } => {
            let arrays: Result<Vec<Images>, DataError> =
                Corruption::ALL.into_iter().map(|(_, corruption)| Images::open(at, corruption, labels.len())).collect();
            sample(name, &mut arrays?, &labels, count, seed)
        }
    }
}

/// Draws from all images, numbered file after file.
fn sample(name: &str, arrays: &mut [Images], labels: &[u16], count: usize, seed: u32) -> Result<Decoded, DataError> {
    let available = arrays.len().saturating_mul(labels.len());
    let population = u32::try_from(available).ok().filter(|_| (1..=available).contains(&count));
    let Some(population) = population else {
        return Err(DataError::Sample { name: name.to_owned(), count, available });
    };
    let mut decoded = Decoded { pixels: Vec::new(), labels: Vec::with_capacity(count), of_file: labels.len() };
    decoded.pixels.reserve_exact(count * SHAPE.bytes());
    for chosen in RandomState::new(seed).choice(population, count) {
        let (array, image) = (chosen as usize / labels.len(), chosen as usize % labels.len());
        decoded.pixels.extend(arrays[array].read(image, 1)?);
        decoded.labels.push(labels[image]);
    }
    Ok(decoded)
}

/// An array file, or one in an archive.
struct Array {
    /// What messages call it: the file, or `ARCHIVE:MEMBER` in an archive.
    path: PathBuf,
    file: File,
    /// The byte of `file` at which the elements begin.
    elements: u64,
    shape: Vec<usize>,
}

impl Array {
    /// Opens an array of bytes, of which an image of the first dimension has `bytes`; checks all but its shape.
    fn open(at: &Container, name: &str, bytes: usize) -> Result<Self, DataError> {
        let Extent { path, mut file, start, length } = Extent::find(at, name)?;
        file.seek(SeekFrom::Start(start)).map_err(DataError::reading(&path))?;
        let header = ArrayHeader::read(&mut file.by_ref().take(length));
        let header = header.map_err(|error| DataError::malformed(&path, error.to_string()))?;
        if header.descr != BYTES {
            let problem = format!("its elements are of numpy's type `{}`, expected `{BYTES}` (uint8)", header.descr);
            return Err(DataError::malformed(&path, problem));
        }
        if header.column_major {
            let problem = "its elements are in Fortran's order, expected C's: save `numpy.ascontiguousarray` of it";
            return Err(DataError::malformed(&path, problem));
        }
        let images = header.shape.first().copied().unwrap_or(0);
        let announced = images.checked_mul(bytes).and_then(|bytes| bytes.checked_add(header.start));
        if header.elements() == images.checked_mul(bytes) && announced.map(|bytes| bytes as u64) != Some(length) {
            let announced = announced.map_or_else(|| "more than there can be".to_owned(), |bytes| bytes.to_string());
            let problem = format!("it has {length} bytes, but its own header says {announced}; get it again");
            return Err(DataError::malformed(&path, problem));
        }
        Ok(Self { path, file, elements: start + header.start as u64, shape: header.shape })
    }

    fn misshapen(&self, expected: &str) -> DataError {
        let extents: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let problem = format!("its shape is ({}), expected {expected}", extents.join(", "));
        DataError::malformed(&self.path, problem)
    }

    fn read(&mut self, first: usize, count: usize) -> Result<Vec<u8>, DataError> {
        let mut bytes = vec![0; count];
        let seek = self.file.seek(SeekFrom::Start(self.elements + first as u64));
        seek.and_then(|_| self.file.read_exact(&mut bytes)).map_err(DataError::reading(&self.path))?;
        Ok(bytes)
    }
}

/// The array of one corruption, `[image, 32, 32, 3]`.
struct Images(Array);

impl Images {
    /// Opens the file of a corruption, which must have `labels` images.
    fn open(at: &Container, corruption: Corruption, labels: usize) -> Result<Self, DataError> {
        let array = Array::open(at, &file(corruption), SHAPE.bytes())?;
        let ImageShape { height, width, channels } = SHAPE;
        match array.shape[..] {
            [images, h, w, c] if (h, w, c) == (height, width, channels) && images == labels => Ok(Self(array)),
            [images, h, w, c] if (h, w, c) == (height, width, channels) => {
                let problem = format!("it has {images} images, but {LABELS} has {labels} labels");
                Err(DataError::malformed(&array.path, problem))
            }
            _ => Err(array.misshapen(&format!("(images, {height}, {width}, {channels})"))),
        }
    }

    /// Reads successive images.
    fn read(&mut self, first: usize, count: usize) -> Result<Vec<u8>, DataError> {
        self.0.read(first * SHAPE.bytes(), count * SHAPE.bytes())
    }
}

/// The labels, which are as many at each severity.
fn read_labels(at: &Container, classes: usize) -> Result<Vec<u16>, DataError> {
    let mut array = Array::open(at, LABELS, 1)?;
    let &[count] = &array.shape[..] else {
        return Err(array.misshapen("(images,)"));
    };
    if count > MOST_LABELS {
        let problem = format!("it has {count} labels, more than {MOST_LABELS}, which is the limit");
        return Err(DataError::malformed(&array.path, problem));
    }
    if count == 0 || !count.is_multiple_of(Severity::COUNT) {
        let problem = format!("it has {count} labels, expected as many for each of {} severities", Severity::COUNT);
        return Err(DataError::malformed(&array.path, problem));
    }
    let labels = array.read(0, count)?;
    if let Some((image, &label)) = labels.iter().enumerate().find(|(_, label)| usize::from(**label) >= classes) {
        let (path, label) = (array.path, label.into());
        return Err(DataError::LabelOutOfRange { path, image, label, classes });
    }
    Ok(labels.into_iter().map(u16::from).collect())
}

/// Where the bytes of a file lie, in a file of its own or in an archive.
struct Extent {
    path: PathBuf,
    file: File,
    start: u64,
    length: u64,
}

impl Extent {
    fn find(at: &Container, name: &str) -> Result<Self, DataError> {
        match at {
            Container::Folder(folder) => {
                let path = folder.join(name);
                let file = bounded::open(&path).map_err(DataError::refused(&path))?;
                let length = file.metadata().map_err(DataError::reading(&path))?.len();
                Ok(Self { path, file, start: 0, length })
            }
            Container::Archive(archive) => Self::in_archive(archive, name),
        }
    }

    /// Goes from one header of the archive to the next, without reading what lies between.
    fn in_archive(archive: &Path, name: &str) -> Result<Self, DataError> {
        let broken = |error: &io::Error| {
            DataError::malformed(archive, format!("it is no tar archive, or is cut short ({error}); get it again"))
        };
        let file = bounded::open(archive).map_err(DataError::refused(archive))?;
        let size = file.metadata().map_err(DataError::reading(archive))?.len();
        let mut tar = tar::Archive::new(&file);
        for entry in tar.entries_with_seek().map_err(|error| broken(&error))? {
            let entry = entry.map_err(|error| broken(&error))?;
            let member = entry.path().map_err(|error| broken(&error))?.into_owned();
            if !entry.header().entry_type().is_file() || member.file_name().is_none_or(|found| found != name) {
                continue;
            }
            let (start, length) = (entry.raw_file_position(), entry.size());
            let path = payload::member_path(archive, &member);
            if start.checked_add(length).is_none_or(|end| end > size) {
                return Err(DataError::malformed(&path, "the archive ends before it does; get it again"));
            }
            let file = bounded::open(archive).map_err(DataError::refused(archive))?;
            return Ok(Self { path, file, start, length });
        }
        Err(DataError::malformed(archive, format!("there is no {name} in it")))
    }
}
