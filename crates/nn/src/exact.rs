//! Exact backward selection of images by a model, on a CPU or on a device, as stages want it; and of the first images of a set, for
//! what it takes. How sure the network is decides that, and nothing but a selection tells it.

use std::ops::{ControlFlow, Range};

use candle_core::Device;

use super::batches::SamplesError;
use super::device_inference::DeviceInference;
use super::finite::NotFinite;
use super::inference::{Inference, InferenceError};
use super::scorer::NetworkScorer;
use overinterp_artifacts::{Effort, ImageSet, Model};
use overinterp_sis::{BackSelection, Step, Stopped, back_select, back_select_in_lockstep};

/// One image's selection, and the class that f is the probability of.
pub type Selected = (usize, BackSelection);

/// Why images could not be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// An image cannot be read.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// The model's answers mean nothing.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
    /// The watcher stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Inference<'_> {
    /// Selects images backwards, one a thread, each with a watcher of its own.
    ///
    /// # Errors
    /// When an image cannot be read, a logit is not finite, or a watcher stops it.
    pub fn select<W: FnMut(Step) -> ControlFlow<()>>(
        &self,
        indexes: Range<usize>,
        watch: impl Fn() -> W + Sync,
    ) -> Result<Vec<Selected>, SelectError> {
        self.for_each(indexes, |workspace, index, image| {
            let mut scorer = NetworkScorer::new(workspace, image);
            let selection = back_select(&mut scorer, watch());
            scorer.check(index)?;
            Ok((scorer.class(), selection?))
        })
    }
}

impl DeviceInference<'_> {
    /// Selects images backwards, as many in lockstep as it pays, each such group with a watcher of its own.
    ///
    /// # Errors
    /// As [`Inference::select`], or when the device fails.
    pub fn select<W: FnMut(Step) -> ControlFlow<()>>(
        &self,
        indexes: Range<usize>,
        watch: impl Fn() -> W,
    ) -> Result<Vec<Selected>, SelectError> {
        let mut all = Vec::with_capacity(indexes.len());
        for numbers in self.groups(indexes) {
            let mut scorer = self.scorer(&numbers)?;
            let found = back_select_in_lockstep(&mut scorer, watch());
            scorer.check(&numbers)?;
            let classes = scorer.classes().to_vec();
            // A device that failed has stopped the selection, too.
            scorer.finish()?;
            all.extend(classes.into_iter().zip(found?));
        }
        Ok(all)
    }
}

/// Why the first images could not be selected.
#[derive(Debug, thiserror::Error)]
pub enum FirstImagesError {
    /// The model cannot be asked about the images.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// They could not be selected.
    #[error(transparent)]
    Select(#[from] SelectError),
}

/// Selects the first `count` of `images` and tells what each took. `go_on` is asked after each masked pixel.
///
/// # Errors
/// When the model does not fit the images, or as [`Inference::select`] and [`DeviceInference::select`].
pub fn first_images(
    model: &Model,
    images: &ImageSet,
    count: usize,
    device: &Device,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Vec<Effort>, FirstImagesError> {
    let watch = || |_: Step| if go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let indexes = 0..count.min(images.len());
    let selected = if device.is_cpu() {
        Inference::for_scores(model, images)?.select(indexes, watch)?
    } else {
        DeviceInference::new(model, images, device)?.select(indexes, watch)?
    };
    Ok(selected.into_iter().map(|(_, selection)| noted(selection.effort)).collect())
}

/// What a backward selection took, as its result notes it.
#[must_use]
pub const fn noted(effort: overinterp_sis::Effort) -> Effort {
    let overinterp_sis::Effort { evaluated, needed, exhaustive, steps, at_ceiling } = effort;
    Effort { evaluated, needed, exhaustive, steps, at_ceiling }
}
