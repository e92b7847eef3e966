//! Folders of PNG or JPEG files: `train/CLASS/*` and `test/CLASS/*`.
//!
//! Classes are the names of the training folders in byte order, and images go in turns: the first file of each
//! class (in byte order of names), then the second of each, so that the first N of them are of all classes.

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, ImageReader};
use rayon::prelude::*;

use crate::artifacts::ImageSet;
use crate::spec::{ImageShape, Normalise, Split};

use super::DataError;

/// The image files of a split.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// The training folders' names.
    pub classes: Vec<String>,
    /// Class and path, in the order of the images.
    pub files: Vec<(usize, PathBuf)>,
}

impl Listing {
    /// The number of images.
    pub(super) const fn len(&self) -> usize {
        self.files.len()
    }

    /// The first `count` images.
    pub(super) fn first(&self, count: usize) -> Self {
        Self { classes: self.classes.clone(), files: self.files[..count].to_vec() }
    }
}

/// Finds the image files of a split. Names that begin with a dot are passed over.
pub(super) fn list(root: &Path, split: Split) -> Result<Listing, DataError> {
    list_in(&root.join(split.name()), &root.join(Split::Train.name()))
}

/// Finds the image files in `folder`, whose classes are those of `like`.
pub(super) fn list_in(folder: &Path, like: &Path) -> Result<Listing, DataError> {
    let classes = class_folders(like)?;
    let mut files = Vec::new();
    for class in class_folders(folder)? {
        let path = folder.join(&class);
        let Ok(label) = classes.binary_search(&class) else {
            let problem = format!("there is no class of that name in {}", like.display());
            return Err(DataError::malformed(&path, problem));
        };
        for (turn, file) in visible(&path)?.into_iter().enumerate() {
            let path = path.join(file);
            if format(&path).is_none() {
                return Err(DataError::malformed(&path, "its name ends in none of .png, .jpg, .jpeg"));
            }
            files.push((turn, label, path));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(DataError::malformed(folder, "there is no image in it, expected CLASS/*.png or CLASS/*.jpg"));
    }
    Ok(Listing { classes, files: files.into_iter().map(|(_, label, path)| (label, path)).collect() })
}

fn class_folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = visible(folder)?;
    match names.iter().map(|name| folder.join(name)).find(|path| !path.is_dir()) {
        Some(path) => Err(DataError::NotAFolder { path, expected: "a folder named after a class".to_owned() }),
        None => Ok(names),
    }
}

/// The names in a folder that do not begin with a dot, in byte order.
fn visible(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::reading(folder))? {
        let name = entry.map_err(DataError::reading(folder))?.file_name();
        let name =
            name.into_string().map_err(|name| DataError::malformed(&folder.join(name), "its name is not UTF-8"))?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn format(path: &Path) -> Option<ImageFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "png" => Some(ImageFormat::Png),
        "jpg" | "jpeg" => Some(ImageFormat::Jpeg),
        _ => None,
    }
}

/// Reads the training images listed, and measures their normalisation.
pub(super) fn load_train(listing: &Listing) -> Result<ImageSet, DataError> {
    let images = decode_all(&listing.files)?;
    let channels = images.iter().map(Decoded::channels).max().unwrap_or(1);
    let shape = images[0].shape(channels);
    let (pixels, labels) = stack(&listing.files, images, shape, "the training images")?;
    let normalise = measure(&listing.files, &pixels, channels)?;
    Ok(ImageSet { shape, classes: listing.classes.clone(), normalise, pixels: pixels.into(), labels })
}

/// Reads the test images listed, which take shape and normalisation from the training images.
pub(super) fn load_test(listing: &Listing, train: &ImageSet) -> Result<ImageSet, DataError> {
    let images = decode_all(&listing.files)?;
    let (pixels, labels) = stack(&listing.files, images, train.shape, "the training images")?;
    let (classes, normalise) = (train.classes.clone(), train.normalise.clone());
    Ok(ImageSet { shape: train.shape, classes, normalise, pixels: pixels.into(), labels })
}

