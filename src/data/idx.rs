//! IDX, the format of MNIST and Fashion-MNIST: a header of big-endian sizes, then the bytes.

use std::path::{Path, PathBuf};

use crate::spec::ImageShape;

use super::{DataError, checksum, payload};

/// Element type "unsigned byte" in an IDX header.
const UNSIGNED_BYTE: u8 = 0x08;

/// The names of a split's two files, before any `.gz`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub images: &'static str,
    pub labels: &'static str,
}

pub(super) const TRAIN: Names = Names { images: "train-images-idx3-ubyte", labels: "train-labels-idx1-ubyte" };
pub(super) const TEST: Names = Names { images: "t10k-images-idx3-ubyte", labels: "t10k-labels-idx1-ubyte" };

/// The two files of a split.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub images: PathBuf,
    pub labels: PathBuf,
}

/// What the two files hold.
pub(super) struct Decoded {
    pub shape: ImageShape,
    /// `[image, height, width, 1]`.
    pub pixels: Vec<u8>,
    pub labels: Vec<u16>,
    /// MD5 of each file's uncompressed bytes, images first.
    pub checksums: Vec<String>,
}

/// Reads a split's images and labels.
pub(super) fn load(files: &Files, classes: usize) -> Result<Decoded, DataError> {
    let images = payload::read(&files.images)?;
    let labels = payload::read(&files.labels)?;
    let checksums = vec![checksum::md5(&images), checksum::md5(&labels)];
    let ([count, height, width], pixels) = parse::<3>(&files.images, images)?;
    let ([labelled], labels) = parse::<1>(&files.labels, labels)?;
    if labelled != count {
        let problem =
            format!("it has {labelled} labels, expected {count}, the number of images in {}", name(&files.images));
        return Err(DataError::malformed(&files.labels, problem));
    }
    if let Some((image, &label)) = labels.iter().enumerate().find(|&(_, &label)| usize::from(label) >= classes) {
        let path = files.labels.clone();
        return Err(DataError::LabelOutOfRange { path, image, label: label.into(), classes });
    }
    let shape = ImageShape { height, width, channels: 1 };
    Ok(Decoded { shape, pixels, labels: labels.into_iter().map(u16::from).collect(), checksums })
}

/// Splits a file into its extents, none of them 0, and its data, as many bytes as they say.
fn parse<const D: usize>(path: &Path, mut bytes: Vec<u8>) -> Result<([usize; D], Vec<u8>), DataError> {
    let header = 4 + 4 * D;
    if bytes.len() < header {
        let problem = format!("it has {} bytes, expected at least the {header} of an IDX header", bytes.len());
        return Err(DataError::malformed(path, problem));
    }
    let magic = [0, 0, UNSIGNED_BYTE, D as u8];
    if bytes[..4] != magic {
        let found = checksum::hexadecimal(&bytes[..4]);
        let problem = format!("it starts with {found}, expected 0000080{D} (IDX, bytes in {D} dimensions)");
        return Err(DataError::malformed(path, problem));
    }
    let mut extents = [0; D];
    for (extent, word) in extents.iter_mut().zip(bytes[4..header].as_chunks::<4>().0) {
        *extent = u32::from_be_bytes(*word) as usize;
    }
    let announced = extents.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
    if announced == Some(0) {
        return Err(DataError::malformed(path, format!("its header says {}, so it is empty", sizes(&extents))));
    }
    let found = bytes.len() - header;
    if announced != Some(found) {
        let problem = format!("it has {found} bytes of data, expected {} as its header says", sizes(&extents));
        return Err(DataError::malformed(path, problem));
    }
    bytes.drain(..header);
    Ok((extents, bytes))
}

fn sizes(extents: &[usize]) -> String {
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn name(path: &Path) -> std::path::Display<'_> {
    path.file_name().map_or(path, Path::new).display()
}
