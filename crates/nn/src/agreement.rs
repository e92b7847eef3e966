//! A model beside selections that were made elsewhere, image by image.

use std::ops::{ControlFlow, Range};

use crate::cpu::scorer::NetworkScorer;
use crate::gpu::scorer::GpuScorer;
use crate::inference::{Finder, Inference};
use crate::unanswered::Unanswered;
pub use overinterp_sis::{Agreement, Reference, Worst};
use overinterp_sis::{Alone, Halted, Step, agreement};

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

/// Compares images with their references, one after the other on each thread.
struct Comparing<R, C> {
    reference: R,
    cancelled: C,
}

impl<'r, R: Fn(usize) -> Reference<'r> + Sync, C: Fn() -> bool + Sync> Comparing<R, C> {
    fn watch(&self, _: Step) -> ControlFlow<()> {
        if (self.cancelled)() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl<'r, R: Fn(usize) -> Reference<'r> + Sync, C: Fn() -> bool + Sync> Finder for Comparing<R, C> {
    type Found = ComparedImage;

    fn of_image(&self, scorer: &mut NetworkScorer<'_>) -> Result<ComparedImage, Halted<Unanswered>> {
        let agreement = agreement(scorer, (self.reference)(scorer.number()), |step| self.watch(step))?;
        Ok(ComparedImage { class: scorer.class(), full: scorer.full(), agreement })
    }

    fn of_images(&self, scorer: &mut GpuScorer<'_>) -> Result<Vec<ComparedImage>, Halted<Unanswered>> {
        let (number, class, full) = (scorer.numbers()[0] as usize, scorer.classes()[0], scorer.full()[0]);
        let agreement = agreement(&mut Alone(scorer), (self.reference)(number), |step| self.watch(step))?;
        Ok(vec![ComparedImage { class, full, agreement }])
    }

    fn at_most(&self) -> usize {
        1
    }
}

impl Inference<'_> {
    /// Compares each image of `indexes` with its reference. `cancelled` is asked at every step.
    ///
    /// # Errors
    /// When the user asked to stop, or the model does not answer.
    ///
    /// # Panics
    /// When a reference is of an image of another size.
    pub fn compare<'r>(
        &self,
        indexes: Range<usize>,
        reference: impl Fn(usize) -> Reference<'r> + Sync,
        cancelled: impl Fn() -> bool + Sync,
    ) -> Result<Vec<ComparedImage>, Halted<Unanswered>> {
        self.find(indexes, &Comparing { reference, cancelled })
    }
}
