//! The answers of a model on a candle device to [`crate::sis`] on one image, for devices without the fused engine.
//!
//! The traits of `sis` have no way to fail, so a failing device scores 0 from then on, and [`DeviceScorer::finish`]
//! tells why: ask it before using what the scores led to.

use std::ops::ControlFlow;

use candle_core::{DType, Result, Tensor};

use super::device_model::{DeviceModel, Kept};
use super::finite::{NotFinite, all_finite};
use super::scorer::{argmax, probability};
use crate::sis::Scorer;

/// Pixels of the images of a batch: 1,024 images of 32 x 32. A map of 64 channels then takes 256 MiB.
const PIXELS: usize = 1 << 20;
/// The most images of a batch.
const IMAGES: usize = 1024;
/// A batch has a multiple of so many images, since a device gets ready for each size that it meets.
const STEP: usize = 16;

/// Scores one image's pixels by evaluation.
///
/// The image and what is masked of it lie on the device, where candidates are made; only their numbers are sent there,
/// and their scores come back, once for all candidates of a call.
pub struct DeviceScorer<'n> {
    model: &'n DeviceModel,
    /// What input dropout keeps of the image.
    seen: Kept,
    /// The normalised image, `[pixels, channels]`.
    image: Tensor,
    dims: [usize; 3],
    /// 1 where a pixel is kept, 0 where it is masked, `[pixels]`.
    kept: Tensor,
    /// The number of each pixel, `[1, pixels]`.
    numbers: Tensor,
    class: usize,
    full: f32,
    /// Whether every logit so far was finite.
    sound: bool,
    failure: Option<candle_core::Error>,
}

