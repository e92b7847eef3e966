//! A convolution of frozen weights, with all that follows it in a network at rest.

use candle_core::{CpuStorage, Result, Shape, Tensor, bail};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, Layout};

use super::batch_norm::Activation;
use super::channels::rectified;
use super::conv::ConvOp;
#[cfg(feature = "cuda")]
use super::cuda::{self, Operand, choice};
use super::residual::{Residual, apply};
use super::shape::ConvShape;
use super::values::{Values, stored};

/// act(x convolved + bias + residual) with weights and a bias that get no gradient: a convolution into which the batch
/// norm behind it is folded.
pub struct FrozenConvolution {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: [usize; 2],
}

impl FrozenConvolution {
    /// Of weights `[out, in, height, width]` and a bias `[out]`.
    ///
    /// # Errors
    /// When they do not belong together or are tracked.
    pub fn new(weight: &Tensor, bias: &Tensor, stride: usize, padding: [usize; 2]) -> Result<Self> {
        if bias.dims1()? != weight.dim(0)? {
            bail!(
                "add a bias of shape {:?} to what {:?} weights yield: the two must agree",
                bias.shape(),
                weight.shape()
            );
        }
        if weight.track_op() || bias.track_op() {
            bail!("convolve with frozen weights that are tracked: they get no gradient here, detach them");
        }
        Ok(Self { weight: weight.contiguous()?, bias: bias.contiguous()?, stride, padding })
    }

    /// Applies it to a map `[batch, height, width, in]`; `residual` has the output's shape. Gradients reach both.
    ///
    /// # Errors
    /// When shapes do not belong together or a tensor is not `f32`.
    pub fn apply(&self, x: &Tensor, residual: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
        let shape = ConvShape::of(x, &self.weight, self.stride, self.padding)?;
        if !x.device().same_device(self.weight.device()) {
            bail!("convolve a map on one device with weights on another: move it first");
        }
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        let op = Frozen { convolution: ConvOp::new(shape), weight, bias, activation };
        apply(op, x, residual, &shape.output.dims().into())
    }
}

struct Frozen {
    convolution: ConvOp,
    weight: Tensor,
    bias: Tensor,
    activation: Activation,
}

impl Residual for Frozen {
    const NAMES: [&'static str; 2] = ["frozen convolution", "frozen convolution with residual"];

    fn activation(&self) -> Activation {
        self.activation
    }

    fn forward(&self, x: &[f32], residual: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let (weight, bias) = (Values::of(&self.weight)?, Values::of(&self.bias)?);
        let mut out = self.convolution.forward(x, &weight, Some(&bias));
        for (value, residual) in out.iter_mut().zip(residual.into_iter().flatten()) {
            *value += residual;
        }
        if self.activation == Activation::Relu {
            for value in &mut out {
                *value = rectified(*value);
            }
        }
        Ok(stored(out, self.convolution.shape().output.dims()))
    }

    #[cfg(feature = "cuda")]
    fn forward_on_gpu(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        residual: Option<Operand<'_, CudaStorage>>,
    ) -> Result<(CudaStorage, Shape)> {
        let ((weight, weight_layout), (bias, bias_layout)) =
            (self.weight.storage_and_layout(), self.bias.storage_and_layout());
        let weight = Operand::of(cuda::source_of(&weight)?, weight_layout)?;
        let bias = Operand::of(cuda::source_of(&bias)?, bias_layout)?;
        let then = cuda::Then { bias, residual, activation: self.activation };
        let shape = self.convolution.shape();
        let out = choice::forward(&x.device, shape, Operand::of(x, xl)?, weight, Some(&then))?;
        Ok((out, shape.output.dims().into()))
    }

    fn input_gradient(&self, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.convolution.gradients(x, &self.weight, gradient)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Operand;
    use super::super::{affine_channels, conv2d};
    use super::*;

    /// The output, and the gradients of x and the residual.
    fn answers(operands: &[Operand], op: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<Tensor>> {
        let variables: Vec<_> = operands.iter().map(Operand::variable).collect();
        let output = op(&variables.iter().map(|variable| variable.as_tensor().clone()).collect::<Vec<_>>())?;
        let weights = Operand::random(output.dims(), 77).frozen();
        let mut gradients = (&output * weights)?.sum_all()?.backward()?;
        let found = variables.iter().map(|variable| gradients.remove(variable).expect("tracked"));
        Ok(std::iter::once(output).chain(found).collect())
    }

    #[test]
    fn it_is_a_convolution_and_what_follows() -> Result<()> {
        let weight = Operand::random(&[4, 3, 3, 3], 2).frozen();
        let bias = Operand::random(&[4], 3).frozen();
        let frozen = FrozenConvolution::new(&weight, &bias, 2, [1, 1])?;
        let ones = Tensor::ones(4, candle_core::DType::F32, weight.device())?;
        let operands = [Operand::random(&[2, 5, 6, 3], 1), Operand::random(&[2, 3, 3, 4], 4)];
        for activation in [Activation::Identity, Activation::Relu] {
            for count in [1, 2] {
                let found = answers(&operands[..count], |x| frozen.apply(&x[0], x.get(1), activation))?;
                let expected = answers(&operands[..count], |x| {
                    affine_channels(&conv2d(&x[0], &weight, None, 2, [1, 1])?, &ones, &bias, x.get(1), activation)
                })?;
                for (found, expected) in found.iter().zip(&expected) {
                    let apart = (found - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
                    assert!(apart < 1e-5, "{apart}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn what_does_not_belong_together_is_an_error() -> Result<()> {
        let weight = Operand::random(&[4, 3, 3, 3], 2);
        let bias = Operand::random(&[4], 3).frozen();
        assert!(FrozenConvolution::new(&weight.frozen(), &weight.frozen(), 1, [1, 1]).is_err());
        assert!(FrozenConvolution::new(weight.variable().as_tensor(), &bias, 1, [1, 1]).is_err());
        let frozen = FrozenConvolution::new(&weight.frozen(), &bias, 1, [1, 1])?;
        let x = Operand::random(&[1, 5, 5, 3], 1).frozen();
        assert!(frozen.apply(&x, Some(&x), Activation::Identity).is_err());
        Ok(())
    }
}
