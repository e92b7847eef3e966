//! A model beside selections that were made elsewhere, image by image.

use std::ops::{ControlFlow, Range};

use crate::image_scorer::{ImageScorer, Said};
use crate::inference::{Finder, Inference};
use crate::unanswered::Unanswered;
pub use overinterp_sis::{Agreement, Reference, Worst};
use overinterp_sis::{Halted, Step};

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

    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<ComparedImage>, Halted<Unanswered>> {
        let Said { number, class, full } = scorer.said()[0];
        let agreement = scorer.compare((self.reference)(number), |step| self.watch(step))?;
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
