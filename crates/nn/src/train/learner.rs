//! A network while it learns, wherever that is computed.

use std::collections::BTreeMap;

use candle_core::{Device, Result};

use crate::graph::Graph;
use crate::tensors::{TensorsError, check};
use crate::train::dropout::DropoutDraw;
use crate::train::gpu_learner::GpuLearner;
use crate::train::optimiser::Sgd;
use crate::train::tape_learner::TapeLearner;
use overinterp_artifacts::ParameterTensor;
use overinterp_kernels::ops::MapShape;
use overinterp_spec::Recipe;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, ParameterTensor>;

/// What one step learns from.
pub(crate) struct Batch {
    /// Normalised images, `[batch, height, width, channels]`.
    pub(crate) pixels: Vec<f32>,
    /// Their sizes: how many images there are, and the rows, columns and channels of each.
    pub(crate) shape: MapShape,
    /// One class an image.
    pub(crate) labels: Vec<u32>,
    /// What is dropped out.
    pub(crate) dropout: DropoutDraw,
}

/// What came of a batch before the step.
pub(crate) struct Outcome {
    /// The cross-entropy, as the mean over the batch's images; perhaps not finite.
    pub(crate) loss: f32,
    /// `[batch, classes]`.
    pub(crate) logits: Vec<f32>,
}

/// Weights, running statistics and velocities, and a way to move them.
pub(crate) trait Learner {
    /// Takes a batch forward, backward and down the gradient, unless its loss is not finite. The running statistics
    /// move towards the batch's.
    fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<Outcome>;

    /// Copies of weights and running statistics.
    fn tensors(&self) -> Result<Tensors>;

    /// Copies of the velocities, one a weight.
    fn velocities(&self) -> Result<Tensors>;
}

/// Puts a network where it is to learn: on the CPU as records on a tape, elsewhere through candle.
///
/// Without `velocities` it starts at rest.
///
/// # Errors
/// When `tensors` are not those of `graph`, `velocities` those of its weights, or the device fails.
pub(crate) fn learner(
    graph: &Graph,
    tensors: Tensors,
    velocities: Option<Tensors>,
    recipe: &Recipe,
    device: &Device,
) -> std::result::Result<Box<dyn Learner>, TensorsError> {
    check(graph, &tensors)?;
    let velocities = velocities.unwrap_or_else(|| at_rest(graph));
    for parameter in graph.parameters().iter().filter(|parameter| parameter.trained) {
        if velocities.get(&parameter.name).is_none_or(|velocity| velocity.shape != parameter.shape) {
            return Err(TensorsError::Mismatch(vec![format!("{} has no velocity of its shape", parameter.name)]));
        }
    }
    let (sgd, smoothing) = (Sgd::new(recipe), recipe.label_smoothing);
    Ok(if device.is_cpu() {
        Box::new(TapeLearner::new(graph, tensors, velocities, sgd, smoothing))
    } else {
        Box::new(GpuLearner::new(graph, &tensors, &velocities, sgd, smoothing, device)?)
    })
}

/// A velocity of 0 for each weight.
pub(crate) fn at_rest(graph: &Graph) -> Tensors {
    let still = |shape: &[usize]| ParameterTensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] };
    let trained = graph.parameters().iter().filter(|parameter| parameter.trained);
    trained.map(|parameter| (parameter.name.clone(), still(&parameter.shape))).collect()
}
