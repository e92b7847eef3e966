//! A network that learns on a candle device.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var, bail};

use crate::gpu::tensor_layers::{Mode, TensorLayers};
use crate::graph::walk::{Norm, Route};
use crate::graph::{BATCH_NORM_MOMENTUM, Graph, NodeId};
use crate::tensors::{download, upload};
use crate::train::dropout::DropoutDraw;
use crate::train::learner::{Batch, Learner, Outcome, Tensors};
use crate::train::optimiser::Sgd;
use overinterp_kernels::ops::{self, Activation};

/// Tracked weights, statistics and velocities on a device.
pub(crate) struct GpuLearner {
    route: Route,
    weights: BTreeMap<String, Var>,
    statistics: BTreeMap<String, Tensor>,
    velocities: BTreeMap<String, Tensor>,
    sgd: Sgd,
    /// What labels are smoothed by.
    smoothing: f64,
    device: Device,
}

impl GpuLearner {
    /// Uploads tensors and velocities that have been checked.
    pub(crate) fn new(
        graph: &Graph,
        tensors: &Tensors,
        velocities: &Tensors,
        sgd: Sgd,
        smoothing: f64,
        device: &Device,
    ) -> Result<Self> {
        let (mut weights, mut statistics) = (BTreeMap::new(), BTreeMap::new());
        for parameter in graph.parameters() {
            let tensor = upload(&tensors[&parameter.name], device)?;
            if parameter.trained {
                weights.insert(parameter.name.clone(), Var::from_tensor(&tensor)?);
            } else {
                statistics.insert(parameter.name.clone(), tensor);
            }
        }
        let velocities: Result<BTreeMap<String, Tensor>> =
            velocities.iter().map(|(name, velocity)| Ok((name.clone(), upload(velocity, device)?))).collect();
        let (route, device) = (Route::new(graph), device.clone());
        Ok(Self { route, weights, statistics, velocities: velocities?, sgd, smoothing, device })
    }
}

impl Learner for GpuLearner {
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Outcome> {
        let x = Tensor::from_slice(&batch.pixels, batch.shape.dims(), &self.device)?;
        let mode = Training {
            weights: &self.weights,
            statistics: &mut self.statistics,
            dropout: batch.dropout,
            device: &self.device,
        };
        let logits = self.route.walk(&mut TensorLayers(mode), &x)?;
        let loss = ops::smooth_cross_entropy(&logits, &batch.labels, self.smoothing)?;
        let value = loss.to_scalar::<f32>()?;
        if value.is_finite() {
            let gradients = loss.backward()?;
            let pace = self.sgd.pace(learning_rate);
            for (name, weight) in &self.weights {
                match (self.velocities.get_mut(name), gradients.get(weight)) {
                    (Some(velocity), Some(gradient)) => {
                        let [moved, faster] = pace.step(&weight.as_detached_tensor(), velocity, gradient)?;
                        weight.set(&moved)?;
                        *velocity = faster;
                    }
                    _ => bail!("weight {name} has no velocity or no gradient"),
                }
            }
        }
        Ok(Outcome { loss: value, logits: logits.flatten_all()?.to_vec1()? })
    }

    fn tensors(&self) -> Result<Tensors> {
        let weights = self.weights.iter().map(|(name, weight)| (name, weight.as_tensor()));
        weights.chain(&self.statistics).map(|(name, tensor)| Ok((name.clone(), download(tensor)?))).collect()
    }

    fn velocities(&self) -> Result<Tensors> {
        self.velocities.iter().map(|(name, tensor)| Ok((name.clone(), download(tensor)?))).collect()
    }
}

struct Training<'a> {
    weights: &'a BTreeMap<String, Var>,
    statistics: &'a mut BTreeMap<String, Tensor>,
    dropout: DropoutDraw,
    device: &'a Device,
}

impl Training<'_> {
    /// Moves a running statistic a part of the way to the batch's.
    fn follow(&mut self, name: &str, batch: &Tensor) -> Result<()> {
        let Some(running) = self.statistics.get_mut(name) else { bail!("the network has no tensor {name}") };
        *running = ops::blend(running, batch, BATCH_NORM_MOMENTUM)?;
        Ok(())
    }
}

impl Mode for Training<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.weights.get(name).map_or_else(|| bail!("the network has no tensor {name}"), |var| Ok(var.as_tensor()))
    }

    fn normalise(
        &mut self,
        norm: Norm<'_>,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let Norm { name, epsilon } = norm;
        let weight = self.tensor(&format!("{name}.weight"))?;
        let bias = self.tensor(&format!("{name}.bias"))?;
        let normalised = ops::batch_norm(x, weight, bias, epsilon, residual, activation)?;
        self.follow(&format!("{name}.running_mean"), &normalised.mean)?;
        self.follow(&format!("{name}.running_var"), &normalised.variance)?;
        Ok(normalised.output)
    }

    fn dropout(&mut self, node: NodeId, rate: f64, x: &Tensor) -> Result<Tensor> {
        let batch = x.dim(0)?;
        let factors = self.dropout.factors(node, rate, batch, x.elem_count() / batch.max(1));
        x * Tensor::from_vec(factors, x.shape(), self.device)?
    }
}
