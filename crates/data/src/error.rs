//! What can be wrong with a data set.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use overinterp_foreign::bounded::{self, BoundedError};
use overinterp_foreign::sniff::{Foreign, LOOKED_AT};
use overinterp_spec::{DataKind, Split};

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// None of the places holds it.
    #[error("cannot find {what}: looked in {}; {remedy}", joined(looked))]
    Missing {
        /// The data set.
        what: String,
        /// Every place that was searched.
        looked: Vec<PathBuf>,
        /// The command that gets it.
        remedy: String,
    },
    /// The source does not say where its folder is, and there is no usual place.
    #[error("data `{name}` of kind `{kind}` needs a `root` that holds train/CLASS/* and test/CLASS/*")]
    NoRoot {
        /// The source's name.
        name: String,
        /// The kind that the experiment gives it: `folder` or `image-folder`.
        kind: &'static str,
    },
    /// The source does not say which images of CIFAR-10-C it means.
    #[error("data `{name}` of kind `cifar10-c` needs a `corruption` and a `severity`, or a `sample`")]
    WhichImages {
        /// The source's name.
        name: String,
    },
    /// Some, but not all of its files are there.
    #[error("{folder} lacks {}; {remedy}", joined(missing))]
    Incomplete {
        /// Where the others are.
        folder: PathBuf,
        /// What is not there.
        missing: Vec<PathBuf>,
        /// The command that gets it.
        remedy: String,
    },
    /// A file, a device or the like lies where a folder should be.
    #[error("{path} is {what}, where {expected} should be")]
    NotAFolder {
        /// What lies where the folder should be.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What should be there.
        expected: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is truncated, corrupted or something else altogether.
    #[error("{path} is damaged or is not what it should be: {problem}")]
    Malformed {
        /// The file, in an archive `ARCHIVE:MEMBER`.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
    /// A packed file would become far larger than images do.
    #[error(
        "{path} would unpack to {announced} bytes or more, but its {packed} bytes may unpack to {most} at most (100 times \
         as many, and 64 MiB at any rate): if it is what it should be, unpack it first"
    )]
    Unpacks {
        /// The packed file: one of the data set, or its archive.
        path: PathBuf,
        /// Bytes that it announces, or that were found.
        announced: u64,
        /// Bytes that it may unpack to.
        most: u64,
        /// Bytes that it has.
        packed: u64,
    },
    /// A label names no class.
    #[error("{path} is damaged or is not what it should be: image {image} has label {label}, expected 0 to {}", classes - 1)]
    LabelOutOfRange {
        /// The file, in an archive `ARCHIVE:MEMBER`.
        path: PathBuf,
        /// Counted from 0 in this file.
        image: usize,
        /// What the file says.
        label: i128,
        /// How many classes there are.
        classes: usize,
    },
    /// There are more classes than labels have values.
    #[error("{path} has over 65,536 folders, each of which is a class; that many is the limit")]
    Classes {
        /// The folder of classes.
        path: PathBuf,
    },
    /// More images are asked for than there are, or none.
    #[error(
        "data `{name}` asks for the first {limit} {split} images, but it has {available}; give a limit from 1 to that"
    )]
    Limit {
        /// The source's name.
        name: String,
        /// The half of which too many images are asked for, or none.
        split: Split,
        /// What the experiment says.
        limit: usize,
        /// What the files hold.
        available: usize,
    },
    /// The files are those of another published data set.
    #[error(
        "data `{name}` is of kind `{}`, but its {split} images are those of {title}: write `kind = \"{}\"`, or give the \
         `root` of the other files", kind.name(), found.name()
    )]
    OtherKind {
        /// The source's name.
        name: String,
        /// The half whose files have the checksums of another data set.
        split: Split,
        /// What the experiment says that it is.
        kind: DataKind,
        /// What it is.
        found: DataKind,
        /// That one's name as its authors write it.
        title: &'static str,
    },
    /// The data set has no such half.
    #[error("data `{name}` has no {split} images")]
    NoHalf {
        /// The source's name.
        name: String,
        /// The half that was asked for.
        split: Split,
    },
    /// More images are drawn than there are, or none.
    #[error("data `{name}` asks for a sample of {count} images, but there are {available}; draw from 1 to that")]
    Sample {
        /// The source's name.
        name: String,
        /// What the experiment says.
        count: usize,
        /// What the files hold.
        available: usize,
    },
    /// The files are not those that the plan was made for.
    #[error("the {split} images of data `{name}` changed while they were in use; run again")]
    Changed {
        /// The source's name.
        name: String,
        /// The half whose images are no longer those of the plan.
        split: Split,
    },
}

impl DataError {
    /// Whether the data are simply not there, so that getting them is all that is needed.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NoRoot { .. } | Self::Incomplete { .. })
    }

    /// Whether the experiment asks for what sound data do not have.
    #[must_use]
    pub const fn is_mistake(&self) -> bool {
        matches!(
            self,
            Self::Limit { .. }
                | Self::Sample { .. }
                | Self::NoHalf { .. }
                | Self::OtherKind { .. }
                | Self::Classes { .. }
        )
    }

    /// Whether the data are there and not what they should be.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::LabelOutOfRange { .. })
    }

    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// As [`DataError::reading`], of what was to be opened.
    pub(super) fn refused(path: &Path) -> impl FnOnce(BoundedError) -> Self {
        let reading = Self::reading(path);
        move |error| reading(error.into())
    }

    /// The same, or that the damaged file is no such file at all but what downloads leave in its place.
    pub(super) fn recognised(self) -> Self {
        let Self::Malformed { path, .. } = &self else { return self };
        let start = bounded::start(path, LOOKED_AT as u64).ok();
        match start.and_then(|start| Foreign::in_place(&start)) {
            Some(foreign) => Self::malformed(path, foreign.to_string()),
            None => self,
        }
    }

    pub(super) fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), problem: problem.into() }
    }
}

fn joined(paths: &[PathBuf]) -> String {
    let mut text = String::new();
    for (index, path) in paths.iter().enumerate() {
        let _ = write!(text, "{}{}", if index == 0 { "" } else { ", " }, path.display());
    }
    text
}
