//! What planning learned of the files that an experiment names, written down, so that the same steps are planned again
//! where the files are absent or others have taken their place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use overinterp_data::{Content, Provenance};
use overinterp_spec::{DataSource, ImageShape, Normalise, Split};
use overinterp_stages::{DataSplit, FileKind, HashedFile, SelectionFiles};

/// Answers by question.
pub(crate) type Findings = BTreeMap<String, Finding>;

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Finding {
    /// Half of a data set.
    Split { content: String, provenance: Provenance, images: usize, shape: ImageShape, skipped: usize, passed: usize },
    /// A file's hash.
    File(String),
    /// How the network of a model file normalises images.
    Normalise(Option<Scale>),
    /// A file of all selections, and its hash.
    Packed(PathBuf, String),
    /// A file of each selection, and its hash.
    Single(Vec<(PathBuf, String)>),
    /// Why it cannot be used.
    Absent(String),
}

/// Means and deviations by their bits: as decimals they are not always read as they were, and keys go by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    mean: Vec<u64>,
    std: Vec<u64>,
}

impl From<&Normalise> for Scale {
    fn from(normalise: &Normalise) -> Self {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
        Self { mean: bits(&normalise.mean), std: bits(&normalise.std) }
    }
}

impl From<&Scale> for Normalise {
    fn from(scale: &Scale) -> Self {
        let values = |bits: &[u64]| bits.iter().map(|&bits| f64::from_bits(bits)).collect();
        Self { mean: values(&scale.mean), std: values(&scale.std) }
    }
}

impl Finding {
    pub fn of_content(content: &Content) -> Self {
        let Content { hash, provenance, images, shape, skipped, passed } = *content;
        Self::Split { content: hash.to_string(), provenance, images, shape, skipped, passed }
    }

    /// What the split is known by; `None` where this is no finding of one.
    pub fn content(&self) -> Option<Content> {
        let Self::Split { content, provenance, images, shape, skipped, passed } = self else { return None };
        let (provenance, images, shape, skipped, passed) = (*provenance, *images, *shape, *skipped, *passed);
        Some(Content { hash: content.parse().ok()?, provenance, images, shape, skipped, passed })
    }

    pub fn of_selections(files: &SelectionFiles) -> Self {
        match files {
            SelectionFiles::Packed(HashedFile { path, hash }) => Self::Packed(path.clone(), hash.clone()),
            SelectionFiles::Single(files) => {
                Self::Single(files.iter().map(|file| (file.path.clone(), file.hash.clone())).collect())
            }
        }
    }

    /// The files of selections; `None` where this is no finding of them.
    pub fn selections(&self) -> Option<SelectionFiles> {
        let file = |(path, hash): (&PathBuf, &String)| HashedFile { path: path.clone(), hash: hash.clone() };
        match self {
            Self::Packed(path, hash) => Some(SelectionFiles::Packed(file((path, hash)))),
            Self::Single(files) => {
                Some(SelectionFiles::Single(files.iter().map(|(path, hash)| file((path, hash))).collect()))
            }
            _ => None,
        }
    }
}

/// A data set, told from any other: experiments that are planned together may have different ones of one name.
fn set(source: &DataSource) -> String {
    let told = blake3::hash(format!("{source:?}").as_bytes()).to_hex();
    format!("{} ({})", source.name, &told[..8])
}

pub(crate) fn about_split(source: &DataSource, split: Split) -> String {
    format!("split {} of {}", split.name(), set(source))
}

pub(crate) fn about_file(kind: FileKind, path: &Path) -> String {
    format!("{kind} {}", path.display())
}

pub(crate) fn about_normalise(path: &Path) -> String {
    format!("normalise of {}", path.display())
}

pub(crate) fn about_selections(path: &Path, DataSplit { source, split, .. }: &DataSplit, count: usize) -> String {
    format!("selections {} of the first {count} of {} of {}", path.display(), split.name(), set(source))
}
