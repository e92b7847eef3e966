//! JPEG files: baseline and progressive ones of 8 bits.
//!
//! They are decoded here, because no crate makes libjpeg's pixels of every kind of file that libjpeg takes: where
//! components share values between pixels, others are off at the right edge and in narrow pictures, and they fail at
//! rare orders of components and scans. Here the pixels are those of libjpeg-turbo's defaults, and so Pillow's, to the
//! byte; what libjpeg guesses at, because it is damaged or missing, is refused.

mod blocks;
mod header;
mod huffman;
mod inverse;
mod markers;
mod planes;
mod scan;
mod tables;

use image::{GrayImage, RgbImage};

use super::{MostBytes, Picture, PictureError};
use header::{Colours, Header};
use planes::Plane;

/// Decodes a whole file to a grey or coloured picture, unless that takes more memory than `limit`.
pub(super) fn decode(bytes: &[u8], limit: MostBytes) -> Result<Picture, PictureError> {
    if !markers::is_whole(bytes) {
        return Err(PictureError::Truncated { missing: "its end marker is missing" });
    }
    let header = Header::find(bytes)?;
    let colours = header.check(limit)?;
    let mut planes = Vec::with_capacity(header.components.len());
    for (component, blocks) in header.components.iter().zip(blocks::read(bytes, &header)?) {
        let (stride, values) = blocks.into_values()?;
        planes.push(Plane::new(&header, *component, stride, values));
    }
    let pixels = planes::pixels(&header, colours, &planes);
    let (width, height) = (header.width as u32, header.height as u32);
    let picture = match colours {
        Colours::Grey => GrayImage::from_raw(width, height, pixels).map(Picture::Grey),
        _ => RgbImage::from_raw(width, height, pixels).map(Picture::Colour),
    };
    picture.ok_or(PictureError::Lacks("picture"))
}

/// The nearest byte.
fn byte(value: i32) -> u8 {
    value.clamp(0, 255).cast_unsigned() as u8
}
