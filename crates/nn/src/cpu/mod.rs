//! Models on a CPU: compiled for the fused engine, an image a thread, or a group of them.

pub mod compile;
pub mod compiled_model;
pub mod group_scorer;
pub(crate) mod inference;
pub mod model_passes;
pub(crate) mod pool;
pub mod scorer;
