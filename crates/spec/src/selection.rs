//! How the pixels of an image are ranked.

use serde::{Deserialize, Serialize};

use super::Split;

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
    /// For training images; none in what is known of test images alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<u32>,
    /// For test images; none in what is known of training images alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<u32>,
}

impl RandomSeeds {
    /// The seed of a split, if it is known.
    #[must_use]
    pub const fn of(self, split: Split) -> Option<u32> {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }
}

impl Selection {
    /// What of the method decides the orders of that split's images: of random ones, its own seed alone.
    #[must_use]
    pub fn of(&self, split: Split) -> Self {
        match self {
            Self::Random { seeds } => Self::Random {
                seeds: match split {
                    Split::Train => RandomSeeds { train: seeds.train, test: None },
                    Split::Test => RandomSeeds { train: None, test: seeds.test },
                },
            },
            method => method.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_orders_of_a_split_are_known_by_its_own_seed_alone() {
        let of = |train, test, split| {
            let seeds = RandomSeeds { train: Some(train), test: Some(test) };
            serde_json::to_string(&Selection::Random { seeds }.of(split)).unwrap()
        };
        assert_eq!(of(1, 2, Split::Test), r#"{"kind":"random","seeds":{"test":2}}"#);
        assert_eq!(of(1, 2, Split::Test), of(3, 2, Split::Test));
        assert_eq!(of(1, 2, Split::Train), of(1, 4, Split::Train));
        assert_ne!(of(1, 2, Split::Train), of(3, 2, Split::Train));
    }
}
