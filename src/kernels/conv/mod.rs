//! Direct convolution on channels-last maps, without intermediate copies.
//!
//! [`DirectConv`] computes any windows of any maps with bias, addend and ReLU fused into the store;
//! [`InputGradient`] is its transpose. One call runs on one thread: callers divide images among threads.
//! The micro-kernel is written once over a few vector operations and compiled for each [`super::isa::Isa`].

mod direct;
mod geometry;
mod gradient;
mod layout;
#[cfg(test)]
pub(crate) mod reference;
pub(crate) mod simd;
#[cfg(test)]
mod tests;
mod tile;
mod weights;

pub use direct::{DirectConv, Finish, Job};
pub use geometry::{ConvShape, Window};
pub use gradient::InputGradient;
pub use layout::Layout;
