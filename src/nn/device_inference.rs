//! A trained network at work on a candle device, one image after the other.

use candle_core::Device;

use super::batches::{Levels, Samples};
use super::device_scorer::DeviceScorer;
use super::evaluation::EvaluationNetwork;
use super::inference::{InferenceError, checked};
use crate::artifacts::{ImageSet, Model};

/// A model on a device, with the images that it is asked about.
pub struct DeviceInference<'a> {
    network: EvaluationNetwork,
    levels: Levels,
    samples: Samples<'a>,
}

impl<'a> DeviceInference<'a> {
    /// Puts `model` on `device`.
    ///
    /// # Errors
    /// When the model does not fit its architecture or the images, or the device fails.
    pub fn new(model: &Model, images: &'a ImageSet, device: &Device) -> Result<Self, InferenceError> {
        let (graph, samples) = checked(model, images)?;
        let network = EvaluationNetwork::new(&graph, &model.tensors, device)?;
        Ok(Self { network, levels: Levels::new(&model.normalise), samples })
    }

    /// Evaluates image `index` with nothing masked.
    ///
    /// # Errors
    /// When the device fails.
    pub fn scorer(&self, index: usize) -> candle_core::Result<DeviceScorer<'_>> {
        let shape = self.samples.images.shape;
        let image = self.samples.input(&self.levels, &[index as u32], None);
        DeviceScorer::new(&self.network, &image, [shape.height, shape.width, shape.channels])
    }
}
