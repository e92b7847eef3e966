//! The first frame of a GIF file.
//!
//! Decoded here and not by the `image` crate, which makes transparent pixels black, where Pillow leaves them their
//! colour in the palette.

use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use image::{Rgb, RgbImage};

use super::{MostBytes, Picture, PictureError, grey_if_grey};

/// Decodes it. What the frame leaves open of the screen shows the transparent colour, or the palette's first.
pub(super) fn decode(bytes: &[u8], limit: MostBytes) -> Result<Picture, PictureError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.check_frame_consistency(true);
    if let Some(most) = NonZeroU64::new(limit.0) {
        options.set_memory_limit(MemoryLimit::Bytes(most));
    }
    let mut decoder = options.read_info(bytes)?;
    let (width, height) = (decoder.width(), decoder.height());
    limit.check(width.into(), height.into(), 5 * u64::from(width) * u64::from(height))?;
    let palette = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame()?.ok_or(PictureError::Lacks("frame"))?;
    let palette = frame.palette.clone().or(palette).ok_or(PictureError::Lacks("palette"))?;
    let colour = |index: u8| match palette.get(usize::from(index) * 3..) {
        Some([red, green, blue, ..]) => Rgb([*red, *green, *blue]),
        _ => Rgb([0; 3]),
    };
    let mut image = RgbImage::from_pixel(width.into(), height.into(), colour(frame.transparent.unwrap_or(0)));
    let rows = frame.buffer.chunks_exact(usize::from(frame.width).max(1));
    for (y, row) in (u32::from(frame.top)..).zip(rows) {
        for (x, index) in (u32::from(frame.left)..).zip(row) {
            if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
                *pixel = colour(*index);
            }
        }
    }
    Ok(grey_if_grey(Picture::Colour(image)))
}
