//! Batches of images: their order in an epoch, and their way from bytes to normalised, masked floats.

use std::borrow::Cow;

use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use crate::images::appearance;
use crate::images::augment::Crop;
use overinterp_artifacts::{ImageSet, Model, Subsets, UnreadableImage};
use overinterp_spec::{Fill, Normalise, Seed};

/// Images, all pixels of them or subsets.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// The images, with their labels, their classes and their normalisation.
    pub images: &'a ImageSet,
    /// The pixels kept of each; without it, all are.
    pub subsets: Option<&'a Subsets>,
}

/// Why images and subsets cannot be used together, or with a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplesError {
    /// There is nothing to learn from or to look at.
    #[error("there are no images: raise the limit of the data set")]
    Empty,
    /// The subsets were made from other images.
    #[error("{subsets} subsets of {pixels} pixels do not belong to {images} images of {image_pixels} pixels")]
    Subsets {
        /// How many subsets.
        subsets: usize,
        /// Pixels of each.
        pixels: usize,
        /// How many images.
        images: usize,
        /// Pixels of each.
        image_pixels: usize,
    },
    /// There is not one mean and one deviation a channel.
    #[error(
        "{channels} channels cannot be normalised with {means} means and {deviations} deviations: give one of each a \
         channel"
    )]
    Normalise {
        /// Channels of the images.
        channels: usize,
        /// How many means the normalisation has.
        means: usize,
        /// How many deviations the normalisation has.
        deviations: usize,
    },
    /// An image or its subset cannot be read from its file.
    #[error(transparent)]
    Unreadable(#[from] UnreadableImage),
    /// A label beyond the classes.
    #[error("image {image} has label {label}, but there are {classes} classes: the data set is damaged")]
    Label {
        /// Place of the image.
        image: usize,
        /// The number of its class, counted from 0, which is at least `classes`.
        label: u16,
        /// Classes of the set.
        classes: usize,
    },
}

impl<'a> Samples<'a> {
    /// All pixels of all images.
    #[must_use]
    pub const fn whole(images: &'a ImageSet) -> Self {
        Self { images, subsets: None }
    }

    /// Checks that there are images, that each has its subset, and a label among the classes.
    ///
    /// # Errors
    /// When one of these does not hold.
    pub fn check(&self) -> Result<(), SamplesError> {
        let ImageSet { shape, classes, normalise, labels, .. } = self.images;
        if labels.is_empty() {
            return Err(SamplesError::Empty);
        }
        if let Some(subsets) = self.subsets
            && (subsets.len() != labels.len() || subsets.pixels() != shape.pixels())
        {
            return Err(SamplesError::Subsets {
                subsets: subsets.len(),
                pixels: subsets.pixels(),
                images: labels.len(),
                image_pixels: shape.pixels(),
            });
        }
        if normalise.mean.len() != shape.channels || normalise.std.len() != shape.channels {
            let (means, deviations) = (normalise.mean.len(), normalise.std.len());
            return Err(SamplesError::Normalise { channels: shape.channels, means, deviations });
        }
        match labels.iter().enumerate().find(|&(_, &label)| usize::from(label) >= classes.len()) {
            Some((image, &label)) => Err(SamplesError::Label { image, label, classes: classes.len() }),
            None => Ok(()),
        }
    }

