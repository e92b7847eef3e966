//! What is seen of an image of which only a subset of the pixels is kept, as bytes.
//!
//! Subsets are stored as masks alone; what stands in the place of masked pixels, or of kept ones, is made anew whenever
//! the image is used. It is a function of the image, its number and the mask, so it does not depend on the batch.

use rand_chacha::rand_core::Rng;

use overinterp_artifacts::{ImageSet, Subset, Subsets, UnreadableImage};
use overinterp_spec::{Content, Fill, ImageShape};

/// What every channel of a kept pixel shows where only the mask is shown.
const WHITE: u8 = 255;
/// The blur's radius is the image's shorter side over this.
const SIDE_TO_RADIUS: usize = 8;

/// Puts other bytes in place of what `subset` does not show of its image, `[height, width, channels]`: of kept pixels
/// where only the mask is shown, of masked pixels unless they show the mean, which is no byte.
///
/// # Panics
/// When the image has another shape.
pub(crate) fn replace(bytes: &mut [u8], shape: ImageShape, subset: &Subset<'_>) {
    let appearance = subset.appearance();
    let behind = match appearance.fill {
        Fill::Mean => None,
        Fill::Black => Some(vec![0; bytes.len()]),
        Fill::Blur => Some(blurred(bytes, shape)),
        Fill::Noise { seed, split } => {
            // All pixels are drawn, kept ones, too: what is behind a pixel does not depend on the others.
            let mut noise = vec![0; bytes.len()];
            seed.stream(&format!("masked pixels in {split}"), subset.image() as u64).fill_bytes(&mut noise);
            Some(noise)
        }
    };
    for (pixel, channels) in bytes.chunks_exact_mut(shape.channels).enumerate() {
        if !subset.keeps(pixel) {
            if let Some(behind) = &behind {
                channels.copy_from_slice(&behind[pixel * shape.channels..][..shape.channels]);
            }
        } else if appearance.content == Content::MaskOnly {
            channels.fill(WHITE);
        }
    }
}

/// The bytes `[height, width, channels]` of image number `index` as its subset shows it, for people: where masked pixels
/// show the mean, its nearest byte.
///
/// # Errors
/// When the image or its subset cannot be read from its file.
///
/// # Panics
/// When there is no such image or no subset of it.
pub fn picture(images: &ImageSet, subsets: &Subsets, index: usize) -> Result<Vec<u8>, UnreadableImage> {
    let (mut bytes, subset) = (images.image(index)?.into_owned(), subsets.subset(index)?);
    replace(&mut bytes, images.shape, &subset);
    if subsets.appearance().fill == Fill::Mean {
        #[expect(clippy::cast_sign_loss, reason = "the value is clamped to a byte's range")]
        let mean: Vec<u8> = images.normalise.mean.iter().map(|mean| mean.round().clamp(0.0, 255.0) as u8).collect();
        for (pixel, channels) in bytes.chunks_exact_mut(images.shape.channels).enumerate() {
            if !subset.keeps(pixel) {
                channels.copy_from_slice(&mean);
            }
        }
    }
    Ok(bytes)
}

/// Each channel's mean over the square around each pixel, as far as that lies in the image; halves are rounded up.
///
/// Sums of whole numbers, so that the bytes are the same everywhere.
fn blurred(bytes: &[u8], shape: ImageShape) -> Vec<u8> {
    let ImageShape { height, width, channels } = shape;
    let radius = (height.min(width) / SIDE_TO_RADIUS).max(1);
    let mut out = vec![0; bytes.len()];
    for channel in 0..channels {
        let sums = Sums::of(bytes, shape, channel);
        for row in 0..height {
            let rows = row.saturating_sub(radius)..(row + radius + 1).min(height);
            for column in 0..width {
                let columns = column.saturating_sub(radius)..(column + radius + 1).min(width);
                let count = (rows.len() * columns.len()) as u64;
                let mean = (2 * sums.of_rectangle(rows.clone(), columns) + count) / (2 * count);
                out[(row * width + column) * channels + channel] = mean as u8;
            }
        }
    }
    out
}

