//! Networks: architectures, training, evaluation, and the scorer that backward selection asks.

pub mod arch;
pub mod evaluation;
pub mod forward;
pub mod fusion;
pub mod graph;
pub mod init;
pub mod tensors;
mod walk;
