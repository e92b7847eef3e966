//! The answers of a model on a candle device to [`overinterp_sis`] on several images side by side.

use candle_core::{Result, Tensor, Var};

use crate::cpu::group_scorer::ImageGroup;
use crate::cpu::scorer::argmax;
use crate::finite::{NotFinite, check_logits};
use crate::gpu::model::{GpuModel, Kept};
use crate::images::masked::MaskedImages;
use crate::unanswered::Unanswered;
use overinterp_sis::{CurveScorer, GradientScorer};
use overinterp_spec::ImageShape;

/// Scores some images as their pixels are masked, by evaluation or by gradient.
///
/// Images are masked on the host and go to the device in each round: that is little beside a pass over all of them.
pub struct GpuGroup<'m> {
    model: &'m GpuModel,
    /// The images' numbers in their set.
    numbers: Vec<u32>,
    /// What input dropout keeps of each image.
    seen: Kept,
    images: MaskedImages,
    /// The classes that are predicted on the full images.
    predicted: Vec<usize>,
    /// For each image a row with 1 at that class and 0 elsewhere, `[images, classes]`.
    chosen: Tensor,
}

impl<'m> GpuGroup<'m> {
    /// Evaluates normalised images `[images, height, width, channels]`, which have `numbers` in their set, with nothing masked;
    /// `seen` is drawn for them, and `shape` has the channels of every way in which the model's networks normalise images.
    ///
    /// # Errors
    /// When the model does not take such images, a logit is not finite, or the device fails.
    pub fn new(
        model: &'m GpuModel,
        seen: Kept,
        numbers: &[u32],
        images: Vec<f32>,
        shape: ImageShape,
    ) -> std::result::Result<Self, Unanswered> {
        let images = MaskedImages::new(images, shape);
        let logits = model.logits(&upload(model, &images)?, &seen)?;
        let classes = logits.dim(1)?;
        let rows: Vec<Vec<f32>> = logits.to_vec2()?;
        rows.iter().zip(numbers).try_for_each(|(logits, &number)| check_logits(logits, number as usize))?;
        let predicted: Vec<usize> = rows.iter().map(|logits| argmax(logits)).collect();
        let chosen =
            predicted.iter().flat_map(|class| (0..classes).map(move |other| f32::from(u8::from(other == *class))));
        let chosen = Tensor::from_iter(chosen, model.device())?.reshape(((), classes))?;
        Ok(Self { model, numbers: numbers.to_vec(), seen, images, predicted, chosen })
    }

    /// f of each image of `x`, and the sum of its logits, which is finite where all of them are.
    fn scores(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let logits = self.model.logits(x, &self.seen)?;
        Ok([(candle_nn::ops::softmax(&logits, 1)? * &self.chosen)?.sum(1)?, logits.sum(1)?])
    }

    /// f of each image, the sum of its logits, and df/dinput.
    fn slopes(&self) -> Result<[Vec<f32>; 3]> {
        let x = Var::from_tensor(&upload(self.model, &self.images)?)?;
        let [scores, sums] = self.scores(&x)?;
        // Each image's score depends on that image alone, so the sum has the gradients of all.
        let mut slopes = scores.sum_all()?.backward()?;
        let slopes = match slopes.remove(&x) {
            Some(slopes) => slopes.flatten_all()?.to_vec1()?,
            None => vec![0.0; x.elem_count()],
        };
        Ok([scores.to_vec1()?, sums.to_vec1()?, slopes])
    }

    /// f of each image, and the sum of its logits.
    fn evaluated(&self) -> Result<[Vec<f32>; 2]> {
        let [scores, sums] = self.scores(&upload(self.model, &self.images)?)?;
        Ok([scores.to_vec1()?, sums.to_vec1()?])
    }

    /// Checks the sums of the images' logits.
    fn check(&self, sums: &[f32]) -> std::result::Result<(), NotFinite> {
        sums.iter().zip(&self.numbers).try_for_each(|(sum, &number)| check_logits(&[*sum], number as usize))
    }
}

/// The images as they are now, `[images, height, width, channels]`.
fn upload(model: &GpuModel, images: &MaskedImages) -> Result<Tensor> {
    let ImageShape { height, width, channels } = images.shape();
    Tensor::from_slice(images.current(), (images.count(), height, width, channels), model.device())
}

