//! A network in training: tracked weights, batch statistics, dropout.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::graph::{BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, Graph, Node, NodeId, Op};
use super::taped;
use super::tensors::{TensorsError, check, download, upload};
use super::walk::{Mode, Route, apply_to_tensors};
use crate::artifacts::ParameterTensor;
use crate::kernels::isa::Isa;
use crate::kernels::ops::{self, Activation, cross_entropy};
use crate::kernels::tape::Workspace;
use crate::spec::Seed;

/// The weights and statistics of a network while it learns.
pub struct TrainingNetwork {
    route: Route,
    weights: BTreeMap<String, Var>,
    statistics: BTreeMap<String, Tensor>,
    device: Device,
    workspace: Workspace,
}

/// What a batch teaches.
pub struct Learned {
    /// The mean cross-entropy.
    pub loss: f32,
    /// A row of logits for each image.
    pub logits: Vec<Vec<f32>>,
    /// The gradient of each weight.
    pub gradients: GradStore,
}

/// Which dropout masks a batch gets: a pure function of the seed and the number of the training step.
#[derive(Clone, Copy, Debug)]
pub struct DropoutDraw {
    /// The training's seed.
    pub seed: Seed,
    /// Training steps before this one.
    pub step: u64,
}

impl TrainingNetwork {
    /// Puts `tensors` on a device, to be trained there.
    ///
    /// # Errors
    /// When they are not those of `graph`, or the device fails.
    pub fn new(
        graph: &Graph,
        tensors: &BTreeMap<String, ParameterTensor>,
        device: &Device,
    ) -> std::result::Result<Self, TensorsError> {
        check(graph, tensors)?;
        let (mut weights, mut statistics) = (BTreeMap::new(), BTreeMap::new());
        for parameter in graph.parameters() {
            let tensor = upload(&tensors[&parameter.name], device)?;
            if parameter.trained {
                weights.insert(parameter.name.clone(), Var::from_tensor(&tensor)?);
            } else {
                statistics.insert(parameter.name.clone(), tensor);
            }
        }
        let workspace = Workspace::new(Isa::detect());
        Ok(Self { route: Route::new(graph), weights, statistics, device: device.clone(), workspace })
    }

    /// Loss, logits and gradients of a batch `x` `[batch, height, width, channels]`; moves the running statistics
    /// towards the batch's.
    ///
    /// # Errors
    /// When `x` has another shape than the network takes, a label names no class, or the device fails.
    pub fn learn(&mut self, x: &Tensor, labels: &[u32], dropout: DropoutDraw) -> Result<Learned> {
        let Self { route, weights, statistics, device, workspace } = self;
        if device.is_cpu() {
            return taped::learn(route, weights, statistics, workspace, x, labels, dropout);
        }
        let logits = route.walk(&mut Training { weights, statistics, dropout, device }, x)?;
        let loss = cross_entropy(&logits, labels)?;
        Ok(Learned { loss: loss.to_scalar()?, logits: logits.to_vec2()?, gradients: loss.backward()? })
    }

    /// The trained weights, by name.
    #[must_use]
    pub const fn weights(&self) -> &BTreeMap<String, Var> {
        &self.weights
    }

    /// What is computed.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        self.route.graph()
    }

    /// Copies weights and statistics to the host.
    ///
    /// # Errors
    /// When the device fails.
    pub fn tensors(&self) -> Result<BTreeMap<String, ParameterTensor>> {
        let weights = self.weights.iter().map(|(name, var)| (name, var.as_tensor()));
        let all = weights.chain(&self.statistics);
        all.map(|(name, tensor)| Ok((name.clone(), download(tensor)?))).collect()
    }
}

struct Training<'a> {
    weights: &'a BTreeMap<String, Var>,
    statistics: &'a mut BTreeMap<String, Tensor>,
    dropout: DropoutDraw,
    device: &'a Device,
}

/// Moves a running statistic a tenth of the way to the batch's.
pub(super) fn follow(statistics: &mut BTreeMap<String, Tensor>, name: &str, batch: &Tensor) -> Result<()> {
    let Some(running) = statistics.get_mut(name) else { bail!("the network has no tensor {name}") };
    *running = ((&*running * (1.0 - BATCH_NORM_MOMENTUM))? + (batch * BATCH_NORM_MOMENTUM)?)?;
    Ok(())
}

impl Training<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.weights.get(name).map_or_else(|| bail!("the network has no tensor {name}"), |var| Ok(var.as_tensor()))
    }
}

impl Mode for Training<'_> {
    type Map = Tensor;

    fn normalise(
        &mut self,
        name: &str,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        let bias = self.tensor(&format!("{name}.bias"))?;
        let normalised = ops::batch_norm(x, weight, bias, BATCH_NORM_EPSILON, residual, activation)?;
        follow(self.statistics, &format!("{name}.running_mean"), &normalised.mean)?;
        follow(self.statistics, &format!("{name}.running_var"), &normalised.variance)?;
        Ok(normalised.output)
    }

    fn apply(&mut self, id: NodeId, node: &Node, inputs: &[&Tensor]) -> Result<Tensor> {
        match (&node.op, inputs) {
            (Op::Dropout { rate }, [x]) => {
                let (batch, height, width, channels) = x.dims4()?;
                let factors = self.dropout.factors(id, *rate, batch, height * width * channels);
                *x * Tensor::from_vec(factors, x.shape(), self.device)?
            }
            _ => apply_to_tensors(&node.op, inputs, |name| self.tensor(name)),
        }
    }
}

