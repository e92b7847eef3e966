//! Batch normalisation in training mode, fused with the sum and the `ReLU` that follow it.
//!
//! Ioffe and Szegedy 2015. The batch's own statistics take part in the gradient.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::channels;
use super::chunks::sum_over_images;
#[cfg(feature = "cuda")]
use super::cuda::{self, Operand};
use super::shape::MapShape;
use super::values::{Values, slice, stored, tensor};
use crate::isa::Isa;

/// What follows a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing: the normalised values stay as they are.
    Identity,
    /// max(x, 0), with gradient 0 at 0.
    Relu,
}

/// A normalised map, and the batch's statistics for the running ones.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// The map, `[batch, height, width, channels]`.
    pub output: Tensor,
    /// Mean of each channel, `[channels]`, untracked.
    pub mean: Tensor,
    /// Unbiased variance of each channel (divided by n - 1, as the running variance wants it), `[channels]`, untracked.
    pub variance: Tensor,
}

/// Normalises each channel of `x` over batch and pixels, scales, shifts, adds `residual`, and activates.
///
/// `weight` and `bias` are `[channels]`; `residual` has the shape of `x`. Divides by the square root of the biased
/// variance plus `epsilon`.
///
/// # Errors
/// When shapes differ, or there is only one value per channel.
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<Normalised> {
    let shape = MapShape::of(x)?;
    let channels = shape.channels;
    if weight.dims1()? != channels || bias.dims1()? != channels {
        bail!("normalise {channels} channels with {:?} scales and {:?} shifts", weight.shape(), bias.shape());
    }
    if shape.batch * shape.pixels() < 2 {
        bail!("normalise a batch of one value per channel: its variance is undefined, use a larger batch");
    }
    if let Some(residual) = residual
        && residual.shape() != x.shape()
    {
        bail!("add a residual of shape {:?} to a map of shape {:?}", residual.shape(), x.shape());
    }
    let x = x.contiguous()?;
    let statistics = statistics(shape, &x, epsilon)?;
    let (mean, variance) = (statistics.get(0)?, statistics.get(1)?);
    let scale_and_shift = Tensor::stack(&[weight, bias], 0)?;
    let normalisation = Normalisation { shape, statistics, activation };
    let output = match residual {
        None => x.apply_op2(&scale_and_shift, normalisation)?,
        Some(residual) => x.apply_op3(&scale_and_shift, &residual.contiguous()?, normalisation)?,
    };
    Ok(Normalised { output, mean, variance })
}

/// Mean, unbiased variance, and 1 / deviation of each channel over batch and pixels: `[3, channels]`, untracked.
fn statistics(shape: MapShape, x: &Tensor, epsilon: f64) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::compute([x], (3, shape.channels), |gpu, [x]| {
            cuda::batch_norm::statistics(gpu, x, shape.channels, epsilon)
        });
    }
    tensor(statistics_of(shape, &Values::of(x)?, epsilon), (3, shape.channels))
}

/// Sums about the first pixel's values, so that a large mean costs no precision.
fn statistics_of(shape: MapShape, x: &[f32], epsilon: f64) -> Vec<f32> {
    let channels = shape.channels;
    let origin = &x[..channels];
    let sums = sum_over_images(shape.batch, 2 * channels, |images, totals: &mut [f64]| {
        let part = images.start * shape.image()..images.end * shape.image();
        channels::add_moments(Isa::detect(), &x[part], origin, totals);
    });
    let count = (shape.batch * shape.pixels()) as f64;
    let mut statistics = vec![0.0; 3 * channels];
    for (channel, &origin) in origin.iter().enumerate() {
        let offset = sums[channel] / count;
        let scatter = (sums[channels + channel] - sums[channel] * offset).max(0.0);
        statistics[channel] = (f64::from(origin) + offset) as f32;
        statistics[channels + channel] = (scatter / (count - 1.0)) as f32;
        statistics[2 * channels + channel] = (scatter / count + epsilon).sqrt().recip() as f32;
    }
    statistics
}

struct Normalisation {
    shape: MapShape,
    /// Mean, unbiased variance, and 1 / deviation, `[3, channels]`.
    statistics: Tensor,
    activation: Activation,
}

