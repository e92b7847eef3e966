//! Random crops and flips of training images, on bytes: the border is black before normalisation.

use rand_chacha::rand_core::Rng;

use overinterp_spec::{Augment, ImageShape, Seed};

/// Black pixels added on each side before the crop (`docs/method.md`, section 2).
pub const PADDING: usize = 4;

/// Where a crop of an image's own size starts in the padded image, and whether it is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Row of the padded image that becomes the first, 0..=2 x [`PADDING`].
    pub top: usize,
    /// Column of the padded image that becomes the first.
    pub left: usize,
    /// What is done after the crop.
    pub flip: Flip,
}

/// Whether an image is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// As it is.
    None,
    /// Left and right exchanged.
    Horizontal,
}

/// Draws the crops of an epoch's images, in the order in which they are used; none if nothing is to be augmented.
#[must_use]
pub fn draw(augment: Augment, seed: Seed, epoch: usize, images: usize) -> Option<Vec<Crop>> {
    match augment {
        Augment::None => None,
        Augment::CropFlip => {
            let mut stream = seed.stream("augment", epoch as u64);
            Some((0..images).map(|_| crop(&mut stream)).collect())
        }
    }
}

fn crop(stream: &mut impl Rng) -> Crop {
    let mut offset = || crate::images::batches::below(stream, 2 * PADDING + 1);
    let (top, left) = (offset(), offset());
    let flip = if stream.next_u32() & 1 == 1 { Flip::Horizontal } else { Flip::None };
    Crop { top, left, flip }
}

impl Crop {
    /// The bytes `[height, width, channels]` of the cropped image into `out`, as many as `image`'s.
    pub fn apply(self, shape: ImageShape, image: &[u8], out: &mut [u8]) {
        let ImageShape { height, width, channels } = shape;
        let row_bytes = width * channels;
        for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
            out.fill(0);
            let Some(source) = (row + self.top).checked_sub(PADDING).filter(|&source| source < height) else {
                continue;
            };
            let line = &image[source * row_bytes..(source + 1) * row_bytes];
            for (column, pixel) in out.chunks_exact_mut(channels).enumerate() {
                let seen = match self.flip {
                    Flip::None => column,
                    Flip::Horizontal => width - 1 - column,
                };
                if let Some(source) = (seen + self.left).checked_sub(PADDING).filter(|&source| source < width) {
                    pixel.copy_from_slice(&line[source * channels..(source + 1) * channels]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 2, width: 3, channels: 1 };
    const IMAGE: [u8; 6] = [1, 2, 3, 4, 5, 6];

    fn cropped(top: usize, left: usize, flip: Flip) -> [u8; 6] {
        let mut out = [9; 6];
        Crop { top, left, flip }.apply(SHAPE, &IMAGE, &mut out);
        out
    }

    #[test]
    fn a_centred_crop_is_the_image() {
        assert_eq!(cropped(4, 4, Flip::None), IMAGE);
        assert_eq!(cropped(4, 4, Flip::Horizontal), [3, 2, 1, 6, 5, 4]);
    }

    #[test]
    fn what_lies_outside_is_black() {
        assert_eq!(cropped(5, 4, Flip::None), [4, 5, 6, 0, 0, 0]);
        assert_eq!(cropped(4, 3, Flip::None), [0, 1, 2, 0, 4, 5]);
        assert_eq!(cropped(4, 3, Flip::Horizontal), [2, 1, 0, 5, 4, 0]);
        assert_eq!(cropped(0, 8, Flip::None), [0; 6]);
    }

    #[test]
    fn every_offset_is_drawn_about_equally_often() {
        let crops = draw(Augment::CropFlip, Seed(2), 0, 9_000).unwrap();
        for offset in 0..9 {
            // 1,000 expected, deviation 30.
            for count in
                [crops.iter().filter(|c| c.top == offset).count(), crops.iter().filter(|c| c.left == offset).count()]
            {
                assert!((880..1_120).contains(&count), "{offset}: {count}");
            }
        }
        let flipped = crops.iter().filter(|crop| crop.flip == Flip::Horizontal).count();
        assert!((4_310..4_690).contains(&flipped), "{flipped}");
        assert_ne!(draw(Augment::CropFlip, Seed(2), 1, 9_000).unwrap(), crops);
        assert!(draw(Augment::None, Seed(2), 0, 5).is_none());
    }
}