impl DropoutDraw {
    /// What a node's values are multiplied by, `per_image` values an image.
    pub(super) fn factors(self, node: NodeId, rate: f64, images: usize, per_image: usize) -> Vec<f32> {
        let stream = self.seed.stream(&format!("dropout {}", node.0), self.step);
        dropout_factors(&stream, rate, images, per_image)
    }
}

/// 0 with probability `rate` and else 1/(1-rate), `per_image` values an image. Each image has its own sequence of the
/// stream, so that images can be drawn in any order.
fn dropout_factors(stream: &ChaCha8Rng, rate: f64, images: usize, per_image: usize) -> Vec<f32> {
    #[expect(clippy::cast_sign_loss, reason = "a probability is positive")]
    let dropped_below = (rate * 2.0_f64.powi(32)) as u64;
    let kept = (1.0 / (1.0 - rate)) as f32;
    let mut factors = vec![0.0; images * per_image];
    factors.par_chunks_mut(per_image).enumerate().for_each(|(image, factors)| {
        let mut stream = stream.clone();
        stream.set_stream(image as u64);
        for factor in factors {
            *factor = if u64::from(stream.next_u32()) < dropped_below { 0.0 } else { kept };
        }
    });
    factors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::graph::Init;
    use crate::nn::{arch, init};
    use crate::spec::{Arch, ImageShape};

    const GREY: ImageShape = ImageShape { height: 8, width: 8, channels: 1 };

    fn images(count: usize) -> Tensor {
        let values: Vec<f32> = (0..count * 64).map(|index| ((index * 37 % 101) as f32 / 50.0) - 1.0).collect();
        Tensor::from_vec(values, (count, 8, 8, 1), &Device::Cpu).unwrap()
    }

    #[test]
    fn running_statistics_move_a_tenth_of_the_way_to_the_batchs() {
        let graph = arch::build(Arch::Cnn, GREY, 2).unwrap();
        let tensors = init::initial_tensors(&graph, Seed(0));
        let mut network = TrainingNetwork::new(&graph, &tensors, &Device::Cpu).unwrap();
        let x = images(3);
        network.learn(&x, &[0, 1, 1], DropoutDraw { seed: Seed(0), step: 0 }).unwrap();
        let after = network.tensors().unwrap();

        let weight = upload(&tensors["conv1.weight"], &Device::Cpu).unwrap();
        let map = ops::conv2d(&x, &weight, None, 1, [1, 1]).unwrap();
        let rows: Vec<f32> = map.flatten_all().unwrap().to_vec1().unwrap();
        let channel: Vec<f64> = rows.iter().skip(5).step_by(8).map(|&value| f64::from(value)).collect();
        let mean = channel.iter().sum::<f64>() / channel.len() as f64;
        let variance = channel.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (channel.len() - 1) as f64;
        assert!((f64::from(after["bn1.running_mean"].data[5]) - 0.1 * mean).abs() < 1e-6);
        assert!((f64::from(after["bn1.running_var"].data[5]) - (0.9 + 0.1 * variance)).abs() < 1e-6);
        assert_eq!(after["conv1.weight"], tensors["conv1.weight"]);
    }

    #[test]
    fn dropout_is_a_function_of_seed_and_step() {
        let mut graph = Graph::new(GREY);
        let dropped = graph.dropout(graph.input(), 0.5);
        let mean = graph.global_mean(dropped);
        graph.linear("linear", mean, 2, Init::Ones);
        let mut network = TrainingNetwork::new(&graph, &init::initial_tensors(&graph, Seed(0)), &Device::Cpu).unwrap();
        let mut logits =
            |seed, step| network.learn(&images(2), &[0, 1], DropoutDraw { seed: Seed(seed), step }).unwrap().logits;
        let first = logits(3, 5);
        assert_eq!(logits(3, 5), first);
        assert_ne!(logits(3, 6), first);
        assert_ne!(logits(4, 5), first);
    }

    #[test]
    fn dropout_keeps_the_mean_and_depends_on_the_step() {
        let stream = Seed(1).stream("dropout 5", 0);
        let factors = dropout_factors(&stream, 0.3, 4, 5_000);
        let dropped = factors.iter().filter(|&&factor| factor == 0.0).count();
        // Four standard errors of a binomial of 20,000 draws.
        assert!((dropped as f64 - 6_000.0).abs() < 4.0 * (20_000.0_f64 * 0.3 * 0.7).sqrt(), "{dropped}");
        assert!(factors.iter().all(|&factor| factor == 0.0 || (factor - 1.0 / 0.7).abs() < 1e-6));
        assert_ne!(factors[..5_000], factors[5_000..10_000]);
        assert_ne!(factors, dropout_factors(&Seed(1).stream("dropout 5", 1), 0.3, 4, 5_000));
    }
}
