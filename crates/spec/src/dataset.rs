//! Which images an experiment names.

use crate::named;
use std::path::PathBuf;

use super::{Cell, Corrupted, ImageShape, Split};

/// A kind of data set, which decides how its files are read and how its pixels are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataKind {
    /// 60,000 colour images of 32x32 in 10 classes, in the official layouts: binary, or pickled for Python.
    Cifar10,
    /// The same in 100 (fine) classes.
    Cifar100,
    /// CIFAR-10's test images corrupted in 19 ways at five severities, 950,000 in all, one numpy file a way.
    Cifar10C,
    /// 70,000 grey images of 28x28 in 10 classes, IDX.
    FashionMnist,
    /// The same, of digits.
    Mnist,
    /// Image files, `train/CLASS/*` and `test/CLASS/*`, all of one size.
    Folder,
    /// The same, photographs of any size, too many for memory.
    ImageFolder(Photographs),
}

/// How photographs of any size become images of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Photographs {
    /// What the shorter side is made, in pixels.
    pub resize: usize,
    /// Side of the square that is cut from the centre, at most `resize`.
    pub crop: usize,
    /// What becomes of a file that does not decode.
    pub unreadable: Unreadable,
}

/// What becomes of a file that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unreadable {
    /// It is an error.
    Refuse,
    /// It is left out, and counted.
    Skip,
}

impl Photographs {
    /// The usual preparation of ImageNet.
    pub const IMAGENET: Self = Self { resize: 256, crop: 224, unreadable: Unreadable::Refuse };
}

named! {
    pairs
    /// Every kind with its name in TOML.
    DataKind {
        Cifar10 = "cifar10",
        Cifar100 = "cifar100",
        Cifar10C = "cifar10-c",
        FashionMnist = "fashion-mnist",
        Mnist = "mnist",
        Folder = "folder",
        ImageFolder(Photographs::IMAGENET) = "image-folder",
    }
}

impl DataKind {
    /// The shape of every image; none where only the files tell.
    #[must_use]
    pub const fn image_shape(self) -> Option<ImageShape> {
        match self {
            Self::Cifar10 | Self::Cifar100 | Self::Cifar10C => Some(ImageShape { height: 32, width: 32, channels: 3 }),
            Self::FashionMnist | Self::Mnist => Some(ImageShape { height: 28, width: 28, channels: 1 }),
            Self::ImageFolder(Photographs { crop, .. }) => Some(ImageShape { height: crop, width: crop, channels: 3 }),
            Self::Folder => None,
        }
    }

    /// Whether somebody published the data set.
    #[must_use]
    pub const fn is_published(self) -> bool {
        match self {
            Self::Cifar10 | Self::Cifar100 | Self::Cifar10C | Self::FashionMnist | Self::Mnist => true,
            Self::Folder | Self::ImageFolder(_) => false,
        }
    }

    /// Whether it has that half: a set of corrupted images has none to train on.
    #[must_use]
    pub const fn has(self, split: Split) -> bool {
        !matches!((self, split), (Self::Cifar10C, Split::Train))
    }

    /// Images of a split as published; none where nothing is. Of CIFAR-10-C, those of one corruption and severity.
    #[must_use]
    pub const fn published_images(self, split: Split) -> Option<usize> {
        match (self, split) {
            (Self::Cifar10 | Self::Cifar100, Split::Train) => Some(50_000),
            (Self::FashionMnist | Self::Mnist, Split::Train) => Some(60_000),
            (Self::Cifar10 | Self::Cifar100 | Self::Cifar10C | Self::FashionMnist | Self::Mnist, Split::Test) => {
                Some(10_000)
            }
            (Self::Cifar10C, Split::Train) | (Self::Folder | Self::ImageFolder(_), _) => None,
        }
    }
}

/// A `[data.NAME]` table, at one value of each axis that it mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// Its name in the file.
    pub name: String,
    /// The axes that it mentions, with their values.
    pub cell: Cell,
    /// What it is.
    pub kind: DataKind,
    /// Where it lies, resolved against the experiment file's folder; without it, the usual places are searched.
    pub root: Option<PathBuf>,
    /// How many of the first images of each split are used.
    pub limit: Limit,
    /// Which images of CIFAR-10-C; some for that kind alone.
    pub corrupted: Option<Corrupted>,
}

impl DataSource {
    /// Images of a split as published and after the limit; none where nothing is published.
    #[must_use]
    pub fn published_images(&self, split: Split) -> Option<usize> {
        let published = match self.corrupted {
            Some(Corrupted::Sample { count, .. }) => Some(count),
            _ => self.kind.published_images(split),
        }?;
        Some(self.limit.of(split).map_or(published, |limit| limit.min(published)))
    }
}

/// How many of the first images of each split are used; `None` is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Of the training images.
    pub train: Option<usize>,
    /// Of the test images.
    pub test: Option<usize>,
}

impl Limit {
    /// The limit of that split.
    #[must_use]
    pub const fn of(self, split: Split) -> Option<usize> {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }
}
