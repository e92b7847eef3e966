//! The form for Python: each file a pickled dict. The published ones are Python 2's; what other versions and protocols
//! write of the same dict is read as well. Nothing in a pickle runs.
//!
//! `data` is a numpy array of bytes `[image, 3072]`, each image a red, a green and a blue plane. The labels are a list of
//! integers, or an array of them.

use std::path::Path;

use crate::DataError;
use crate::payload::Bound;
use overinterp_foreign::pickle::{self, Array, Fault, Handle, Pickle, Value};
use overinterp_foreign::sniff::Foreign;

use super::{Batch, MOST_PACKED, SHAPE, interleave};

/// Under which keys the files have what is used of them.
#[derive(Debug)]
pub(super) struct Keys {
    pub labels: &'static str,
    /// The names of the classes, in a file of their own.
    pub names: &'static str,
}

/// The key of the images.
const DATA: &str = "data";
/// Bytes, as numpy names their type.
const BYTES: &str = "|u1";
/// Bytes of a packed file for an image: itself, its labels and its file's name.
const OF_IMAGE: u64 = SHAPE.bytes() as u64 + 256;
/// What a packed file may take.
pub(super) const BOUND: Bound = Bound {
    most: MOST_PACKED * OF_IMAGE,
    what: "50,000 images need; if it is what it should be, unpack the archive: of unpacked files there is no limit",
};
/// Values of Python's that a file may have: for each image its labels and its file's name, of which an integer of numpy's
/// takes six.
const VALUES_OF_IMAGE: usize = 12;
/// And those that there are but once.
const OTHER_VALUES: usize = 1 << 16;
/// Keys that a message names, and letters of each.
const SHOWN: usize = 8;
const LONGEST: usize = 40;

pub(super) fn decode(keys: &Keys, path: &Path, bytes: &[u8], classes: usize) -> Result<Batch, DataError> {
    let pickle = read(path, bytes)?;
    let wrong = |problem: String| DataError::malformed(path, problem);
    let of_data = |fault: Fault| wrong(format!("its `{DATA}` cannot be read: {fault}"));
    let array = pickle.array(entry(&pickle, DATA, path)?).map_err(of_data)?;
    if array.descr != BYTES {
        let found = &array.descr;
        return Err(wrong(format!("its `{DATA}` is of numpy's type `{found}`, expected `{BYTES}` (uint8)")));
    }
    let images = match array.shape[..] {
        [images, bytes] if images > 0 && bytes == SHAPE.bytes() => images,
        _ => {
            let extents: Vec<String> = array.shape.iter().map(ToString::to_string).collect();
            let (shape, bytes) = (extents.join(", "), SHAPE.bytes());
            return Err(wrong(format!("the shape of its `{DATA}` is ({shape}), expected (images, {bytes})")));
        }
    };
    let labels = integers(&pickle, entry(&pickle, keys.labels, path)?);
    let labels = labels.map_err(|problem| wrong(format!("its `{}`: {problem}", keys.labels)))?;
    if labels.len() != images {
        let (found, key) = (labels.len(), keys.labels);
        return Err(wrong(format!("it has {found} labels in `{key}`, expected {images}, one for each image")));
    }
    let in_range = |(image, label): (usize, i128)| {
        let in_range = u16::try_from(label).ok().filter(|label| usize::from(*label) < classes);
        in_range.ok_or_else(|| DataError::LabelOutOfRange { path: path.to_owned(), image, label, classes })
    };
    let labels = labels.into_iter().enumerate().map(in_range).collect::<Result<_, _>>()?;
    Ok(Batch { pixels: pixels(&array), labels })
}

/// `[image, 3072]` of planes as `[image, height, width, 3]`.
fn pixels(array: &Array<'_>) -> Vec<u8> {
    let mut pixels = vec![0; array.bytes.len()];
    let targets = pixels.chunks_exact_mut(SHAPE.bytes());
    if array.column_major {
        let images = targets.len();
        for (image, target) in targets.enumerate() {
            let planes: Vec<u8> = array.bytes.iter().skip(image).step_by(images).copied().collect();
            interleave(&planes, target);
        }
    } else {
        for (planes, target) in array.bytes.chunks_exact(SHAPE.bytes()).zip(targets) {
            interleave(planes, target);
        }
    }
    pixels
}

