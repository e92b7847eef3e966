//! Which way a convolution goes on a GPU: by the kernels of `conv.cu`, or, if it is a wide one that cuDNN has a fast
//! algorithm for, by that.

use candle_core::backend::BackendStorage;
use candle_core::cuda::{CudaDevice, CudaStorage};
use candle_core::{DType, Result, bail};

use super::conv;
#[cfg(feature = "cudnn")]
use super::cudnn;
#[cfg(feature = "cudnn")]
use super::pointwise::finish;
use super::{Operand, Then};
use crate::ops::shape::ConvShape;

type Map<'a> = Operand<'a, CudaStorage>;

/// The output, `[batch, height, width, out]`, given x, weights `[out, in, height, width]` and what follows.
pub(in crate::ops) fn forward(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Map<'_>,
    weight: Map<'_>,
    then: Option<&Then<'_, CudaStorage>>,
) -> Result<CudaStorage> {
    single([x, weight].into_iter().chain(then.into_iter().flat_map(Then::operands)))?;
    #[cfg(feature = "cudnn")]
    if let Some(out) = cudnn::forward(device, shape, x, weight)? {
        return match then {
            None => Ok(out),
            Some(then) => finish(device, Operand::whole(&out, shape.output.values()), then),
        };
    }
    conv::forward(device, shape, x, weight, then)
}

/// The gradient for x, given the output's.
pub(in crate::ops) fn input_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    gradient: Map<'_>,
    weight: Map<'_>,
) -> Result<CudaStorage> {
    single([gradient, weight])?;
    #[cfg(feature = "cudnn")]
    if let Some(out) = cudnn::input_gradient(device, shape, gradient, weight)? {
        return Ok(out);
    }
    conv::input_gradient(device, shape, gradient, weight)
}

/// The gradient for the weights, `[out, in, height, width]`, given the output's.
pub(in crate::ops) fn weight_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Map<'_>,
    gradient: Map<'_>,
) -> Result<CudaStorage> {
    single([x, gradient])?;
    #[cfg(feature = "cudnn")]
    if let Some(out) = cudnn::weight_gradient(device, shape, x, gradient)? {
        return Ok(out);
    }
    conv::weight_gradient(device, shape, x, gradient)
}

/// Refuses what is not single precision, which all these compute in.
fn single<'a>(operands: impl IntoIterator<Item = Map<'a>>) -> Result<()> {
    match operands.into_iter().map(|operand| operand.storage.dtype()).find(|&kind| kind != DType::F32) {
        None => Ok(()),
        Some(kind) => bail!("convolve {kind:?} values on a GPU: it convolves f32"),
    }
}
