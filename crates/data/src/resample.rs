//! Photographs become images of one size, to the byte as torchvision's `Resize` and `CenterCrop` do it with Pillow.
//!
//! The shorter side becomes `resize` pixels and the longer one its share, rounded down. Each output is a mean of the
//! inputs under a triangle that widens with the reduction. It is taken along rows and then along columns, both rounded to
//! bytes (Pillow's `BILINEAR`, which weighs in whole numbers of 2^-22). Only what the crop shows is computed.

use overinterp_spec::Photographs;

/// Bits behind the point of Pillow's weights: what 32 leave over for bytes and two of reserve.
const PRECISION: u32 = 32 - 8 - 2;
/// Values of a pixel.
const CHANNELS: usize = 3;

/// The centre of a photograph, `[crop, crop, 3]`, whose shorter side is made `resize` long.
///
/// `pixels` are `[height, width, 3]`, and neither is 0.
pub(super) fn resize_and_crop(pixels: &[u8], [height, width]: [usize; 2], how: Photographs) -> Vec<u8> {
    let [new_height, new_width] = resized([height, width], how.resize);
    let rows = Axis::new(height, new_height, centre(new_height, how.crop), how.crop);
    let columns = Axis::new(width, new_width, centre(new_width, how.crop), how.crop);
    // Rows of the photograph that some row of the crop shows.
    let seen = rows.inputs();
    let line = how.crop * CHANNELS;
    let mut narrowed = vec![0; seen.len() * line];
    for (narrowed, row) in narrowed.chunks_exact_mut(line).zip(seen.clone()) {
        let row = &pixels[row * width * CHANNELS..(row + 1) * width * CHANNELS];
        for (out, taps) in narrowed.chunks_exact_mut(CHANNELS).zip(&columns.taps) {
            out.copy_from_slice(&taps.weigh(|place, channel| row[place * CHANNELS + channel]));
        }
    }
    let mut cropped = vec![0; how.crop * line];
    for (out, taps) in cropped.chunks_exact_mut(line).zip(&rows.taps) {
        for (column, out) in out.chunks_exact_mut(CHANNELS).enumerate() {
            let value = |row, channel| narrowed[(row - seen.start) * line + column * CHANNELS + channel];
            out.copy_from_slice(&taps.weigh(value));
        }
    }
    cropped
}

/// Height and width when the shorter side becomes `size`: torchvision rounds the longer one down.
fn resized([height, width]: [usize; 2], size: usize) -> [usize; 2] {
    #[expect(clippy::cast_sign_loss, reason = "sizes are positive")]
    let longer = |long: usize, short: usize| ((size * long) as f64 / short as f64) as usize;
    if width <= height { [longer(height, width), size] } else { [size, longer(width, height)] }
}

/// Where a crop of `size` from the middle of `extent` begins: half of what is left over, a half rounded to even as
/// Python does.
const fn centre(extent: usize, size: usize) -> usize {
    let over = extent - size;
    let half = over / 2;
    if over % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// One direction of a resize: what each output in the crop is made of.
struct Axis {
    taps: Vec<Taps>,
}

/// Successive inputs with their weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Axis {
    /// From `input` to `output` places, of which `count` from `start` on are wanted.
    fn new(input: usize, output: usize, start: usize, count: usize) -> Self {
        let scale = input as f64 / output as f64;
        // A triangle is at least as wide as the inputs are apart.
        let support = scale.max(1.0);
        let taps = (start..start + count).map(|place| {
            let centre = (place as f64 + 0.5) * scale;
            #[expect(clippy::cast_sign_loss, reason = "clamped before")]
            let bound = |place: f64| place.max(0.0) as usize;
            let first = bound(centre - support + 0.5);
            let end = bound(centre + support + 0.5).min(input);
            let weights: Vec<f64> =
                (first..end).map(|place| (1.0 - ((place as f64 - centre + 0.5) / support).abs()).max(0.0)).collect();
            let total: f64 = weights.iter().sum();
            let fixed = |weight: f64| (0.5 + weight / total * f64::from(1 << PRECISION)) as i32;
            Taps { first, weights: weights.into_iter().map(fixed).collect() }
        });
        Self { taps: taps.collect() }
    }

    /// The inputs that some output is made of.
    fn inputs(&self) -> std::ops::Range<usize> {
        let end = self.taps.last().map_or(0, |taps| taps.first + taps.weights.len());
        self.taps.first().map_or(0, |taps| taps.first)..end
    }
}

impl Taps {
    fn weigh(&self, value: impl Fn(usize, usize) -> u8) -> [u8; CHANNELS] {
        let mut sums = [1 << (PRECISION - 1); CHANNELS];
        for (place, weight) in (self.first..).zip(&self.weights) {
            for (channel, sum) in sums.iter_mut().enumerate() {
                *sum += i32::from(value(place, channel)) * weight;
            }
        }
        sums.map(|sum| u8::try_from(sum >> PRECISION).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use overinterp_spec::Unreadable;

    /// `tests/fixtures/photographs/make.py` made them with Pillow.
    #[derive(Deserialize)]
    struct Case {
        height: usize,
        width: usize,
        resize: usize,
        crop: usize,
        pixels: Vec<u8>,
    }

    /// The image of `make.py`.
    fn pixels(height: usize, width: usize) -> Vec<u8> {
        (0..height * width * CHANNELS).map(|place| (place * 7919 % 1009 % 256) as u8).collect()
    }

    #[test]
    fn photographs_are_resized_and_cropped_to_pillows_bytes() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/fixtures/photographs/resized.json")).unwrap();
        assert_eq!(cases.len(), 7);
        for Case { height, width, resize, crop, pixels: expected } in cases {
            let how = Photographs { resize, crop, unreadable: Unreadable::Refuse };
            let found = resize_and_crop(&pixels(height, width), [height, width], how);
            assert_eq!(found, expected, "{height}x{width} to {resize}, cropped to {crop}");
        }
    }

    #[test]
    fn the_longer_side_is_rounded_down_and_half_a_pixel_goes_to_the_even_side() {
        assert_eq!(resized([375, 500], 256), [256, 341]);
        assert_eq!(resized([500, 333], 256), [384, 256]);
        assert_eq!(resized([299, 299], 299), [299, 299]);
        // 0, .5, 1, 1.5, 2, 2.5
        assert_eq!([10, 11, 12, 13, 14, 15].map(|extent| centre(extent, 10)), [0, 0, 1, 2, 2, 2]);
    }
}