    /// The number of images.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The network's input for some images, `[indexes, height, width, channels]`: cropped if there are crops,
    /// normalised, and 0 where a pixel is not kept, unless the subsets have another appearance. Where `levels` are of
    /// several normalisations, the channels of each follow those of the one before.
    ///
    /// # Errors
    /// When an image or its subset cannot be read from its file.
    pub fn input(&self, levels: &Levels, indexes: &[u32], crops: Option<&[Crop]>) -> Result<Vec<f32>, SamplesError> {
        let shape = self.images.shape;
        let (channels, values) = (levels.channels(), shape.pixels() * levels.channels());
        let mut input = vec![0.0; indexes.len() * values];
        input.par_chunks_mut(values).zip(indexes).enumerate().try_for_each(|(place, (input, &index))| {
            let index = index as usize;
            let mut image = self.images.image(index)?;
            if let Some(crops) = crops {
                let mut cropped = vec![0; shape.bytes()];
                crops[place].apply(shape, &image, &mut cropped);
                image = Cow::Owned(cropped);
            }
            let subset = self.subsets.map(|subsets| subsets.subset(index)).transpose()?;
            if let Some(subset) = subset.as_ref().filter(|subset| !subset.appearance().is_default()) {
                appearance::replace(image.to_mut(), shape, subset);
            }
            levels.apply(&image, input);
            if let Some(subset) = subset.filter(|subset| subset.appearance().fill == Fill::Mean) {
                for (pixel, values) in input.chunks_exact_mut(channels).enumerate() {
                    if !subset.keeps(pixel) {
                        values.fill(0.0);
                    }
                }
            }
            Ok::<_, UnreadableImage>(())
        })?;
        Ok(input)
    }

    /// The labels of some images.
    #[must_use]
    pub fn labels(&self, indexes: &[u32]) -> Vec<u32> {
        indexes.iter().map(|&index| u32::from(self.images.labels[index as usize])).collect()
    }
}

/// What each byte of each channel becomes: (byte - mean) / deviation, by one normalisation or by several.
#[derive(Clone, Debug)]
pub struct Levels {
    /// By normalisation, then by channel.
    ways: Vec<Vec<[f32; 256]>>,
}

impl Levels {
    /// The tables of a normalisation, one a channel.
    #[must_use]
    pub fn new(normalise: &Normalise) -> Self {
        Self { ways: vec![tables(normalise)] }
    }

    /// The tables of every normalisation among a model's networks.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        Self { ways: model.normalisations().into_iter().map(tables).collect() }
    }

    /// Channels of an input: those of an image, by each normalisation.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.ways.iter().map(Vec::len).sum()
    }

    /// Normalises the bytes of an image, `[pixels, channels]`.
    pub fn apply(&self, bytes: &[u8], values: &mut [f32]) {
        let all = self.channels();
        let mut first = 0;
        for tables in &self.ways {
            let channels = tables.len();
            for (bytes, values) in bytes.chunks_exact(channels).zip(values.chunks_exact_mut(all)) {
                for ((byte, value), table) in bytes.iter().zip(&mut values[first..]).zip(tables) {
                    *value = table[usize::from(*byte)];
                }
            }
            first += channels;
        }
    }
}

fn tables(normalise: &Normalise) -> Vec<[f32; 256]> {
    let table = |(mean, std): (&f64, &f64)| {
        let mut table = [0.0; 256];
        for (byte, value) in table.iter_mut().enumerate() {
            *value = ((byte as f64 - mean) / std) as f32;
        }
        table
    };
    normalise.mean.iter().zip(&normalise.std).map(table).collect()
}

/// The order in which an epoch uses `images` images, from the stream `shuffle` (Fisher & Yates).
#[must_use]
pub fn shuffled(seed: Seed, epoch: usize, images: usize) -> Vec<u32> {
    let mut stream = seed.stream("shuffle", epoch as u64);
    let mut order: Vec<u32> = (0..images as u32).collect();
    for last in (1..images).rev() {
        order.swap(last, below(&mut stream, last + 1));
    }
    order
}

