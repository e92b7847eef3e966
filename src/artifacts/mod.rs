//! What stages hand on, and how it lies on disk. Plain data: nothing here computes.

mod images;
mod model;

pub use images::{ImageSet, Subsets};
pub use model::{EpochLog, Model, ParameterTensor};
