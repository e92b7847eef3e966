//! Sufficient input subsets of images, one each or all disjoint ones.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::effort::{self, Effort};
use super::{Damage, json_file};
use overinterp_workflow::stage::{Artifact, ArtifactError};

/// The sufficient input subset of each of successive images of one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SisSet {
    /// The number, within its split, of the first image.
    pub first: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// The confidence that a subset must reach.
    pub threshold: f64,
    /// One entry an image.
    pub images: Vec<ImageSis>,
}

/// The sufficient input subset of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageSis {
    /// The class that the model predicts on the full image.
    pub class: u16,
    /// f(x): its softmax probability there.
    pub full: f32,
    /// f of the subset alone; `None` where there is no subset.
    pub alone: Option<f32>,
    /// The subset's pixels, the one masked last first. `None` where f(x) is below the threshold; empty where even
    /// the fully masked image reaches it.
    pub subset: Option<Vec<u32>>,
}

/// All disjoint sufficient input subsets of each of successive images of one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Collections {
    /// The number, within its split, of the first image.
    pub first: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// The confidence that every subset reaches.
    pub threshold: f64,
    /// One entry an image.
    pub images: Vec<ImageCollection>,
    /// What it took to find each, if that is known.
    #[serde(skip)]
    pub efforts: Vec<Effort>,
}

/// All disjoint sufficient input subsets of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageCollection {
    /// The class that the model predicts on the full image.
    pub class: u16,
    /// In the order in which they were found.
    pub members: Vec<CollectionMember>,
    /// Why there is no further one.
    pub ending: CollectionEnding,
}

/// A subset of a collection, with the backward selection that it was found in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CollectionMember {
    /// Its pixels, the one masked last first.
    pub subset: Vec<u32>,
    /// f of all that earlier members had left over.
    pub full: f32,
    /// Those pixels, the one masked first in front.
    pub order: Vec<u32>,
    /// f after each of them was masked.
    pub values: Vec<f32>,
}

/// Why a collection is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CollectionEnding {
    /// f of what is left is below the threshold.
    BelowThreshold,
    /// f reaches the threshold with everything masked, so that the next subset would be empty.
    EmptySubset,
}

impl SisSet {
    /// The file that a result of this kind has, and no other.
    pub const FILE: &str = "sis.json";
}

impl Artifact for SisSet {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        json_file::write_compact(&dir.join(Self::FILE), self)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        json_file::read(&dir.join(Self::FILE), |set: &Self| {
            set.images.iter().flat_map(|image| &image.subset).try_for_each(|subset| within(subset, set.pixels))
        })
    }
}

impl Collections {
    /// The file that a result of this kind has, and no other.
    pub const FILE: &str = "collections.json";
}

impl Artifact for Collections {
    const NOTES: &'static [&'static str] = &[effort::EFFORT];

    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        json_file::write_compact(&dir.join(Self::FILE), self)?;
        effort::write(dir, &self.efforts)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        let mut collections = json_file::read(&dir.join(Self::FILE), |collections: &Self| {
            for member in collections.images.iter().flat_map(|image| &image.members) {
                within(&member.subset, collections.pixels)?;
                within(&member.order, collections.pixels)?;
                if member.order.len() != member.values.len() {
                    return Err(Damage::value("a member has not one value a pixel"));
                }
            }
            Ok(())
        })?;
        collections.efforts = effort::read(dir, collections.images.len())?;
        Ok(collections)
    }
}

fn within(subset: &[u32], pixels: usize) -> Result<(), Damage> {
    match subset.iter().find(|&&pixel| pixel as usize >= pixels) {
        None => Ok(()),
        Some(pixel) => Err(Damage::value(format_args!("it names pixel {pixel} of images of {pixels} pixels"))),
    }
}