pub(super) fn class_names(keys: &Keys, path: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let pickle = read(path, bytes)?;
    let names = entry(&pickle, keys.names, path)?;
    let names = pickle.items(names).and_then(|names| names.iter().map(|&name| pickle.text(name)).collect());
    let names: Result<Vec<&str>, Fault> = names;
    let names = names.map_err(|fault| DataError::malformed(path, format!("its `{}`: {fault}", keys.names)))?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn read<'a>(path: &Path, bytes: &'a [u8]) -> Result<Pickle<'a>, DataError> {
    let most = bytes.len() / SHAPE.bytes() * VALUES_OF_IMAGE + OTHER_VALUES;
    pickle::read_within(bytes, most).map_err(|error| {
        // The older protocols are text.
        let problem = match Foreign::of(bytes).filter(|foreign| *foreign != Foreign::Text) {
            Some(foreign) => foreign.to_string(),
            None => format!("{error}; a file of CIFAR for Python is a pickled dict: get it again"),
        };
        DataError::malformed(path, problem)
    })
}

/// What the dict has under a key.
fn entry(pickle: &Pickle<'_>, key: &str, path: &Path) -> Result<Handle, DataError> {
    let root = pickle.root();
    let Some(entries) = pickle.entries(root) else {
        let problem = format!("it is {}, expected a dict with `{key}`", pickle.describe(root));
        return Err(DataError::malformed(path, problem));
    };
    pickle.get(root, key).ok_or_else(|| {
        let shown = entries.iter().take(SHOWN).map(|&(name, _)| match pickle.text(name) {
            Ok(name) => format!("`{}`", name.escape_debug().take(LONGEST).collect::<String>()),
            Err(_) => pickle.describe(name),
        });
        let shown: Vec<String> = shown.collect();
        let rest = if entries.len() > SHOWN { " and more" } else { "" };
        let problem = if shown.is_empty() {
            format!("it has no `{key}`, being an empty dict")
        } else {
            format!("it has no `{key}`, but {}{rest}", shown.join(", "))
        };
        DataError::malformed(path, problem)
    })
}

/// Why something holds no integers.
#[derive(Debug, thiserror::Error)]
enum NoIntegers {
    /// The pickle cannot be read there.
    #[error(transparent)]
    Pickle(#[from] Fault),
    /// An array of something else.
    #[error("expected integers, found numpy's type `{descr}` of shape {shape:?}")]
    Array { descr: String, shape: Vec<usize> },
    /// One of a list is something else.
    #[error("that of image {image} is {found}, expected an integer")]
    Item { image: usize, found: String },
    /// One of a list is no label in any case.
    #[error("that of image {image} is an integer of more than 16 bytes")]
    Huge { image: usize },
}

/// The integers of a list, or of a one-dimensional array.
fn integers(pickle: &Pickle<'_>, handle: Handle) -> Result<Vec<i128>, NoIntegers> {
    if pickle.is_array(handle) {
        let array = pickle.array(handle)?;
        let found = || NoIntegers::Array { descr: array.descr.clone(), shape: array.shape.clone() };
        return elements(&array).filter(|_| array.shape.len() == 1).ok_or_else(found);
    }
    let items = pickle.items(handle)?;
    let integers = items.iter().enumerate().map(|(image, &item)| {
        let found = || NoIntegers::Item { image, found: pickle.describe(item) };
        match pickle.value(item) {
            Value::Int(number) => Ok(*number),
            Value::Huge => Err(NoIntegers::Huge { image }),
            // An integer of numpy's.
            _ => pickle
                .array(item)
                .ok()
                .filter(|array| array.shape.is_empty())
                .and_then(|array| {
                    let mut elements = elements(&array)?;
                    elements.pop()
                })
                .ok_or_else(found),
        }
    });
    integers.collect()
}

/// The elements of an array of integers.
fn elements(array: &Array<'_>) -> Option<Vec<i128>> {
    let (is_signed, is_big) = (array.descr.get(1..2)? == "i", array.descr.starts_with('>'));
    if !is_signed && array.descr.get(1..2)? != "u" {
        return None;
    }
    let elements = array.bytes.chunks_exact(array.size()?).map(|bytes| {
        let top = if is_big { bytes.first() } else { bytes.last() };
        let sign = -i128::from(is_signed && top.is_some_and(|top| top & 0x80 != 0));
        let next = |number: i128, &byte: &u8| (number << 8) | i128::from(byte);
        if is_big { bytes.iter().fold(sign, next) } else { bytes.iter().rev().fold(sign, next) }
    });
    Some(elements.collect())
}
