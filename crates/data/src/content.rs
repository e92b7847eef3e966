//! The identity of a split: a hash of what was decoded, and whether that is the published data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use overinterp_artifacts::ImageSet;
use overinterp_spec::ImageShape;

/// The BLAKE3 hash of everything in a split that a result depends on: pixels, labels, shape, class names and
/// normalisation. Paths and compression are not in it.
///
/// Hashed, in the key-derivation mode of context `overinterp images v1`: height, width, channels and the number of
/// classes (u64, little-endian like all that follow); means, then deviations (f64); each class name after its length
/// (u64); the number of images (u64); the labels (u16); the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash(blake3::Hash);

impl ContentHash {
    /// The hash of that split.
    #[must_use]
    pub fn of(images: &ImageSet) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("overinterp images v1");
        let mut number = |value: u64| {
            hasher.update(&value.to_le_bytes());
        };
        for extent in [images.shape.height, images.shape.width, images.shape.channels, images.classes.len()] {
            number(extent as u64);
        }
        for value in images.normalise.mean.iter().chain(&images.normalise.std) {
            number(value.to_bits());
        }
        for class in &images.classes {
            hasher.update(&(class.len() as u64).to_le_bytes()).update(class.as_bytes());
        }
        hasher.update(&(images.len() as u64).to_le_bytes());
        for label in &images.labels {
            hasher.update(&label.to_le_bytes());
        }
        hasher.update(images.pixels.identity());
        Self(hasher.finalize())
    }

    /// The hash as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl From<blake3::Hash> for ContentHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl FromStr for ContentHash {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(Self)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a split's files are the published ones, by their checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provenance {
    /// Byte for byte what the authors published.
    Official,
    /// In the published layout and number; the published checksum is that of an archive that is not read as a whole.
    Unchecked,
    /// The first images of Fashion-MNIST that come with this program.
    Excerpt,
    /// Something else in the same layout.
    Unofficial,
    /// Images of a folder, of which nothing is published.
    Own,
}

overinterp_spec::named! {
    pairs
    /// Every provenance with its name in files.
    Provenance {
        Official = "official",
        Unchecked = "unchecked",
        Excerpt = "excerpt",
        Unofficial = "unofficial",
        Own = "own",
    }
}

impl Provenance {
    /// The provenance of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, provenance)| provenance)
    }

    /// A phrase for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Official => "the published files",
            Self::Unchecked => "as many as published, not compared with a published checksum",
            Self::Excerpt => "the excerpt that comes with overinterp",
            Self::Unofficial => "not the published files",
            Self::Own => "own images",
        }
    }
}

/// What a split is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The hash of the decoded images.
    pub hash: ContentHash,
    /// Whether they are the published ones.
    pub provenance: Provenance,
    /// How many images there are, after the limit and without those left out.
    pub images: usize,
    /// The size of each.
    pub shape: ImageShape,
    /// How many were left out because they do not decode.
    pub skipped: usize,
    /// How many files in its folders were passed over, because their names do not end as those of images do.
    pub passed: usize,
}
