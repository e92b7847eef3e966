//! The linear layer.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::cuda::{self, Operand};
use super::values::{Values, slice, stored, tensor};

/// x W' + b for `x` `[batch, in]`, `weight` `[out, in]` and `bias` `[out]`.
///
/// # Errors
/// When the shapes do not belong together.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (_, inputs) = x.dims2()?;
    let (outputs, expected) = weight.dims2()?;
    if inputs != expected || bias.dims1()? != outputs {
        bail!("apply a {:?} layer with bias {:?} to {inputs} features", weight.shape(), bias.shape());
    }
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, LinearLoops { inputs, outputs })
}

/// A linear layer of so many features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearLoops {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl LinearLoops {
    /// Writes x W' + b.
    pub(crate) fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
        out.par_chunks_mut(self.outputs).zip(x.par_chunks(self.inputs)).for_each(|(out, x)| {
            for ((out, weight), bias) in out.iter_mut().zip(weight.chunks_exact(self.inputs)).zip(bias) {
                *out = bias + dot(x, weight);
            }
        });
    }

    /// Writes the gradient of x.
    pub(crate) fn input_gradient(&self, gradient: &[f32], weight: &[f32], out: &mut [f32]) {
        out.par_chunks_mut(self.inputs).zip(gradient.par_chunks(self.outputs)).for_each(|(out, gradient)| {
            out.fill(0.0);
            for (&gradient, weight) in gradient.iter().zip(weight.chunks_exact(self.inputs)) {
                add_scaled(out, gradient, weight);
            }
        });
    }

    /// The gradient of W, `[out, in]`.
    pub(crate) fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.inputs * self.outputs];
        out.par_chunks_mut(self.inputs).enumerate().for_each(|(output, out)| {
            for (x, gradient) in x.chunks_exact(self.inputs).zip(gradient.chunks_exact(self.outputs)) {
                add_scaled(out, gradient[output], x);
            }
        });
        out
    }

    /// The gradient of b.
    pub(crate) fn bias_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.outputs];
        for gradient in gradient.chunks_exact(self.outputs) {
            add_scaled(&mut out, 1.0, gradient);
        }
        out
    }
}

/// The gradients of x, W and b, of those that are tracked.
type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

#[cfg(feature = "cuda")]
impl LinearLoops {
    fn gradients_on_gpu(&self, [x, weight, bias, gradient]: [&Tensor; 4]) -> Result<Gradients> {
        let for_x = x.track_op().then(|| {
            cuda::compute([gradient, weight], x.shape(), |gpu, [gradient, weight]| {
                cuda::linear::input_gradient(gpu, *self, gradient, weight)
            })
        });
        let for_weight = weight.track_op().then(|| {
            cuda::compute([x, gradient], weight.shape(), |gpu, [x, gradient]| {
                cuda::linear::weight_gradient(gpu, *self, x, gradient)
            })
        });
        let for_bias = bias.track_op().then(|| {
            cuda::compute([gradient], self.outputs, |gpu, [gradient]| {
                cuda::sums::channel_sums(gpu, gradient, self.outputs)
            })
        });
        Ok((for_x.transpose()?, for_weight.transpose()?, for_bias.transpose()?))
    }
}

impl CustomOp3 for LinearLoops {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, xl)?;
        let batch = x.len() / self.inputs;
        let mut out = vec![0.0; batch * self.outputs];
        self.forward(x, slice(weight, wl)?, slice(bias, bl)?, &mut out);
        Ok(stored(out, (batch, self.outputs)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        weight: &CudaStorage,
        wl: &Layout,
        bias: &CudaStorage,
        bl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let operands = [Operand::of(x, xl)?, Operand::of(weight, wl)?, Operand::of(bias, bl)?];
        let batch = xl.shape().elem_count() / self.inputs;
        Ok((cuda::linear::forward(&x.device, *self, operands)?, (batch, self.outputs).into()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, bias: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Gradients> {
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return self.gradients_on_gpu([x, weight, bias, &gradient]);
        }
        let gradient = Values::of(&gradient)?;
        let for_x = if x.track_op() {
            let mut out = vec![0.0; x.elem_count()];
            self.input_gradient(&gradient, &Values::of(weight)?, &mut out);
            Some(tensor(out, x.shape())?)
        } else {
            None
        };
        let for_weight = if weight.track_op() {
            Some(tensor(self.weight_gradient(&Values::of(x)?, &gradient), weight.shape())?)
        } else {
            None
        };
        let for_bias = if bias.track_op() { Some(tensor(self.bias_gradient(&gradient), self.outputs)?) } else { None };
        Ok((for_x, for_weight, for_bias))
    }
}

/// The sum of products, in eight running sums so that it vectorises.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn add_scaled(sums: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Operand, check};
    use super::linear;

    #[test]
    fn values_and_gradients_follow_the_definition() {
        for (batch, inputs, outputs) in [(3, 16, 10), (1, 5, 2), (9, 33, 7)] {
            let operands = [
                Operand::random(&[batch, inputs], 1),
                Operand::random(&[outputs, inputs], 2),
                Operand::random(&[outputs], 3),
            ];
            let oracle = |x: &[Vec<f64>]| -> Vec<f64> {
                let value = |row: usize, output: usize| -> f64 {
                    let products = (0..inputs).map(|i| x[0][row * inputs + i] * x[1][output * inputs + i]);
                    x[2][output] + products.sum::<f64>()
                };
                (0..batch * outputs).map(|index| value(index / outputs, index % outputs)).collect()
            };
            check(&operands, oracle, |t| linear(t[0], t[1], t[2]));
        }
    }

    #[test]
    fn frozen_weights_get_no_gradient() {
        let x = Operand::random(&[2, 4], 1).variable();
        let (weight, bias) = (Operand::random(&[3, 4], 2).frozen(), Operand::random(&[3], 3).frozen());
        let out = linear(&x, &weight, &bias).expect("shapes agree");
        let gradients = out.sum_all().and_then(|loss| loss.backward()).expect("a gradient");
        assert!(gradients.get(&x).is_some());
        assert!(gradients.get(&weight).is_none() && gradients.get(&bias).is_none());
    }
}