/// What each channel is multiplied by, and what is added: y = x * scale + shift.
struct Line {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct Gradients {
    x: Option<Tensor>,
    scale_and_shift: Option<Tensor>,
    residual: Option<Tensor>,
}

impl Normalisation {
    fn line(&self, scale_and_shift: &[f32]) -> Result<Line> {
        let (channels, statistics) = (self.shape.channels, Values::of(&self.statistics)?);
        let (mean, inverse_deviation) = (&statistics[..channels], &statistics[2 * channels..]);
        let (weight, bias) = scale_and_shift.split_at(channels);
        let scale: Vec<f32> = weight.iter().zip(inverse_deviation).map(|(weight, inverse)| weight * inverse).collect();
        let shift = bias.iter().zip(mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
        Ok(Line { scale, shift })
    }

    fn forward(&self, x: &[f32], scale_and_shift: &[f32], residual: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let line = self.line(scale_and_shift)?;
        let mut out = vec![0.0; x.len()];
        affine(self.shape, x, &line.scale, &line.shift, residual, self.activation, &mut out);
        Ok(stored(out, self.shape.dims()))
    }

    #[cfg(feature = "cuda")]
    fn forward_on_gpu(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        line: Operand<'_, CudaStorage>,
        residual: Option<Operand<'_, CudaStorage>>,
    ) -> Result<(CudaStorage, Shape)> {
        let (statistics, layout) = self.statistics.storage_and_layout();
        let statistics = Operand::of(cuda::source_of(&statistics)?, layout)?;
        let x = (&x.device, Operand::of(x, xl)?);
        let out = cuda::batch_norm::normalise(x.0, x.1, statistics, line, residual, self.activation)?;
        Ok((out, self.shape.dims().into()))
    }

    /// With z = w (x - mean) / deviation + b and dz the gradient behind the activation:
    /// dx = w / deviation (dz - mean(dz) - xhat mean(dz xhat)), dw = sum(dz xhat), db = sum(dz).
    fn gradients(
        &self,
        x: &Tensor,
        scale_and_shift: &Tensor,
        residual: Option<&Tensor>,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Gradients> {
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return self.gradients_on_gpu([x, scale_and_shift, output, &gradient], residual);
        }
        let (x_values, output, gradient) = (Values::of(x)?, Values::of(output)?, Values::of(&gradient)?);
        let (shape, channels) = (self.shape, self.shape.channels);
        let gated = gate(self.activation, &output, &gradient);
        let statistics = Values::of(&self.statistics)?;
        let (mean, inverse_deviation) = (&statistics[..channels], &statistics[2 * channels..]);
        let sums = sum_over_images(shape.batch, 2 * channels, |images, totals: &mut [f64]| {
            let part = images.start * shape.image()..images.end * shape.image();
            channels::add_products(Isa::detect(), &gated[part.clone()], &x_values[part], mean, totals);
        });
        let for_x = if x.track_op() {
            let count = (shape.batch * shape.pixels()) as f64;
            let line = self.line(&Values::of(scale_and_shift)?)?;
            // dx = scale dz + slope x + offset
            let mut slope = Vec::with_capacity(channels);
            let mut offset = Vec::with_capacity(channels);
            for channel in 0..channels {
                let (scale, inverse) = (f64::from(line.scale[channel]), f64::from(inverse_deviation[channel]));
                let along = -scale * inverse * inverse * sums[channels + channel] / count;
                slope.push(along as f32);
                offset.push((-scale * sums[channel] / count - along * f64::from(mean[channel])) as f32);
            }
            let mut out = vec![0.0; shape.values()];
            out.par_chunks_mut(shape.image())
                .zip(x_values.par_chunks(shape.image()))
                .zip(gated.par_chunks(shape.image()))
                .for_each(|((out, x), gated)| {
                    channels::combine(Isa::detect(), gated, x, &line.scale, &slope, &offset, out);
                });
            Some(tensor(out, shape.dims())?)
        } else {
            None
        };
        let for_scale_and_shift = if scale_and_shift.track_op() {
            let (sum, product) = sums.split_at(channels);
            let for_weight =
                product.iter().zip(inverse_deviation).map(|(sum, &inverse)| (sum * f64::from(inverse)) as f32);
            let values = for_weight.chain(sum.iter().map(|&sum| sum as f32)).collect();
            Some(tensor(values, (2, channels))?)
        } else {
            None
        };
        let for_residual = match residual {
            Some(residual) if residual.track_op() => Some(tensor(gated, shape.dims())?),
            _ => None,
        };
        Ok(Gradients { x: for_x, scale_and_shift: for_scale_and_shift, residual: for_residual })
    }

    #[cfg(feature = "cuda")]
    fn gradients_on_gpu(
        &self,
        [x, line, output, gradient]: [&Tensor; 4],
        residual: Option<&Tensor>,
    ) -> Result<Gradients> {
        let (dims, channels, statistics) = (self.shape.dims(), self.shape.channels, &self.statistics);
        let gated = behind(self.activation, output, gradient)?;
        let sums = cuda::compute([&gated, x, statistics], (2, channels), |gpu, [gradient, x, statistics]| {
            cuda::batch_norm::gradient_sums(gpu, gradient, x, statistics)
        })?;
        let for_x = x.track_op().then(|| {
            cuda::compute([&gated, x, &sums, statistics, line], dims, |gpu, operands| {
                cuda::batch_norm::input_gradient(gpu, operands)
            })
        });
        let for_line = line.track_op().then(|| {
            cuda::compute([&sums, statistics], (2, channels), |gpu, [sums, statistics]| {
                cuda::batch_norm::line_gradient(gpu, sums, statistics)
            })
        });
        let wanted = residual.is_some_and(Tensor::track_op);
        Ok(Gradients {
            x: for_x.transpose()?,
            scale_and_shift: for_line.transpose()?,
            residual: wanted.then_some(gated),
        })
    }
}

impl CustomOp2 for Normalisation {
    fn name(&self) -> &'static str {
        "batch norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, line: &CpuStorage, ll: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(slice(x, xl)?, slice(line, ll)?, None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout, line: &CudaStorage, ll: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward_on_gpu(x, xl, Operand::of(line, ll)?, None)
    }

