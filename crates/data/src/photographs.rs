//! Folders of photographs of any size, decoded when they are asked for: `train/CLASS/*`, and `val/CLASS/*` or
//! `test/CLASS/*`.
//!
//! What a file holds says [`super::picture`], of which grey is tripled; classes and order are those of
//! [`super::listing`].

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use overinterp_artifacts::{ImageSet, Pixels, ReadImages, UnreadableImage};
use overinterp_spec::{ImageShape, Normalise, Photographs, Split, Unreadable};

use super::DataError;
use super::content::ContentHash;
use super::listing::{self, Listing};
use super::picture::{self, MostBytes};
use super::resample::resize_and_crop;

/// Files that are read together when all are read once.
const TOGETHER: usize = 1024;
/// Mean of ImageNet's red, green and blue, of 1 (`docs/method.md`, section 7).
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// Standard deviations of the same channels, of 1.
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

/// The files of both splits, as far as they are there.
#[derive(Clone, Debug)]
pub(super) struct Splits {
    /// What all paths begin with.
    pub root: PathBuf,
    /// What is made of each photograph.
    pub how: Photographs,
    train: Option<Listing>,
    test: Option<Listing>,
}

/// What reading every file of a split found.
pub(super) struct Survey {
    pub hash: ContentHash,
    /// The places, in the listing, of files that do not decode and are left out.
    pub skipped: Vec<usize>,
}

impl Splits {
    /// Finds the files in the folders of the splits. Classes are those of the training images, where there are any.
    pub(super) fn list(
        root: &Path,
        train: Option<&Path>,
        test: Option<&Path>,
        how: Photographs,
    ) -> Result<Self, DataError> {
        // Without training images there may be classes that a network knows and no image is of.
        let list_test = |folder: &Path| listing::list(folder, train.unwrap_or(folder));
        let (train, test) = (train.map(listing::list_train).transpose()?, test.map(list_test).transpose()?);
        Ok(Self { root: root.to_owned(), how, train, test })
    }

    /// The files of a split, if it is there.
    pub(super) const fn of(&self, split: Split) -> Option<&Listing> {
        match split {
            Split::Train => self.train.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }
}

/// Reads every file once for the hash of the split: of the sizes that photographs are brought to, the classes, and
/// each file's label and bytes, in order. Where those that do not decode are left out, each is decoded, too.
///
/// Few files are in memory at a time.
pub(super) fn survey(listing: &Listing, how: Photographs) -> Result<Survey, DataError> {
    let mut hasher = blake3::Hasher::new_derive_key("overinterp photographs v1");
    for number in [how.resize, how.crop, listing.classes.len()] {
        hasher.update(&(number as u64).to_le_bytes());
    }
    for class in &listing.classes {
        hasher.update(&(class.len() as u64).to_le_bytes()).update(class.as_bytes());
    }
    let mut skipped = Vec::new();
    for (group, files) in listing.files.chunks(TOGETHER).enumerate() {
        let hashes: Vec<Option<blake3::Hash>> = files
            .par_iter()
            .with_max_len(8)
            .map(|(_, path)| {
                let bytes = match (picture::read(path, MostBytes::PHOTOGRAPH), how.unreadable) {
                    (Err(DataError::Malformed { .. }), Unreadable::Skip) => return Ok(None),
                    (bytes, _) => bytes?,
                };
                let readable = how.unreadable == Unreadable::Refuse
                    || picture::decode(path, &bytes, MostBytes::PHOTOGRAPH).is_ok();
                Ok(readable.then(|| hash(&bytes)))
            })
            .collect::<Result<_, DataError>>()?;
        for (place, ((label, _), hash)) in files.iter().zip(hashes).enumerate() {
            match hash {
                Some(hash) => {
                    hasher.update(&u64::from(*label).to_le_bytes()).update(hash.as_bytes());
                }
                None => skipped.push(group * TOGETHER + place),
            }
        }
    }
    if let (true, Some((_, first))) = (skipped.len() == listing.len(), listing.files.first()) {
        return Err(DataError::malformed(first, "neither it nor any other file of its split decodes"));
    }
    Ok(Survey { hash: ContentHash::from(hasher.finalize()), skipped })
}

/// How photographs become a network's input.
pub(super) fn normalise() -> Normalise {
    Normalise::of_unit_range(&MEAN, &DEVIATION)
}

/// The hash of a file; another one where it was read as other pixels before, so that no result of those is taken.
fn hash(bytes: &[u8]) -> blake3::Hash {
    match picture::version(bytes) {
        1 => blake3::hash(bytes),
        version => {
            let mut hasher = blake3::Hasher::new_derive_key(&format!("overinterp photograph v{version}"));
            hasher.update(bytes).finalize()
        }
    }
}

/// The images of a split that was surveyed; none is read yet.
pub(super) fn open(listing: &Listing, how: Photographs, hash: ContentHash, skipped: &[usize]) -> ImageSet {
    let kept = |place: &usize| skipped.binary_search(place).is_err();
    let files = (0..listing.len()).filter(kept).map(|place| &listing.files[place]);
    let (labels, paths) = files.map(|(label, path)| (*label, path.clone())).unzip();
    ImageSet {
        shape: ImageShape { height: how.crop, width: how.crop, channels: 3 },
        classes: listing.classes.clone(),
        normalise: normalise(),
        pixels: Pixels::Read(Arc::new(Files { paths, how, hash })),
        labels,
    }
}

/// The files of a split's images.
#[derive(Debug)]
struct Files {
    paths: Vec<PathBuf>,
    how: Photographs,
    hash: ContentHash,
}

impl ReadImages for Files {
    fn read(&self, index: usize) -> Result<Vec<u8>, UnreadableImage> {
        let path = &self.paths[index];
        let image = picture::open(path, MostBytes::PHOTOGRAPH).map_err(|error| {
            let why = error.source().map_or_else(String::new, |source| format!(": {source}"));
            UnreadableImage(match error {
                DataError::Malformed { .. } => {
                    format!("{error}; mend it, or leave such files out with `skip-unreadable = true`")
                }
                error => format!("{error}{why}"),
            })
        })?;
        let image = image.into_colour();
        let (width, height) = image.dimensions();
        Ok(resize_and_crop(image.as_raw(), [height as usize, width as usize], self.how))
    }

    fn identity(&self) -> &[u8] {
        self.hash.as_bytes()
    }
}
