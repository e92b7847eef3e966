//! A data set whose files have been found.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use overinterp_artifacts::ImageSet;
use overinterp_foreign::file_state::FileState;
use overinterp_spec::{DataSource, Split};

use super::content::{Content, ContentHash, Provenance};
use super::index::Entry;
use super::listing::Listing;
use super::locate::{self, Files};
use super::official::{Official, published};
use super::{DataError, cifar, cifar10c, folder, idx, photographs};

/// Raised whenever the same files would be read as something else.
const READER_VERSION: u32 = 3;

/// A data set whose files are there; nothing of them has been read yet.
#[derive(Clone, Debug)]
pub struct Dataset {
    source: DataSource,
    files: Files,
}

/// A split in memory.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The images, at most as many as the source's limit.
    pub images: ImageSet,
    /// What they are known by.
    pub content: Content,
    /// The places, among the files, of those that do not decode and were left out.
    pub(super) skipped: Vec<usize>,
}

impl Dataset {
    /// Finds the files of a source, both splits.
    ///
    /// # Errors
    /// When they are not there: the error says where they were looked for and which command gets them.
    pub fn locate(source: &DataSource) -> Result<Self, DataError> {
        Ok(Self { source: source.clone(), files: locate::locate(source)? })
    }

    /// The files that a split is made of.
    #[must_use]
    pub fn files(&self, split: Split) -> Vec<PathBuf> {
        self.files.of(split)
    }

    /// Reads, checks and decodes a split.
    ///
    /// # Errors
    /// When a file cannot be read, is damaged, or holds fewer images than the source's limit.
    pub fn load(&self, split: Split) -> Result<Loaded, DataError> {
        self.load_given(split, || self.load(Split::Train).map(|train| Arc::new(train.images)))
    }

    /// As [`Dataset::load`], with another way to get the training images where the test images' normalisation is
    /// measured on them.
    pub(super) fn load_given(
        &self,
        split: Split,
        training: impl FnOnce() -> Result<Arc<ImageSet>, DataError>,
    ) -> Result<Loaded, DataError> {
        let (mut images, provenance) = match &self.files {
            Files::Cifar { official, layouts, at } => {
                let decoded = cifar::load(layouts, at, split, official.classes.len());
                let decoded = decoded.map_err(DataError::recognised)?;
                let classes = decoded.classes.unwrap_or_else(|| owned(official.classes));
                let (pixels, labels) = (decoded.pixels, decoded.labels);
                let images = ImageSet {
                    shape: cifar::SHAPE,
                    classes,
                    normalise: official.normalise(),
                    pixels: pixels.into(),
                    labels,
                };
                (images, self.provenance(official, split, &decoded.checksums)?)
            }
            Files::Cifar10C { .. } if !self.source.kind.has(split) => {
                return Err(DataError::NoHalf { name: self.source.name.clone(), split });
            }
            Files::Cifar10C { official, at, images } => {
                let decoded = cifar10c::load(&self.source.name, at, *images, official.classes.len());
                let decoded = decoded.map_err(DataError::recognised)?;
                let published = decoded.of_file == cifar10c::PUBLISHED;
                let (pixels, labels) = (decoded.pixels, decoded.labels);
                let classes = owned(official.classes);
                let (shape, pixels, normalise) = (cifar::SHAPE, pixels.into(), official.normalise());
                let images = ImageSet { shape, classes, normalise, pixels, labels };
                (images, if published { Provenance::Unchecked } else { Provenance::Unofficial })
            }
            Files::Idx { official, train, test } => {
                let files = if split == Split::Train { train } else { test };
                let decoded = idx::load(files, official.classes.len()).map_err(DataError::recognised)?;
                let (shape, pixels, labels) = (decoded.shape, decoded.pixels, decoded.labels);
                let classes = owned(official.classes);
                let images =
                    ImageSet { shape, classes, normalise: official.normalise(), pixels: pixels.into(), labels };
                (images, self.provenance(official, split, &decoded.checksums)?)
            }
            Files::Folder { train, test } => {
                let images = match split {
                    Split::Train => folder::load_train(&train.first(self.limit(split, train.len())?))?,
                    Split::Test => folder::load_test(&test.first(self.limit(split, test.len())?), &*training()?)?,
                };
                (images, Provenance::Own)
            }
            Files::Photographs(splits) => {
                let listing = self.photographs(splits, split)?;
                let photographs::Survey { hash, skipped } = photographs::survey(&listing, splits.how)?;
                let images = photographs::open(&listing, splits.how, hash, &skipped);
                let (provenance, skips) = (Provenance::Own, skipped.len());
                let passed = self.passed(split);
                let content =
                    Content { hash, provenance, images: images.len(), shape: images.shape, skipped: skips, passed };
                return Ok(Loaded { images, content, skipped });
            }
        };
        let limit = self.limit(split, images.len())?;
        images.labels.truncate(limit);
        images.pixels.truncate(limit * images.shape.bytes());
        let (hash, passed) = (ContentHash::of(&images), self.passed(split));
        let content = Content { hash, provenance, images: images.len(), shape: images.shape, skipped: 0, passed };
        Ok(Loaded { images, content, skipped: Vec::new() })
    }

    /// The images of a split whose content is known already, where they are read one at a time; `None` where they
    /// must be loaded.
    ///
    /// # Errors
    /// When the split is not there.
    pub(super) fn open(&self, split: Split, known: &Entry) -> Result<Option<ImageSet>, DataError> {
        let Files::Photographs(splits) = &self.files else { return Ok(None) };
        let listing = self.photographs(splits, split)?;
        Ok(Some(photographs::open(&listing, splits.how, known.content.hash, &known.skipped)))
    }