    fn bwd(&self, x: &Tensor, line: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(x, line, None, res, grad)?;
        Ok((gradients.x, gradients.scale_and_shift))
    }
}

impl CustomOp3 for Normalisation {
    fn name(&self) -> &'static str {
        "batch norm with residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        line: &CpuStorage,
        ll: &Layout,
        residual: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(slice(x, xl)?, slice(line, ll)?, Some(slice(residual, rl)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        line: &CudaStorage,
        ll: &Layout,
        residual: &CudaStorage,
        rl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward_on_gpu(x, xl, Operand::of(line, ll)?, Some(Operand::of(residual, rl)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        line: &Tensor,
        residual: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(x, line, Some(residual), res, grad)?;
        Ok((gradients.x, gradients.scale_and_shift, gradients.residual))
    }
}

/// Writes act(x * scale + shift + residual), channel by channel.
pub(super) fn affine(
    shape: MapShape,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) {
    let (isa, relu) = (Isa::detect(), activation == Activation::Relu);
    out.par_chunks_mut(shape.image()).zip(x.par_chunks(shape.image())).enumerate().for_each(|(image, (out, x))| {
        match residual {
            None => channels::scale_and_shift(isa, x, scale, shift, relu, out),
            Some(residual) => {
                let residual = &residual[image * shape.image()..(image + 1) * shape.image()];
                channels::scale_and_shift_and_add(isa, x, scale, shift, residual, relu, out);
            }
        }
    });
}

/// The gradient behind an activation, given what that yielded, and its gradient.
pub(super) fn behind(activation: Activation, output: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let gradient = gradient.contiguous()?;
    if activation == Activation::Identity {
        return Ok(gradient);
    }
    #[cfg(feature = "cuda")]
    if gradient.device().is_cuda() {
        return cuda::compute([output, &gradient], output.shape(), |gpu, [output, gradient]| {
            cuda::pointwise::gate(gpu, output, gradient)
        });
    }
    tensor(gate(activation, &Values::of(output)?, &Values::of(&gradient)?), output.shape())
}

/// The same of values.
fn gate(activation: Activation, output: &[f32], gradient: &[f32]) -> Vec<f32> {
    match activation {
        Activation::Identity => gradient.to_vec(),
        Activation::Relu => output
            .par_iter()
            .with_min_len(1 << 14)
            .zip(gradient)
            .map(|(&output, &gradient)| if output <= 0.0 { 0.0 } else { gradient })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Operand, assert_close, check, values, with_threads};
    use super::{Activation, batch_norm};

    const EPSILON: f64 = 1e-5;

    /// The definition, in double precision: x, weight, bias and perhaps a residual.
    fn oracle(channels: usize, activation: Activation, inputs: &[Vec<f64>]) -> Vec<f64> {
        let x = &inputs[0];
        let count = (x.len() / channels) as f64;
        let of = |channel: usize| x.iter().skip(channel).step_by(channels);
        let mut out = vec![0.0; x.len()];
        for channel in 0..channels {
            let mean = of(channel).sum::<f64>() / count;
            let variance = of(channel).map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            for index in (channel..x.len()).step_by(channels) {
                let normal = (x[index] - mean) / (variance + EPSILON).sqrt();
                let sum = inputs[1][channel] * normal
                    + inputs[2][channel]
                    + inputs.get(3).map_or(0.0, |residual| residual[index]);
                out[index] = if activation == Activation::Relu { sum.max(0.0) } else { sum };
            }
        }
        out
    }

    fn operands(dims: &[usize; 4]) -> Vec<Operand> {
        vec![
            Operand::random(dims, 1),
            Operand::random(&dims[3..], 2),
            Operand::random(&dims[3..], 3),
            Operand::random(dims, 4),
        ]
    }

    #[test]
    fn values_and_gradients_follow_the_definition() {
        for dims in [[2, 3, 3, 16], [9, 2, 2, 8], [3, 4, 5, 3], [2, 1, 1, 32]] {
            for activation in [Activation::Identity, Activation::Relu] {
                let operands = operands(&dims);
                check(
                    &operands[..3],
                    |inputs| oracle(dims[3], activation, inputs),
                    |t| Ok(batch_norm(t[0], t[1], t[2], EPSILON, None, activation)?.output),
                );
                check(
                    &operands,
                    |inputs| oracle(dims[3], activation, inputs),
                    |t| Ok(batch_norm(t[0], t[1], t[2], EPSILON, Some(t[3]), activation)?.output),
                );
            }
        }
    }

    #[test]
    fn statistics_are_the_mean_and_the_unbiased_variance() {
        let mut operands = operands(&[2, 2, 1, 2]);
        // Channel 0: 1, 2, 3, 6; channel 1: 10,000 plus the same.
        operands[0].values = vec![1.0, 10_001.0, 2.0, 10_002.0, 3.0, 10_003.0, 6.0, 10_006.0];
        let tensors: Vec<_> = operands.iter().map(Operand::frozen).collect();
        let normalised = batch_norm(&tensors[0], &tensors[1], &tensors[2], EPSILON, None, Activation::Relu);
        let normalised = normalised.expect("shapes agree");
        assert_close(&values(&normalised.mean), &[3.0, 10_003.0], 1e-6, "mean");
        assert_close(&values(&normalised.variance), &[14.0 / 3.0, 14.0 / 3.0], 1e-6, "variance");
    }

    #[test]
    fn frozen_operands_get_no_gradient() {
        let operands = operands(&[2, 3, 3, 4]);
        let x = operands[0].variable();
        let rest: Vec<_> = operands[1..].iter().map(Operand::frozen).collect();
        let out = batch_norm(&x, &rest[0], &rest[1], EPSILON, Some(&rest[2]), Activation::Relu).expect("shapes agree");
        let gradients = out.output.sqr().and_then(|s| s.sum_all()).and_then(|l| l.backward()).expect("a gradient");
        assert!(gradients.get(&x).is_some());
        assert!(rest.iter().all(|frozen| gradients.get(frozen).is_none()));
    }

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads() {
        let operands = operands(&[21, 4, 4, 16]);
        let run = || -> Vec<Vec<f32>> {
            let v: Vec<_> = operands.iter().map(Operand::variable).collect();
            let out = batch_norm(&v[0], &v[1], &v[2], EPSILON, Some(&v[3]), Activation::Relu).expect("shapes agree");
            let gradients = out.output.sqr().and_then(|s| s.sum_all()).and_then(|l| l.backward()).expect("a gradient");
            let gradients = v.iter().map(|variable| values(gradients.get(variable).expect("tracked")));
            std::iter::once(values(&out.output)).chain(gradients).collect()
        };
        assert_eq!(with_threads(1, run), with_threads(2, run));
    }

    #[test]
    fn not_a_number_passes_through_the_activation() {
        let mut operands = operands(&[2, 1, 1, 1]);
        operands[0].values[0] = f64::NAN;
        let t: Vec<_> = operands.iter().map(Operand::frozen).collect();
        let out = batch_norm(&t[0], &t[1], &t[2], EPSILON, None, Activation::Relu).expect("shapes agree");
        assert!(values(&out.output).iter().all(|value| value.is_nan()));
    }

    #[test]
    fn a_single_value_per_channel_is_an_error() {
        let t: Vec<_> = operands(&[1, 1, 1, 4]).iter().map(Operand::frozen).collect();
        assert!(batch_norm(&t[0], &t[1], &t[2], EPSILON, None, Activation::Relu).is_err());
    }
}
