//! Operations that treat every pixel alike: `ReLU`, a fixed affine map per channel, `ResNet`'s subsampling shortcut.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::batch_norm::{Activation, affine, behind};
use super::channels::rectified;
#[cfg(feature = "cuda")]
use super::cuda::{self, Operand};
use super::residual::{Residual, apply};
use super::shape::MapShape;
use super::values::{Values, slice, stored, tensor};

/// Values that one thread handles at a time.
const GRAIN: usize = 1 << 14;

/// max(x, 0) of a tensor of any shape, with gradient 0 at 0.
///
/// # Errors
/// When the tensor is not `f32`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Rectifier)
}

struct Rectifier;

impl CustomOp1 for Rectifier {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, xl)?;
        let out = x.par_iter().with_min_len(GRAIN).map(|&value| rectified(value)).collect();
        Ok(stored(out, xl.shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((cuda::pointwise::rectify(&x.device, Operand::of(x, xl)?)?, xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        behind(Activation::Relu, output, gradient).map(Some)
    }
}

/// act(x * scale + shift + residual) with constant `scale` and `shift` `[channels]`: batch norm in evaluation mode.
///
/// Gradients reach `x` and `residual`.
///
/// # Errors
/// When shapes differ, or `scale` or `shift` is tracked: detach them first.
pub fn affine_channels(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    let shape = MapShape::of(x)?;
    if scale.dims1()? != shape.channels || shift.dims1()? != shape.channels {
        bail!("scale {} channels by {:?} and shift by {:?}", shape.channels, scale.shape(), shift.shape());
    }
    if scale.track_op() || shift.track_op() {
        bail!("scale a map by tracked values: they get no gradient here, detach them");
    }
    let op = Affine { shape, scale: scale.contiguous()?, shift: shift.contiguous()?, activation };
    apply(op, x, residual, x.shape())
}

struct Affine {
    shape: MapShape,
    scale: Tensor,
    shift: Tensor,
    activation: Activation,
}

impl Residual for Affine {
    const NAMES: [&'static str; 2] = ["affine", "affine with residual"];

    fn activation(&self) -> Activation {
        self.activation
    }

    fn forward(&self, x: &[f32], residual: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; self.shape.values()];
        let (scale, shift) = (Values::of(&self.scale)?, Values::of(&self.shift)?);
        affine(self.shape, x, &scale, &shift, residual, self.activation, &mut out);
        Ok(stored(out, self.shape.dims()))
    }

    #[cfg(feature = "cuda")]
    fn forward_on_gpu(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        residual: Option<Operand<'_, CudaStorage>>,
    ) -> Result<(CudaStorage, Shape)> {
        let ((scale, scale_layout), (shift, shift_layout)) =
            (self.scale.storage_and_layout(), self.shift.storage_and_layout());
        let line = [
            Operand::of(cuda::source_of(&scale)?, scale_layout)?,
            Operand::of(cuda::source_of(&shift)?, shift_layout)?,
        ];
        let out = cuda::pointwise::affine(&x.device, Operand::of(x, xl)?, line, residual, self.activation)?;
        Ok((out, self.shape.dims().into()))
    }

    fn input_gradient(&self, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if x.track_op() { self.scaled(gradient).map(Some) } else { Ok(None) }
    }
}

impl Affine {
    fn scaled(&self, gradient: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            return cuda::compute([gradient, &self.scale], self.shape.dims(), |gpu, [gradient, scale]| {
                cuda::pointwise::scale(gpu, gradient, scale)
            });
        }
        let (gradient, scale) = (Values::of(gradient)?, Values::of(&self.scale)?);
        let (channels, image) = (self.shape.channels, self.shape.image());
        let mut out = vec![0.0; gradient.len()];
        out.par_chunks_mut(image).zip(gradient.par_chunks(image)).for_each(|(out, gradient)| {
            for (out, gradient) in out.chunks_exact_mut(channels).zip(gradient.chunks_exact(channels)) {
                for (out, (gradient, scale)) in out.iter_mut().zip(gradient.iter().zip(&*scale)) {
                    *out = gradient * scale;
                }
            }
        });
        tensor(out, self.shape.dims())
    }
}

/// Every `stride`-th pixel, with `channel_padding` channels of zeros before and after: `ResNet`'s shortcut A.
///
/// # Errors
/// When `stride` is 0.
pub fn subsample(x: &Tensor, stride: usize, channel_padding: usize) -> Result<Tensor> {
    let subsampling = Subsampling::new(MapShape::of(x)?, stride, channel_padding)?;
    x.contiguous()?.apply_op1(subsampling)
}

/// A subsampling of maps of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subsampling {
    input: MapShape,
    output: MapShape,
    stride: usize,
    channel_padding: usize,
}

impl Subsampling {
    pub(crate) fn new(input: MapShape, stride: usize, channel_padding: usize) -> Result<Self> {
        if stride == 0 {
            bail!("take every 0th pixel: the stride must be at least 1");
        }
        let output = MapShape {
            batch: input.batch,
            height: input.height.div_ceil(stride),
            width: input.width.div_ceil(stride),
            channels: input.channels + 2 * channel_padding,
        };
        Ok(Self { input, output, stride, channel_padding })
    }

    /// What it yields.
    pub(crate) const fn output(&self) -> MapShape {
        self.output
    }

