//! The answers of a model on a candle device to [`overinterp_sis`] on several images in lockstep, for devices without the fused
//! engine.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Result, Tensor};

use crate::cpu::scorer::{argmax, probability};
use crate::finite::{NotFinite, check_logits};
use crate::gpu::model::{GpuModel, Kept};
use crate::unanswered::Unanswered;
use overinterp_sis::{Bound, Candidate, Halted, LockstepScorer, unstopped};
use overinterp_spec::ImageShape;

/// Pixels of the images of a batch: 1,024 images of 32 x 32. A map of 64 channels then takes 256 MiB.
const PIXELS: usize = 1 << 20;
/// The most images of a batch.
const IMAGES: usize = 1024;
/// A batch has a multiple of so many images.
const STEP: usize = 16;
/// The least images of a batch, if so many fit one.
const LEAST: usize = 256;
/// Candidates that an image has in a batch, where it has no less: about as many as a step of a sure network needs.
const EACH: usize = 16;

/// Scores the pixels of some images by evaluation, candidates of all images together.
///
/// The images and what is masked of them lie on the device, where candidates are made; only their numbers are sent there,
/// and their scores come back, once for all candidates of a call.
pub struct GpuScorer<'n> {
    model: &'n GpuModel,
    /// The images' numbers in their set.
    images_numbers: Vec<u32>,
    /// What input dropout keeps of each image.
    seen: Kept,
    /// The normalised images, `[images, pixels, channels]`.
    images: Tensor,
    shape: ImageShape,
    /// 1 where a pixel is kept, 0 where it is masked, `[images, pixels]`.
    kept: Tensor,
    /// The number of each pixel, `[1, pixels]`.
    numbers: Tensor,
    /// The class that is predicted on each full image, on the device and here.
    chosen: Tensor,
    classes: Vec<usize>,
    full: Vec<f32>,
    /// Candidates of a batch.
    batch: usize,
}

impl<'n> GpuScorer<'n> {
    /// Evaluates normalised images `[images, height, width, channels]`, which have `numbers` in their set, with nothing masked;
    /// `seen` is drawn for them, and `shape` has the channels of every way in which the model's networks normalise images.
    ///
    /// # Errors
    /// When the images do not have that shape, a logit is not finite, or the device fails.
    pub fn new(
        model: &'n GpuModel,
        seen: Kept,
        numbers: &[u32],
        images: &[f32],
        shape: ImageShape,
    ) -> std::result::Result<Self, Unanswered> {
        let (pixels, device) = (shape.pixels(), model.device());
        let count = numbers.len();
        let images = Tensor::from_slice(images, (count, pixels, shape.channels), device)?;
        let kept = Tensor::ones((count, pixels), DType::F32, device)?;
        let pixel_numbers = Tensor::arange(0, pixels as u32, device)?.reshape((1, pixels))?;
        let chosen = Tensor::zeros(count, DType::U32, device)?;
        let batch = batch_of(count, pixels);
        let mut scorer = Self {
            model,
            images_numbers: numbers.to_vec(),
            seen,
            images,
            shape,
            kept,
            numbers: pixel_numbers,
            chosen,
            classes: Vec::with_capacity(count),
            full: Vec::with_capacity(count),
            batch,
        };
        scorer.predict()?;
        Ok(scorer)
    }

    /// Finds the classes that are predicted on the full images, and f there.
    fn predict(&mut self) -> std::result::Result<(), Unanswered> {
        for candidates in self.nothing(0..self.images.dim(0)? as u32).chunks(self.batch) {
            let logits: Vec<Vec<f32>> = self.logits(candidates)?.to_vec2()?;
            for (logits, candidate) in logits.iter().zip(candidates) {
                check_logits(logits, self.number(*candidate))?;
                let class = argmax(logits);
                self.full.push(probability(logits, class));
                self.classes.push(class);
            }
        }
        let chosen: Vec<u32> = self.classes.iter().map(|&class| class as u32).collect();
        self.chosen = Tensor::new(chosen.as_slice(), self.device())?;
        Ok(())
    }

