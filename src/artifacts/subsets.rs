//! How subsets lie on disk.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tensor_file::{self, Tensor};
use super::{Damage, Subsets};
use crate::engine::stage::{Artifact, ArtifactError};

const FILE: &str = "subsets.safetensors";

/// What the header says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    images: usize,
    pixels: usize,
}

impl Artifact for Subsets {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let facts = Facts { images: self.len(), pixels: self.pixels() };
        let bits = Tensor::new(&[facts.images, facts.pixels.div_ceil(8)], self.bits());
        tensor_file::write(&dir.join(FILE), &facts, [("kept", bits)])
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        tensor_file::read(&dir.join(FILE), |file| {
            let Facts { images, pixels } = file.facts()?;
            let bits = file.tensor("kept", &[images, pixels.div_ceil(8)])?;
            Self::from_bits(pixels, bits).ok_or_else(|| Damage::value("its images have no pixels"))
        })
    }
}
