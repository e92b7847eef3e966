//! What stages hand on, and how it lies on disk. Plain data: nothing here computes.

mod model;

pub use model::{EpochLog, Model, ParameterTensor};
