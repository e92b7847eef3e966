//! Images of one size in folders, `train/CLASS/*` and `test/CLASS/*`, read into memory.
//!
//! Which files and classes there are says [`super::listing`], what a file holds [`super::picture`].

use std::path::PathBuf;

use rayon::prelude::*;

use overinterp_artifacts::ImageSet;
use overinterp_spec::{ImageShape, Normalise};

use super::DataError;
use super::listing::Listing;
use super::picture::{self, MostBytes, Picture};

/// What a channel without deviation is divided by: the whole range of bytes.
const ALIKE: f64 = 255.0;

/// Reads the training images listed, and measures their normalisation.
pub(super) fn load_train(listing: &Listing) -> Result<ImageSet, DataError> {
    let images = decode_all(&listing.files)?;
    let channels = images.iter().map(Picture::channels).max().unwrap_or(1);
    let shape = shape(&images[0], channels);
    let (pixels, labels) = stack(&listing.files, images, shape, "the training images")?;
    let normalise = measure(&pixels, channels);
    Ok(ImageSet { shape, classes: listing.classes.clone(), normalise, pixels: pixels.into(), labels })
}

/// Reads the test images listed, which take shape and normalisation from the training images.
pub(super) fn load_test(listing: &Listing, train: &ImageSet) -> Result<ImageSet, DataError> {
    let images = decode_all(&listing.files)?;
    let (pixels, labels) = stack(&listing.files, images, train.shape, "the training images")?;
    let (classes, normalise) = (train.classes.clone(), train.normalise.clone());
    Ok(ImageSet { shape: train.shape, classes, normalise, pixels: pixels.into(), labels })
}

/// Height and width, with that many channels.
fn shape(picture: &Picture, channels: usize) -> ImageShape {
    let (width, height) = picture.dimensions();
    ImageShape { height: height as usize, width: width as usize, channels }
}

fn decode_all(files: &[(u16, PathBuf)]) -> Result<Vec<Picture>, DataError> {
    files.par_iter().map(|(_, path)| picture::open(path, MostBytes::HELD)).collect()
}

/// All pixels and labels; grey images among coloured ones become coloured.
fn stack(
    files: &[(u16, PathBuf)],
    images: Vec<Picture>,
    expected: ImageShape,
    like: &str,
) -> Result<(Vec<u8>, Vec<u16>), DataError> {
    let mut pixels = Vec::with_capacity(images.len() * expected.bytes());
    let mut labels = Vec::with_capacity(images.len());
    for ((label, path), image) in files.iter().zip(images) {
        let found = shape(&image, expected.channels);
        if found != expected {
            let problem = format!(
                "it is {}x{} (height x width), expected {}x{} like the first of {like}",
                found.height, found.width, expected.height, expected.width
            );
            return Err(DataError::malformed(path, problem));
        }
        match image {
            Picture::Grey(image) if expected.channels == 1 => pixels.extend_from_slice(image.as_raw()),
            Picture::Grey(image) => pixels.extend(image.as_raw().iter().flat_map(|&grey| [grey; 3])),
            Picture::Colour(image) if expected.channels == 3 => pixels.extend_from_slice(image.as_raw()),
            Picture::Colour(_) => {
                return Err(DataError::malformed(path, format!("it is coloured, expected grey like {like}")));
            }
        }
        labels.push(*label);
    }
    Ok((pixels, labels))
}

/// Mean and deviation of each channel over all pixels; sums are exact, so the order does not matter. A channel in which all
/// pixels are alike has no deviation to divide by, and stays as it is after its mean is subtracted.
fn measure(pixels: &[u8], channels: usize) -> Normalise {
    let mut normalise = Normalise { mean: Vec::new(), std: Vec::new() };
    let count = (pixels.len() / channels) as f64;
    for channel in 0..channels {
        let values = || pixels.iter().skip(channel).step_by(channels).map(|&value| u64::from(value));
        let mean = values().sum::<u64>() as f64 / count;
        let variance = values().map(|value| value * value).sum::<u64>() as f64 / count - mean * mean;
        normalise.mean.push(mean);
        normalise.std.push(if variance > 0.0 { variance.sqrt() } else { ALIKE });
    }
    normalise
}
