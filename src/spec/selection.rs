//! How the pixels of an image are ranked.

use serde::{Deserialize, Serialize};

/// A method that orders an image's pixels from the first masked (least needed) to the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Selection {
    /// Exact backward selection: d(d+1)/2 forward passes for d pixels (Carter et al. 2019, `BackSelect`).
    Backward,
    /// Batched gradient backward selection (Carter et al. 2021, section 3.1).
    #[serde(rename_all = "kebab-case")]
    BatchedGradient {
        /// Pixels masked in each round.
        per_round: usize,
        /// Variance of Gaussian noise added to the mask's gradient; 0 for none.
        noise: f64,
    },
    /// A rival: by the magnitude of f's gradient at the full image, the Euclidean norm over a pixel's channels (Simonyan
    /// et al. 2014).
    #[serde(rename_all = "kebab-case")]
    Gradient {
        /// Pixels masked between two values of f that are recorded along the order.
        per_step: usize,
    },
    /// A rival: by integrated gradients from the fully masked image, summed over a pixel's channels (Sundararajan et
    /// al. 2017).
    #[serde(rename_all = "kebab-case")]
    IntegratedGradients {
        /// Points at which the gradient is taken.
        steps: usize,
        /// Pixels masked between two values of f that are recorded along the order.
        per_step: usize,
    },
    /// Uniformly random orders, by the authors' numpy stream; needs no model.
    Random {
        /// Seeds of the two streams.
        seeds: RandomSeeds,
    },
}

/// Seeds of the random orders, one stream a split (the authors': 1234 and 5678).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSeeds {
    /// For training images.
    pub train: u32,
    /// For test images.
    pub test: u32,
}
