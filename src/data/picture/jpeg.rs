//! JPEG files: what their markers say, and which decoder takes them.
//!
//! The `image` crate's decoder takes all but sequential files with scans for single components: of some of those it
//! makes other pixels (`tests/fixtures/pictures/jpeg.py`), so that `jpeg-decoder` takes them. It also fills what is
//! missing with grey, so that a file without its end is refused before.

use std::io::Cursor;

use image::{GrayImage, ImageFormat, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

use super::{MOST_BYTES, Picture, PictureError, check_size, decoded};

/// The first byte of every marker.
const MARKER: u8 = 0xff;
/// End of image.
const END: u8 = 0xd9;
/// Start of a scan.
const SCAN: u8 = 0xda;

/// Decodes it.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
    if !is_whole(bytes) {
        return Err(PictureError::Truncated { missing: "its end marker is missing" });
    }
    let Some(frame) = Frame::find(bytes) else { return decoded(bytes, ImageFormat::Jpeg) };
    frame.check()?;
    if frame.is_scanned_in_turns() { decode_scans(bytes) } else { decoded(bytes, ImageFormat::Jpeg) }
}

/// Decodes a file with scans for single components.
fn decode_scans(bytes: &[u8]) -> Result<Picture, PictureError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_max_decoding_buffer_size(usize::try_from(MOST_BYTES).unwrap_or(usize::MAX));
    let mut pixels = decoder.decode()?;
    let info = decoder.info().ok_or(PictureError::Lacks("picture"))?;
    let (width, height) = (info.width.into(), info.height.into());
    let whole = PictureError::Truncated { missing: "it has fewer pixels than it says" };
    match info.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(Picture::Grey).ok_or(whole),
        PixelFormat::CMYK32 => {
            pixels = pixels.chunks_exact(4).flat_map(|ink| [0, 1, 2].map(|place| mixed(ink[place], ink[3]))).collect();
            RgbImage::from_raw(width, height, pixels).map(Picture::Colour).ok_or(whole)
        }
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(Picture::Colour).ok_or(whole),
        PixelFormat::L16 => Err(PictureError::Jpeg { kind: "of 16 bits a channel".to_owned() }),
    }
}

/// A colour from its ink and black, as Pillow makes it.
fn mixed(ink: u8, black: u8) -> u8 {
    let left = 255 - u32::from(black);
    (left - (u32::from(ink) * left + 127) / 255) as u8
}

/// What the frame header of a JPEG file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The marker, which says how the picture is coded.
    marker: u8,
    bits: u8,
    width: u16,
    height: u16,
    components: u8,
    /// Of the first scan.
    scanned: u8,
}

impl Frame {
    /// The frame header and the number of components in the first scan.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut frame = None;
        while let Some((marker, behind)) = next_marker(rest) {
            match (marker, behind) {
                (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, [_, _, bits, a, b, c, d, components, ..]) => {
                    let (height, width) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
                    let (bits, components) = (*bits, *components);
                    frame = Some(Self { marker, bits, width, height, components, scanned: components });
                }
                (SCAN, [_, _, scanned, ..]) => return frame.map(|frame| Self { scanned: *scanned, ..frame }),
                _ => {}
            }
            rest = skip(marker, behind)?;
        }
        frame
    }

    /// Whether it is sequential and its components come in scans of their own.
    pub(super) const fn is_scanned_in_turns(self) -> bool {
        matches!(self.marker, 0xc0 | 0xc1) && self.scanned < self.components
    }

    /// Refuses what no decoder takes, and what takes too much memory.
    fn check(self) -> Result<(), PictureError> {
        let kind = match self.marker {
            0xc0..=0xc2 if self.bits == 8 => {
                let pixels = u64::from(self.width) * u64::from(self.height);
                // Of a progressive file all coefficients are held beside the pixels, of several scans all values.
                let held =
                    if self.marker == 0xc2 || self.is_scanned_in_turns() { 2 * u64::from(self.components) } else { 0 };
                let out = if self.components == 1 { 1 } else { 3 };
                return check_size(self.width.into(), self.height.into(), pixels * (held + out));
            }
            0xc0..=0xc2 => format!("of {} bits a channel", self.bits),
            0xc9..=0xcb | 0xcd..=0xcf => "that is coded arithmetically".to_owned(),
            0xc3 | 0xc7 => "that is coded without loss".to_owned(),
            _ => "that is coded hierarchically".to_owned(),
        };
        Err(PictureError::Jpeg { kind })
    }
}

/// Whether the markers of a JPEG file lead to the one that ends it. What follows that does not matter, nor do the
/// pictures inside of comments.
fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, behind)) = next_marker(rest) {
        if marker == END {
            return true;
        }
        let Some(next) = skip(marker, behind) else { return false };
        rest = next;
    }
    false
}

/// What follows a marker and what belongs to it; none where that is not all there.
fn skip(marker: u8, behind: &[u8]) -> Option<&[u8]> {
    match (marker, behind) {
        // Start and end of image, restarts, and one of a single byte: nothing belongs to them.
        (0x01 | 0xd0..=0xd9, _) => Some(behind),
        // The length of what belongs to the marker counts itself.
        (_, [high, low, ..]) => behind.get(usize::from(u16::from_be_bytes([*high, *low])).max(2)..),
        _ => None,
    }
}

/// The next marker, wherever it comes in what was coded, and what follows it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        let start = rest.iter().position(|byte| *byte == MARKER)?;
        rest = &rest[start + 1..];
        match rest.first()? {
            // A byte of data, and a byte that fills.
            0 | &MARKER => {}
            &marker => return Some((marker, &rest[1..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comment with another end marker in it, data with a stuffed byte, a restart, and the end.
    const WHOLE: [u8; 22] =
        [0xff, 0xd8, 0xff, 0xfe, 0, 6, 0xff, 0xd9, 1, 2, 0xff, 0xda, 0, 2, 7, 0xff, 0, 9, 0xff, 0xd0, 0xff, 0xd9];

    #[test]
    fn only_the_end_marker_of_the_image_itself_ends_it() {
        assert!(is_whole(&WHOLE));
        for length in 0..WHOLE.len() {
            assert!(!is_whole(&WHOLE[..length]), "{length} bytes");
        }
        let followed: Vec<u8> = WHOLE.into_iter().chain([1, 2, 3]).collect();
        assert!(is_whole(&followed));
    }
}