impl ImageGroup for GpuGroup<'_> {
    fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    fn predicted(&self) -> &[usize] {
        &self.predicted
    }
}

impl CurveScorer for GpuGroup<'_> {
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
    }

    fn values(&mut self, values: &mut [f32]) -> std::result::Result<(), Unanswered> {
        let [scores, sums] = self.evaluated()?;
        self.check(&sums)?;
        values.copy_from_slice(&scores);
        Ok(())
    }
}

impl GradientScorer for GpuGroup<'_> {
    fn channels(&self) -> usize {
        self.images.shape().channels
    }

    fn unmasked(&self) -> &[f32] {
        self.images.unmasked()
    }

    fn magnitude(&self, slopes: &[f32]) -> f64 {
        self.model.views().magnitude(slopes)
    }

    fn restart_at(&mut self, share: f32) {
        self.images.restart_at(share);
    }

    fn gradients(&mut self, values: &mut [f32], gradients: &mut [f32]) -> std::result::Result<(), Unanswered> {
        let [scores, sums, slopes] = self.slopes()?;
        self.check(&sums)?;
        values.copy_from_slice(&scores);
        gradients.copy_from_slice(&slopes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::arch;
    use crate::cpu::scorer::probability;
    use crate::formula;
    use crate::input_dropout::Use;
    use overinterp_artifacts::{Model, Network};
    use overinterp_spec::{Arch, Normalise};

    const SHAPE: ImageShape = ImageShape { height: 8, width: 8, channels: 3 };

    fn model() -> GpuModel {
        let graph = arch::build(Arch::Resnet20, SHAPE, 5).unwrap();
        let tensors = formula::tensors(&graph, 0.5);
        let normalise = Normalise { mean: vec![0.0; 3], std: vec![1.0; 3] };
        let network = Network { arch: Arch::Resnet20, normalise, input_dropout: None, tensors, log: Vec::new() };
        let model = Model { shape: SHAPE, classes: 5, networks: vec![network] };
        GpuModel::new(&model, &Device::Cpu).unwrap()
    }

    fn score(model: &GpuModel, image: &[f32], class: usize) -> f32 {
        let x = Tensor::from_slice(image, (1, 8, 8, 3), &Device::Cpu).unwrap();
        let all = model.draw(Use::Selection, &[0]).unwrap();
        probability(&model.logits(&x, &all).unwrap().to_vec2().unwrap()[0], class)
    }

    #[test]
    fn gradients_of_each_image_agree_with_differences_on_the_way_to_it() {
        let (model, images) = (model(), formula::images(2, SHAPE));
        let seen = model.draw(Use::Selection, &[0, 1]).unwrap();
        let mut group = GpuGroup::new(&model, seen, &[0, 1], images.clone(), SHAPE).unwrap();
        let predicted = group.predicted().to_vec();
        let (mut values, mut gradients) = ([0.0; 2], vec![0.0; images.len()]);
        for share in [0.5, 1.0] {
            group.restart_at(share);
            group.mask(1, &[3, 40]);
            group.gradients(&mut values, &mut gradients).unwrap();
            let mut again = [0.0; 2];
            group.values(&mut again).unwrap();
            assert_eq!(values.map(f32::to_bits), again.map(f32::to_bits));
            for image in 0..2 {
                let mut at: Vec<f32> = images[image * 192..][..192].iter().map(|value| value * share).collect();
                if image == 1 {
                    at[9..12].fill(0.0);
                    at[120..123].fill(0.0);
                }
                assert!((score(&model, &at, predicted[image]) - values[image]).abs() <= 1e-6);
                for place in [0, 10, 61, 190] {
                    let gradient = gradients[image * 192 + place];
                    let moved = |offset: f32| {
                        let mut moved = at.clone();
                        moved[place] += offset;
                        score(&model, &moved, predicted[image])
                    };
                    let difference = (moved(0.01) - moved(-0.01)) / 0.02;
                    assert!(
                        (difference - gradient).abs() < 1e-3 + 0.05 * gradient.abs(),
                        "{place}: {difference} {gradient}"
                    );
                }
            }
        }
    }
}
