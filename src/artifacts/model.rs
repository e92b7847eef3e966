//! The weights of a network, with what is needed to use them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spec::{Arch, ImageShape, Normalise};

/// A trained or imported network.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its architecture.
    pub arch: Arch,
    /// The images it takes.
    pub shape: ImageShape,
    /// The classes it tells apart.
    pub classes: usize,
    /// How bytes become its input.
    pub normalise: Normalise,
    /// Parameters and batch-norm statistics under PyTorch's names (`layer1.0.conv1.weight`), in PyTorch's shapes
    /// (convolution `[out, in, height, width]`, linear `[out, in]`).
    pub tensors: BTreeMap<String, ParameterTensor>,
    /// One line an epoch; empty for an imported model.
    pub log: Vec<EpochLog>,
}

/// A float32 tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterTensor {
    /// Extent of each dimension.
    pub shape: Vec<usize>,
    /// The elements, as many as the extents' product.
    pub data: Vec<f32>,
}

/// What one epoch of training came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochLog {
    /// Counted from 1.
    pub epoch: usize,
    /// Learning rate in this epoch.
    pub learning_rate: f64,
    /// Mean cross-entropy over the epoch's batches, as they were seen.
    pub loss: f64,
    /// Accuracy on the training images as they were seen (augmented, in training mode), 0..1.
    pub train_accuracy: f64,
    /// Accuracy on the test images after the epoch, 0..1.
    pub test_accuracy: f64,
}
