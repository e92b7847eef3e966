//! What stages that ask a model share: what becomes of its errors, and the watchers that pass on to the executor how far they have
//! come.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use overinterp_artifacts::{Effort, ImageSet, Model};
use overinterp_nn::inference::{Inference, Wanted};
use overinterp_nn::observer::Observer;
use overinterp_sis::{Halted, Step};
use overinterp_workflow::stage::{Context, StageError};

use super::Env;

/// What the executor hears of work that did not come to its end, as it failed or as its watcher stopped it.
pub(super) fn halted<E: Error + Send + Sync + 'static>(halted: Halted<E>) -> StageError {
    match halted {
        Halted::Stopped => StageError::Cancelled,
        Halted::Failed(error) => StageError::failed(error),
    }
}

/// Makes a model ready to be asked about images where the stages run.
pub(super) fn open<'a>(
    context: &Context<'_, Env>,
    model: &Model,
    images: &'a ImageSet,
    wanted: Wanted,
) -> Result<Inference<'a>, StageError> {
    Ok(Inference::open(model, images, &context.env().device, wanted)?)
}

/// Passes on to the executor what a network tells.
pub(super) struct Watcher<'a>(pub(super) &'a Context<'a, Env>);

impl Observer for Watcher<'_> {
    fn progress(&self, unit: &str, done: usize, total: usize) {
        self.0.progress(unit, done, total);
    }

    fn log(&self, line: &str) {
        self.0.log(line);
    }

    fn spent_before(&self, seconds: f64) {
        self.0.spent_before(seconds);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// Says what backward selections took.
pub(super) fn say_effort(context: &Context<'_, Env>, efforts: &[Effort]) {
    let total: Effort = efforts.iter().copied().sum();
    if total.exhaustive > 0 {
        context.log(&total.to_string());
    }
}

/// Counts masked pixels over all images of a shard, and stops the work when the user asks.
pub(super) struct Masking<'a> {
    context: &'a Context<'a, Env>,
    done: AtomicUsize,
    total: usize,
}

impl<'a> Masking<'a> {
    /// Masking every one of `total` pixels.
    pub(super) const fn new(context: &'a Context<'a, Env>, total: usize) -> Self {
        Self { context, done: AtomicUsize::new(0), total }
    }

    /// Counts pixels that were masked before.
    pub(super) fn skip(&self, pixels: usize) {
        self.done.fetch_add(pixels, Ordering::Relaxed);
    }

    /// A watcher for the selection of one image.
    pub(super) fn of_image(&self) -> impl FnMut(Step) -> ControlFlow<()> + '_ {
        self.of_images(1)
    }

    /// A watcher for the selection of some images side by side.
    pub(super) fn of_images(&self, images: usize) -> impl FnMut(Step) -> ControlFlow<()> + '_ {
        let mut counted = 0;
        move |step: Step| {
            let new = step.masked.saturating_sub(counted) * images;
            counted = step.masked;
            let done = self.done.fetch_add(new, Ordering::Relaxed) + new;
            self.context.progress("pixels", done.min(self.total), self.total);
            if self.context.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
}

/// Counts the images of a shard whose collections are complete, as nobody knows how many subsets there are, and stops the
/// work when the user asks.
pub(super) struct Finding<'a> {
    context: &'a Context<'a, Env>,
    done: AtomicUsize,
    total: usize,
}

impl<'a> Finding<'a> {
    /// Of so many images.
    pub(super) const fn new(context: &'a Context<'a, Env>, total: usize) -> Self {
        Self { context, done: AtomicUsize::new(0), total }
    }

    /// A watcher for the selections of some images.
    pub(super) fn watch(&self) -> impl FnMut(Step) -> ControlFlow<()> + '_ {
        |_| if self.context.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Counts `images` more as done, and reports the progress.
    pub(super) fn add(&self, images: usize) {
        let done = self.done.fetch_add(images, Ordering::Relaxed) + images;
        self.context.progress("images", done, self.total);
    }
}