/// A uniform number below `bound`, which is at most 2^32: high bits of a product, refused where they would be
/// biased (Lemire 2019).
pub(crate) fn below(stream: &mut impl Rng, bound: usize) -> usize {
    let bound = bound as u64;
    let refused = (1_u64 << 32) % bound;
    loop {
        let product = u64::from(stream.next_u32()) * bound;
        if product & 0xffff_ffff >= refused {
            return (product >> 32) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::augment::Flip;
    use overinterp_spec::ImageShape;

    fn images() -> ImageSet {
        ImageSet {
            shape: ImageShape { height: 2, width: 2, channels: 3 },
            classes: vec!["a".to_owned(), "b".to_owned()],
            normalise: Normalise { mean: vec![10.0, 20.0, 30.0], std: vec![2.0, 4.0, 5.0] },
            pixels: (0..24).collect(),
            labels: vec![1, 0],
        }
    }

    #[test]
    fn a_channel_is_normalised_by_its_own_mean_and_deviation() {
        let images = images();
        let levels = Levels::new(&images.normalise);
        let input = Samples::whole(&images).input(&levels, &[1, 0], None).unwrap();
        assert_eq!(input[..3], [(12.0 - 10.0) / 2.0, (13.0 - 20.0) / 4.0, (14.0 - 30.0) / 5.0]);
        assert_eq!(input[12..15], [-5.0, (1.0 - 20.0) / 4.0, (2.0 - 30.0) / 5.0]);
        assert_eq!(Samples::whole(&images).labels(&[1, 0]), [0, 1]);
    }

    #[test]
    fn masked_pixels_are_zero_in_all_channels() {
        let images = images();
        let levels = Levels::new(&images.normalise);
        let mut subsets = Subsets::new(4);
        subsets.push(&[0, 3]);
        subsets.push(&[2]);
        let masked = Samples { images: &images, subsets: Some(&subsets) }.input(&levels, &[0, 1], None).unwrap();
        let whole = Samples::whole(&images).input(&levels, &[0, 1], None).unwrap();
        for (pixel, (masked, whole)) in masked.chunks(3).zip(whole.chunks(3)).enumerate() {
            if [0, 3, 6].contains(&pixel) {
                assert_eq!(masked, whole);
            } else {
                assert_eq!(masked, [0.0; 3]);
            }
        }
    }

    #[test]
    fn subsets_that_lie_in_a_file_mask_the_same_until_it_is_damaged() {
        let (images, dir) = (images(), tempfile::tempdir().unwrap());
        let levels = Levels::new(&images.normalise);
        let mut held = Subsets::new(4);
        held.push(&[0, 3]);
        held.push(&[2]);
        let filed = held.left_in(dir.path()).unwrap();
        let input = |subsets, indexes: &[u32]| {
            Samples { images: &images, subsets: Some(subsets) }.input(&levels, indexes, None)
        };
        assert_eq!(input(&filed, &[1, 0]).unwrap(), input(&held, &[1, 0]).unwrap());
        let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        assert!(input(&filed, &[0]).is_ok());
        let error = input(&filed, &[0, 1]).unwrap_err();
        let expected = format!("cannot read the subset of image 1 from {}: it has been cut short", path.display());
        assert!(matches!(error, SamplesError::Unreadable(_)) && error.to_string().starts_with(&expected), "{error}");
    }

    #[test]
    fn the_border_of_a_crop_is_black_and_not_the_mean() {
        let images = images();
        let crop = Crop { top: 0, left: 0, flip: Flip::None };
        let input = Samples::whole(&images).input(&Levels::new(&images.normalise), &[0], Some(&[crop])).unwrap();
        assert_eq!(input[..3], [-5.0, -5.0, -6.0]);
    }

    #[test]
    fn an_epoch_uses_each_image_once_in_an_order_of_its_own() {
        let first = shuffled(Seed(7), 0, 1_000);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1_000).collect::<Vec<u32>>());
        assert_eq!(first, shuffled(Seed(7), 0, 1_000));
        assert_ne!(first, shuffled(Seed(7), 1, 1_000));
        assert_ne!(first, shuffled(Seed(8), 0, 1_000));
    }

    #[test]
    fn samples_that_do_not_belong_together_are_refused() {
        let mut images = images();
        let mut subsets = Subsets::new(4);
        subsets.push(&[0]);
        assert!(matches!(
            Samples { images: &images, subsets: Some(&subsets) }.check(),
            Err(SamplesError::Subsets { subsets: 1, images: 2, .. })
        ));
        assert_eq!(Samples::whole(&images).check(), Ok(()));
        images.labels[1] = 2;
        assert_eq!(Samples::whole(&images).check(), Err(SamplesError::Label { image: 1, label: 2, classes: 2 }));
        images.normalise.std.pop();
        assert!(matches!(Samples::whole(&images).check(), Err(SamplesError::Normalise { deviations: 2, .. })));
        images.labels.clear();
        assert_eq!(Samples::whole(&images).check(), Err(SamplesError::Empty));
    }
}
