//! Convolution on channels-last maps, by the algorithm that suits the shape.
//!
//! [`DirectConv`] computes any regions of any maps with bias, addend and ReLU fused into the store, without intermediate
//! copies; [`WinogradConv`] does so for 3x3 kernels with fewer multiplications; [`Convolution`] is either, and
//! [`InputGradient`] the transpose. One call runs on one thread: callers divide images among threads. The micro-kernels
//! are written once over a few vector operations and compiled for each [`super::isa::Isa`].

mod convolution;
mod direct;
mod geometry;
mod gradient;
mod layout;
pub mod reference;
pub(crate) mod simd;
#[cfg(test)]
mod tests;
mod tile;
mod weights;
pub(crate) mod winograd;

pub use convolution::{Algorithm, Convolution};
pub use direct::{DirectConv, Finish, Job};
pub use geometry::{ConvShape, Region};
pub use gradient::InputGradient;
pub use layout::Layout;
pub use winograd::{Tiles, WinogradConv};
