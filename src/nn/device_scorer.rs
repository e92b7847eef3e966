//! The answers of a network on a candle device to [`crate::sis`], for devices without the fused engine.
//!
//! The traits of `sis` have no way to fail, so a failing device scores 0 from then on, and [`DeviceScorer::finish`]
//! tells why: ask it before using what the scores led to.

use candle_core::{Result, Tensor, Var};

use super::evaluation::EvaluationNetwork;
use super::scorer::{argmax, probability};
use crate::sis::{GradientScorer, Scorer};

/// Candidates that are evaluated together. Every batch is filled up to this size, because a device may choose how it
/// computes by the batch's size, and a candidate's score must not depend on the others.
const BATCH: usize = 256;

/// Scores one image's pixels, by evaluation or by gradient.
pub struct DeviceScorer<'n> {
    network: &'n EvaluationNetwork,
    /// The normalised image, `[1, height * width, channels]`.
    image: Tensor,
    dims: [usize; 3],
    /// 1 where a pixel is kept, 0 where it is masked.
    kept: Vec<f32>,
    class: usize,
    full: f32,
    failure: Option<candle_core::Error>,
}

impl<'n> DeviceScorer<'n> {
    /// Evaluates a normalised image of `[height, width, channels]` with nothing masked.
    ///
    /// # Errors
    /// When the image does not have that shape, or the device fails.
    pub fn new(network: &'n EvaluationNetwork, image: &[f32], dims: [usize; 3]) -> Result<Self> {
        let [height, width, channels] = dims;
        let pixels = height * width;
        let image = Tensor::from_slice(image, (1, pixels, channels), network.device())?;
        let kept = vec![1.0; pixels];
        let mut scorer = Self { network, image, dims, kept, class: 0, full: 0.0, failure: None };
        let logits = scorer.logits(&scorer.masks(&[])?)?.swap_remove(0);
        scorer.class = argmax(&logits);
        scorer.full = probability(&logits, scorer.class);
        Ok(scorer)
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

    /// Says whether the device served every score.
    ///
    /// # Errors
    /// The device's first failure.
    pub fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    /// The current mask with each candidate masked on top, `[BATCH, pixels, 1]`; the rest of the batch repeats the
    /// current mask.
    fn masks(&self, candidates: &[u32]) -> Result<Tensor> {
        let pixels = self.kept.len();
        let mut masks = self.kept.repeat(BATCH);
        for (mask, &candidate) in masks.chunks_exact_mut(pixels).zip(candidates) {
            mask[candidate as usize] = 0.0;
        }
        Tensor::from_vec(masks, (BATCH, pixels, 1), self.network.device())
    }

    /// The logits of the image under each mask.
    fn logits(&self, masks: &Tensor) -> Result<Vec<Vec<f32>>> {
        let [height, width, channels] = self.dims;
        let x = self.image.broadcast_mul(masks)?.reshape((masks.dim(0)?, height, width, channels))?;
        self.network.logits(&x)?.to_vec2()
    }

    fn batch(&self, candidates: &[u32], scores: &mut [f32]) -> Result<()> {
        let logits = self.logits(&self.masks(candidates)?)?;
        for (score, logits) in scores.iter_mut().zip(logits) {
            *score = probability(&logits, self.class);
        }
        Ok(())
    }

    fn slopes(&self, gradient: &mut [f32]) -> Result<f32> {
        let [height, width, channels] = self.dims;
        let pixels = self.kept.len();
        let kept = Var::from_slice(&self.kept, (1, pixels, 1), self.network.device())?;
        let x = self.image.broadcast_mul(&kept)?.reshape((1, height, width, channels))?;
        let logits = self.network.logits(&x)?;
        let score = candle_nn::ops::softmax(&logits, 1)?.narrow(1, self.class, 1)?.sum_all()?;
        let slopes = score.backward()?.get(&kept).map(|slopes| slopes.flatten_all()?.to_vec1::<f32>()).transpose()?;
        // What is kept is 1 - m, so df/dm is minus the slope.
        for (gradient, slope) in gradient.iter_mut().zip(slopes.unwrap_or_default()) {
            *gradient = -slope;
        }
        score.to_scalar()
    }

    fn or_zero<T: Default>(&mut self, answer: Result<T>) -> T {
        answer.unwrap_or_else(|error| {
            self.failure.get_or_insert(error);
            T::default()
        })
    }
}

impl Scorer for DeviceScorer<'_> {
    fn features(&self) -> usize {
        self.kept.len()
    }