enum Decoded {
    Grey(image::GrayImage),
    Colour(image::RgbImage),
}

impl Decoded {
    const fn channels(&self) -> usize {
        match self {
            Self::Grey(_) => 1,
            Self::Colour(_) => 3,
        }
    }

    fn shape(&self, channels: usize) -> ImageShape {
        let (width, height) = match self {
            Self::Grey(image) => image.dimensions(),
            Self::Colour(image) => image.dimensions(),
        };
        ImageShape { height: height as usize, width: width as usize, channels }
    }
}

fn decode_all(files: &[(usize, PathBuf)]) -> Result<Vec<Decoded>, DataError> {
    files.par_iter().map(|(_, path)| decode(path)).collect()
}

fn decode(path: &Path) -> Result<Decoded, DataError> {
    let mut reader = ImageReader::open(path).map_err(DataError::reading(path))?;
    if let Some(format) = format(path) {
        reader.set_format(format);
    }
    match reader.decode() {
        Ok(DynamicImage::ImageLuma8(image)) => Ok(Decoded::Grey(image)),
        Ok(DynamicImage::ImageRgb8(image)) => Ok(Decoded::Colour(image)),
        Ok(other) => {
            let problem =
                format!("its pixels are {:?}, expected 8-bit grey or RGB without alpha; convert it", other.color());
            Err(DataError::malformed(path, problem))
        }
        Err(error) => Err(DataError::malformed(path, format!("it does not decode ({error})"))),
    }
}

/// All pixels and labels; grey images among coloured ones become coloured.
fn stack(
    files: &[(usize, PathBuf)],
    images: Vec<Decoded>,
    shape: ImageShape,
    like: &str,
) -> Result<(Vec<u8>, Vec<u16>), DataError> {
    let mut pixels = Vec::with_capacity(images.len() * shape.bytes());
    let mut labels = Vec::with_capacity(images.len());
    for ((label, path), image) in files.iter().zip(images) {
        let found = image.shape(shape.channels);
        if found != shape {
            let problem = format!(
                "it is {}x{} (height x width), expected {}x{} like the first of {like}",
                found.height, found.width, shape.height, shape.width
            );
            return Err(DataError::malformed(path, problem));
        }
        match image {
            Decoded::Grey(image) if shape.channels == 1 => pixels.extend_from_slice(image.as_raw()),
            Decoded::Grey(image) => pixels.extend(image.as_raw().iter().flat_map(|&grey| [grey; 3])),
            Decoded::Colour(image) if shape.channels == 3 => pixels.extend_from_slice(image.as_raw()),
            Decoded::Colour(_) => {
                return Err(DataError::malformed(path, format!("it is coloured, expected grey like {like}")));
            }
        }
        let label = u16::try_from(*label).map_err(|_| DataError::malformed(path, "there are over 65,536 classes"))?;
        labels.push(label);
    }
    Ok((pixels, labels))
}

/// Mean and deviation of each channel over all pixels; sums are exact, so the order does not matter.
fn measure(files: &[(usize, PathBuf)], pixels: &[u8], channels: usize) -> Result<Normalise, DataError> {
    let mut normalise = Normalise { mean: Vec::new(), std: Vec::new() };
    let count = (pixels.len() / channels) as f64;
    for channel in 0..channels {
        let values = || pixels.iter().skip(channel).step_by(channels).map(|&value| u64::from(value));
        let mean = values().sum::<u64>() as f64 / count;
        let variance = values().map(|value| value * value).sum::<u64>() as f64 / count - mean * mean;
        if variance <= 0.0 {
            let problem = "all pixels of all training images are alike in one channel, so that it cannot be normalised";
            return Err(DataError::malformed(&files[0].1, problem));
        }
        normalise.mean.push(mean);
        normalise.std.push(variance.sqrt());
    }
    Ok(normalise)
}
