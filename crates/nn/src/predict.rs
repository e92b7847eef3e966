//! What a model says of many images.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::cpu::compiled_model::{CompileModelError, CompiledModel};
use crate::cpu::model_passes::{Group, ModelPasses};
use crate::cpu::pool::Pool;
use crate::cpu::scorer::{argmax, probabilities, probability};
use crate::finite::{NotFinite, first_not_finite};
use crate::gpu::model::{GpuModel, GpuModelError};
use crate::images::batches::{Levels, Samples, SamplesError};
use crate::images::kind::{OtherImages, check_kind};
use crate::images::views::Views;
use crate::input_dropout::Use;
use crate::observer::Observer;
use overinterp_artifacts::{Model, Predictions};
use overinterp_kernels::engine::Purpose;
use overinterp_sis::Halted;
use overinterp_spec::ImageShape;

/// Pixels of the images that a thread takes on; few, so that all have work to the end: 32 images of 32x32, one
/// photograph.
const PIXELS: usize = 1 << 15;
/// Pixels of the images that a GPU computes side by side.
const GPU_PIXELS: usize = 1 << 20;
/// The most images of a batch.
const BATCH: usize = 32;
/// The same on a GPU.
const GPU_BATCH: usize = 1024;

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// Images and subsets do not belong together.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// The images are not what the model was made for.
    #[error(transparent)]
    OtherImages(#[from] OtherImages),
    /// An architecture cannot take the images, or the weights do not belong to it.
    #[error(transparent)]
    Compile(#[from] CompileModelError),
    /// The same, found when moving them to a device.
    #[error(transparent)]
    Upload(#[from] GpuModelError),
    /// A logit is infinite or not a number.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The device failed.
    #[error("cannot evaluate images {first} to {last}")]
    Device {
        /// First image of the batch.
        first: usize,
        /// Last image of the batch.
        last: usize,
        /// What the device said.
        source: candle_core::Error,
    },
}

impl PredictError {
    /// The same of images whose numbers begin at `first`, where they are a part of a set.
    #[must_use]
    pub fn counted_from(self, first: usize) -> Self {
        match self {
            Self::NotFinite(NotFinite::Logits { image }) => NotFinite::Logits { image: first + image }.into(),
            other => other,
        }
    }
}

/// Asks a model for the class of each image.
///
/// # Errors
/// When the images are not of the model's kind, the logits are not finite, the device fails, or the observer stops it.
pub fn predict(
    model: &Model,
    samples: Samples<'_>,
    device: &Device,
    observer: &dyn Observer,
) -> Result<Predictions, Halted<PredictError>> {
    predict_by(Purpose::WholeImages, model, samples, device, observer)
}

/// As [`predict`], by a network that is compiled for some purpose: logits differ by rounding.
pub(super) fn predict_by(
    purpose: Purpose,
    model: &Model,
    samples: Samples<'_>,
    device: &Device,
    observer: &dyn Observer,
) -> Result<Predictions, Halted<PredictError>> {
    // The logits are not kept: a thousand an image are much for a million images.
    let answers = Predictor::of(model, samples, device, purpose)?
        .batches(samples, observer, |logits| logits.chunks_exact(model.classes).map(answer).collect::<Vec<_>>())?;
    let (predicted, confidence) = answers.into_iter().flatten().unzip();
    Ok(Predictions { classes: model.classes, predicted, confidence, labels: samples.images.labels.clone() })
}

/// What a model says of every class of each image, `[images, classes]`: the softmax of its logits, of which [`predict`]
/// keeps the largest.
///
/// # Errors
/// As of [`predict`].
pub fn all_probabilities(
    model: &Model,
    samples: Samples<'_>,
    device: &Device,
    observer: &dyn Observer,
) -> Result<Vec<f32>, Halted<PredictError>> {
    let batches =
        Predictor::of(model, samples, device, Purpose::WholeImages)?.batches(samples, observer, |logits| {
            logits.chunks_exact(model.classes).flat_map(probabilities).collect::<Vec<_>>()
        })?;
    Ok(batches.concat())
}

/// The logits `[images, classes]` of every image of `samples`, by the program of the first version of selections'
/// [scores](overinterp_spec::Scoring): the mean over an ensemble's members, and over what each image's input dropout keeps in an evaluation.
///
/// # Errors
/// As of [`predict`].
pub fn logits(
    model: &Model,
    samples: Samples<'_>,
    device: &Device,
    observer: &dyn Observer,
) -> Result<Vec<f32>, Halted<PredictError>> {
    Predictor::of(model, samples, device, Purpose::Scores)?.logits(samples, observer)
}

/// Checks that images are sound and of a model's kind.
fn check(model: &Model, samples: Samples<'_>) -> Result<(), PredictError> {
    samples.check()?;
    check_kind(model, samples.images)?;
    Ok(())
}

/// A model that is ready to be asked about images of its kind.
pub(super) struct Predictor {
    levels: Levels,
    /// Of an input, with the channels of every way in which the model's networks normalise images.
    shape: ImageShape,
    classes: usize,
    by: By,
}

/// What computes the logits, on the CPU or on a GPU.
enum By {
    /// The fused engine, some images a thread.
    Engine(CompiledModel, Pool<ModelPasses>),
    /// Candle, one batch after the other.
    Gpu(GpuModel),
}

impl Predictor {
    /// [`Predictor::new`] for images that are sound and of the model's kind.
    fn of(model: &Model, samples: Samples<'_>, device: &Device, purpose: Purpose) -> Result<Self, PredictError> {
        check(model, samples)?;
        Self::new(model, device, purpose)
    }

    /// Compiles `model` for a purpose, or puts it on `device`.
    pub(super) fn new(model: &Model, device: &Device, purpose: Purpose) -> Result<Self, PredictError> {
        let by = if device.is_cpu() {
            By::Engine(CompiledModel::new(model, purpose)?, Pool::default())
        } else {
            By::Gpu(GpuModel::new(model, device)?)
        };
        let shape = Views::of(model).shape(model.shape);
        Ok(Self { levels: Levels::of(model), shape, classes: model.classes, by })
    }

    /// The logits `[images, classes]` of every image of `samples`.
    pub(super) fn logits(
        &self,
        samples: Samples<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<f32>, Halted<PredictError>> {
        Ok(self.batches(samples, observer, |logits| logits)?.concat())
    }

    /// What `finish` makes of the logits `[batch, classes]` of each batch, in the images' order.
    fn batches<T: Send>(
        &self,
        samples: Samples<'_>,
        observer: &dyn Observer,
        finish: impl Fn(Vec<f32>) -> T + Sync,
    ) -> Result<Vec<T>, Halted<PredictError>> {
        let indexes: Vec<u32> = (0..samples.len() as u32).collect();
        // The first image whose logits are not finite, as far as is known: nothing behind it is asked about.
        let unsound = AtomicUsize::new(usize::MAX);
        let found = || {
            let image = unsound.load(Ordering::Relaxed);
            Halted::Failed(PredictError::NotFinite(NotFinite::Logits { image }))
        };
        let batch = |batch: &[u32]| {
            if observer.cancelled() {
                return Err(Halted::Stopped);
            }
            if unsound.load(Ordering::Relaxed) < batch[0] as usize {
                return Err(found());
            }
            let input = samples.input(&self.levels, batch, None).map_err(PredictError::from)?;
            let logits = match &self.by {
                By::Engine(model, idle) => on_engine(model, idle, batch, &input, self.shape),
                By::Gpu(model) => on_gpu(model, batch, input, self.shape).map_err(|source| {
                    let first = batch[0] as usize;
                    PredictError::Device { first, last: first + batch.len() - 1, source }
                })?,
            };
            if let Some(place) = first_not_finite(&logits, self.classes) {
                unsound.fetch_min(batch[place] as usize, Ordering::Relaxed);
                return Err(found());
            }
            Ok(finish(logits))
        };
        let pixels = self.shape.pixels().max(1);
        let batches: Vec<Result<T, Halted<PredictError>>> = match &self.by {
            By::Engine(..) => indexes.par_chunks((PIXELS / pixels).clamp(1, BATCH)).map(batch).collect(),
            By::Gpu(_) => indexes.chunks((GPU_PIXELS / pixels).clamp(1, GPU_BATCH)).map(batch).collect(),
        };
        // All before the first such image were asked about, so that it is the first on any number of threads.
        batches.into_iter().collect()
    }
}

/// The logits of normalised images, as many at a time as it pays to pass together.
fn on_engine(
    model: &CompiledModel,
    idle: &Pool<ModelPasses>,
    indexes: &[u32],
    images: &[f32],
    shape: ImageShape,
) -> Vec<f32> {
    let together = ModelPasses::together(model).min(BATCH);
    idle.with(
        || ModelPasses::new(model, together),
        |passes| {
            let images = images.chunks(together * shape.bytes());
            let batches = indexes.chunks(together).zip(images);
            let group = |numbers| Group { purpose: Use::Evaluation, numbers };
            batches.flat_map(|(indexes, images)| passes.pass(group(indexes), images).to_vec()).collect()
        },
    )
}

/// The logits of normalised images, all at once.
fn on_gpu(model: &GpuModel, indexes: &[u32], input: Vec<f32>, shape: ImageShape) -> candle_core::Result<Vec<f32>> {
    let x = Tensor::from_vec(input, (indexes.len(), shape.height, shape.width, shape.channels), model.device())?;
    model.logits(&x, &model.draw(Use::Evaluation, indexes)?)?.flatten_all()?.to_vec1()
}

/// The class of highest logit of an image, and its softmax probability.
fn answer(logits: &[f32]) -> (u16, f32) {
    let class = argmax(logits);
    (class as u16, probability(logits, class))
}

/// The share of images classified as labelled.
#[must_use]
pub fn accuracy(predictions: &Predictions) -> f64 {
    let right = predictions.predicted.iter().zip(&predictions.labels).filter(|(class, label)| class == label).count();
    right as f64 / predictions.labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;
    use crate::init;
    use crate::observer::Unobserved;
    use overinterp_artifacts::{ImageSet, Network, Pixels, Subsets};
    use overinterp_spec::{Arch, Normalise, Seed};

    fn images() -> ImageSet {
        let shape = ImageShape { height: 8, width: 8, channels: 1 };
        ImageSet {
            shape,
            classes: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            normalise: Normalise { mean: vec![100.0], std: vec![50.0] },
            pixels: (0..70 * 64_u32).map(|index| (index * 97 % 256) as u8).collect(),
            labels: (0..70).map(|index| index % 3).collect(),
        }
    }

    fn model() -> Model {
        let ImageSet { shape, normalise, .. } = images();
        let graph = arch::build(Arch::Cnn, shape, 3).unwrap();
        let tensors = init::initial_tensors(&graph, Seed(1));
        let network = Network { arch: Arch::Cnn, normalise, input_dropout: None, tensors, log: Vec::new() };
        Model { shape, classes: 3, networks: vec![network] }
    }

    #[test]
    fn a_prediction_does_not_depend_on_its_batch() {
        let (images, model) = (images(), model());
        let all = predict(&model, Samples::whole(&images), &Device::Cpu, &Unobserved).unwrap();
        assert_eq!(all.predicted.len(), 70);
        let last = ImageSet {
            pixels: images.image(69).unwrap().to_vec().into(),
            labels: vec![images.labels[69]],
            ..images.clone()
        };
        let alone = predict(&model, Samples::whole(&last), &Device::Cpu, &Unobserved).unwrap();
        assert_eq!(
            (alone.predicted[0], alone.confidence[0].to_bits()),
            (all.predicted[69], all.confidence[69].to_bits())
        );
    }

    #[test]
    fn of_all_probabilities_the_largest_is_the_confidence() {
        let (images, model) = (images(), model());
        let said = predict(&model, Samples::whole(&images), &Device::Cpu, &Unobserved).unwrap();
        let all = all_probabilities(&model, Samples::whole(&images), &Device::Cpu, &Unobserved).unwrap();
        assert_eq!(all.len(), 70 * 3);
        for (image, row) in all.chunks(3).enumerate() {
            let class = usize::from(said.predicted[image]);
            assert_eq!(row[class].to_bits(), said.confidence[image].to_bits());
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row.iter().all(|&other| other <= row[class]));
        }
    }

    #[test]
    fn fully_masked_images_all_get_one_prediction() {
        let (images, model) = (images(), model());
        let mut subsets = Subsets::new(64);
        (0..70).for_each(|_| subsets.push(&[]));
        let masked = Samples { images: &images, subsets: Some(&subsets) };
        let said = predict(&model, masked, &Device::Cpu, &Unobserved).unwrap();
        assert!(said.confidence.iter().all(|confidence| confidence.to_bits() == said.confidence[0].to_bits()));
    }

    #[test]
    fn images_of_another_kind_and_diverged_weights_are_refused() {
        let (images, mut model) = (images(), model());
        let two = ImageSet { classes: images.classes[..2].to_vec(), labels: vec![0; 70], ..images.clone() };
        let error = predict(&model, Samples::whole(&two), &Device::Cpu, &Unobserved).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model takes images of 8x8x1 in 3 classes, these are of 8x8x1 in 2: name images of the kind that it was trained on"
        );
        model.networks[0].tensors.get_mut("linear.bias").unwrap().data[1] = f32::NAN;
        let error = predict(&model, Samples::whole(&images), &Device::Cpu, &Unobserved).unwrap_err();
        let expected = "the model's weights are not finite: `linear.bias` holds NaN; train the model anew";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn the_first_image_whose_logits_overflow_is_named() {
        let (mut images, mut model) = (images(), model());
        // A black image is 0 after this normalisation, and then so are its maps but for what is added to them.
        model.networks[0].normalise.mean[0] = 0.0;
        for (name, tensor) in &mut model.networks[0].tensors {
            if name.ends_with("running_mean") || name.ends_with("bias") {
                tensor.data.fill(0.0);
            } else if name.starts_with("linear") || name.starts_with("conv") {
                tensor.data.iter_mut().for_each(|weight| *weight *= 1e15);
            }
        }
        let Pixels::Held(pixels) = &mut images.pixels else { unreachable!() };
        pixels[..43 * 64].fill(0);
        pixels[44 * 64..][..64].fill(0);
        let Err(error) = predict(&model, Samples::whole(&images), &Device::Cpu, &Unobserved) else { panic!() };
        assert!(matches!(error, Halted::Failed(PredictError::NotFinite(NotFinite::Logits { image: 43 }))), "{error}");
        let expected = "the model's logits of image 43 are not finite although its weights are";
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(logits(&model, Samples::whole(&images), &Device::Cpu, &Unobserved).is_err());
    }
}
