//! Sufficient input subsets (Carter et al. 2019) over any scorer. Nothing here knows of images, networks or files.

mod scorer;

pub use scorer::{GradientScorer, Scorer};
