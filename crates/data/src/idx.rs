//! IDX, the format of MNIST and Fashion-MNIST: a header of big-endian sizes, then the bytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use overinterp_spec::ImageShape;

use super::payload::Payload;
use super::{DataError, checksum};

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
    let Array { extents: [count, height, width], data: pixels, checksum: of_images } = parse::<3>(&files.images)?;
    let Array { extents: [labelled], data: labels, checksum: of_labels } = parse::<1>(&files.labels)?;
    let checksums = vec![of_images, of_labels];
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

/// What a file holds.
struct Array<const D: usize> {
    /// None of them 0.
    extents: [usize; D],
    /// As many bytes as they say.
    data: Vec<u8>,
    /// MD5 of the file's uncompressed bytes.
    checksum: String,
}

/// Reads a file; no more than its header announces and its size allows.
fn parse<const D: usize>(path: &Path) -> Result<Array<D>, DataError> {
    let length = 4 + 4 * D;
    let mut file = Payload::open(path)?;
    let header = file.take(length as u64)?;
    let magic = [0, 0, UNSIGNED_BYTE, D as u8];
    if header.len() < length {
        let problem = format!("it has {} bytes, expected at least the {length} of an IDX header", header.len());
        return Err(DataError::malformed(path, problem));
    }
    if header[..4] != magic {
        let found = checksum::hexadecimal(&header[..4]);
        let problem = format!("it starts with {found}, expected 0000080{D} (IDX, bytes in {D} dimensions)");
        return Err(DataError::malformed(path, problem));
    }
    let mut extents = [0; D];
    for (extent, word) in extents.iter_mut().zip(header[4..].as_chunks::<4>().0) {
        *extent = u32::from_be_bytes(*word) as usize;
    }
    let announced = extents.iter().try_fold(1_u64, |product, &extent| product.checked_mul(extent as u64));
    if announced == Some(0) {
        return Err(DataError::malformed(path, format!("its header says {}, so it is empty", sizes(&extents))));
    }
    let another = |found: String| {
        let problem = format!("it has {found} bytes of data, expected {} as its header says", sizes(&extents));
        DataError::malformed(path, problem)
    };
    let size = file.size().map(|size| size - length as u64);
    if let Some(found) = size.filter(|&size| Some(size) != announced) {
        return Err(another(found.to_string()));
    }
    let announced = announced.unwrap_or(u64::MAX);
    let data = file.take(announced)?;
    if data.len() as u64 != announced {
        return Err(another(data.len().to_string()));
    }
    if !file.is_at_end()? {
        return Err(another(format!("more than {announced}")));
    }
    let checksum = checksum::md5_of(&mut (&header[..]).chain(&data[..])).map_err(DataError::reading(path))?;
    Ok(Array { extents, data, checksum })
}

fn sizes(extents: &[usize]) -> String {
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn name(path: &Path) -> std::path::Display<'_> {
    path.file_name().map_or(path, Path::new).display()
}
