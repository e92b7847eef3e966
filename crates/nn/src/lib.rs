//! Networks: architectures, training, evaluation, and the scorers that selections ask.
//!
//! [`inference`] is the door: it opens a model on a device and asks it about images. Behind it are [`cpu`], with the fused engine of
//! `overinterp-kernels`, and [`gpu`], with candle. [`graph`] describes a network and [`arch`] has the architectures; [`train`] has
//! them learn from [`images`].

pub mod agreement;
pub mod arch;
pub mod cpu;
pub mod exact;
pub mod finite;
#[cfg(test)]
mod formula;
pub mod gpu;
pub mod graph;
#[cfg(test)]
mod group_tests;
pub mod image_scorer;
pub mod images;
pub mod inference;
pub mod init;
pub mod input_dropout;
pub mod observer;
pub mod predict;
#[cfg(test)]
mod pytorch;
pub mod rates;
pub mod temperature;
pub(crate) mod tensors;
pub mod train;
pub mod unanswered;
#[cfg(test)]
mod view_tests;
