//! The operations of training as candle ops: convolution, batch norm, pooling, linear, loss.
//!
//! Maps are channels-last, `[batch, height, width, channels]`, contiguous `f32`; weights have `PyTorch`'s shapes. Every
//! op has true gradients, and a frozen operand (one that candle does not track) costs none. On the CPU they run
//! the loops beside them; on a GPU the kernels of `cuda`, and cuDNN's for wide 3x3 convolutions.
//!
//! What is summed over the batch is summed in fixed chunks and in a fixed order, so results have the same bytes for
//! any number of threads. Work is spread over the rayon pool that the caller installed.

mod batch_norm;
pub(crate) mod channels;
mod chunks;
mod conv;
mod conv_loops;
#[cfg(test)]
mod conv_portable;
#[cfg(any(test, feature = "cuda"))]
mod cuda;
mod frozen;
mod linear;
mod loss;
mod outer_product;
mod pointwise;
mod pool;
mod residual;
mod shape;
mod update;
mod values;
mod weight_gradient;
mod weight_tiles;

#[cfg(test)]
mod testing;

pub use batch_norm::{Activation, Normalised, batch_norm};
pub use conv::conv2d;
pub use frozen::FrozenConvolution;
pub use linear::linear;
pub use loss::{
    cross_entropy, smooth_cross_entropy, smooth_softmax_loss, smooth_softmax_loss_gradient, softmax_loss,
    softmax_loss_gradient,
};
pub use pointwise::{affine_channels, relu, subsample};
pub use pool::{avg_pool2d, global_mean, max_pool2d};
pub use shape::{ConvShape, MapShape, Window};
pub use update::{Pace, blend};
pub use values::Values;

pub(crate) use linear::LinearLoops;
pub(crate) use pointwise::Subsampling;
pub(crate) use pool::{Pooling, PoolingKind};
pub(crate) use weight_gradient::{Panels, WeightGradient};
