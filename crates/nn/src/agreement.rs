//! A model beside selections that were made elsewhere, image by image.

use std::ops::{ControlFlow, Range};

use candle_core::Device;

use super::batches::SamplesError;
use super::device_inference::DeviceInference;
use super::finite::NotFinite;
use super::inference::{Inference, InferenceError};
use super::scorer::NetworkScorer;
use overinterp_artifacts::{ImageSet, Model};
pub use overinterp_sis::{Agreement, Reference, Worst};
use overinterp_sis::{Alone, Step, Stopped, agreement};

/// How a model and a reference stand to each other on one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComparedImage {
    /// The class that the model predicts on the full image, whose probability f is.
    pub class: usize,
    /// f of the full image.
    pub full: f32,
    /// How far they are apart.
    pub agreement: Agreement,
}

/// Why images could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The model cannot be asked about them.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// An image cannot be read from its file.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// The device failed.
    #[error("the device failed")]
    Device(#[from] candle_core::Error),
    /// The model does not answer in numbers.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

impl From<Stopped> for CompareError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

/// A model that is compared, through the same engine as selects.
pub enum Comparison<'a> {
    /// By the fused engine, one image a thread.
    Engine(Inference<'a>),
    /// By candle, one image after the other.
    Device(DeviceInference<'a>),
}

impl<'a> Comparison<'a> {
    /// Prepares `model` on `device` to be asked about `images`.
    ///
    /// # Errors
    /// When the model does not fit the images, or the device fails.
    pub fn new(model: &Model, images: &'a ImageSet, device: &Device) -> Result<Self, CompareError> {
        if device.is_cpu() {
            Ok(Self::Engine(Inference::for_scores(model, images)?))
        } else {
            Ok(Self::Device(DeviceInference::new(model, images, device)?))
        }
    }

    /// Compares each image of `indexes` with its reference. `cancelled` is asked at every step.
    ///
    /// # Errors
    /// When the model's logits are not finite, the device fails, or the user asked to stop.
    ///
    /// # Panics
    /// When a reference is of an image of another size.
    pub fn compare<'r>(
        &self,
        indexes: Range<usize>,
        reference: impl Fn(usize) -> Reference<'r> + Sync,
        cancelled: impl Fn() -> bool + Sync,
    ) -> Result<Vec<ComparedImage>, CompareError> {
        let watch = |_: Step| if cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        match self {
            Self::Engine(inference) => inference.for_each(indexes, |workspace, index, image| {
                let mut scorer = NetworkScorer::new(workspace, image);
                let agreement = agreement(&mut scorer, reference(index), watch);
                scorer.check(index)?;
                let agreement = agreement?;
                Ok(ComparedImage { class: scorer.class(), full: scorer.full(), agreement })
            }),
            Self::Device(inference) => {
                let mut compared = Vec::new();
                for index in indexes {
                    let numbers = [index as u32];
                    let mut scorer = inference.scorer(&numbers)?;
                    let agreement = agreement(&mut Alone(&mut scorer), reference(index), watch);
                    scorer.check(&numbers)?;
                    let (class, full) = (scorer.classes()[0], scorer.full()[0]);
                    compared.push(ComparedImage { class, full, agreement: agreement? });
                    scorer.finish()?;
                }
                Ok(compared)
            }
        }
    }
}
