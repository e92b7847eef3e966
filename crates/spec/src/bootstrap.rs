//! How the interval of a mean is found.

use serde::{Deserialize, Serialize};

use super::Seed;

/// The percentile bootstrap: means of so many samples of the same size, drawn with replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bootstrap {
    /// How many samples are drawn; with none there is no interval.
    pub resamples: usize,
    /// Where the draws start.
    pub seed: Seed,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, seed: Seed(0) }
    }
}