/// Sums of one channel over the rectangles above and left of each corner between pixels (a summed-area table).
struct Sums {
    /// `[height + 1, width + 1]`.
    table: Vec<u64>,
    stride: usize,
}

impl Sums {
    fn of(bytes: &[u8], shape: ImageShape, channel: usize) -> Self {
        let ImageShape { height, width, channels } = shape;
        let stride = width + 1;
        let mut table = vec![0_u64; (height + 1) * stride];
        for row in 0..height {
            let mut in_row = 0;
            for column in 0..width {
                in_row += u64::from(bytes[(row * width + column) * channels + channel]);
                table[(row + 1) * stride + column + 1] = table[row * stride + column + 1] + in_row;
            }
        }
        Self { table, stride }
    }

    fn of_rectangle(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> u64 {
        let at = |row: usize, column: usize| self.table[row * self.stride + column];
        at(rows.end, columns.end) + at(rows.start, columns.start)
            - at(rows.start, columns.end)
            - at(rows.end, columns.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::batches::{Levels, Samples};
    use overinterp_spec::{Appearance, Normalise, Seed, Split};

    /// Two images of 3 x 3 pixels and two channels.
    fn images() -> ImageSet {
        ImageSet {
            shape: ImageShape { height: 3, width: 3, channels: 2 },
            classes: vec!["a".to_owned(), "b".to_owned()],
            normalise: Normalise { mean: vec![100.4, 50.0], std: vec![50.0, 25.0] },
            pixels: (0..36).map(|index| index * 7).collect(),
            labels: vec![1, 0],
        }
    }

    fn subsets(content: Content, fill: Fill) -> Subsets {
        let mut subsets = Subsets::new(9).shown_as(Appearance { content, fill });
        subsets.push(&[1, 8]);
        subsets.push(&[1, 8]);
        subsets
    }

    fn pictures(content: Content, fill: Fill) -> [Vec<u8>; 2] {
        let subsets = subsets(content, fill);
        [0, 1].map(|index| picture(&images(), &subsets, index).unwrap())
    }

    const fn noise(seed: u64, split: Split) -> Fill {
        Fill::Noise { seed: Seed(seed), split }
    }

    #[test]
    fn the_mask_alone_is_the_same_of_any_image() {
        let [first, second] = pictures(Content::MaskOnly, Fill::Mean);
        assert_eq!(first, second);
        let mean = [100, 50];
        let white = [255, 255];
        assert_eq!(first, [mean, white, mean, mean, mean, mean, mean, mean, white].concat());
    }

    #[test]
    fn a_network_sees_the_mask_alone_as_white_on_zero() {
        let (images, subsets) = (images(), subsets(Content::MaskOnly, Fill::Mean));
        let samples = Samples { images: &images, subsets: Some(&subsets) };
        let input = samples.input(&Levels::new(&images.normalise), &[1, 0], None).unwrap();
        let white = [((255.0 - 100.4) / 50.0) as f32, ((255.0 - 50.0) / 25.0) as f32];
        for (pixel, values) in input.chunks(2).enumerate() {
            assert_eq!(values, if [1, 8].contains(&(pixel % 9)) { white } else { [0.0; 2] });
        }
    }

    #[test]
    fn black_is_the_byte_0_and_not_the_mean() {
        let images = images();
        let subsets = subsets(Content::Pixels, Fill::Black);
        let [first, _] = pictures(Content::Pixels, Fill::Black);
        let expected: Vec<u8> =
            (0..18).map(|byte| if [1, 8].contains(&(byte / 2)) { images.image(0).unwrap()[byte] } else { 0 }).collect();
        assert_eq!(first, expected);
        let levels = Levels::new(&images.normalise);
        let input = Samples { images: &images, subsets: Some(&subsets) }.input(&levels, &[0], None).unwrap();
        assert_eq!(input[..2], [(-100.4_f64 / 50.0) as f32, -2.0]);
        assert_eq!(input[2..4], [((14.0 - 100.4) / 50.0) as f32, ((21.0 - 50.0) / 25.0) as f32]);
    }

    /// The first channel of the first image is 0 14 28 / 42 56 70 / 84 98 112, the second 7 more.
    #[test]
    fn a_blur_is_the_mean_of_what_lies_around_a_pixel() {
        let images = images();
        let blurred = blurred(&images.image(0).unwrap(), images.shape);
        let first: Vec<u8> = blurred.iter().step_by(2).copied().collect();
        // The upper left corner: (0 + 14 + 42 + 56) / 4; the pixel right of it: (0 + 14 + 28 + 42 + 56 + 70) / 6.
        assert_eq!(first, [28, 35, 42, 49, 56, 63, 70, 77, 84]);
        let second: Vec<u8> = blurred.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(second, first.iter().map(|byte| byte + 7).collect::<Vec<_>>());
        let [shown, _] = pictures(Content::Pixels, Fill::Blur);
        assert_eq!(shown[2..4], images.image(0).unwrap()[2..4], "a kept pixel is not blurred");
        assert_eq!(shown[..2], [28, 35]);
    }

    #[test]
    fn halves_are_rounded_up() {
        let shape = ImageShape { height: 1, width: 2, channels: 1 };
        assert_eq!(blurred(&[0, 1], shape), [1, 1]);
    }

    #[test]
    fn a_blur_reaches_an_eighth_of_the_shorter_side() {
        let shape = ImageShape { height: 16, width: 40, channels: 1 };
        let mut bytes = vec![0; shape.bytes()];
        bytes[8 * 40 + 20] = 250;
        let reached = blurred(&bytes, shape).iter().filter(|byte| **byte > 0).count();
        assert_eq!(reached, 25);
    }

    #[test]
    fn noise_depends_on_the_seed_the_half_and_the_image_alone() {
        let [first, second] = pictures(Content::Pixels, noise(1, Split::Train));
        assert_eq!([first.clone(), second.clone()], pictures(Content::Pixels, noise(1, Split::Train)));
        assert_ne!(first, pictures(Content::Pixels, noise(2, Split::Train))[0]);
        assert_ne!(first, pictures(Content::Pixels, noise(1, Split::Test))[0]);
        // Masked pixels do not repeat those of another image, and do not depend on which others are masked.
        assert_ne!(first[4..16], second[4..16]);
        let mut none = Subsets::new(9).shown_as(Appearance { content: Content::Pixels, fill: noise(1, Split::Train) });
        none.push(&[]);
        assert_eq!(picture(&images(), &none, 0).unwrap()[4..16], first[4..16]);
        assert_eq!(first[2..4], images().image(0).unwrap()[2..4]);
    }

    #[test]
    fn noise_is_the_same_in_any_batch() {
        let (images, subsets) = (images(), subsets(Content::MaskOnly, noise(1, Split::Test)));
        let samples = Samples { images: &images, subsets: Some(&subsets) };
        let levels = Levels::new(&images.normalise);
        let both = samples.input(&levels, &[0, 1], None).unwrap();
        assert_eq!(samples.input(&levels, &[1], None).unwrap(), both[18..]);
    }

    #[test]
    fn noise_takes_every_byte_equally_often() {
        let mut subsets =
            Subsets::new(65_536).shown_as(Appearance { content: Content::Pixels, fill: noise(5, Split::Train) });
        subsets.push(&[]);
        let mut bytes = vec![0; 65_536];
        let shape = ImageShape { height: 256, width: 256, channels: 1 };
        replace(&mut bytes, shape, &subsets.subset(0).unwrap());
        let mut counts = [0_u32; 256];
        for byte in bytes {
            counts[usize::from(byte)] += 1;
        }
        // Pearson's statistic with 255 degrees of freedom: mean 255, deviation 22.6; within five of them.
        let statistic: f64 = counts.iter().map(|count| (f64::from(*count) - 256.0).powi(2) / 256.0).sum();
        assert!((statistic - 255.0).abs() < 5.0 * 22.6, "{statistic}");
    }
}