    /// Writes the subsampled map.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        let channels = self.input.channels;
        out.par_chunks_mut(self.output.image()).zip(x.par_chunks(self.input.image())).for_each(|(out, x)| {
            out.fill(0.0);
            self.for_each_pixel(|from, to| out[to..to + channels].copy_from_slice(&x[from..from + channels]));
        });
    }

    /// Writes the gradient of the map that was subsampled.
    pub(crate) fn backward(&self, gradient: &[f32], out: &mut [f32]) {
        let channels = self.input.channels;
        out.par_chunks_mut(self.input.image()).zip(gradient.par_chunks(self.output.image())).for_each(
            |(out, gradient)| {
                out.fill(0.0);
                self.for_each_pixel(|from, to| {
                    out[from..from + channels].copy_from_slice(&gradient[to..to + channels]);
                });
            },
        );
    }

    /// Calls with where a pixel's channels start in the input and in the output, within one image.
    fn for_each_pixel(&self, mut visit: impl FnMut(usize, usize)) {
        for row in 0..self.output.height {
            for column in 0..self.output.width {
                let from = row * self.stride * self.input.width + column * self.stride;
                let to = row * self.output.width + column;
                visit(from * self.input.channels, to * self.output.channels + self.channel_padding);
            }
        }
    }
}

impl CustomOp1 for Subsampling {
    fn name(&self) -> &'static str {
        "subsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; self.output.values()];
        self.forward(slice(x, xl)?, &mut out);
        Ok(stored(out, self.output.dims()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout) -> Result<(CudaStorage, Shape)> {
        let Self { input, output, stride, channel_padding } = *self;
        let x = (&x.device, Operand::of(x, xl)?);
        Ok((cuda::pointwise::subsample(x.0, x.1, [input, output], stride, channel_padding)?, output.dims().into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            let Self { input, output, stride, channel_padding } = *self;
            return cuda::compute([&gradient], input.dims(), |gpu, [gradient]| {
                cuda::pointwise::subsample_gradient(gpu, gradient, [input, output], stride, channel_padding)
            })
            .map(Some);
        }
        let mut out = vec![0.0; self.input.values()];
        self.backward(&Values::of(&gradient)?, &mut out);
        tensor(out, self.input.dims()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Operand, check, values};
    use super::{Activation, affine_channels, relu, subsample};

    #[test]
    fn relu_follows_the_definition_and_is_flat_at_zero() {
        let mut operand = Operand::random(&[2, 3, 3, 5], 1);
        let oracle = |x: &[Vec<f64>]| x[0].iter().map(|value| value.max(0.0)).collect();
        check(&[operand.clone()], oracle, |t| relu(t[0]));
        operand.values.fill(0.0);
        let x = operand.variable();
        let loss = relu(&x).and_then(|out| out.sum_all());
        let gradients = loss.and_then(|loss| loss.backward()).expect("a gradient");
        assert!(values(gradients.get(&x).expect("tracked")).iter().all(|&value| value == 0.0));
    }

    #[test]
    fn affine_scales_and_shifts_each_channel() {
        let dims = [2, 3, 4, 5];
        let operands = [Operand::random(&dims, 1), Operand::random(&dims, 2)];
        let (scale, shift) = (Operand::random(&[5], 3), Operand::random(&[5], 4));
        for activation in [Activation::Identity, Activation::Relu] {
            let oracle = |x: &[Vec<f64>]| -> Vec<f64> {
                let residual = |index: usize| x.get(1).map_or(0.0, |residual| residual[index]);
                let line = |(index, value)| value * scale.values[index % 5] + shift.values[index % 5] + residual(index);
                let flat = |value: f64| if activation == Activation::Relu { value.max(0.0) } else { value };
                x[0].iter().copied().enumerate().map(line).map(flat).collect()
            };
            let (scale, shift) = (scale.frozen(), shift.frozen());
            check(&operands[..1], oracle, |t| affine_channels(t[0], &scale, &shift, None, activation));
            check(&operands, oracle, |t| affine_channels(t[0], &scale, &shift, Some(t[1]), activation));
        }
    }

    #[test]
    fn affine_refuses_tracked_scales() {
        let x = Operand::random(&[1, 2, 2, 3], 1).frozen();
        let (scale, shift) = (Operand::random(&[3], 1).variable(), Operand::random(&[3], 2).frozen());
        assert!(affine_channels(&x, &scale, &shift, None, Activation::Relu).is_err());
        assert!(affine_channels(&x, &scale.detach(), &shift, None, Activation::Relu).is_ok());
    }

    #[test]
    fn subsample_takes_every_second_pixel_and_pads_channels() {
        for (height, width) in [(4, 4), (5, 3)] {
            let operands = [Operand::random(&[2, height, width, 3], 1)];
            let oracle = |x: &[Vec<f64>]| -> Vec<f64> {
                let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
                let mut out = vec![0.0; 2 * rows * columns * 7];
                for place in 0..2 * rows * columns {
                    let (image, row, column) = (place / columns / rows, place / columns % rows, place % columns);
                    let pixel = (image * height + 2 * row) * width + 2 * column;
                    out[place * 7 + 2..place * 7 + 5].copy_from_slice(&x[0][pixel * 3..pixel * 3 + 3]);
                }
                out
            };
            check(&operands, oracle, |t| subsample(t[0], 2, 2));
        }
    }
}