    fn current(&mut self) -> f32 {
        let mut score = [0.0];
        let answer = self.batch(&[], &mut score);
        self.or_zero(answer);
        score[0]
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) {
        for (candidates, scores) in candidates.chunks(BATCH).zip(scores.chunks_mut(BATCH)) {
            if self.failure.is_some() {
                scores.fill(0.0);
                continue;
            }
            let answer = self.batch(candidates, scores);
            self.or_zero(answer);
        }
    }

    fn mask(&mut self, feature: u32) {
        self.kept[feature as usize] = 0.0;
    }
}

impl GradientScorer for DeviceScorer<'_> {
    fn features(&self) -> usize {
        self.kept.len()
    }

    fn gradient(&mut self, gradient: &mut [f32]) -> f32 {
        gradient.fill(0.0);
        if self.failure.is_some() {
            return 0.0;
        }
        let answer = self.slopes(gradient);
        self.or_zero(answer)
    }

    fn mask(&mut self, features: &[u32]) {
        for &feature in features {
            self.kept[feature as usize] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{arch, formula};
    use crate::spec::{Arch, ImageShape};

    const SHAPE: ImageShape = ImageShape { height: 8, width: 8, channels: 3 };

    fn network() -> EvaluationNetwork {
        let graph = arch::build(Arch::Resnet20, SHAPE, 5).unwrap();
        EvaluationNetwork::new(&graph, &formula::tensors(&graph, 0.5), &Device::Cpu).unwrap()
    }

    fn score(network: &EvaluationNetwork, image: &[f32], masked: &[usize], class: usize) -> f32 {
        let mut image = image.to_vec();
        for &pixel in masked {
            image[pixel * 3..pixel * 3 + 3].fill(0.0);
        }
        let x = Tensor::from_vec(image, (1, 8, 8, 3), &Device::Cpu).unwrap();
        probability(&network.logits(&x).unwrap().to_vec2().unwrap()[0], class)
    }

    #[test]
    fn candidates_score_as_the_image_with_that_pixel_masked() {
        let (network, image) = (network(), formula::images(1, SHAPE));
        let mut scorer = DeviceScorer::new(&network, &image, [8, 8, 3]).unwrap();
        let class = scorer.class();
        assert_eq!(scorer.full().to_bits(), score(&network, &image, &[], class).to_bits());
        Scorer::mask(&mut scorer, 9);
        let mut scores = [0.0; 3];
        scorer.candidates(&[0, 63, 10], &mut scores);
        for (found, candidate) in scores.iter().zip([0, 63, 10]) {
            assert_eq!(found.to_bits(), score(&network, &image, &[9, candidate], class).to_bits(), "{candidate}");
        }
        assert_eq!(scorer.current().to_bits(), score(&network, &image, &[9], class).to_bits());
        assert!(scorer.finish().is_ok());
    }

    #[test]
    fn gradients_agree_with_masking_a_little() {
        let (network, image) = (network(), formula::images(1, SHAPE));
        let mut scorer = DeviceScorer::new(&network, &image, [8, 8, 3]).unwrap();
        GradientScorer::mask(&mut scorer, &[3, 40]);
        let mut gradient = [0.0; 64];
        scorer.gradient(&mut gradient);
        let class = scorer.class();
        for pixel in [0, 20, 63] {
            let at = |kept: f32| {
                let mut image = image.clone();
                image[pixel * 3..pixel * 3 + 3].iter_mut().for_each(|value| *value *= kept);
                score(&network, &image, &[3, 40], class)
            };
            let difference = (at(0.99) - at(1.01)) / 0.02;
            assert!(
                (difference - gradient[pixel]).abs() < 1e-3 + 0.05 * gradient[pixel].abs(),
                "{pixel}: {difference} {}",
                gradient[pixel]
            );
        }
    }
}
