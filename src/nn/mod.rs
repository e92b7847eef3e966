//! Networks: architectures, training, evaluation, and the scorer that backward selection asks.

pub mod arch;
pub mod graph;
pub mod init;
