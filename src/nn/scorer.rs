//! The models' answers to [`crate::sis`]: the probability of the predicted class as pixels are masked.
//!
//! f is the softmax probability of the class that the model predicts on the full image (METHOD section 3). A
//! scorer borrows a [`ModelWorkspace`], so that a thread that scores one image after another allocates once.

use std::ops::ControlFlow;

use super::compiled_model::ModelWorkspace;
use crate::sis::{CurveScorer, GradientScorer, InputGradientScorer, Scorer};

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
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    (logits[class] - largest).exp() / total
}

/// The logits of a normalised image `[height, width, channels]`.
///
/// # Panics
/// When the image has the wrong number of values.
pub fn predict<'w>(workspace: &'w mut ModelWorkspace, image: &[f32]) -> &'w [f32] {
    workspace.set_image(image);
    workspace.logits()
}

/// Scores an image's pixels by exact evaluation of every candidate.
#[derive(Debug)]
pub struct NetworkScorer<'w> {
    workspace: &'w mut ModelWorkspace,
    class: usize,
    full: f32,
    logits: Vec<f32>,
}

impl<'w> NetworkScorer<'w> {
    /// Evaluates a normalised image `[height, width, channels]` with nothing masked.
    ///
    /// # Panics
    /// When the image has the wrong number of values.
    pub fn new(workspace: &'w mut ModelWorkspace, image: &[f32]) -> Self {
        let logits = predict(workspace, image);
        let class = argmax(logits);
        let full = probability(logits, class);
        let input = workspace.input();
        let logits = vec![0.0; input.height * input.width * workspace.classes()];
        Self { workspace, class, full, logits }
    }

    /// Starts again on `image` with nothing masked; the class stays.
    ///
    /// # Panics
    /// When the image has the wrong number of values.
    pub fn restart(&mut self, image: &[f32]) {
        self.workspace.set_image(image);
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
    fn features(&self) -> usize {
        let input = self.workspace.input();
        input.height * input.width
    }

    fn current(&mut self) -> f32 {
        probability(self.workspace.logits(), self.class)
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) {
        let _ = self.candidates_while(candidates, scores, &mut || ControlFlow::Continue(()));
    }

    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let classes = self.workspace.classes();
        let logits = &mut self.logits[..candidates.len() * classes];
        self.workspace.candidates_while(candidates, logits, go_on)?;
        for (score, logits) in scores.iter_mut().zip(logits.chunks_exact(classes)) {
            *score = probability(logits, self.class);
        }
        ControlFlow::Continue(())
    }

    fn mask(&mut self, feature: u32) {
        self.workspace.mask(feature);
    }
}

/// Scores an image's pixels by the gradient of f with respect to the mask.
#[derive(Debug)]
pub struct NetworkGradient<'w> {
    workspace: &'w mut ModelWorkspace,
    image: Vec<f32>,
    class: usize,
    full: f32,
    logits: Vec<f32>,
}

impl<'w> NetworkGradient<'w> {
    /// Evaluates a normalised image `[height, width, channels]` with nothing masked, by a model that was compiled
    /// for gradients.
    ///
    /// # Panics
    /// When the image has the wrong number of values.
    pub fn new(workspace: &'w mut ModelWorkspace, image: &[f32]) -> Self {
        let logits = predict(workspace, image);
        let class = argmax(logits);
        let full = probability(logits, class);
        let logits = vec![0.0; workspace.classes()];
        Self { workspace, image: image.to_vec(), class, full, logits }
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

    /// f of the current image, and df/dinput, `[height, width, channels]`.
    fn slopes(&mut self) -> (f32, &[f32]) {
        let logits = self.workspace.logits();
        let score = probability(logits, self.class);
        for (class, slope) in self.logits.iter_mut().enumerate() {
            let own = if class == self.class { 1.0 } else { 0.0 };
            *slope = score * (own - probability(logits, class));
        }
        (score, self.workspace.gradient(&self.logits))
    }
}

impl GradientScorer for NetworkGradient<'_> {
    fn features(&self) -> usize {
        let input = self.workspace.input();
        input.height * input.width
    }

    /// With input (1 - m) x, df/dm of a pixel is minus the sum over its channels of x df/dinput.
    fn gradient(&mut self, gradient: &mut [f32]) -> f32 {
        let channels = self.workspace.input().channels;
        let image = std::mem::take(&mut self.image);
        let (score, input) = self.slopes();
        for ((slope, input), image) in
            gradient.iter_mut().zip(input.chunks_exact(channels)).zip(image.chunks_exact(channels))
        {
            *slope = -input.iter().zip(image).map(|(slope, value)| slope * value).sum::<f32>();
        }
        self.image = image;
        score
    }

    fn mask(&mut self, features: &[u32]) {
        self.workspace.mask_all(features);
    }
}

impl CurveScorer for NetworkGradient<'_> {
    fn restart(&mut self) {
        self.workspace.set_image(&self.image);
    }

    fn mask_all(&mut self, features: &[u32]) {
        self.workspace.mask_all(features);
    }

    fn value(&mut self) -> f32 {
        probability(self.workspace.logits(), self.class)
    }
}

impl InputGradientScorer for NetworkGradient<'_> {
    fn input(&self) -> &[f32] {
        &self.image
    }

    fn channels(&self) -> usize {
        self.workspace.input().channels
    }

    fn input_gradient(&mut self, share: f32, gradient: &mut [f32]) -> f32 {
        let scaled: Vec<f32> = self.image.iter().map(|value| value * share).collect();
        self.workspace.set_image(&scaled);
        let (score, slopes) = self.slopes();
        gradient.copy_from_slice(slopes);
        score
    }
}

/// Scores an image as its pixels are masked in an order that is known.
#[derive(Debug)]
pub struct NetworkCurve<'w> {
    workspace: &'w mut ModelWorkspace,
    image: &'w [f32],
    class: usize,
}

impl<'w> NetworkCurve<'w> {
    /// Evaluates a normalised image `[height, width, channels]` with nothing masked.
    ///
    /// # Panics
    /// When the image has the wrong number of values.
    pub fn new(workspace: &'w mut ModelWorkspace, image: &'w [f32]) -> Self {
        let class = argmax(predict(workspace, image));
        Self { workspace, image, class }
    }

    /// The class that is predicted on the full image.
    #[must_use]
    pub const fn class(&self) -> usize {
        self.class
    }
}

impl CurveScorer for NetworkCurve<'_> {
    fn restart(&mut self) {
        self.workspace.set_image(self.image);
    }

    fn mask_all(&mut self, features: &[u32]) {
        self.workspace.mask_all(features);
    }

    fn value(&mut self) -> f32 {
        probability(self.workspace.logits(), self.class)
    }
}
