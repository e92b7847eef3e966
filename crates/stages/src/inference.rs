//! What stages that ask a model share: who is asked, and the watchers that pass on to the engine how far they have come.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;

use overinterp_artifacts::{Effort, ImageSet, Model};
use overinterp_nn::batches::SamplesError;
use overinterp_nn::device_inference::DeviceInference;
use overinterp_nn::exact::SelectError;
use overinterp_nn::finite::NotFinite;
use overinterp_nn::inference::Inference;
use overinterp_nn::observer::Observer;
use overinterp_nn::predict::PredictError;
use overinterp_sis::{Step, Stopped};
use overinterp_workflow::stage::{Context, StageError};

use super::Env;

/// Why a model that a stage asks does not answer, as the engine will hear it.
#[derive(Debug)]
pub(super) struct Unanswered(StageError);

impl From<Unanswered> for StageError {
    fn from(Unanswered(error): Unanswered) -> Self {
        error
    }
}

impl From<StageError> for Unanswered {
    fn from(error: StageError) -> Self {
        Self(error)
    }
}

impl From<SamplesError> for Unanswered {
    fn from(error: SamplesError) -> Self {
        Self(StageError::failed(error))
    }
}

impl From<NotFinite> for Unanswered {
    fn from(error: NotFinite) -> Self {
        Self(StageError::failed(error))
    }
}

impl From<SelectError> for Unanswered {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Stopped(stopped) => stopped.into(),
            other => Self(StageError::failed(other)),
        }
    }
}

impl From<Stopped> for Unanswered {
    fn from(Stopped: Stopped) -> Self {
        Self(StageError::Cancelled)
    }
}

impl From<PredictError> for Unanswered {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Cancelled => Self(StageError::Cancelled),
            other => Self(StageError::failed(other)),
        }
    }
}

/// Passes on to the engine what a network tells.
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

/// A model that is asked about images.
pub(super) enum Asked<'a> {
    /// On the CPU: an image a thread, or a group.
    Cpu(Inference<'a>),
    /// On a device without the fused engine: as many images as it pays, in lockstep or side by side.
    Device(DeviceInference<'a>),
}

impl<'a> Asked<'a> {
    /// To be asked for logits, of whole images and of images with pixels masked.
    pub(super) fn for_scores(model: &Model, images: &'a ImageSet, device: &Device) -> Result<Self, StageError> {
        let asked = if device.is_cpu() {
            Inference::for_scores(model, images).map(Self::Cpu)
        } else {
            DeviceInference::new(model, images, device).map(Self::Device)
        };
        asked.map_err(StageError::failed)
    }

    /// To be asked for gradients with respect to the mask.
    pub(super) fn for_gradients(model: &Model, images: &'a ImageSet, device: &Device) -> Result<Self, StageError> {
        if device.is_cpu() {
            return Inference::for_gradients(model, images).map(Self::Cpu).map_err(StageError::failed);
        }
        // A device's networks serve both.
        Self::for_scores(model, images, device)
    }

    /// How many images' exact selections an interruption may cost: on the CPU so many, or more where many threads share them.
    pub(super) fn part(&self, on_cpu: usize) -> usize {
        match self {
            Self::Cpu(_) => on_cpu.max(2 * rayon::current_num_threads()),
            Self::Device(inference) => inference.together(),
        }
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

    /// Counts images.
    pub(super) fn add(&self, images: usize) {
        let done = self.done.fetch_add(images, Ordering::Relaxed) + images;
        self.context.progress("images", done, self.total);
    }
}
