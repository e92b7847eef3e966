//! Models on any device that candle serves: candidates of many images in lockstep, or many images side by side.

pub mod evaluation;
pub(crate) mod group_scorer;
pub(crate) mod inference;
pub(crate) mod model;
pub mod scorer;
pub(crate) mod tensor_layers;
