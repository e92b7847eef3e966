//! Networks: architectures, training, evaluation, and the scorer that backward selection asks.

pub mod arch;
pub mod augment;
pub mod batches;
pub mod checkpoint;
pub mod compile;
pub mod device_scorer;
pub mod evaluation;
pub mod fit;
#[cfg(test)]
mod formula;
pub mod forward;
pub mod fusion;
pub mod graph;
pub mod inference;
pub mod init;
pub mod observer;
pub mod optimiser;
pub mod predict;
#[cfg(test)]
mod pytorch;
pub mod scorer;
mod taped;
pub mod tensors;
mod walk;
