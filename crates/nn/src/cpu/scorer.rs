//! The models' answers to [`overinterp_sis`] on one image: the probability of the predicted class as pixels are masked.
//!
//! f is the softmax probability of the class that the model predicts on the full image (`docs/method.md`, section 3). A
//! scorer borrows a [`ModelWorkspace`], so that a thread that scores one image after another allocates once.

use std::ops::ControlFlow;

use crate::cpu::compiled_model::ModelWorkspace;
use crate::finite::check_logits;
use crate::unanswered::Unanswered;
use overinterp_sis::{Bound, Halted, Scorer, unstopped};

/// The index of the largest logit, the lowest on ties.
#[must_use]
pub fn argmax(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

/// The softmax probability of one class.
///
/// # Panics
/// When there is no such class.
#[must_use]
pub fn probability(logits: &[f32], class: usize) -> f32 {
    let (largest, total) = largest_and_total(logits);
    (logits[class] - largest).exp() / total
}

/// The softmax probability of every class, each the same to the bit as [`probability`] of it.
pub fn probabilities(logits: &[f32]) -> impl Iterator<Item = f32> {
    let (largest, total) = largest_and_total(logits);
    logits.iter().map(move |logit| (logit - largest).exp() / total)
}

/// The largest logit, and the sum of all exponentials after it is subtracted, so that none overflows.
fn largest_and_total(logits: &[f32]) -> (f32, f32) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (largest, logits.iter().map(|logit| (logit - largest).exp()).sum())
}

/// The logits of a normalised image `[height, width, channels]`.
///
/// # Panics
/// When the image has the wrong number of values.
pub fn predict<'w>(workspace: &'w mut ModelWorkspace, image: &[f32]) -> &'w [f32] {
    workspace.set_image(image);
    workspace.logits()
}

/// The gradient of [`probability`] with respect to the logits, into `slopes`; the probability.
///
/// # Panics
/// When there is no such class.
pub fn probability_slopes(logits: &[f32], class: usize, slopes: &mut [f32]) -> f32 {
    let score = probability(logits, class);
    for (other, slope) in slopes.iter_mut().enumerate() {
        let own = if other == class { 1.0 } else { 0.0 };
        *slope = score * (own - probability(logits, other));
    }
    score
}

/// Scores an image's pixels by exact evaluation of every candidate.
#[derive(Debug)]
pub struct NetworkScorer<'w> {
    workspace: &'w mut ModelWorkspace,
    number: usize,
    image: &'w [f32],
    class: usize,
    full: f32,
    logits: Vec<f32>,
}

impl<'w> NetworkScorer<'w> {
    /// Evaluates image number `number` of its set, normalised, `[height, width, channels]`, with nothing masked.
    ///
    /// # Errors
    /// When a logit is not finite.
    ///
    /// # Panics
    /// When the image has the wrong number of values.
    pub fn new(workspace: &'w mut ModelWorkspace, number: usize, image: &'w [f32]) -> Result<Self, Unanswered> {
        let logits = predict(workspace, image);
        check_logits(logits, number)?;
        let class = argmax(logits);
        let full = probability(logits, class);
        let input = workspace.input();
        let logits = vec![0.0; input.height * input.width * workspace.classes()];
        Ok(Self { workspace, number, image, class, full, logits })
    }

    /// Starts again with nothing masked.
    pub fn restart(&mut self) {
        self.workspace.set_image(self.image);
    }

    /// Starts again on another image, of which f is the probability of the same class.
    ///
    /// # Panics
    /// When the image has the wrong number of values.
    pub(crate) fn show(&mut self, image: &[f32]) {
        self.workspace.set_image(image);
    }

    /// The image's number in its set.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }

    /// The class that is predicted on the full image.
    #[must_use]
    pub const fn class(&self) -> usize {
        self.class
    }

    /// f of the full image.
    #[must_use]
    pub const fn full(&self) -> f32 {
        self.full
    }
}

impl Scorer for NetworkScorer<'_> {
    type Error = Unanswered;

    fn features(&self) -> usize {
        let input = self.workspace.input();
        input.height * input.width
    }

    fn current(&mut self) -> Result<f32, Unanswered> {
        let logits = self.workspace.logits();
        check_logits(logits, self.number)?;
        Ok(probability(logits, self.class))
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) -> Result<(), Unanswered> {
        unstopped(self.candidates_while(candidates, scores, &mut || ControlFlow::Continue(())))
    }

    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Halted<Unanswered>> {
        let classes = self.workspace.classes();
        let logits = &mut self.logits[..candidates.len() * classes];
        if self.workspace.candidates_while(candidates, logits, go_on).is_break() {
            return Err(Halted::Stopped);
        }
        check_logits(logits, self.number).map_err(Unanswered::from)?;
        for (score, logits) in scores.iter_mut().zip(logits.chunks_exact(classes)) {
            *score = probability(logits, self.class);
        }
        Ok(())
    }

    fn mask(&mut self, feature: u32) -> Result<(), Unanswered> {
        self.workspace.mask(feature);
        Ok(())
    }

    fn bound(&self) -> Bound {
        Bound::softmax(self.workspace.group())
    }
}
