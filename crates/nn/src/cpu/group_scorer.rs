//! The models' answers to [`overinterp_sis`] on several images side by side, which share each reading of the weights.
//!
//! f is, as in [`crate::cpu::scorer`], the softmax probability of the class that the model predicts on the full image.

use crate::cpu::model_passes::{Group, ModelPasses};
use crate::cpu::scorer::{argmax, probability, probability_slopes};
use crate::finite::{NotFinite, first_not_finite};
use crate::images::masked::MaskedImages;
use crate::unanswered::Unanswered;
use overinterp_sis::{CurveScorer, GradientScorer, norm};
use overinterp_spec::ImageShape;

/// A scorer of several images side by side, which knows them.
pub trait ImageGroup: GradientScorer<Error = Unanswered> {
    /// The images' numbers in their set.
    fn numbers(&self) -> &[u32];

    /// The class that is predicted on each full image.
    fn predicted(&self) -> &[usize];
}

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
}

impl<'a> GroupScorer<'a> {
    /// Evaluates normalised images `[images, height, width, channels]` with nothing masked.
    ///
    /// # Errors
    /// When a logit is not finite.
    ///
    /// # Panics
    /// When there is not one number an image, or there are more images than `passes` was made for.
    pub fn new(passes: &'a mut ModelPasses, group: Group<'a>, images: Vec<f32>) -> Result<Self, Unanswered> {
        let logits = passes.pass(group, &images).to_vec();
        check(&logits, passes.classes(), group.numbers)?;
        let predicted = logits.chunks_exact(passes.classes()).map(argmax).collect();
        let input = passes.input();
        let shape = ImageShape { height: input.height, width: input.width, channels: input.channels };
        let images = MaskedImages::new(images, shape);
        let slopes = vec![0.0; logits.len()];
        Ok(Self { passes, group, images, logits, stale: false, slopes, predicted })
    }

    /// Sees to it that the logits, and what is in the passes' maps, are those of the current images.
    fn refresh(&mut self) -> Result<(), Unanswered> {
        if self.stale {
            self.logits.copy_from_slice(self.passes.pass(self.group, self.images.current()));
            check(&self.logits, self.passes.classes(), self.group.numbers)?;
            self.stale = false;
        }
        Ok(())
    }
}

/// Checks the logits `[images, classes]` of images by their numbers.
fn check(logits: &[f32], classes: usize, numbers: &[u32]) -> Result<(), NotFinite> {
    let unsound = first_not_finite(logits, classes);
    unsound.map_or(Ok(()), |place| Err(NotFinite::Logits { image: numbers[place] as usize }))
}

impl ImageGroup for GroupScorer<'_> {
    fn numbers(&self) -> &[u32] {
        self.group.numbers
    }

    fn predicted(&self) -> &[usize] {
        &self.predicted
    }
}

impl CurveScorer for GroupScorer<'_> {
    type Error = Unanswered;

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

    fn values(&mut self, values: &mut [f32]) -> Result<(), Unanswered> {
        self.refresh()?;
        let logits = self.logits.chunks_exact(self.passes.classes());
        for ((value, logits), class) in values.iter_mut().zip(logits).zip(&self.predicted) {
            *value = probability(logits, *class);
        }
        Ok(())
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

    fn gradients(&mut self, values: &mut [f32], gradients: &mut [f32]) -> Result<(), Unanswered> {
        self.refresh()?;
        let classes = self.passes.classes();
        let rows = self.logits.chunks_exact(classes).zip(self.slopes.chunks_exact_mut(classes));
        for ((value, (logits, slopes)), class) in values.iter_mut().zip(rows).zip(&self.predicted) {
            *value = probability_slopes(logits, *class, slopes);
        }
        gradients.copy_from_slice(self.passes.gradient(self.group, self.images.current(), &self.slopes));
        Ok(())
    }
}