impl<'n> DeviceScorer<'n> {
    /// Evaluates a normalised image of `[height, width, channels]` with nothing masked; `seen` is drawn for it.
    ///
    /// # Errors
    /// When the image does not have that shape, or the device fails.
    pub fn new(model: &'n DeviceModel, seen: Kept, image: &[f32], dims: [usize; 3]) -> Result<Self> {
        let [height, width, channels] = dims;
        let (pixels, device) = (height * width, model.device());
        let image = Tensor::from_slice(image, (pixels, channels), device)?;
        let kept = Tensor::ones(pixels, DType::F32, device)?;
        let numbers = Tensor::arange(0, pixels as u32, device)?.reshape((1, pixels))?;
        let mut scorer =
            Self { model, seen, image, dims, kept, numbers, class: 0, full: 0.0, sound: true, failure: None };
        let nothing = scorer.upload(&[])?;
        let logits = scorer.logits(&nothing)?.get(0)?.to_vec1::<f32>()?;
        scorer.class = argmax(&logits);
        scorer.full = probability(&logits, scorer.class);
        scorer.sound = all_finite(&logits);
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

    /// Says whether every answer so far was one, about image number `image`. Ask it before using what the scores led to:
    /// a selection is broken off as soon as one was not.
    ///
    /// # Errors
    /// When a logit was not finite.
    pub const fn check(&self, image: usize) -> std::result::Result<(), NotFinite> {
        if self.sound { Ok(()) } else { Err(NotFinite::Logits { image }) }
    }

    /// Starts again with nothing masked; the class stays.
    pub fn restart(&mut self) {
        let answer = self.kept.ones_like().map(|kept| self.kept = kept);
        self.or_zero(answer);
    }

    /// Says whether the device served every score.
    ///
    /// # Errors
    /// The device's first failure.
    pub fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    /// How many batches so many candidates make, and their size. All are of one size, the last filled up, because a
    /// device may choose how it computes by the size, and equal candidates of a step must score equally.
    fn batches(&self, candidates: usize) -> [usize; 2] {
        let most = (PIXELS / self.kept.elem_count() / STEP * STEP).clamp(STEP, IMAGES);
        let batches = candidates.div_ceil(most).max(1);
        [batches, candidates.div_ceil(batches).next_multiple_of(STEP).max(STEP)]
    }

    /// The numbers of candidates, filled up to whole batches with the number of no pixel, `[batches, batch]`.
    fn upload(&self, candidates: &[u32]) -> Result<Tensor> {
        let [batches, batch] = self.batches(candidates.len());
        let mut numbers = candidates.to_vec();
        numbers.resize(batches * batch, self.kept.elem_count() as u32);
        Tensor::from_vec(numbers, (batches, batch), self.model.device())
    }

    /// For each of some features a row with 0 at that feature and 1 elsewhere, `[features, pixels]`.
    fn spared(&self, features: &Tensor) -> Result<Tensor> {
        features.reshape(((), 1))?.broadcast_ne(&self.numbers)?.to_dtype(DType::F32)
    }

    /// The image with what is masked so far, `[pixels, channels]`.
    fn current_image(&self) -> Result<Tensor> {
        self.image.broadcast_mul(&self.kept.unsqueeze(1)?)
    }

    /// The logits of the first batch of `candidates`, `[batch, classes]`.
    fn logits(&self, candidates: &Tensor) -> Result<Tensor> {
        self.logits_of(&self.current_image()?, &candidates.get(0)?)
    }

    /// The logits of an image under each candidate's mask, `[batch, classes]`.
    fn logits_of(&self, image: &Tensor, candidates: &Tensor) -> Result<Tensor> {
        let [height, width, channels] = self.dims;
        let masks = self.spared(candidates)?.unsqueeze(2)?;
        let x = masks.broadcast_mul(&image.unsqueeze(0)?)?;
        self.model.logits(&x.reshape(((), height, width, channels))?, &self.seen)
    }

    /// f under each candidate's mask, and the sums of the logits, which are finite where all logits are (but for such as
    /// are as large as numbers can be).
    fn scores(&self, candidates: &[u32]) -> Result<[Vec<f32>; 2]> {
        let numbers = self.upload(candidates)?;
        let image = self.current_image()?;
        let (mut scores, mut sums) = (Vec::with_capacity(numbers.dim(0)?), Vec::with_capacity(numbers.dim(0)?));
        for batch in 0..numbers.dim(0)? {
            let logits = self.logits_of(&image, &numbers.get(batch)?)?;
            sums.push(logits.sum(1)?);
            scores.push(candle_nn::ops::softmax(&logits, 1)?.narrow(1, self.class, 1)?.squeeze(1)?);
        }
        Ok([Tensor::cat(&scores, 0)?.to_vec1()?, Tensor::cat(&sums, 0)?.to_vec1()?])
    }

    fn hide(&mut self, feature: u32) -> Result<()> {
        let feature = Tensor::new(&[feature], self.model.device())?;
        self.kept = (&self.kept * self.spared(&feature)?.squeeze(0)?)?;
        Ok(())
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
        self.kept.elem_count()
    }

    fn current(&mut self) -> f32 {
        let mut score = [0.0];
        // The number of no pixel.
        self.candidates(&[self.kept.elem_count() as u32], &mut score);
        score[0]
    }

    fn candidates(&mut self, candidates: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        if self.failure.is_some() || candidates.is_empty() {
            return;
        }
        let answer = self.scores(candidates);
        let [found, sums] = self.or_zero(answer);
        self.sound &= all_finite(&sums);
        for (score, found) in scores.iter_mut().zip(found) {
            *score = found;
        }
    }

    fn candidates_while(
        &mut self,
        candidates: &[u32],
        scores: &mut [f32],
        _: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.candidates(candidates, scores);
        if self.sound { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn mask(&mut self, feature: u32) {
        let answer = self.hide(feature);
        self.or_zero(answer);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::artifacts::{Model, Network};
    use crate::nn::input_dropout::Use;
    use crate::nn::{arch, formula};
    use crate::spec::{Arch, ImageShape, Normalise};

    const SHAPE: ImageShape = ImageShape { height: 8, width: 8, channels: 3 };

    fn model() -> DeviceModel {
        let graph = arch::build(Arch::Resnet20, SHAPE, 5).unwrap();
        let tensors = formula::tensors(&graph, 0.5);
        let normalise = Normalise { mean: vec![0.0; 3], std: vec![1.0; 3] };
        let network = Network { arch: Arch::Resnet20, normalise, input_dropout: None, tensors, log: Vec::new() };
        let model = Model { shape: SHAPE, classes: 5, networks: vec![network] };
        DeviceModel::new(&model, &Device::Cpu).unwrap()
    }

    /// Every pixel, as there is no input dropout.
    fn all(model: &DeviceModel) -> Kept {
        model.draw(Use::Selection, &[0]).unwrap()
    }

    fn score(model: &DeviceModel, image: &[f32], masked: &[usize], class: usize) -> f32 {
        let mut image = image.to_vec();
        for &pixel in masked {
            image[pixel * 3..pixel * 3 + 3].fill(0.0);
        }
        let x = Tensor::from_vec(image, (1, 8, 8, 3), &Device::Cpu).unwrap();
        probability(&model.logits(&x, &all(model)).unwrap().to_vec2().unwrap()[0], class)
    }

    fn assert_near(found: f32, expected: f32) {
        // A softmax computed in another order.
        assert!((found - expected).abs() <= 1e-6, "{found} instead of {expected}");
    }

    #[test]
    fn candidates_score_as_the_image_with_that_pixel_masked() {
        let (model, image) = (model(), formula::images(1, SHAPE));
        let mut scorer = DeviceScorer::new(&model, all(&model), &image, [8, 8, 3]).unwrap();
        let class = scorer.class();
        assert_near(scorer.full(), score(&model, &image, &[], class));
        scorer.mask(9);
        let mut scores = [0.0; 3];
        scorer.candidates(&[0, 63, 10], &mut scores);
        for (found, candidate) in scores.iter().zip([0, 63, 10]) {
            assert_near(*found, score(&model, &image, &[9, candidate], class));
        }
        assert_near(scorer.current(), score(&model, &image, &[9], class));
        scorer.restart();
        assert_near(scorer.current(), scorer.full());
        assert!(scorer.finish().is_ok());
    }

    #[test]
    fn a_score_has_the_same_bits_in_any_place_of_any_batch() {
        let (model, image) = (model(), formula::images(1, SHAPE));
        let mut scorer = DeviceScorer::new(&model, all(&model), &image, [8, 8, 3]).unwrap();
        // Each pixel many times, in two batches of which the last is not full.
        let candidates: Vec<u32> = (0..IMAGES as u32 + 5).map(|place| place * 7 % 64).collect();
        assert_eq!(scorer.batches(candidates.len()), [2, 528]);
        let mut scores = vec![0.0; candidates.len()];
        scorer.candidates(&candidates, &mut scores);
        for (score, candidate) in scores.iter().zip(&candidates) {
            let first = candidates.iter().position(|other| other == candidate).unwrap();
            assert_eq!(score.to_bits(), scores[first].to_bits(), "{candidate}");
        }
        // And alone, as on the CPU nothing depends on the size of a batch.
        for (place, &candidate) in candidates.iter().enumerate().step_by(IMAGES / 8) {
            let mut alone = [0.0];
            scorer.candidates(&[candidate], &mut alone);
            assert_eq!(alone[0].to_bits(), scores[place].to_bits(), "{place}");
        }
    }

    #[test]
    fn batches_are_as_few_as_their_size_allows_and_of_one_size() {
        let (model, image) = (model(), formula::images(1, SHAPE));
        let scorer = DeviceScorer::new(&model, all(&model), &image, [8, 8, 3]).unwrap();
        for (candidates, batches) in [(0, [1, 16]), (1, [1, 16]), (33, [1, 48]), (1024, [1, 1024]), (1025, [2, 528])] {
            assert_eq!(scorer.batches(candidates), batches, "{candidates}");
        }
    }
}
