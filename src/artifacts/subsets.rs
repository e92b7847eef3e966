//! How subsets lie on disk.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tensor_file::{self, Tensor};
use super::{Damage, Subsets};
use crate::engine::stage::{Artifact, ArtifactError};
use crate::spec::Appearance;

const FILE: &str = "subsets.safetensors";

/// What the header says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    images: usize,
    pixels: usize,
    #[serde(default, skip_serializing_if = "Appearance::is_default")]
    appearance: Appearance,
}

impl Artifact for Subsets {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let facts = Facts { images: self.len(), pixels: self.pixels(), appearance: self.appearance() };
        let bits = Tensor::new(&[facts.images, facts.pixels.div_ceil(8)], self.bits());
        tensor_file::write(&dir.join(FILE), &facts, [("kept", bits)])
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        tensor_file::read(&dir.join(FILE), |file| {
            let Facts { images, pixels, appearance } = file.facts()?;
            let bits = file.tensor("kept", &[images, pixels.div_ceil(8)])?;
            let subsets = Self::from_bits(pixels, bits).ok_or_else(|| Damage::value("its images have no pixels"))?;
            Ok(subsets.shown_as(appearance))
        })
    }
}
