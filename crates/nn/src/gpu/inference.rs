//! A trained model at work on a GPU: on the candidates of many images in lockstep, or on many images side by side.

use std::ops::Range;

use candle_core::Device;

use crate::cpu::inference::checked;
use crate::gpu::group_scorer::GpuGroup;
use crate::gpu::model::GpuModel;
use crate::gpu::scorer::GpuScorer;
use crate::images::batches::{Levels, Samples};
use crate::inference::InferenceError;
use crate::input_dropout::Use;
use crate::unanswered::Unanswered;
use overinterp_artifacts::{ImageSet, Model};

/// Pixels of the images of a group: 256 images of 32x32, five photographs. A round keeps every map of theirs.
const PIXELS: usize = 1 << 18;
/// The most images of a group.
const IMAGES: usize = 256;

/// A model on a device, with the images that it is asked about.
pub(crate) struct GpuInference<'a> {
    model: GpuModel,
    levels: Levels,
    samples: Samples<'a>,
}

impl<'a> GpuInference<'a> {
    /// Puts `model` on `device`.
    ///
    /// # Errors
    /// When the model does not fit its architecture or the images, or the device fails.
    pub(crate) fn new(model: &Model, images: &'a ImageSet, device: &Device) -> Result<Self, InferenceError> {
        let samples = checked(model, images)?;
        let levels = Levels::of(model);
        Ok(Self { model: GpuModel::new(model, device)?, levels, samples })
    }

    /// Evaluates images with nothing masked, to select of all of them in lockstep by what input dropout keeps of each.
    ///
    /// # Errors
    /// When an image cannot be read from its file, a logit is not finite, or the device fails.
    pub(crate) fn scorer(&self, numbers: &[u32]) -> Result<GpuScorer<'_>, Unanswered> {
        let seen = self.model.draw(Use::Selection, numbers)?;
        let shape = self.model.views().shape(self.samples.images.shape);
        GpuScorer::new(&self.model, seen, numbers, &self.read(numbers)?, shape)
    }

    /// How many images it pays to evaluate together.
    pub(crate) fn together(&self) -> usize {
        (PIXELS / self.samples.images.shape.pixels().max(1)).clamp(1, IMAGES)
    }

    /// The images that it pays to evaluate together, at most so many, from `indexes` in turn; only the last group may have fewer.
    pub(crate) fn groups(&self, indexes: Range<usize>, at_most: usize) -> impl Iterator<Item = Vec<u32>> {
        let size = self.together().min(at_most);
        let numbers: Vec<u32> = indexes.map(|index| index as u32).collect();
        (0..numbers.len()).step_by(size).map(move |first| numbers[first..numbers.len().min(first + size)].to_vec())
    }

    /// Evaluates images with nothing masked, and what input dropout keeps of each for `purpose`.
    ///
    /// # Errors
    /// When an image cannot be read from its file, a logit is not finite, or the device fails.
    pub(crate) fn group(&self, purpose: Use, numbers: &[u32]) -> Result<GpuGroup<'_>, Unanswered> {
        let seen = self.model.draw(purpose, numbers)?;
        let shape = self.model.views().shape(self.samples.images.shape);
        GpuGroup::new(&self.model, seen, numbers, self.read(numbers)?, shape)
    }

    fn read(&self, numbers: &[u32]) -> Result<Vec<f32>, Unanswered> {
        Ok(self.samples.input(&self.levels, numbers, None)?)
    }
}
