//! A trained model at work on a candle device, one image after the other.

use candle_core::Device;

use super::batches::{Levels, Samples};
use super::device_model::DeviceModel;
use super::device_scorer::DeviceScorer;
use super::inference::{InferenceError, checked};
use super::input_dropout::Use;
use crate::artifacts::{ImageSet, Model};

/// A model on a device, with the images that it is asked about.
pub struct DeviceInference<'a> {
    model: DeviceModel,
    levels: Levels,
    samples: Samples<'a>,
}

impl<'a> DeviceInference<'a> {
    /// Puts `model` on `device`.
    ///
    /// # Errors
    /// When the model does not fit its architecture or the images, or the device fails.
    pub fn new(model: &Model, images: &'a ImageSet, device: &Device) -> Result<Self, InferenceError> {
        let samples = checked(model, images)?;
        let levels = Levels::new(&model.normalise);
        Ok(Self { model: DeviceModel::new(model, device)?, levels, samples })
    }

    /// Evaluates image `index` with nothing masked, and what input dropout keeps of it in a selection.
    ///
    /// # Errors
    /// When the image cannot be read from its file, or the device fails.
    pub fn scorer(&self, index: usize) -> candle_core::Result<DeviceScorer<'_>> {
        self.scorer_for(Use::Selection, index)
    }

    /// Evaluates image `index` with nothing masked, and what input dropout keeps of it for `purpose`.
    ///
    /// # Errors
    /// When the image cannot be read from its file, or the device fails.
    pub fn scorer_for(&self, purpose: Use, index: usize) -> candle_core::Result<DeviceScorer<'_>> {
        let shape = self.samples.images.shape;
        let image = self.samples.input(&self.levels, &[index as u32], None).map_err(candle_core::Error::wrap)?;
        let seen = self.model.draw(purpose, &[index as u32])?;
        DeviceScorer::new(&self.model, seen, &image, [shape.height, shape.width, shape.channels])
    }
}
