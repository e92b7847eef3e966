//! What networks are shown: images in batches, normalised, augmented, with pixels masked.

pub mod appearance;
pub(crate) mod augment;
pub mod batches;
pub mod kind;
pub(crate) mod masked;
pub(crate) mod views;
