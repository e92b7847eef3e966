//! `ReLU`, affine maps and subsampling.

use candle_core::{DType, Result};

#[cfg(any(test, feature = "cudnn"))]
use super::Then;
use super::{Machine, Operand, Sizes};
use crate::ops::batch_norm::Activation;
use crate::ops::shape::{MapShape, Window};

/// max(x, 0).
pub(in crate::ops) fn rectify<M: Machine>(machine: &M, x: Operand<'_, M::Storage>) -> Result<M::Storage> {
    machine.run("rectify", &[x], Sizes::rows(x.length, x.length, 1)?, DType::F32, x.length)
}

/// The gradient behind max(x, 0), given what that yielded: where it is 0, 0.
pub(in crate::ops) fn gate<M: Machine>(
    machine: &M,
    output: Operand<'_, M::Storage>,
    gradient: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let length = output.length;
    machine.run("gate", &[output, gradient], Sizes::rows(length, length, 1)?, DType::F32, length)
}

/// act(x scale + shift + residual), channel by channel.
pub(in crate::ops) fn affine<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    [scale, shift]: [Operand<'_, M::Storage>; 2],
    residual: Option<Operand<'_, M::Storage>>,
    activation: Activation,
) -> Result<M::Storage> {
    let rows = Sizes::rows(x.length, x.length / scale.length, scale.length)?;
    let sizes = Sizes { relu: i32::from(activation == Activation::Relu), ..rows };
    let operands: Vec<_> = [x, scale, shift].into_iter().chain(residual).collect();
    machine.run("affine", &operands, sizes, DType::F32, x.length)
}

/// x scale, channel by channel.
pub(in crate::ops) fn scale<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    scale: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let sizes = Sizes::rows(x.length, x.length / scale.length, scale.length)?;
    machine.run("scale", &[x, scale], sizes, DType::F32, x.length)
}

/// What follows a convolution that yields x.
#[cfg(any(test, feature = "cudnn"))]
pub(in crate::ops) fn finish<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    then: &Then<'_, M::Storage>,
) -> Result<M::Storage> {
    let rows = Sizes::rows(x.length, x.length / then.bias.length, then.bias.length)?;
    let sizes = Sizes { relu: then.relu(), ..rows };
    let operands: Vec<_> = [x].into_iter().chain(then.operands()).collect();
    machine.run("finish", &operands, sizes, DType::F32, x.length)
}

/// Every `stride`-th pixel, with `padding` channels of zeros before and after.
pub(in crate::ops) fn subsample<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    [input, output]: [MapShape; 2],
    stride: usize,
    padding: usize,
) -> Result<M::Storage> {
    let sizes = Sizes::window(output.values(), input, output, &picks(stride, padding))?;
    machine.run("subsample", &[x], sizes, DType::F32, output.values())
}

/// The gradient of [`subsample`] for x.
pub(in crate::ops) fn subsample_gradient<M: Machine>(
    machine: &M,
    gradient: Operand<'_, M::Storage>,
    [input, output]: [MapShape; 2],
    stride: usize,
    padding: usize,
) -> Result<M::Storage> {
    let sizes = Sizes::window(input.values(), input, output, &picks(stride, padding))?;
    machine.run("subsample_gradient", &[gradient], sizes, DType::F32, input.values())
}

/// A window of one pixel; the second padding is that of the channels.
const fn picks(stride: usize, padding: usize) -> Window {
    Window { kernel: [1, 1], stride, padding: [0, padding] }
}
