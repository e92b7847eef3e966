//! What the exact selection of a model's first images takes. How sure the network is decides that, and nothing but a selection
//! tells it.

use std::ops::ControlFlow;

use candle_core::Device;

use super::batches::SamplesError;
use super::device_inference::DeviceInference;
use super::finite::NotFinite;
use super::inference::{Inference, InferenceError};
use super::scorer::NetworkScorer;
use overinterp_artifacts::{Effort, ImageSet, Model};
use overinterp_sis::{BackSelection, Stopped, back_select, back_select_in_lockstep};

/// Why the first images could not be selected.
#[derive(Debug, thiserror::Error)]
pub enum FirstImagesError {
    /// The model cannot be asked about the images.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// An image cannot be read.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// The model's answers mean nothing.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The device failed.
    #[error("cannot select the first images on the device")]
    Device(#[from] candle_core::Error),
    /// They took too long.
    #[error("they are not selected within the time that there is for them")]
    Stopped,
}

/// Selects the first `count` of `images` backwards, as a `select` stage does, and tells what each took. `go_on` is asked after each
/// masked pixel.
///
/// # Errors
/// When the model does not fit the images or answers in what is no number, an image cannot be read, the device fails, or
/// `go_on` says no.
pub fn first_images(
    model: &Model,
    images: &ImageSet,
    count: usize,
    device: &Device,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Vec<Effort>, FirstImagesError> {
    let watch = |_| if go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let effort = |found: BackSelection| noted(found.effort);
    let count = count.min(images.len());
    if device.is_cpu() {
        return Inference::for_scores(model, images)?.for_each(0..count, |workspace, index, image| {
            let mut scorer = NetworkScorer::new(workspace, image);
            let selection = back_select(&mut scorer, watch);
            scorer.check(index)?;
            selection.map(effort).map_err(|Stopped| FirstImagesError::Stopped)
        });
    }
    let inference = DeviceInference::new(model, images, device)?;
    let mut efforts = Vec::with_capacity(count);
    for numbers in inference.groups(0..count) {
        let mut scorer = inference.scorer(&numbers)?;
        let found = back_select_in_lockstep(&mut scorer, watch);
        scorer.check(&numbers)?;
        scorer.finish()?;
        efforts.extend(found.map_err(|Stopped| FirstImagesError::Stopped)?.into_iter().map(effort));
    }
    Ok(efforts)
}

/// What a backward selection took, as its result notes it.
#[must_use]
pub const fn noted(effort: overinterp_sis::Effort) -> Effort {
    let overinterp_sis::Effort { evaluated, needed, exhaustive, steps, at_ceiling } = effort;
    Effort { evaluated, needed, exhaustive, steps, at_ceiling }
}
