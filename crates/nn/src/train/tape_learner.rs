//! A network that learns on the CPU, each step on a tape.

use std::collections::BTreeMap;

use candle_core::{Result, bail};

use crate::graph::walk::{ConvNode, Layers, Norm, Route};
use crate::graph::{BATCH_NORM_MOMENTUM, Graph, NodeId, Op, Spread};
use crate::tensors::conv_sizes;
use crate::train::dropout::DropoutDraw;
use crate::train::learner::{Batch, Learner, Outcome, Tensors};
use crate::train::optimiser::Sgd;
use overinterp_kernels::isa::Isa;
use overinterp_kernels::ops::{Activation, smooth_softmax_loss, smooth_softmax_loss_gradient};
use overinterp_kernels::tape::{BatchStatistics, MapId, ParameterId, Tape, Workspace};

/// Weights on the host and the buffers of a step.
pub(crate) struct TapeLearner {
    route: Route,
    tensors: Tensors,
    /// Weights of convolutions with groups or dilation, as kernels take them.
    spread: BTreeMap<String, SpreadWeights>,
    velocities: Tensors,
    sgd: Sgd,
    /// What labels are smoothed by.
    smoothing: f64,
    workspace: Workspace,
}

impl TapeLearner {
    /// A network with tensors and velocities that have been checked.
    pub(crate) fn new(graph: &Graph, tensors: Tensors, velocities: Tensors, sgd: Sgd, smoothing: f64) -> Self {
        let spread = graph.nodes().iter().filter_map(|node| match &node.op {
            Op::Conv { name, spread, .. } if !spread.is_none() => {
                Some((format!("{name}.weight"), SpreadWeights { spread: *spread, weights: Vec::new() }))
            }
            _ => None,
        });
        let (route, spread) = (Route::new(graph), spread.collect());
        Self { route, tensors, spread, velocities, sgd, smoothing, workspace: Workspace::new(Isa::detect()) }
    }

    fn pass(&mut self, batch: &Batch) -> Result<Pass> {
        for (name, SpreadWeights { spread, weights }) in &mut self.spread {
            let tensor = &self.tensors[name];
            *weights = spread.spread(&tensor.data, conv_sizes(tensor)?);
        }
        let mut layers = TapeLayers {
            tape: Tape::new(&mut self.workspace),
            tensors: &self.tensors,
            spread: &self.spread,
            parameters: BTreeMap::new(),
            statistics: Vec::new(),
            dropout: batch.dropout,
        };
        let x = layers.tape.input(&batch.pixels, batch.shape)?;
        let last = self.route.walk(&mut layers, &x)?;
        let TapeLayers { tape, parameters, statistics, .. } = layers;
        let logits = tape.values(last).to_vec();
        let loss = smooth_softmax_loss(&logits, &batch.labels, self.smoothing);
        let mut gradients = Vec::new();
        if loss.is_finite() {
            let slope = smooth_softmax_loss_gradient(&logits, &batch.labels, self.smoothing, 1.0);
            let mut found = tape.backward(last, slope)?;
            for (name, parameter) in parameters {
                let Some(mut gradient) = found.take(parameter) else { bail!("weight {name} has no gradient") };
                if let Some(SpreadWeights { spread, .. }) = self.spread.get(&name) {
                    gradient = spread.gather(&gradient, conv_sizes(&self.tensors[&name])?);
                }
                gradients.push((name, gradient));
            }
        }
        Ok(Pass { outcome: Outcome { loss, logits }, statistics, gradients })
    }

    /// Moves the running statistics a part of the way to the batch's.
    fn follow(&mut self, statistics: &[(String, BatchStatistics)]) {
        for (name, batch) in statistics {
            for (part, values) in [("running_mean", &batch.mean), ("running_var", &batch.variance)] {
                let running = self.tensors.get_mut(&format!("{name}.{part}")).map(|tensor| &mut tensor.data[..]);
                for (running, value) in running.unwrap_or_default().iter_mut().zip(values.iter()) {
                    *running = (1.0 - BATCH_NORM_MOMENTUM as f32) * *running + BATCH_NORM_MOMENTUM as f32 * value;
                }
            }
        }
    }
}

/// Weights of a convolution with groups or dilation, between the zeros that they are spread over.
struct SpreadWeights {
    spread: Spread,
    weights: Vec<f32>,
}

