//! Convolution composed of candle's own operations, for CUDA without cuDNN.
//!
//! Candle's kernels for it are slow, its gradients most of all; with the feature `cudnn` nothing comes here.

use candle_core::{Result, Tensor};

use super::shape::ConvShape;

/// [`super::conv2d`].
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: &ConvShape) -> Result<Tensor> {
    let [rows, columns] = shape.window.padding;
    let x = x.pad_with_zeros(1, rows, rows)?.pad_with_zeros(2, columns, columns)?;
    // Only what the windows cover: with a stride, candle's gradient fails where they leave more rows than columns over.
    let covered = |outputs: usize, axis: usize| (outputs - 1) * shape.window.stride + shape.window.kernel[axis];
    let x = x.narrow(1, 0, covered(shape.output.height, 0))?.narrow(2, 0, covered(shape.output.width, 1))?;
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let out = x.conv2d(weight, 0, shape.window.stride, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()?;
    match bias {
        None => Ok(out),
        Some(bias) => out.broadcast_add(bias),
    }
}
