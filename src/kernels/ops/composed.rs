//! Convolution composed of candle's own operations, for CUDA without cuDNN.
//!
//! Candle's kernels for it are slow, its gradients most of all; with the feature `cudnn` nothing comes here.

use candle_core::{Result, Tensor};

use super::shape::ConvShape;

/// [`super::conv2d`].
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: &ConvShape) -> Result<Tensor> {
    let [rows, columns] = shape.window.padding;
    let x = x.pad_with_zeros(1, rows, rows)?.pad_with_zeros(2, columns, columns)?;
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let out = x.conv2d(weight, 0, shape.window.stride, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()?;
    match bias {
        None => Ok(out),
        Some(bias) => out.broadcast_add(bias),
    }
}
