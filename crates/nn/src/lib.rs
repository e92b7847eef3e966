//! Networks: architectures, training, evaluation, and the scorer that backward selection asks.

pub mod agreement;
pub mod appearance;
pub mod arch;
pub mod augment;
pub mod batches;
pub mod checkpoint;
pub mod compile;
pub mod compiled_model;
mod cpu_inference;
pub mod device_group;
mod device_inference;
mod device_learner;
pub mod device_model;
pub mod device_scorer;
pub mod dropout;
pub mod evaluation;
pub mod exact;
pub mod finite;
pub mod fit;
mod folding;
#[cfg(test)]
mod formula;
pub mod fusion;
pub mod graph;
pub mod group_scorer;
#[cfg(test)]
mod group_tests;
pub mod inference;
pub mod init;
pub mod input_dropout;
mod learner;
#[cfg(test)]
mod learner_tests;
mod masked_images;
pub mod model_passes;
pub mod observer;
pub mod optimiser;
mod pool;
pub mod predict;
#[cfg(test)]
mod pytorch;
pub mod rates;
pub mod scorer;
mod tape_learner;
pub mod temperature;
mod tensor_layers;
pub mod tensors;
pub mod unanswered;
#[cfg(test)]
mod view_tests;
mod views;
mod walk;
