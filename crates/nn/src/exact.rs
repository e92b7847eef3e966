//! Exact backward selection of images by a model, as stages want it; and of the first images of a set, for what it takes. How
//! sure the network is decides that, and nothing but a selection tells it.

use std::ops::{ControlFlow, Range};

use candle_core::Device;

use crate::image_scorer::{Ceiling, ImageScorer};
use crate::inference::{Finder, Inference, InferenceError, Wanted};
use crate::unanswered::Unanswered;
use overinterp_artifacts::{Effort, ImageSet, Model};
use overinterp_sis::{BackSelection, Halted, Step};

/// One image's selection, and the class that f is the probability of.
pub type Selected = (usize, BackSelection);

/// Selects images backwards; `watch` makes a watcher for each image, or for each group in lockstep.
struct Selecting<N>(N);

impl<W: FnMut(Step) -> ControlFlow<()>, N: Fn() -> W + Sync> Finder for Selecting<N> {
    type Found = Selected;

    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<Selected>, Halted<Unanswered>> {
        let selections = scorer.select(Ceiling::Used, (self.0)())?;
        Ok(scorer.said().into_iter().map(|said| said.class).zip(selections).collect())
    }
}

impl Inference<'_> {
    /// Selects images backwards, on a CPU one a thread, each with a watcher of its own, on a GPU as many in lockstep
    /// as it pays, each such group with a watcher.
    ///
    /// # Errors
    /// When a watcher stops it, or the model does not answer.
    pub fn select<W: FnMut(Step) -> ControlFlow<()>>(
        &self,
        indexes: Range<usize>,
        watch: impl Fn() -> W + Sync,
    ) -> Result<Vec<Selected>, Halted<Unanswered>> {
        self.find(indexes, &Selecting(watch))
    }
}

/// Why the first images could not be selected.
#[derive(Debug, thiserror::Error)]
pub enum FirstImagesError {
    /// The model cannot be asked about the images.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// It did not answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The watcher stopped it.
    #[error("the selection was stopped before its end")]
    Stopped,
}

impl From<Halted<Unanswered>> for FirstImagesError {
    fn from(halted: Halted<Unanswered>) -> Self {
        match halted {
            Halted::Stopped => Self::Stopped,
            Halted::Failed(error) => Self::Unanswered(error),
        }
    }
}

/// Selects the first `count` of `images` and tells what each took. `go_on` is asked after each masked pixel.
///
/// # Errors
/// When the model does not fit the images, or as [`Inference::select`].
pub fn first_images(
    model: &Model,
    images: &ImageSet,
    count: usize,
    device: &Device,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Vec<Effort>, FirstImagesError> {
    let watch = || |_: Step| if go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let inference = Inference::open(model, images, device, Wanted::Scores)?;
    let selected = inference.select(0..count.min(images.len()), watch)?;
    Ok(selected.into_iter().map(|(_, selection)| noted(selection.effort)).collect())
}

/// What a backward selection took, as its result notes it.
#[must_use]
pub const fn noted(effort: overinterp_sis::Effort) -> Effort {
    let overinterp_sis::Effort { evaluated, needed, exhaustive, steps, at_ceiling } = effort;
    Effort { evaluated, needed, exhaustive, steps, at_ceiling }
}