    /// Starts again on other images, of which f is the probability of the same classes.
    ///
    /// # Errors
    /// When the images have another shape, or the device fails.
    pub(crate) fn show(&mut self, images: &[f32]) -> Result<()> {
        self.images = Tensor::from_slice(images, self.images.shape(), self.device())?;
        self.kept = self.kept.ones_like()?;
        Ok(())
    }

    /// The number of a candidate's image in its set.
    fn number(&self, candidate: Candidate) -> usize {
        self.images_numbers[candidate.input as usize] as usize
    }

    /// The images' numbers in their set.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.images_numbers
    }

    /// The same with so many candidates a batch.
    #[cfg(test)]
    #[must_use]
    pub fn in_batches_of(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// The class that is predicted on each full image.
    #[must_use]
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// f of each full image.
    #[must_use]
    pub fn full(&self) -> &[f32] {
        &self.full
    }

    fn device(&self) -> &Device {
        self.model.device()
    }

    /// The number of no pixel.
    fn no_pixel(&self) -> u32 {
        self.shape.pixels() as u32
    }

    /// Images as they are.
    fn nothing(&self, inputs: impl IntoIterator<Item = u32>) -> Vec<Candidate> {
        let feature = self.no_pixel();
        inputs.into_iter().map(|input| Candidate { input, feature }).collect()
    }

    /// For each of some features a row with 0 at that feature and 1 elsewhere, `[features, pixels]`.
    fn spared(&self, features: Vec<u32>) -> Result<Tensor> {
        let features = Tensor::from_vec(features, ((), 1), self.device())?;
        features.broadcast_ne(&self.numbers)?.to_dtype(DType::F32)
    }

    /// The images of up to a batch of candidates, filled up to a whole batch with the first image. All batches are of one
    /// size, because a device may choose how it computes by the size, and a score must not depend on what it is asked with.
    fn inputs(&self, candidates: &[Candidate]) -> Result<Tensor> {
        let inputs: Vec<u32> = candidates.iter().map(|candidate| candidate.input).collect();
        Tensor::from_vec(self.filled(inputs, 0), self.batch, self.device())
    }

    fn filled(&self, mut numbers: Vec<u32>, with: u32) -> Vec<u32> {
        numbers.resize(self.batch, with);
        numbers
    }

    /// The logits of a batch of candidates, `[batch, classes]`.
    fn logits(&self, candidates: &[Candidate]) -> Result<Tensor> {
        let ImageShape { height, width, channels } = self.shape;
        let inputs = self.inputs(candidates)?;
        let features = candidates.iter().map(|candidate| candidate.feature).collect();
        let masks = (self.spared(self.filled(features, self.no_pixel()))? * self.kept.index_select(&inputs, 0)?)?;
        let x = self.images.index_select(&inputs, 0)?.broadcast_mul(&masks.unsqueeze(2)?)?;
        self.model.logits(&x.reshape(((), height, width, channels))?, &self.seen.of(&inputs)?)
    }

    /// f of each of a batch of candidates, and the sums of the logits, which are finite where all logits are (but for such as
    /// are as large as numbers can be).
    fn scores(&self, candidates: &[Candidate]) -> Result<[Tensor; 2]> {
        let logits = self.logits(candidates)?;
        let chosen = self.chosen.index_select(&self.inputs(candidates)?, 0)?.unsqueeze(1)?;
        let scores = candle_nn::ops::softmax(&logits, 1)?.gather(&chosen, 1)?.squeeze(1)?;
        // What fills the batch has no score.
        let of_candidates = |values: Tensor| values.narrow(0, 0, candidates.len());
        Ok([of_candidates(scores)?, of_candidates(logits.sum(1)?)?])
    }

    /// Takes features from what is kept of their images.
    fn hide(&mut self, features: &[Candidate]) -> Result<()> {
        let mut hidden = vec![self.no_pixel(); self.classes.len()];
        for &Candidate { input, feature } in features {
            hidden[input as usize] = feature;
        }
        self.kept = (&self.kept * self.spared(hidden)?)?;
        Ok(())
    }

    fn unmask(&mut self, input: u32) -> Result<()> {
        let own: Vec<f32> = (0..self.classes.len()).map(|other| f32::from(u8::from(other == input as usize))).collect();
        self.kept = self.kept.broadcast_maximum(&Tensor::from_vec(own, ((), 1), self.device())?)?;
        Ok(())
    }
}

