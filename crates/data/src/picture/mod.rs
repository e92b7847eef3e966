//! A picture file becomes grey values or RGB, by one rule for every kind of data that lie in folders.
//!
//! What a file is, its content says and not its name. Pixels are those of Pillow's `convert("RGB")`: alpha is dropped,
//! palettes are looked up, of 16 bits a channel the upper eight remain, an animation is its first frame, and the
//! orientation in EXIF data turns nothing. One thing is otherwise: 16-bit grey without alpha is scaled to a byte, where
//! Pillow clips at 255.
//!
//! A picture is grey where its file says so, or where its palette has no colour that is used.

mod error;
mod gif;
mod jpeg;

use std::io::{Cursor, Read};
use std::path::Path;

use image::{
    ColorType, DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, RgbImage,
};

use overinterp_foreign::bounded;

use super::DataError;
use error::PictureError;

/// Bytes that a file may have, and that decoding it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MostBytes(u64);

impl MostBytes {
    /// Of photographs, of which few are in memory at a time: an RGB image of 8192x8192.
    pub(super) const PHOTOGRAPH: Self = Self(192 << 20);
    /// Of pictures that are all held in memory, for which networks of that size are trained: one of 4096x4096.
    pub(super) const HELD: Self = Self(48 << 20);

    /// Refuses what would take more.
    fn check(self, width: u64, height: u64, bytes: u64) -> Result<(), PictureError> {
        if bytes > self.0 { Err(PictureError::Large { width, height, bytes, limit: self.0 }) } else { Ok(()) }
    }
}

/// Where a PNG file says how many bits a channel has, and behind it which channels there are.
const PNG_DEPTH: usize = 24;
/// Values of a PNG file's channels: grey, palette.
const PNG_GREY: u8 = 0;
const PNG_PALETTE: u8 = 3;

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// One value a pixel.
    Grey(GrayImage),
    /// Red, green and blue.
    Colour(RgbImage),
}

impl Picture {
    /// Values a pixel.
    pub(super) const fn channels(&self) -> usize {
        match self {
            Self::Grey(_) => 1,
            Self::Colour(_) => 3,
        }
    }

    /// Width and height.
    pub(super) fn dimensions(&self) -> (u32, u32) {
        match self {
            Self::Grey(image) => image.dimensions(),
            Self::Colour(image) => image.dimensions(),
        }
    }

    /// The same in colour: grey is tripled.
    pub(super) fn into_colour(self) -> RgbImage {
        match self {
            Self::Grey(image) => DynamicImage::ImageLuma8(image).into_rgb8(),
            Self::Colour(image) => image,
        }
    }
}

/// Reads a file within the limit.
pub(super) fn read(path: &Path, limit: MostBytes) -> Result<Vec<u8>, DataError> {
    let MostBytes(most) = limit;
    let reading = || DataError::reading(path);
    let file = bounded::open(path).map_err(DataError::refused(path))?;
    let size = file.metadata().map_err(reading())?.len();
    let large = || {
        let problem = format!("it has over {} MiB, which is the limit of a picture's file", most >> 20);
        DataError::malformed(path, problem)
    };
    if size > most {
        return Err(large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(most + 1).read_to_end(&mut bytes).map_err(reading())?;
    if bytes.len() as u64 > most { Err(large()) } else { Ok(bytes) }
}

/// The picture in a file.
pub(super) fn open(path: &Path, limit: MostBytes) -> Result<Picture, DataError> {
    decode(path, &read(path, limit)?, limit)
}

/// The picture in a file's bytes, if decoding it stays within the limit.
pub(super) fn decode(path: &Path, bytes: &[u8], limit: MostBytes) -> Result<Picture, DataError> {
    picture(bytes, limit).map_err(|error| DataError::malformed(path, error.to_string()))
}

/// Since which version of reading that file has the pixels that it has: PNG files of 16 bits were rounded in the first,
/// and JPEG files decoded to pixels near libjpeg's before the third, at right edges often not so near.
pub(super) fn version(bytes: &[u8]) -> u32 {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) if matches!(bytes.get(PNG_DEPTH..), Some([16, kind, ..]) if *kind != PNG_GREY) => 2,
        Ok(ImageFormat::Jpeg) => 3,
        _ => 1,
    }
}

