//! Pictures of images and their pixel-subsets, as PNG.
//!
//! A contact sheet has a row for each image, with the image itself and what its subsets leave of it side by side.
//! What is masked shows the mean colour, since that is what a model sees there.

use std::num::NonZeroU32;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

use overinterp_spec::{ImageShape, Normalise};

/// Width of the white lines between panels and around them.
const GAP: u32 = 2;
/// The colour of those lines.
const PAPER: Rgb<u8> = Rgb([255; 3]);
/// A sheet has at most so many bytes before compression (about a hundred megapixels).
const LARGEST: u64 = 300_000_000;

/// One picture of a sheet.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a> {
    /// The image's bytes, `[height, width, channels]`.
    pub image: &'a [u8],
    /// What of it is drawn.
    pub shown: Shown<'a>,
}

/// Which pixels of an image are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// The image as it is, with no pixel masked.
    All,
    /// These, numbered row by row; the others are masked.
    Only(&'a [u32]),
}

/// How images are drawn.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Height, width and channels of every image.
    pub shape: ImageShape,
    /// The colour of a masked pixel.
    pub masked: [u8; 3],
    /// Side of the square drawn for a pixel.
    pub scale: NonZeroU32,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DrawingError {
    /// An image has not as many bytes as its shape says.
    #[error("cannot draw an image of {actual} bytes: one of {height}x{width}x{channels} has {}", height * width * channels)]
    Bytes {
        /// The height that the shape says, in pixels.
        height: usize,
        /// The width that the shape says, in pixels.
        width: usize,
        /// Bytes of a pixel by the shape: 1 of grey, 3 of colour.
        channels: usize,
        /// The bytes that there are.
        actual: usize,
    },
    /// Images are neither grey nor of three colours.
    #[error("cannot draw images of {0} channels: 1 (grey) and 3 (red, green, blue) can be drawn")]
    Channels(usize),
    /// A subset names a pixel beyond the image.
    #[error("cannot draw pixel {pixel} of an image of {pixels} pixels")]
    Pixel {
        /// The pixel named.
        pixel: u32,
        /// How many there are.
        pixels: usize,
    },
    /// There is nothing to draw, or too much.
    #[error(
        "cannot draw a sheet of {rows} rows and {columns} columns of {width}x{height} pixels: \
         choose fewer images or a smaller scale"
    )]
    Size {
        /// Rows of panels.
        rows: usize,
        /// Panels in the longest row.
        columns: usize,
        /// Width of a panel.
        width: u64,
        /// Height of a panel.
        height: u64,
    },
    /// The PNG encoder failed.
    #[error("cannot encode a picture as PNG")]
    Encode(#[from] image::ImageError),
}

impl Drawing {
    /// Images of that shape, a pixel drawn as a square of side `scale`, a masked one in the mean colour.
    #[must_use]
    pub fn new(shape: ImageShape, normalise: &Normalise, scale: NonZeroU32) -> Self {
        let grey = normalise.mean.first();
        let mean = |channel: usize| normalise.mean.get(channel).or(grey).copied().unwrap_or_default();
        #[expect(clippy::cast_sign_loss, reason = "the value is clamped to a byte's range")]
        let masked = [0, 1, 2].map(|channel| mean(channel).round().clamp(0.0, 255.0) as u8);
        Self { shape, masked, scale }
    }

    /// Draws one image, as a PNG file.
    ///
    /// # Errors
    /// When the panel does not fit the shape, or cannot be encoded.
    pub fn image(&self, panel: Panel<'_>) -> Result<Vec<u8>, DrawingError> {
        let mut canvas = self.canvas(1, 1, 0)?;
        self.draw(&mut canvas, panel, 0, 0)?;
        encode(&canvas)
    }

