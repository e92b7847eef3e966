//! A network at rest on any device: running statistics, no dropout, no gradient for its weights.
//!
//! Frozen weights cost no gradient, so a gradient with respect to the input is cheap. On the CPU the compiled engine
//! is faster; this is what other devices use, and what the engine is tested against.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, bail};

use super::graph::{Graph, NodeId, Op};
use super::tensor_layers::{Mode, TensorLayers};
use super::tensors::{TensorsError, check, upload};
use super::walk::{Norm, Route};
use crate::artifacts::ParameterTensor;
use crate::kernels::ops::{self, Activation};

/// A network that is only evaluated.
pub struct EvaluationNetwork {
    route: Route,
    tensors: BTreeMap<String, Tensor>,
    norms: BTreeMap<String, Affine>,
    device: Device,
}

/// A batch norm with its statistics folded in: x * scale + shift.
struct Affine {
    scale: Tensor,
    shift: Tensor,
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
        let mut norms = BTreeMap::new();
        for node in graph.nodes() {
            if let Op::BatchNorm { name, epsilon } = &node.op {
                norms.insert(name.clone(), fold(Norm { name, epsilon: *epsilon }, tensors, device)?);
            }
        }
        let uploaded: Result<BTreeMap<String, Tensor>> =
            tensors.iter().map(|(name, tensor)| Ok((name.clone(), upload(tensor, device)?))).collect();
        Ok(Self { route: Route::new(graph), tensors: uploaded?, norms, device: device.clone() })
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

fn fold(norm: Norm<'_>, tensors: &BTreeMap<String, ParameterTensor>, device: &Device) -> Result<Affine> {
    let Norm { name, epsilon } = norm;
    let data = |part: &str| tensors[&format!("{name}.{part}")].data.iter().map(|&value| f64::from(value));
    let scale: Vec<f64> = data("weight")
        .zip(data("running_var"))
        .map(|(weight, variance)| weight / (variance + epsilon).sqrt())
        .collect();
    let shift: Vec<f32> = data("bias")
        .zip(data("running_mean"))
        .zip(&scale)
        .map(|((bias, mean), scale)| (bias - mean * scale) as f32)
        .collect();
    let scale: Vec<f32> = scale.into_iter().map(|value| value as f32).collect();
    let channels = shift.len();
    Ok(Affine { scale: Tensor::from_vec(scale, channels, device)?, shift: Tensor::from_vec(shift, channels, device)? })
}

struct Evaluation<'a> {
    network: &'a EvaluationNetwork,
}

impl Mode for Evaluation<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.network.tensors.get(name).map_or_else(|| bail!("the network has no tensor {name}"), Ok)
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
        ops::affine_channels(x, &norm.scale, &norm.shift, residual, activation)
    }

    fn dropout(&mut self, _: NodeId, _: f64, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::nn::{arch, init};
    use crate::spec::{Arch, ImageShape, Seed};

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
