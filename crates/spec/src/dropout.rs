//! Pixels that a network never sees.

use serde::{Deserialize, Serialize};

use super::{Fraction, Seed};

/// Input dropout: each pixel, all its channels together, is kept with a probability and else 0, as the
/// authors' `ModelWithInputDropout` does.
///
/// What is kept is not rescaled. It holds in training, with one draw an image and step, and in evaluation, where the
/// logits are averaged over draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InputDropout {
    /// The probability of keeping a pixel.
    pub keep: Fraction,
    /// Draws that an evaluation averages the logits over, at least 1.
    pub samples: usize,
}

/// Input dropout of a model that is trained: what is drawn depends on a seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeededDropout {
    /// The probability of keeping a pixel.
    pub keep: Fraction,
    /// Draws that the logits are averaged over, at least 1.
    pub samples: usize,
    /// Where the draws start.
    pub seed: Seed,
}

impl SeededDropout {
    /// Whether there is a pixel that it can drop.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.keep.get() < 1.0
    }
}

impl InputDropout {
    /// Whether there is a pixel that it can drop.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.keep.get() < 1.0
    }

    /// The same, drawn from `seed`.
    #[must_use]
    pub const fn seeded(self, seed: Seed) -> SeededDropout {
        SeededDropout { keep: self.keep, samples: self.samples, seed }
    }
}