    /// Whether images are read one at a time.
    pub(super) const fn is_read_on_demand(&self) -> bool {
        matches!(self.files, Files::Photographs(_))
    }

    /// The file of each image of a split, without those at the places `skipped`; `None` where images share a file.
    ///
    /// # Errors
    /// When the split is not there.
    pub(super) fn image_files(&self, split: Split, skipped: &[usize]) -> Result<Option<Vec<PathBuf>>, DataError> {
        let listing = match &self.files {
            Files::Folder { train, test } => {
                let listing = if split == Split::Train { train } else { test };
                listing.first(self.limit(split, listing.len())?)
            }
            Files::Photographs(splits) => self.photographs(splits, split)?,
            Files::Cifar { .. } | Files::Cifar10C { .. } | Files::Idx { .. } => return Ok(None),
        };
        let files = listing.files.into_iter().enumerate();
        let kept = files.filter(|(place, _)| skipped.binary_search(place).is_err());
        Ok(Some(kept.map(|(_, (_, path))| path).collect()))
    }

    /// How many files in the folders of a split were passed over.
    pub(super) fn passed(&self, split: Split) -> usize {
        let listing = match &self.files {
            Files::Folder { train, test } => Some(if split == Split::Train { train } else { test }),
            Files::Photographs(splits) => splits.of(split),
            Files::Cifar { .. } | Files::Cifar10C { .. } | Files::Idx { .. } => None,
        };
        listing.map_or(0, |listing| listing.passed)
    }

    /// The files of a split of photographs that are used.
    fn photographs(&self, splits: &photographs::Splits, split: Split) -> Result<Listing, DataError> {
        let listing = splits.of(split).ok_or_else(|| locate::absent(&self.source, split))?;
        Ok(listing.first(self.limit(split, listing.len())?))
    }

    /// Where a split of a published kind comes from, by the checksums of its files.
    ///
    /// # Errors
    /// When they are the files of another kind.
    fn provenance(&self, official: &Official, split: Split, checksums: &[String]) -> Result<Provenance, DataError> {
        match published(split, checksums) {
            None => Ok(Provenance::Unofficial),
            Some((found, provenance)) if found.kind == official.kind => Ok(provenance),
            Some((found, _)) => {
                let (kind, found, title) = (official.kind, found.kind, found.title);
                Err(DataError::OtherKind { name: self.source.name.clone(), split, kind, found, title })
            }
        }
    }

    /// How many images of a split are used, of those that there are.
    fn limit(&self, split: Split, available: usize) -> Result<usize, DataError> {
        match self.source.limit.of(split) {
            None => Ok(available),
            Some(limit) if (1..=available).contains(&limit) => Ok(limit),
            Some(limit) => Err(DataError::Limit { name: self.source.name.clone(), split, limit, available }),
        }
    }

    /// What a split's content follows from, so that it need not be read again to be known: the program's own
    /// version of reading, the source's settings, and each file's path and [`FileState`].
    ///
    /// `None` when a file is so young that it could change again without a change of its time.
    ///
    /// # Errors
    /// When a file has gone.
    pub(super) fn fingerprint(&self, split: Split) -> Result<Option<blake3::Hash>, DataError> {
        let mut hasher = blake3::Hasher::new_derive_key("overinterp data files v2");
        let limits = Split::ALL.map(|split| self.source.limit.of(split));
        hasher.update(format!("{READER_VERSION} {} {split} {limits:?}\n", self.source.kind.name()).as_bytes());
        if let Some(images) = self.source.corrupted {
            hasher.update(format!("{images:?}\n").as_bytes());
        }
        if let Files::Photographs(splits) = &self.files {
            return self.fingerprint_photographs(splits, split, hasher);
        }
        if let Files::Folder { train, .. } = &self.files {
            hasher.update(format!("{:?}\n", train.classes).as_bytes());
        }
        for path in self.files(split) {
            let path = path.canonicalize().map_err(DataError::reading(&path))?;
            let Some(state) = settled(&path)? else { return Ok(None) };
            update(&mut hasher, &path, &state);
        }
        Ok(Some(hasher.finalize()))
    }

    /// The same of very many files: their folder is resolved once, and the settings and classes count.
    fn fingerprint_photographs(
        &self,
        splits: &photographs::Splits,
        split: Split,
        mut hasher: blake3::Hasher,
    ) -> Result<Option<blake3::Hash>, DataError> {
        let listing = self.photographs(splits, split)?;
        let root = splits.root.canonicalize().map_err(DataError::reading(&splits.root))?;
        hasher.update(format!("{:?} {} {:?}\n", splits.how, root.display(), listing.classes).as_bytes());
        let states: Vec<Option<FileState>> =
            listing.files.par_iter().map(|(_, path)| settled(path)).collect::<Result<_, _>>()?;
        for ((_, path), state) in listing.files.iter().zip(states) {
            let Some(state) = state else { return Ok(None) };
            update(&mut hasher, path.strip_prefix(&splits.root).unwrap_or(path), &state);
        }
        Ok(Some(hasher.finalize()))
    }
}

/// The state of a file; `None` when it is so young that it could change again without a change of its times.
fn settled(path: &Path) -> Result<Option<FileState>, DataError> {
    let state = FileState::of(&fs::metadata(path).map_err(DataError::reading(path))?);
    Ok(state.is_settled().then_some(state))
}

fn update(hasher: &mut blake3::Hasher, path: &Path, state: &FileState) {
    let path = path.as_os_str().as_encoded_bytes();
    hasher.update(&(path.len() as u64).to_le_bytes()).update(path).update(&state.to_bytes());
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
