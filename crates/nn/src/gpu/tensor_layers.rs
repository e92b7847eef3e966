//! The layers of a graph over candle tensors, channels-last.

use candle_core::{Result, Tensor};

use crate::graph::NodeId;
use crate::graph::walk::{ConvNode, Layers, Norm};
use overinterp_kernels::ops::{self, Activation};

/// What differs between training and evaluation.
pub(crate) trait Mode {
    /// The tensor of that name.
    fn tensor(&self, name: &str) -> Result<&Tensor>;

    /// Applies `layer` to `x`, or hands `x` on where [`Mode::normalise`] does the convolution together with the norm.
    fn convolve(&mut self, layer: &ConvNode<'_>, x: &Tensor) -> Result<Tensor> {
        plain_convolution(self, layer, x)
    }

    /// A batch norm of `x`, plus `residual`, activated.
    fn normalise(
        &mut self,
        norm: Norm<'_>,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor>;

    /// Dropout at that node.
    fn dropout(&mut self, node: NodeId, rate: f64, x: &Tensor) -> Result<Tensor>;
}

/// A convolution by the tensors of a mode.
pub(crate) fn plain_convolution<M: Mode + ?Sized>(mode: &M, layer: &ConvNode<'_>, x: &Tensor) -> Result<Tensor> {
    let weight = mode.tensor(&format!("{}.weight", layer.name))?;
    let bias = layer.bias.as_ref().map(|bias| mode.tensor(bias)).transpose()?;
    let (stride, padding) = (layer.window.stride, layer.window.padding);
    if layer.spread.is_none() {
        return ops::conv2d(x, weight, bias, stride, padding);
    }
    ops::conv2d(x, &layer.spread.spread_tensor(weight)?, bias, stride, padding)
}

/// The layers in some mode. After the mean over all pixels a map is `[batch, channels]`.
pub(crate) struct TensorLayers<M>(pub(crate) M);

impl<M: Mode> Layers for TensorLayers<M> {
    type Map = Tensor;

    fn convolve(&mut self, layer: &ConvNode<'_>, x: &Tensor) -> Result<Tensor> {
        self.0.convolve(layer, x)
    }

    fn normalise(
        &mut self,
        norm: Norm<'_>,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        self.0.normalise(norm, x, residual, activation)
    }

    fn rectify(&mut self, x: &Tensor) -> Result<Tensor> {
        ops::relu(x)
    }

    fn add(&mut self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a + b
    }

    fn max_pool(&mut self, kernel: usize, stride: usize, padding: usize, x: &Tensor) -> Result<Tensor> {
        ops::max_pool2d(x, kernel, stride, padding)
    }

    fn mean_pool(&mut self, kernel: usize, stride: usize, padding: usize, x: &Tensor) -> Result<Tensor> {
        ops::avg_pool2d(x, kernel, stride, padding)
    }

    fn concat(&mut self, parts: &[&Tensor]) -> Result<Tensor> {
        Tensor::cat(parts, 3)
    }

    fn subsample(&mut self, stride: usize, padding: usize, x: &Tensor) -> Result<Tensor> {
        ops::subsample(x, stride, padding)
    }

    fn dropout(&mut self, node: NodeId, rate: f64, x: &Tensor) -> Result<Tensor> {
        self.0.dropout(node, rate, x)
    }

    fn global_mean(&mut self, x: &Tensor) -> Result<Tensor> {
        ops::global_mean(x)
    }

    fn linear(&mut self, name: &str, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, self.0.tensor(&format!("{name}.weight"))?, self.0.tensor(&format!("{name}.bias"))?)
    }
}
