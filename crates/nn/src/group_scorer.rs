//! The models' answers to [`overinterp_sis`] on several images side by side, which share each reading of the weights.
//!
//! f is, as in [`super::scorer`], the softmax probability of the class that the model predicts on the full image.

use super::finite::{NotFinite, first_not_finite};
use super::masked_images::MaskedImages;
use super::model_passes::{Group, ModelPasses};
use super::scorer::{argmax, probability, probability_slopes};
use overinterp_sis::{CurveScorer, GradientScorer, norm};
use overinterp_spec::ImageShape;

/// Scores some images as their pixels are masked, by evaluation or by gradient.
#[derive(Debug)]
pub struct GroupScorer<'a> {
    passes: &'a mut ModelPasses,
    group: Group<'a>,
    images: MaskedImages,
    /// The logits of the current images, `[images, classes]`.
    logits: Vec<f32>,
    /// Whether the current images have not passed yet.
    stale: bool,
    /// f's gradients with respect to the logits.
    slopes: Vec<f32>,
    /// The classes that are predicted on the full images.
    predicted: Vec<usize>,
    /// What is wrong with the answers so far.
    fault: Option<NotFinite>,
}

impl<'a> GroupScorer<'a> {
    /// Evaluates normalised images `[images, height, width, channels]` with nothing masked.
    ///
    /// # Panics
    /// When there is not one number an image, or there are more images than `passes` was made for.
    pub fn new(passes: &'a mut ModelPasses, group: Group<'a>, images: Vec<f32>) -> Self {
        let logits = passes.pass(group, &images).to_vec();
        let predicted = logits.chunks_exact(passes.classes()).map(argmax).collect();
        let input = passes.input();
        let shape = ImageShape { height: input.height, width: input.width, channels: input.channels };
        let images = MaskedImages::new(images, shape);
        let slopes = vec![0.0; logits.len()];
        let mut scorer = Self { passes, group, images, logits, stale: false, slopes, predicted, fault: None };
        scorer.look();
        scorer
    }

    /// Says whether every answer so far was one. Ask it before using what the scores led to.
    ///
    /// # Errors
    /// When a logit was not finite; the error names the image.
    pub fn check(&self) -> Result<(), NotFinite> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Notes logits that are not finite.
    fn look(&mut self) {
        if let Some(place) = first_not_finite(&self.logits, self.passes.classes()) {
            let image = self.group.numbers[place] as usize;
            self.fault.get_or_insert(NotFinite::Logits { image });
        }
    }

    /// The class that is predicted on each full image.
    #[must_use]
    pub fn predicted(&self) -> &[usize] {
        &self.predicted
    }

    /// Sees to it that the logits, and what is in the passes' maps, are those of the current images.
    fn refresh(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.logits.copy_from_slice(self.passes.pass(self.group, self.images.current()));
            self.look();
        }
    }
}

impl CurveScorer for GroupScorer<'_> {
    fn inputs(&self) -> usize {
        self.images.count()
    }

    fn features(&self) -> usize {
        self.images.shape().pixels()
    }

    fn restart(&mut self) {
        self.restart_at(1.0);
    }

    fn mask(&mut self, input: usize, features: &[u32]) {
        self.images.mask(input, features);
        self.stale = true;
    }

    fn values(&mut self, values: &mut [f32]) {
        self.refresh();
        let logits = self.logits.chunks_exact(self.passes.classes());
        for ((value, logits), class) in values.iter_mut().zip(logits).zip(&self.predicted) {
            *value = probability(logits, *class);
        }
    }
}

impl GradientScorer for GroupScorer<'_> {
    fn channels(&self) -> usize {
        self.images.shape().channels
    }

    fn unmasked(&self) -> &[f32] {
        self.images.unmasked()
    }

    fn magnitude(&self, slopes: &[f32]) -> f64 {
        self.passes.views().map_or_else(|| norm(slopes), |views| views.magnitude(slopes))
    }

    fn restart_at(&mut self, share: f32) {
        self.images.restart_at(share);
        self.stale = true;
    }

    fn gradients(&mut self, values: &mut [f32], gradients: &mut [f32]) {
        self.refresh();
        let classes = self.passes.classes();
        let rows = self.logits.chunks_exact(classes).zip(self.slopes.chunks_exact_mut(classes));
        for ((value, (logits, slopes)), class) in values.iter_mut().zip(rows).zip(&self.predicted) {
            *value = probability_slopes(logits, *class, slopes);
        }
        gradients.copy_from_slice(self.passes.gradient(self.group, self.images.current(), &self.slopes));
    }
}
