//! The same operations composed of candle's own differentiable ones, for devices that the custom ops do not know.
//!
//! Slower, but with the same values and gradients: where candle's gradient differs from `PyTorch`'s (max and average
//! pooling, `ReLU` at 0), the operation is written with a selection whose gradient is right.

use candle_core::{Result, Tensor};

use super::batch_norm::{Activation, Normalised};
use super::shape::{ConvShape, Window};

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

/// [`super::batch_norm`].
pub(super) fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<Normalised> {
    let (batch, height, width, channels) = x.dims4()?;
    let count = (batch * height * width) as f64;
    let rows = x.reshape(((), channels))?;
    let mean = (rows.sum_keepdim(0)? / count)?;
    let centred = rows.broadcast_sub(&mean)?;
    let variance = (centred.sqr()?.sum_keepdim(0)? / count)?;
    let normal = centred.broadcast_div(&(&variance + epsilon)?.sqrt()?)?;
    let scaled = normal.broadcast_mul(weight)?.broadcast_add(bias)?.reshape(x.shape())?;
    let unbiased = (variance.detach() * (count / (count - 1.0)))?;
    Ok(Normalised {
        output: activate(scaled, residual, activation)?,
        mean: mean.detach().squeeze(0)?,
        variance: unbiased.squeeze(0)?,
    })
}

/// [`super::affine_channels`].
pub(super) fn affine_channels(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    activate(x.broadcast_mul(scale)?.broadcast_add(shift)?, residual, activation)
}

fn activate(x: Tensor, residual: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    let sum = match residual {
        None => x,
        Some(residual) => (x + residual)?,
    };
    match activation {
        Activation::Identity => Ok(sum),
        Activation::Relu => relu(&sum),
    }
}

/// [`super::relu`]: a selection, so that the gradient at 0 is 0.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    x.le(&zeros)?.where_cond(&zeros, x)
}

/// [`super::subsample`].
pub(super) fn subsample(x: &Tensor, stride: usize, channel_padding: usize) -> Result<Tensor> {
    let (_, height, width, _) = x.dims4()?;
    let picked = every(x, 1, 0, stride, height.div_ceil(stride))?;
    every(&picked, 2, 0, stride, width.div_ceil(stride))?.pad_with_zeros(3, channel_padding, channel_padding)
}

/// [`super::max_pool2d`]: the running best over the window's places, replaced only by larger values.
pub(super) fn max_pool2d(x: &Tensor, window: &Window) -> Result<Tensor> {
    let mut best: Option<Tensor> = None;
    for place in places(x, window, f32::NEG_INFINITY)? {
        best = Some(match best {
            None => place,
            Some(best) => place.gt(&best)?.where_cond(&place, &best)?,
        });
    }
    best.map_or_else(|| candle_core::bail!("pool over an empty window"), Ok)
}

/// [`super::avg_pool2d`].
pub(super) fn avg_pool2d(x: &Tensor, window: &Window) -> Result<Tensor> {
    let places = places(x, window, 0.0)?;
    let mut sum: Option<Tensor> = None;
    for place in &places {
        sum = Some(match sum {
            None => place.clone(),
            Some(sum) => (sum + place)?,
        });
    }
    sum.map_or_else(|| candle_core::bail!("pool over an empty window"), |sum| sum / places.len() as f64)
}

/// [`super::global_mean`].
pub(super) fn global_mean(x: &Tensor) -> Result<Tensor> {
    let (_, height, width, _) = x.dims4()?;
    x.sum((1, 2))? / (height * width) as f64
}

/// [`super::linear`].
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?.contiguous()?)?.broadcast_add(bias)
}

/// [`super::cross_entropy`].
pub(super) fn cross_entropy(logits: &Tensor, labels: &[u32]) -> Result<Tensor> {
    candle_nn::loss::cross_entropy(logits, &Tensor::new(labels, logits.device())?)
}

/// For each place of the window, in row-major order, the map that every output place sees there.
fn places(x: &Tensor, window: &Window, border: f32) -> Result<Vec<Tensor>> {
    let (_, height, width, _) = x.dims4()?;
    let [rows, columns] = window.output([height, width])?;
    let x = bordered(&bordered(x, 1, window.padding[0], border)?, 2, window.padding[1], border)?;
    let mut places = Vec::new();
    for top in 0..window.kernel[0] {
        let band = every(&x, 1, top, window.stride, rows)?;
        for left in 0..window.kernel[1] {
            places.push(every(&band, 2, left, window.stride, columns)?);
        }
    }
    Ok(places)
}

/// `count` slices along `axis` from `start`, `stride` apart.
fn every(x: &Tensor, axis: usize, start: usize, stride: usize, count: usize) -> Result<Tensor> {
    let indexes: Vec<u32> = (0..count).map(|index| (start + index * stride) as u32).collect();
    x.contiguous()?.index_select(&Tensor::new(indexes, x.device())?, axis)
}

/// The map with `width` slices of a constant before and after along `axis`.
fn bordered(x: &Tensor, axis: usize, width: usize, value: f32) -> Result<Tensor> {
    if width == 0 {
        return Ok(x.clone());
    }
    let mut dims = x.dims().to_vec();
    dims[axis] = width;
    let border = Tensor::full(value, dims, x.device())?;
    Tensor::cat(&[&border, x, &border], axis)
}
