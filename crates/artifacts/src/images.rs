//! Images, in memory or in their files.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use overinterp_spec::{ImageShape, Normalise};

/// One split of a data set. It comes from a data set's own files and is never stored again.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSet {
    /// Height, width and channels of each.
    pub shape: ImageShape,
    /// The classes' names, by label.
    pub classes: Vec<String>,
    /// How bytes become a network's input.
    pub normalise: Normalise,
    /// The images' bytes.
    pub pixels: Pixels,
    /// One label an image.
    pub labels: Vec<u16>,
}

impl ImageSet {
    /// The number of images.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of one image, `[height, width, channels]`.
    ///
    /// # Errors
    /// When it is still in its file and cannot be read from there.
    pub fn image(&self, index: usize) -> Result<Cow<'_, [u8]>, UnreadableImage> {
        let bytes = self.shape.bytes();
        match &self.pixels {
            Pixels::Held(pixels) => Ok(Cow::Borrowed(&pixels[index * bytes..(index + 1) * bytes])),
            Pixels::Read(files) => files.read(index).map(Cow::Owned),
        }
    }
}

/// The bytes of all images of a split.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// In memory, `[image, height, width, channels]`.
    Held(Vec<u8>),
    /// In files, which are decoded whenever an image is asked for.
    Read(Arc<dyn ReadImages>),
}

/// Images that are decoded one at a time.
pub trait ReadImages: Debug + Send + Sync {
    /// Decodes an image to `[height, width, channels]`.
    ///
    /// # Errors
    /// When its file is damaged or has gone.
    fn read(&self, index: usize) -> Result<Vec<u8>, UnreadableImage>;

    /// What tells these images from all others, such as a hash.
    fn identity(&self) -> &[u8];
}

/// An image, or its subset, that cannot be read, with its file and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableImage(pub String);

impl Pixels {
    /// What tells these images from all others of their number and shape: their bytes, where those are in memory.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        match self {
            Self::Held(pixels) => pixels,
            Self::Read(files) => files.identity(),
        }
    }

    /// Leaves out what lies behind the first `bytes` bytes in memory.
    pub fn truncate(&mut self, bytes: usize) {
        if let Self::Held(pixels) = self {
            pixels.truncate(bytes);
            pixels.shrink_to_fit();
        }
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(pixels: Vec<u8>) -> Self {
        Self::Held(pixels)
    }
}

impl FromIterator<u8> for Pixels {
    fn from_iter<I: IntoIterator<Item = u8>>(pixels: I) -> Self {
        Self::Held(pixels.into_iter().collect())
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}
