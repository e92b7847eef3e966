//! A network at rest on any device: running statistics, no dropout, no gradient for its weights.
//!
//! Frozen weights cost no gradient, so a gradient with respect to the input is cheap. On the CPU the compiled engine
//! is faster; this is what a GPU uses, and what the engine is tested against.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Device, Result, Tensor, bail};

use crate::gpu::tensor_layers::{Mode, TensorLayers, plain_convolution};
use crate::graph::folding::Line;
use crate::graph::fusion::readers;
use crate::graph::walk::{ConvNode, Norm, Route};
use crate::graph::{Graph, NodeId, Op, Spread};
use crate::tensors::{TensorsError, check, conv_sizes, upload};
use overinterp_artifacts::ParameterTensor;
use overinterp_kernels::ops::{self, Activation, FrozenConvolution, Window};

/// A network that is only evaluated.
pub struct EvaluationNetwork {
    route: Route,
    /// Those of other layers.
    tensors: BTreeMap<String, Tensor>,
    norms: BTreeMap<String, NormAtRest>,
    /// Convolutions that are folded into the batch norm behind them.
    folded: BTreeSet<String>,
    device: Device,
}

/// A batch norm with its statistics folded in.
enum NormAtRest {
    /// x * scale + shift.
    Affine { scale: Tensor, shift: Tensor },
    /// The convolution before it, too, whose input it reads.
    Convolution(FrozenConvolution),
}

impl EvaluationNetwork {
    /// Puts `tensors` on a device.
    ///
    /// # Errors
    /// When they are not those of `graph`, or the device fails.
    pub fn new(
        graph: &Graph,
        tensors: &BTreeMap<String, ParameterTensor>,
        device: &Device,
    ) -> std::result::Result<Self, TensorsError> {
        check(graph, tensors)?;
        let readers = readers(graph);
        let (mut norms, mut folded) = (BTreeMap::new(), BTreeSet::new());
        for node in graph.nodes() {
            let Op::BatchNorm { name, epsilon } = &node.op else { continue };
            let line = Line::of(*epsilon, |part| &tensors[&format!("{name}.{part}")].data);
            let before = node.inputs[0];
            let norm = match &graph.node(before).op {
                Op::Conv { name, bias, kernel, stride, padding, spread } if readers[before.0].len() == 1 => {
                    folded.insert(name.clone());
                    let tensor = |part| &tensors[&format!("{name}.{part}")];
                    let window = spread.window(*kernel, *stride, *padding);
                    let bias = bias.then(|| tensor("bias"));
                    NormAtRest::with_convolution(&line, (tensor("weight"), *spread), bias, &window, device)?
                }
                _ => NormAtRest::alone(&line, device)?,
            };
            norms.insert(name.clone(), norm);
        }
        let kept = tensors.iter().filter(|(name, _)| {
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            !folded.contains(layer) && !norms.contains_key(layer)
        });
        let uploaded: Result<BTreeMap<String, Tensor>> =
            kept.map(|(name, tensor)| Ok((name.clone(), upload(tensor, device)?))).collect();
        Ok(Self { route: Route::new(graph), tensors: uploaded?, norms, folded, device: device.clone() })
    }

    /// The logits `[batch, classes]` of normalised, masked images `x` `[batch, height, width, channels]`;
    /// differentiable with respect to `x`.
    ///
    /// # Errors
    /// When `x` has another shape than the network takes, or the device fails.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        self.route.walk(&mut TensorLayers(Evaluation { network: self }), x)
    }

    /// Where the weights lie.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }
}

impl NormAtRest {
    /// The batch norm alone.
    fn alone(line: &Line, device: &Device) -> Result<Self> {
        let [scale, shift] = line.rounded().map(|values| channels(values, device));
        Ok(Self::Affine { scale: scale?, shift: shift? })
    }

    /// The batch norm with the convolution before it, of which `bias` are the biases, if it has any.
    fn with_convolution(
        line: &Line,
        (weight, spread): (&ParameterTensor, Spread),
        bias: Option<&ParameterTensor>,
        window: &Window,
        device: &Device,
    ) -> Result<Self> {
        let mut weight = weight.clone();
        let mut bias = bias.map_or_else(|| vec![0.0; weight.shape[0]], |bias| bias.data.clone());
        line.put_behind(&mut weight.data, &mut bias);
        let sizes = conv_sizes(&weight)?;
        weight = ParameterTensor { shape: spread.shape(sizes).to_vec(), data: spread.spread(&weight.data, sizes) };
        let (weight, bias) = (upload(&weight, device)?, channels(bias, device)?);
        FrozenConvolution::new(&weight, &bias, window.stride, window.padding).map(Self::Convolution)
    }
}

/// A number for each channel.
fn channels(values: Vec<f32>, device: &Device) -> Result<Tensor> {
    let count = values.len();
    Tensor::from_vec(values, count, device)
}

struct Evaluation<'a> {
    network: &'a EvaluationNetwork,
}

impl Mode for Evaluation<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.network.tensors.get(name).map_or_else(|| bail!("the network has no tensor {name}"), Ok)
    }

    /// One that is folded is left to the batch norm behind it, which therefore gets the convolution's input.
    fn convolve(&mut self, layer: &ConvNode<'_>, x: &Tensor) -> Result<Tensor> {
        if self.network.folded.contains(layer.name) { Ok(x.clone()) } else { plain_convolution(self, layer, x) }
    }

    fn normalise(
        &mut self,
        norm: Norm<'_>,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let Some(norm) = self.network.norms.get(norm.name) else {
            bail!("the network has no batch norm {}", norm.name)
        };
        match norm {
            NormAtRest::Affine { scale, shift } => ops::affine_channels(x, scale, shift, residual, activation),
            NormAtRest::Convolution(convolution) => convolution.apply(x, residual, activation),
        }
    }

    fn dropout(&mut self, _: NodeId, _: f64, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::arch;
    use crate::init;
    use overinterp_spec::{Arch, ImageShape, Seed};

    const SHAPE: ImageShape = ImageShape { height: 32, width: 32, channels: 3 };

    #[test]
    fn the_gradient_of_the_input_agrees_with_differences() {
        let graph = arch::build(Arch::Resnet20, SHAPE, 4).unwrap();
        let tensors = init::initial_tensors(&graph, Seed(5));
        let network = EvaluationNetwork::new(&graph, &tensors, &Device::Cpu).unwrap();
        let values: Vec<f32> = (0..SHAPE.bytes()).map(|index| ((index * 53 % 211) as f32 / 105.0) - 1.0).collect();
        let f = |values: Vec<f32>| -> (Var, Tensor) {
            let x = Var::from_vec(values, (1, 32, 32, 3), &Device::Cpu).unwrap();
            let logits = network.logits(&x).unwrap();
            (x, candle_nn::ops::softmax(&logits, 1).unwrap().narrow(1, 2, 1).unwrap().sum_all().unwrap())
        };
        let (x, y) = f(values.clone());
        let gradient = y.backward().unwrap().remove(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let step = 1e-2;
        for index in [0, 700, 1_535, 3_071] {
            let at = |offset: f32| {
                let mut moved = values.clone();
                moved[index] += offset;
                f(moved).1.to_scalar::<f32>().unwrap()
            };
            let difference = (at(step) - at(-step)) / (2.0 * step);
            assert!((difference - gradient[index]).abs() < 0.05 * gradient[index].abs().max(1e-3), "{index}");
        }
    }
}
