//! Ops on a map to whose output a residual may be added, before an activation.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::batch_norm::{Activation, behind};
#[cfg(feature = "cuda")]
use super::cuda::Operand;
use super::values::slice;

/// What tells such an op from others.
pub(super) trait Residual: Send + Sync + 'static {
    /// What it is called alone, and with a residual.
    const NAMES: [&'static str; 2];

    /// What comes last.
    fn activation(&self) -> Activation;

    /// The output on the CPU, contiguous.
    fn forward(&self, x: &[f32], residual: Option<&[f32]>) -> Result<(CpuStorage, Shape)>;

    /// The output on a GPU, contiguous.
    #[cfg(feature = "cuda")]
    fn forward_on_gpu(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        residual: Option<Operand<'_, CudaStorage>>,
    ) -> Result<(CudaStorage, Shape)>;

    /// The gradient for x if that is tracked, given the one behind the activation.
    fn input_gradient(&self, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>>;
}

/// Applies an op to x; its output has that shape.
///
/// # Errors
/// When the residual has another shape, or the op fails.
pub(super) fn apply<R: Residual>(op: R, x: &Tensor, residual: Option<&Tensor>, output: &Shape) -> Result<Tensor> {
    match residual {
        None => x.contiguous()?.apply_op1(With(op)),
        Some(residual) if residual.shape() == output => x.contiguous()?.apply_op2(&residual.contiguous()?, With(op)),
        Some(residual) => bail!("add a residual of shape {:?} to a map of shape {output:?}", residual.shape()),
    }
}

struct With<R>(R);

impl<R: Residual> CustomOp1 for With<R> {
    fn name(&self) -> &'static str {
        R::NAMES[0]
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.forward(slice(x, xl)?, None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout) -> Result<(CudaStorage, Shape)> {
        self.0.forward_on_gpu(x, xl, None)
    }

    fn bwd(&self, x: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        self.0.input_gradient(x, &behind(self.0.activation(), output, gradient)?)
    }
}

impl<R: Residual> CustomOp2 for With<R> {
    fn name(&self) -> &'static str {
        R::NAMES[1]
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, r: &CpuStorage, rl: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.forward(slice(x, xl)?, Some(slice(r, rl)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout, r: &CudaStorage, rl: &Layout) -> Result<(CudaStorage, Shape)> {
        self.0.forward_on_gpu(x, xl, Some(Operand::of(r, rl)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gated = behind(self.0.activation(), output, gradient)?;
        Ok((self.0.input_gradient(x, &gated)?, residual.track_op().then_some(gated)))
    }
}