fn picture(bytes: &[u8], limit: MostBytes) -> Result<Picture, PictureError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::decode(bytes, limit),
        Ok(ImageFormat::Gif) => gif::decode(bytes, limit),
        Ok(ImageFormat::Png) => {
            let picture = decoded(bytes, ImageFormat::Png, limit)?;
            Ok(if bytes.get(PNG_DEPTH + 1) == Some(&PNG_PALETTE) { grey_if_grey(picture) } else { picture })
        }
        Ok(ImageFormat::Bmp) => {
            let picture = decoded(bytes, ImageFormat::Bmp, limit)?;
            Ok(if bmp_depth(bytes) <= 8 { grey_if_grey(picture) } else { picture })
        }
        Ok(ImageFormat::WebP) => {
            let size = bytes.first_chunk::<8>().map(|[.., a, b, c, d]| u32::from_le_bytes([*a, *b, *c, *d]));
            if size.is_none_or(|size| u64::from(size) + 8 > bytes.len() as u64) {
                return Err(PictureError::Truncated { missing: "it is shorter than it says" });
            }
            decoded(bytes, ImageFormat::WebP, limit)
        }
        other => Err(stranger(bytes, other.ok())),
    }
}

/// What a file is that holds no picture that can be read.
fn stranger(bytes: &[u8], format: Option<ImageFormat>) -> PictureError {
    let starts = |with: &[u8]| bytes.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let found = match format {
        Some(format) => {
            let name = format!("{format:?}").to_uppercase();
            format!("of format {name}")
        }
        None if starts(b"version https://git-lfs") => return PictureError::LfsPointer,
        None if starts(b"<!doctype html") || starts(b"<html") => "an HTML page".to_owned(),
        None if bytes.is_empty() => "empty".to_owned(),
        None => "no picture".to_owned(),
    };
    PictureError::Format { found }
}

/// What the `image` crate makes of it, within the limit.
fn decoded(bytes: &[u8], format: ImageFormat, limit: MostBytes) -> Result<Picture, PictureError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(limit.0);
    reader.limits(limits);
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let converted = if matches!(decoder.color_type(), ColorType::L8 | ColorType::Rgb8) { 0 } else { 3 * pixels };
    // A WebP file is decoded to values of its own first.
    let between = if format == ImageFormat::WebP { 4 * pixels } else { 0 };
    limit.check(width.into(), height.into(), decoder.total_bytes().saturating_add(converted + between))?;
    let grey = format == ImageFormat::Png && bytes.get(PNG_DEPTH + 1) == Some(&PNG_GREY);
    Ok(match DynamicImage::from_decoder(decoder)? {
        DynamicImage::ImageLuma8(image) => Picture::Grey(image),
        image @ (DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLuma16(_)) => Picture::Grey(image.into_luma8()),
        // 16-bit grey of which one value is transparent.
        DynamicImage::ImageLumaA16(image) if grey => Picture::Grey(DynamicImage::ImageLumaA16(image).into_luma8()),
        DynamicImage::ImageLumaA16(image) => Picture::Grey(upper(&image)),
        DynamicImage::ImageRgb16(image) => Picture::Colour(upper(&image)),
        DynamicImage::ImageRgba16(image) => Picture::Colour(upper(&image)),
        image => Picture::Colour(image.into_rgb8()),
    })
}

/// The upper byte of each colour of 16 bits; alpha is dropped.
fn upper<P, Q>(image: &ImageBuffer<P, Vec<u16>>) -> ImageBuffer<Q, Vec<u8>>
where
    P: Pixel<Subpixel = u16>,
    Q: Pixel<Subpixel = u8>,
{
    let colours = usize::from(Q::CHANNEL_COUNT);
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        let mut values = [0; 3];
        for (value, wide) in values.iter_mut().zip(image.get_pixel(x, y).channels()) {
            *value = (wide >> 8) as u8;
        }
        *Q::from_slice(&values[..colours])
    })
}

/// A picture from a palette, as grey where none of its pixels has a colour.
fn grey_if_grey(picture: Picture) -> Picture {
    match picture {
        Picture::Colour(image) if image.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) => {
            let (width, height) = image.dimensions();
            Picture::Grey(ImageBuffer::from_fn(width, height, |x, y| image::Luma([image.get_pixel(x, y)[0]])))
        }
        picture => picture,
    }
}

/// Bits of a BMP file's pixel, by either of its headers.
fn bmp_depth(bytes: &[u8]) -> u16 {
    let place = if bytes.get(14) == Some(&12) { 24 } else { 28 };
    bytes.get(place..place + 2).map_or(u16::MAX, |depth| u16::from_le_bytes([depth[0], depth[1]]))
}

#[cfg(test)]
mod tests;
