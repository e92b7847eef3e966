//! The binary form: records of one or two label bytes, then a red, a green and a blue plane; the names of the classes are
//! lines of text.

use std::path::Path;

use crate::DataError;
use crate::payload::Bound;

use super::{Batch, MOST_PACKED, SHAPE, interleave};

/// Bytes of an image with its labels.
const fn record(label_bytes: usize) -> usize {
    label_bytes + SHAPE.bytes()
}

/// What a packed file may take.
pub(super) const fn bound(label_bytes: usize) -> Bound {
    let what = "50,000 images have; if there are more, unpack the archive: of unpacked files there is no limit";
    Bound { most: MOST_PACKED * record(label_bytes) as u64, what }
}

pub(super) fn decode(label_bytes: usize, path: &Path, bytes: &[u8], classes: usize) -> Result<Batch, DataError> {
    let record = record(label_bytes);
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let problem = format!("it has {} bytes, expected a whole number of images of {record} bytes each", bytes.len());
        return Err(DataError::malformed(path, problem));
    }
    let images = bytes.len() / record;
    let mut pixels = vec![0; images * SHAPE.bytes()];
    let mut labels = Vec::with_capacity(images);
    let records = bytes.chunks_exact(record).zip(pixels.chunks_exact_mut(SHAPE.bytes()));
    for (image, (record, pixels)) in records.enumerate() {
        let (label, planes) = record.split_at(label_bytes);
        let label = label[label_bytes - 1];
        if usize::from(label) >= classes {
            let label = label.into();
            return Err(DataError::LabelOutOfRange { path: path.to_owned(), image, label, classes });
        }
        labels.push(label.into());
        interleave(planes, pixels);
    }
    Ok(Batch { pixels, labels })
}

pub(super) fn class_names(path: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let text = str::from_utf8(bytes).map_err(|_| DataError::malformed(path, "it is not text in UTF-8"))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
