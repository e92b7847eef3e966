//! Training: a network learns from images, on a CPU by a tape, on a GPU through candle.

pub(crate) mod checkpoint;
pub(crate) mod dropout;
pub mod fit;
mod gpu_learner;
pub(crate) mod learner;
#[cfg(test)]
pub(crate) mod learner_tests;
pub(crate) mod optimiser;
mod tape_learner;