/// How many candidates of so many images of so many pixels are a batch: the same for all batches of a scorer.
fn batch_of(images: usize, pixels: usize) -> usize {
    let most = (PIXELS / pixels.max(1) / STEP * STEP).clamp(STEP, IMAGES);
    (EACH * images).next_multiple_of(STEP).max(LEAST).min(most)
}

/// The values of several batches.
fn together(found: &[Tensor], sums: &[Tensor]) -> Result<[Vec<f32>; 2]> {
    Ok([Tensor::cat(found, 0)?.to_vec1()?, Tensor::cat(sums, 0)?.to_vec1()?])
}

impl LockstepScorer for GpuScorer<'_> {
    type Error = Unanswered;

    fn inputs(&self) -> usize {
        self.classes.len()
    }

    fn features(&self) -> usize {
        self.shape.pixels()
    }

    fn values(&mut self, inputs: &[u32], values: &mut [f32]) -> std::result::Result<(), Unanswered> {
        let candidates = self.nothing(inputs.iter().copied());
        unstopped(self.candidates(&candidates, values, &mut || ControlFlow::Continue(())))
    }

    fn candidates(
        &mut self,
        candidates: &[Candidate],
        scores: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> std::result::Result<(), Halted<Unanswered>> {
        if candidates.is_empty() {
            return Ok(());
        }
        let (mut found, mut sums) = (Vec::new(), Vec::new());
        for batch in candidates.chunks(self.batch) {
            if go_on().is_break() {
                return Err(Halted::Stopped);
            }
            let [of_batch, sums_of_batch] = self.scores(batch).map_err(Unanswered::from)?;
            found.push(of_batch);
            sums.push(sums_of_batch);
        }
        // They come back once for all batches.
        let [found, sums] = together(&found, &sums).map_err(Unanswered::from)?;
        if let Some((candidate, _)) = candidates.iter().zip(&sums).find(|(_, sum)| !sum.is_finite()) {
            return Err(Unanswered::from(NotFinite::Logits { image: self.number(*candidate) }).into());
        }
        scores.copy_from_slice(&found);
        Ok(())
    }

    fn mask(&mut self, features: &[Candidate]) -> std::result::Result<(), Unanswered> {
        Ok(self.hide(features)?)
    }

    fn restart(&mut self, input: u32) -> std::result::Result<(), Unanswered> {
        Ok(self.unmask(input)?)
    }

    fn bound(&self) -> Bound {
        // What one image asks for at a time is enough where the others fill the batch.
        Bound::softmax((self.batch / self.classes.len().max(1)).max(STEP))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::arch;
    use crate::formula;
    use crate::input_dropout::Use;
    use overinterp_artifacts::{Model, Network};
    use overinterp_sis::{
        Alone, BackSelection, Exhaustive, Scorer, back_select, back_select_in_lockstep, watch_nothing,
    };
    use overinterp_spec::{Arch, Normalise, SeededDropout};

    const SHAPE: ImageShape = ImageShape { height: 6, width: 6, channels: 3 };

    /// A network whose logits are `sureness` times as far apart.
    fn network(arch: Arch, sureness: f32, input_dropout: Option<SeededDropout>) -> Network {
        let graph = arch::build(arch, SHAPE, 5).unwrap();
        let mut tensors = formula::tensors(&graph, 0.5);
        for name in ["linear.weight", "linear.bias"] {
            tensors.get_mut(name).unwrap().data.iter_mut().for_each(|value| *value *= sureness);
        }
        let normalise = Normalise { mean: vec![0.0; 3], std: vec![1.0; 3] };
        Network { arch, normalise, input_dropout, tensors, log: Vec::new() }
    }

    fn on_device(networks: Vec<Network>) -> GpuModel {
        GpuModel::new(&Model { shape: SHAPE, classes: 5, networks }, &Device::Cpu).unwrap()
    }

    fn model(sureness: f32) -> GpuModel {
        on_device(vec![network(Arch::Resnet20, sureness, None)])
    }

    fn scorer<'m>(model: &'m GpuModel, images: &[f32], batch: usize) -> GpuScorer<'m> {
        scorer_from(model, 0, images, batch)
    }

    /// Of images of which the first has number `first`.
    fn scorer_from<'m>(model: &'m GpuModel, first: u32, images: &[f32], batch: usize) -> GpuScorer<'m> {
        let numbers: Vec<u32> = (first..).take(images.len() / SHAPE.bytes()).collect();
        let seen = model.draw(Use::Selection, &numbers).unwrap();
        GpuScorer::new(model, seen, &numbers, images, SHAPE).unwrap().in_batches_of(batch)
    }

    fn score(model: &GpuModel, image: &[f32], masked: &[usize], class: usize) -> f32 {
        let mut image = image.to_vec();
        for &pixel in masked {
            image[pixel * 3..pixel * 3 + 3].fill(0.0);
        }
        let x = Tensor::from_vec(image, (1, 6, 6, 3), &Device::Cpu).unwrap();
        let all = model.draw(Use::Selection, &[0]).unwrap();
        probability(&model.logits(&x, &all).unwrap().to_vec2().unwrap()[0], class)
    }

    fn assert_near(found: f32, expected: f32) {
        // A softmax computed in another order.
        assert!((found - expected).abs() <= 1e-6, "{found} instead of {expected}");
    }

    fn go_on() -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn candidate(input: u32, feature: u32) -> Candidate {
        Candidate { input, feature }
    }

    #[test]
    fn candidates_score_as_their_image_with_that_pixel_masked() {
        let (model, images) = (model(1.0), formula::images(2, SHAPE));
        let image = |input: usize| &images[input * SHAPE.bytes()..][..SHAPE.bytes()];
        let mut scorer = scorer(&model, &images, 16);
        let classes = scorer.classes().to_vec();
        for (input, full) in scorer.full().to_vec().into_iter().enumerate() {
            assert_near(full, score(&model, image(input), &[], classes[input]));
        }
        scorer.mask(&[candidate(0, 9), candidate(1, 35)]).unwrap();
        let mut scores = [0.0; 4];
        let asked = [candidate(1, 0), candidate(0, 34), candidate(1, 10), candidate(0, 0)];
        scorer.candidates(&asked, &mut scores, &mut go_on).unwrap();
        for (found, Candidate { input, feature }) in scores.iter().zip(asked) {
            let input = input as usize;
            assert_near(*found, score(&model, image(input), &[[9, 35][input], feature as usize], classes[input]));
        }
        let mut values = [0.0; 2];
        scorer.values(&[1, 0], &mut values).unwrap();
        assert_near(values[0], score(&model, image(1), &[35], classes[1]));
        assert_near(values[1], score(&model, image(0), &[9], classes[0]));
        // Only that image starts again.
        scorer.restart(1).unwrap();
        scorer.values(&[1, 0], &mut values).unwrap();
        assert_near(values[0], scorer.full()[1]);
        assert_near(values[1], score(&model, image(0), &[9], classes[0]));
    }

    #[test]
    fn a_score_has_the_same_bits_in_any_place_of_any_batch() {
        let (model, images) = (model(1.0), formula::images(2, SHAPE));
        let mut scorer = scorer(&model, &images, 48);
        // Each pixel several times, in batches of which the last is not full.
        let asked: Vec<Candidate> = (0..205).map(|place| candidate(place % 2, place * 7 % 36)).collect();
        let mut scores = vec![0.0; asked.len()];
        scorer.candidates(&asked, &mut scores, &mut go_on).unwrap();
        for (score, candidate) in scores.iter().zip(&asked) {
            let first = asked.iter().position(|other| other == candidate).unwrap();
            assert_eq!(score.to_bits(), scores[first].to_bits(), "{candidate:?}");
        }
        for (place, candidate) in asked.iter().enumerate().step_by(50) {
            let mut alone = [0.0];
            scorer.candidates(&[*candidate], &mut alone, &mut go_on).unwrap();
            assert_eq!(alone[0].to_bits(), scores[place].to_bits(), "{place}");
        }
    }

    #[test]
    fn a_batch_is_as_large_as_the_images_can_fill() {
        let sizes = [(1, 1024), (20, 1024), (256, 1024), (1, 224 * 224), (5, 224 * 224), (0, 36), (300, 36)];
        let expected = [256, 320, 1024, 16, 16, 256, 1024];
        assert_eq!(sizes.map(|(images, pixels)| batch_of(images, pixels)), expected);
    }

    #[test]
    fn scoring_stops_between_batches() {
        let (model, images) = (model(1.0), formula::images(1, SHAPE));
        let mut scorer = scorer(&model, &images, 16);
        let asked: Vec<Candidate> = (0..36).map(|feature| candidate(0, feature)).collect();
        let mut batches = 0;
        let mut twice = || {
            batches += 1;
            if batches < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let stopped = scorer.candidates(&asked, &mut [0.0; 36], &mut twice);
        assert!(matches!(stopped, Err(Halted::Stopped)), "{stopped:?}");
        assert_eq!(batches, 3);
    }

    /// The selection of each image by itself, every candidate evaluated.
    fn exhaustive(model: &GpuModel, images: &[f32]) -> Vec<BackSelection> {
        let alone = |(number, image): (u32, &[f32])| {
            let mut scorer = scorer_from(model, number, image, 36);
            back_select(&mut Exhaustive(Alone(&mut scorer)), watch_nothing).unwrap()
        };
        (0..).zip(images.chunks(SHAPE.bytes())).map(alone).collect()
    }

    #[test]
    fn selections_in_lockstep_are_the_exhaustive_ones_to_the_bit() {
        let images = formula::images(2, SHAPE);
        let dropout: SeededDropout = serde_json::from_str(r#"{"keep":0.8,"samples":2,"seed":3}"#).unwrap();
        let models = [(1.0, false), (400.0, true)].into_iter().flat_map(|(sureness, some_at_ceiling)| {
            let one = || network(Arch::Resnet20, sureness, None);
            let networks = [
                vec![one()],
                vec![network(Arch::Resnet20, sureness, Some(dropout))],
                vec![one(), network(Arch::Cnn, sureness, Some(dropout))],
            ];
            networks.map(|networks| (on_device(networks), some_at_ceiling))
        });
        for (model, some_at_ceiling) in models {
            let mut together = scorer(&model, &images, 16);
            let found = back_select_in_lockstep(&mut together, watch_nothing).unwrap();
            let expected = exhaustive(&model, &images);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.order, expected.order);
                assert_eq!(bits(&found.values), bits(&expected.values));
                assert_eq!(found.effort.at_ceiling > 0, some_at_ceiling, "{:?}", found.effort);
                assert_eq!(found.effort.evaluated < expected.effort.evaluated, some_at_ceiling);
            }
        }
    }

    #[test]
    fn one_image_of_several_can_be_asked_like_one_alone() {
        let (model, images) = (model(1.0), formula::images(1, SHAPE));
        let mut scorer = scorer(&model, &images, 16);
        let (class, full) = (scorer.classes()[0], scorer.full()[0]);
        let mut alone = Alone(&mut scorer);
        assert_near(alone.current().unwrap(), full);
        alone.mask(9).unwrap();
        let mut scores = [0.0; 2];
        alone.candidates(&[0, 10], &mut scores).unwrap();
        assert_near(scores[0], score(&model, &images, &[9, 0], class));
        assert_near(scores[1], score(&model, &images, &[9, 10], class));
    }
}
