//! Why a file's bytes are no picture.

use image::ImageError;

/// Why a picture cannot be had; the file is named by who read it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    /// The content is of no format that is read.
    #[error("it is {found}, expected PNG, JPEG, GIF, BMP or WebP; convert it")]
    Format {
        /// What it is instead.
        found: String,
    },
    /// The file stands for one that lies elsewhere.
    #[error("it is a Git LFS pointer and not the picture itself; get that with `git lfs pull`")]
    LfsPointer,
    /// The end is missing.
    #[error("it is truncated: {missing}")]
    Truncated {
        /// What is not there.
        missing: &'static str,
    },
    /// A kind of JPEG that cannot be decoded.
    #[error("it is a JPEG file {kind}, which is not supported; convert it to a baseline or progressive one of 8 bits")]
    Jpeg {
        /// What is particular about it.
        kind: String,
    },
    /// Decoding it would take too much memory.
    #[error(
        "its {width}x{height} (width x height) pixels take {} MiB to decode, and the limit is {} MiB; scale it down",
        bytes.div_ceil(1 << 20), limit >> 20
    )]
    Large {
        /// Pixels of a row.
        width: u64,
        /// Pixels of a column.
        height: u64,
        /// What decoding takes.
        bytes: u64,
        /// What it may take.
        limit: u64,
    },
    /// What a decoder says.
    #[error("it does not decode ({0})")]
    Image(#[from] ImageError),
    /// What the decoder of GIF says.
    #[error("it does not decode ({0})")]
    Gif(#[from] gif::DecodingError),
    /// Something in it cannot be.
    #[error("it does not decode ({0})")]
    Unsound(&'static str),
    /// A part that has to be there is not.
    #[error("it does not decode (there is no {0} in it)")]
    Lacks(&'static str),
}