/// What a pass forward and back found.
struct Pass {
    outcome: Outcome,
    /// What each batch norm saw.
    statistics: Vec<(String, BatchStatistics)>,
    /// By weight; empty if the loss is not finite.
    gradients: Vec<(String, Vec<f32>)>,
}

impl Learner for TapeLearner {
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Outcome> {
        let pass = self.pass(batch)?;
        for (name, gradient) in &pass.gradients {
            let weight = self.tensors.get_mut(name).map(|tensor| &mut tensor.data);
            let velocity = self.velocities.get_mut(name).map(|tensor| &mut tensor.data);
            let (Some(weight), Some(velocity)) = (weight, velocity) else { bail!("weight {name} has no velocity") };
            self.sgd.update(weight, velocity, gradient, learning_rate);
        }
        self.follow(&pass.statistics);
        Ok(pass.outcome)
    }

    fn tensors(&self) -> Result<Tensors> {
        Ok(self.tensors.clone())
    }

    fn velocities(&self) -> Result<Tensors> {
        Ok(self.velocities.clone())
    }
}

/// The layers of a graph on a tape.
struct TapeLayers<'a> {
    tape: Tape<'a>,
    tensors: &'a Tensors,
    spread: &'a BTreeMap<String, SpreadWeights>,
    /// The weights that are on the tape.
    parameters: BTreeMap<String, ParameterId>,
    /// What each batch norm saw.
    statistics: Vec<(String, BatchStatistics)>,
    dropout: DropoutDraw,
}

impl TapeLayers<'_> {
    fn parameter(&mut self, name: String) -> Result<ParameterId> {
        let Some(tensor) = self.tensors.get(&name) else { bail!("the network has no tensor {name}") };
        let parameter = self.tape.parameter(self.spread.get(&name).map_or(&tensor.data, |spread| &spread.weights));
        self.parameters.insert(name, parameter);
        Ok(parameter)
    }
}

impl Layers for TapeLayers<'_> {
    type Map = MapId;

    fn convolve(&mut self, layer: &ConvNode<'_>, x: &MapId) -> Result<MapId> {
        let weight = self.parameter(format!("{}.weight", layer.name))?;
        let bias = layer.bias.clone().map(|bias| self.parameter(bias)).transpose()?;
        self.tape.conv2d(*x, weight, bias, layer.outputs, layer.window)
    }

    fn normalise(
        &mut self,
        norm: Norm<'_>,
        x: &MapId,
        residual: Option<&MapId>,
        activation: Activation,
    ) -> Result<MapId> {
        let [scale, shift] = ["weight", "bias"].map(|part| self.parameter(format!("{}.{part}", norm.name)));
        let residual = residual.copied();
        let (map, statistics) = self.tape.batch_norm(*x, scale?, shift?, norm.epsilon, residual, activation)?;
        self.statistics.push((norm.name.to_owned(), statistics));
        Ok(map)
    }

    fn rectify(&mut self, x: &MapId) -> Result<MapId> {
        Ok(self.tape.relu(*x))
    }

    fn add(&mut self, a: &MapId, b: &MapId) -> Result<MapId> {
        self.tape.add(*a, *b)
    }

    fn max_pool(&mut self, kernel: usize, stride: usize, padding: usize, x: &MapId) -> Result<MapId> {
        self.tape.max_pool2d(*x, kernel, stride, padding)
    }

    fn mean_pool(&mut self, kernel: usize, stride: usize, padding: usize, x: &MapId) -> Result<MapId> {
        self.tape.avg_pool2d(*x, kernel, stride, padding)
    }

    fn concat(&mut self, parts: &[&MapId]) -> Result<MapId> {
        self.tape.concat(&parts.iter().map(|part| **part).collect::<Vec<_>>())
    }

    fn subsample(&mut self, stride: usize, padding: usize, x: &MapId) -> Result<MapId> {
        self.tape.subsample(*x, stride, padding)
    }

    fn dropout(&mut self, node: NodeId, rate: f64, x: &MapId) -> Result<MapId> {
        let shape = self.tape.shape(*x);
        let factors = self.dropout.factors(node, rate, shape.batch, shape.image());
        self.tape.multiply(*x, factors)
    }

    fn global_mean(&mut self, x: &MapId) -> Result<MapId> {
        Ok(self.tape.global_mean(*x))
    }

    fn linear(&mut self, name: &str, x: &MapId) -> Result<MapId> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.parameter(format!("{name}.{part}")));
        self.tape.linear(*x, weight?, bias?)
    }
}