    /// Draws a contact sheet, as a PNG file: one row of panels for each of `rows`, which may differ in length.
    ///
    /// # Errors
    /// When there are no panels, too many, one does not fit the shape, or the sheet cannot be encoded.
    pub fn contact_sheet(&self, rows: &[Vec<Panel<'_>>]) -> Result<Vec<u8>, DrawingError> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut canvas = self.canvas(rows.len(), columns, GAP)?;
        let [height, width] = [self.shape.height, self.shape.width].map(|side| side as u32 * self.scale.get());
        for (row, top) in rows.iter().zip((GAP..).step_by((height + GAP) as usize)) {
            for (panel, left) in row.iter().zip((GAP..).step_by((width + GAP) as usize)) {
                self.draw(&mut canvas, *panel, left, top)?;
            }
        }
        encode(&canvas)
    }

    /// White paper for `rows` times `columns` panels.
    fn canvas(&self, rows: usize, columns: usize, gap: u32) -> Result<RgbImage, DrawingError> {
        let scale = u64::from(self.scale.get());
        let [height, width] = [self.shape.height, self.shape.width].map(|side| (side as u64).saturating_mul(scale));
        let extent = |panels: usize, side: u64| {
            let gap = u64::from(gap);
            (panels as u64).saturating_mul(side.saturating_add(gap)).saturating_add(gap)
        };
        let (down, across) = (extent(rows, height), extent(columns, width));
        let bytes = down.saturating_mul(across).saturating_mul(3);
        let drawable = rows > 0 && columns > 0 && height > 0 && width > 0 && bytes <= LARGEST;
        match (u32::try_from(across), u32::try_from(down)) {
            (Ok(across), Ok(down)) if drawable => Ok(RgbImage::from_pixel(across, down, PAPER)),
            _ => Err(DrawingError::Size { rows, columns, width, height }),
        }
    }

    fn draw(&self, canvas: &mut RgbImage, panel: Panel<'_>, left: u32, top: u32) -> Result<(), DrawingError> {
        let ImageShape { height, width, channels } = self.shape;
        if !matches!(channels, 1 | 3) {
            return Err(DrawingError::Channels(channels));
        }
        if panel.image.len() != self.shape.bytes() {
            return Err(DrawingError::Bytes { height, width, channels, actual: panel.image.len() });
        }
        let colours: Vec<[u8; 3]> = panel
            .image
            .chunks_exact(channels)
            .map(|pixel| match *pixel {
                [red, green, blue] => [red, green, blue],
                _ => [pixel[0]; 3],
            })
            .collect();
        let shown = match panel.shown {
            Shown::All => colours,
            Shown::Only(kept) => self.mask(&colours, kept)?,
        };
        let scale = self.scale.get();
        for (pixel, colour) in shown.into_iter().enumerate() {
            let (x, y) = ((pixel % width) as u32 * scale + left, (pixel / width) as u32 * scale + top);
            for (row, column) in (0..scale).flat_map(|row| (0..scale).map(move |column| (row, column))) {
                canvas.put_pixel(x + column, y + row, Rgb(colour));
            }
        }
        Ok(())
    }

    /// The colours with all but the pixels in `kept` masked.
    fn mask(&self, colours: &[[u8; 3]], kept: &[u32]) -> Result<Vec<[u8; 3]>, DrawingError> {
        let mut masked = vec![self.masked; colours.len()];
        for &pixel in kept {
            let colour = colours.get(pixel as usize).ok_or(DrawingError::Pixel { pixel, pixels: colours.len() })?;
            masked[pixel as usize] = *colour;
        }
        Ok(masked)
    }
}

/// Colours row by row, `width` in each, as a PNG file in which each is a square of side `scale`.
///
/// # Errors
/// When there are no colours, too many, or they cannot be encoded.
pub(super) fn png(colours: &[[u8; 3]], width: usize, scale: NonZeroU32) -> Result<Vec<u8>, DrawingError> {
    let shape = ImageShape { height: colours.len().checked_div(width).unwrap_or(0), width, channels: 3 };
    let drawing = Drawing { shape, masked: [0; 3], scale };
    drawing.image(Panel { image: colours.as_flattened(), shown: Shown::All })
}

fn encode(canvas: &RgbImage) -> Result<Vec<u8>, DrawingError> {
    let mut png = Vec::new();
    let (width, height) = canvas.dimensions();
    PngEncoder::new(&mut png).write_image(canvas.as_raw(), width, height, ExtendedColorType::Rgb8)?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: [u8; 3] = [255; 3];
    const MEAN: [u8; 3] = [73; 3];

    fn grey(scale: u32) -> Drawing {
        let shape = ImageShape { height: 2, width: 3, channels: 1 };
        let normalise = Normalise { mean: vec![72.94], std: vec![90.02] };
        Drawing::new(shape, &normalise, NonZeroU32::new(scale).expect("not zero"))
    }

    fn decode(png: &[u8]) -> RgbImage {
        image::load_from_memory(png).expect("it is a PNG file").to_rgb8()
    }

    #[test]
    fn masked_pixels_show_the_mean_colour() {
        let panel = Panel { image: &[10, 20, 30, 40, 50, 60], shown: Shown::Only(&[1, 5]) };
        let picture = decode(&grey(1).image(panel).expect("it can be drawn"));
        let colours: Vec<[u8; 3]> = picture.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(picture.dimensions(), (3, 2));
        assert_eq!(colours, [MEAN, [20; 3], MEAN, MEAN, MEAN, [60; 3]]);
    }

    #[test]
    fn colours_are_drawn_as_they_are_and_enlarged() {
        let drawing = Drawing::new(
            ImageShape { height: 1, width: 2, channels: 3 },
            &Normalise { mean: vec![125.3, 123.0, 113.9], std: vec![63.0, 62.1, 66.7] },
            NonZeroU32::new(2).expect("not zero"),
        );
        let panel = Panel { image: &[1, 2, 3, 4, 5, 6], shown: Shown::All };
        let picture = decode(&drawing.image(panel).expect("it can be drawn"));
        assert_eq!(picture.dimensions(), (4, 2));
        assert!(picture.enumerate_pixels().all(|(x, _, pixel)| pixel.0 == if x < 2 { [1, 2, 3] } else { [4, 5, 6] }));
        assert_eq!(drawing.masked, [125, 123, 114]);
    }

    #[test]
    fn a_sheet_has_a_row_for_each_image_and_white_between_panels() {
        let whole = |image| Panel { image, shown: Shown::All };
        let rows = [vec![whole(&[7; 6]), whole(&[8; 6])], vec![whole(&[9; 6])]];
        let sheet = decode(&grey(2).contact_sheet(&rows).expect("it can be drawn"));
        assert_eq!(sheet.dimensions(), (2 + 6 + 2 + 6 + 2, 2 + 4 + 2 + 4 + 2));
        let at = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!([at(2, 2), at(7, 5), at(10, 2), at(2, 8)], [[7; 3], [7; 3], [8; 3], [9; 3]]);
        assert_eq!([at(0, 0), at(8, 2), at(2, 6), at(10, 8), at(17, 13)], [WHITE; 5]);
    }

    #[test]
    fn the_same_panels_give_the_same_bytes() {
        let panel = Panel { image: &[10, 20, 30, 40, 50, 60], shown: Shown::Only(&[0]) };
        let draw = || grey(3).contact_sheet(&[vec![panel; 2]]).expect("it can be drawn");
        assert_eq!(draw(), draw());
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_what() {
        let message = |result: Result<Vec<u8>, DrawingError>| result.expect_err("it does not fit").to_string();
        let drawing = grey(1);
        assert_eq!(
            message(drawing.image(Panel { image: &[1; 5], shown: Shown::All })),
            "cannot draw an image of 5 bytes: one of 2x3x1 has 6"
        );
        assert_eq!(
            message(drawing.image(Panel { image: &[1; 6], shown: Shown::Only(&[6]) })),
            "cannot draw pixel 6 of an image of 6 pixels"
        );
        assert!(message(drawing.contact_sheet(&[])).starts_with("cannot draw a sheet of 0 rows and 0 columns"));
        assert!(message(grey(u32::MAX).contact_sheet(&[vec![]])).starts_with("cannot draw a sheet of 1 rows"));
        let huge = grey(20_000).image(Panel { image: &[1; 6], shown: Shown::All });
        assert!(message(huge).ends_with("choose fewer images or a smaller scale"));
        let two = Drawing { shape: ImageShape { height: 1, width: 1, channels: 2 }, ..drawing };
        let picture = two.image(Panel { image: &[1; 2], shown: Shown::All });
        assert_eq!(
            message(picture),
            "cannot draw images of 2 channels: 1 (grey) and 3 (red, green, blue) can be drawn"
        );
    }
}
