//! The door to a trained model: it is opened on a device, and asked about images.
//!
//! A CPU takes one image a thread, or a group; a GPU takes many images in lockstep or side by side. What is found
//! of them is a [`Finder`]'s or a [`GroupFinder`]'s to say, which need not know where that is computed.

use std::ops::Range;

use candle_core::Device;

use crate::cpu::compiled_model::CompileModelError;
use crate::cpu::group_scorer::{GroupScorer, ImageGroup};
use crate::cpu::inference::CpuInference;
use crate::cpu::model_passes::Group;
use crate::cpu::scorer::NetworkScorer;
use crate::gpu::inference::GpuInference;
use crate::gpu::model::GpuModelError;
use crate::image_scorer::ImageScorer;
use crate::images::batches::SamplesError;
use crate::images::kind::OtherImages;
use crate::input_dropout::Use;
use crate::unanswered::Unanswered;
use overinterp_artifacts::{ImageSet, Model};
use overinterp_kernels::engine::Purpose;
use overinterp_sis::Halted;

/// Why a model cannot be asked about images.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The images cannot be used.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// An architecture cannot take such images, or its weights do not fit it.
    #[error(transparent)]
    Compile(#[from] CompileModelError),
    /// The same, or the device failed, when moving them there.
    #[error(transparent)]
    Upload(#[from] GpuModelError),
    /// The images are not what the model was made for.
    #[error(transparent)]
    OtherImages(#[from] OtherImages),
}

/// What a model is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// f of images with pixels masked.
    Scores,
    /// The same, and its gradients with respect to what is masked.
    Gradients,
}

/// What is found of images by exact evaluation of candidates.
pub trait Finder: Sync {
    /// What is found of one.
    type Found: Send;

    /// Finds it by a scorer of one image or of several, one for each in their order.
    ///
    /// # Errors
    /// When it was stopped, or the model does not answer.
    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<Self::Found>, Halted<Unanswered>>;

    /// How many images may go in lockstep.
    fn at_most(&self) -> usize {
        usize::MAX
    }
}

/// What is found of images side by side. What it is of one must not depend on its group.
pub trait GroupFinder: Sync {
    /// What is found of one.
    type Found: Send;

    /// Finds it of a group, one for each image in their order.
    ///
    /// # Errors
    /// When it was stopped, or the model does not answer.
    fn of_group<S: ImageGroup>(&self, scorer: &mut S) -> Result<Vec<Self::Found>, Halted<Unanswered>>;
}

/// A model that is asked about images.
pub struct Inference<'a>(Place<'a>);

/// Where a model is asked.
enum Place<'a> {
    /// On the CPU.
    Cpu(CpuInference<'a>),
    /// On a GPU, which serves every want.
    Gpu(GpuInference<'a>),
}

impl<'a> Inference<'a> {
    /// Makes `model` ready on `device` to be asked about `images`.
    ///
    /// # Errors
    /// When the model does not fit its architecture or the images, or the device fails.
    pub fn open(model: &Model, images: &'a ImageSet, device: &Device, wanted: Wanted) -> Result<Self, InferenceError> {
        if !device.is_cpu() {
            return GpuInference::new(model, images, device).map(Place::Gpu).map(Self);
        }
        let purpose = match wanted {
            Wanted::Scores => Purpose::Candidates,
            Wanted::Gradients => Purpose::Gradients,
        };
        CpuInference::new(model, images, purpose).map(Place::Cpu).map(Self)
    }

    /// What `finder` finds of each image of `indexes`, in their order.
    ///
    /// # Errors
    /// When it was stopped, or the model does not answer.
    pub fn find<F: Finder>(&self, indexes: Range<usize>, finder: &F) -> Result<Vec<F::Found>, Halted<Unanswered>> {
        let inference = match &self.0 {
            Place::Cpu(inference) => {
                let found = inference.for_each(indexes, |workspace, index, image| {
                    finder.of_images(&mut NetworkScorer::new(workspace, index, image)?)
                });
                return Ok(found?.into_iter().flatten().collect());
            }
            Place::Gpu(inference) => inference,
        };
        let mut all = Vec::with_capacity(indexes.len());
        for numbers in inference.groups(indexes, finder.at_most()) {
            all.extend(finder.of_images(&mut inference.scorer(&numbers)?)?);
        }
        Ok(all)
    }

    /// What `finder` finds of each image of `indexes`, of which input dropout keeps what it keeps for `purpose`, in groups,
    /// in the images' order.
    ///
    /// # Errors
    /// When it was stopped, or the model does not answer.
    pub fn find_in_groups<F: GroupFinder>(
        &self,
        indexes: Range<usize>,
        purpose: Use,
        finder: &F,
    ) -> Result<Vec<F::Found>, Halted<Unanswered>> {
        let inference = match &self.0 {
            Place::Cpu(inference) => {
                return inference.for_groups(indexes, |passes, numbers, images| {
                    finder.of_group(&mut GroupScorer::new(passes, Group { purpose, numbers }, images)?)
                });
            }
            Place::Gpu(inference) => inference,
        };
        let mut all = Vec::with_capacity(indexes.len());
        for numbers in inference.groups(indexes, usize::MAX) {
            all.extend(finder.of_group(&mut inference.group(purpose, &numbers)?)?);
        }
        Ok(all)
    }

    /// How many images' exact selections an interruption may cost: on the CPU so many, or more where many threads share them.
    #[must_use]
    pub fn part(&self, on_cpu: usize) -> usize {
        match &self.0 {
            Place::Cpu(_) => on_cpu.max(2 * rayon::current_num_threads()),
            Place::Gpu(inference) => inference.together(),
        }
    }
}
