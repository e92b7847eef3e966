//! What this machine does in a second with one network: the rates by which a stage's time can be foretold.
//!
//! Each is measured on the way that the stages take, with fresh weights and images of noise, on which none of them
//! depends. Networks and images are got ready before the clock starts, as a stage does once.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::Device;

use crate::arch::{self, ArchError};
use crate::cpu::group_scorer::ImageGroup;
use crate::graph::Graph;
use crate::image_scorer::ImageScorer;
use crate::images::batches::{Levels, Samples, SamplesError};
use crate::images::masked::MaskedImages;
use crate::inference::{Finder, GroupFinder, Inference, InferenceError, Wanted};
use crate::init::initial_tensors;
use crate::input_dropout::Use;
use crate::observer::Unobserved;
use crate::predict::{PredictError, Predictor};
use crate::tensors::TensorsError;
use crate::train::dropout::DropoutDraw;
use crate::train::learner::{Batch, learner};
use crate::unanswered::Unanswered;
use overinterp_artifacts::{ImageSet, Model, Network};
use overinterp_kernels::engine::Purpose;
use overinterp_kernels::isa::Isa;
use overinterp_kernels::ops::MapShape;
use overinterp_sis::{Halted, RandomState, random_order, unstopped};
use overinterp_spec::{Arch, ImageShape, Normalise, Rates, Recipe, Seed};

/// Images of a training step, of a gradient round, and of those classified, where they have at most 1,024 pixels.
const BATCH: usize = 128;
/// How many times as many a GPU classifies at once.
const GPU_FACTOR: usize = 8;
/// The least of larger ones, as a batch norm needs some.
const LEAST: usize = 4;
/// Classes of the networks measured.
const CLASSES: usize = 10;
/// The steps of a selection at which candidates are scored, in sixteenths of the way through it.
const STAGES: [usize; 4] = [2, 10, 6, 14];
/// Candidates scored at each, at most.
const CANDIDATES: usize = 1024;
/// Images whose candidates a GPU scores together.
const LOCKSTEP: usize = 64;

/// Why a network could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// The architecture cannot take such images.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The network could not be compiled.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The images of noise could not be used.
    #[error(transparent)]
    Samples(#[from] SamplesError),
    /// The network could not be put on the device to learn there.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The network did not answer.
    #[error("cannot measure {arch}")]
    Unanswered {
        /// The network that was being measured.
        arch: Arch,
        /// Why: an image could not be read, the answer is no number, or the device failed.
        source: Unanswered,
    },
    /// Images could not be classified.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// The device failed.
    #[error("cannot measure {arch} on the device")]
    Device {
        /// The network whose training step was being measured.
        arch: Arch,
        /// What the device said.
        source: candle_core::Error,
    },
}

/// Measures one network on images of one shape, spending about `budget` on each rate; more where one run takes longer.
///
/// # Errors
/// When the architecture cannot take such images, or the device fails.
pub fn measure(arch: Arch, image: ImageShape, device: &Device, budget: Duration) -> Result<Rates, RatesError> {
    let subject = Subject::new(arch, image, device, budget)?;
    let open = |wanted| Inference::open(&subject.model, &subject.images, device, wanted);
    let failed = |source| RatesError::Unanswered { arch, source };
    let candidates_per_second = subject.scored(&open(Wanted::Scores)?, device).map_err(failed)?;
    let gradient_round_ms = subject.differentiated(&open(Wanted::Gradients)?, device).map_err(failed)?;
    Ok(Rates {
        arch,
        image,
        processor: model_of_processor(),
        threads: rayon::current_num_threads(),
        isa: processor(device),
        measured_for: budget.as_secs_f64(),
        batch: subject.batch,
        candidates_per_second,
        train_step_ms: subject.step(device)?,
        images_per_second: subject.classified(device)?,
        gradient_round_ms,
    })
}

/// What computes: the CPU's instruction set, or the GPU's name.
#[must_use]
pub fn processor(device: &Device) -> String {
    match device {
        Device::Cpu => Isa::detect().to_string(),
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => gpu.cuda_stream().context().name().unwrap_or_else(|_| format!("{:?}", device.location())),
        other => format!("{:?}", other.location()),
    }
}

/// What the CPU calls itself, or the architecture where it does not.
#[must_use]
pub fn model_of_processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// What is measured.
struct Subject {
    arch: Arch,
    graph: Graph,
    model: Model,
    images: ImageSet,
    levels: Levels,
    /// Images that are treated together.
    batch: usize,
    budget: Duration,
}

impl Subject {
    fn new(arch: Arch, shape: ImageShape, device: &Device, budget: Duration) -> Result<Self, RatesError> {
        let graph = arch::build(arch, shape, CLASSES)?;
        let normalise = Normalise { mean: vec![127.5; shape.channels], std: vec![64.0; shape.channels] };
        // As many pixels in all, so that large images take no more memory.
        let batch = (BATCH * 1024 / shape.pixels().max(1)).clamp(LEAST, BATCH);
        let count = if device.is_cpu() { batch.max(rayon::current_num_threads()) } else { GPU_FACTOR * batch };
        let images = ImageSet {
            shape,
            classes: (0..CLASSES).map(|class| class.to_string()).collect(),
            normalise: normalise.clone(),
            pixels: (0..count * shape.bytes()).map(|place| (place * 7919 % 1009 % 256) as u8).collect(),
            labels: (0..count).map(|image| (image % CLASSES) as u16).collect(),
        };
        let tensors = initial_tensors(&graph, Seed(0));
        let levels = Levels::new(&normalise);
        let network = Network { arch, normalise, input_dropout: None, tensors, log: Vec::new() };
        let model = Model { shape, classes: CLASSES, networks: vec![network] };
        Ok(Self { arch, graph, model, images, levels, batch, budget })
    }

    /// The normalised image with the first pixels of `order` masked.
    fn masked(&self, image: &[f32], order: &[u32]) -> Vec<f32> {
        let mut images = MaskedImages::new(image.to_vec(), self.images.shape);
        images.mask(0, order);
        images.current().to_vec()
    }

    /// A random order of the pixels.
    fn order(&self) -> Vec<u32> {
        random_order(&mut RandomState::new(1234), self.images.shape.pixels() as u32)
    }

    /// Candidates a second: of an image on each thread, or of several images in lockstep, which fill every batch.
    fn scored(&self, inference: &Inference<'_>, device: &Device) -> Result<f64, Unanswered> {
        // All threads are at work while any is timed, but for what they differ by at the ends.
        let images = if device.is_cpu() {
            rayon::current_num_threads()
        } else {
            LOCKSTEP.min(self.images.len()).min(inference.part(1))
        };
        let rates = unstopped(inference.find(0..images, &Scoring { subject: self, order: self.order() }))?;
        Ok(rates.iter().sum())
    }

    /// Images classified a second.
    fn classified(&self, device: &Device) -> Result<f64, PredictError> {
        let predictor = Predictor::new(&self.model, device, Purpose::WholeImages)?;
        let mut failure = None;
        let seconds = typical(self.budget, || {
            let logits = unstopped(predictor.logits(Samples::whole(&self.images), &Unobserved));
            failure = failure.take().or(black_box(logits).err());
        });
        failure.map_or(Ok(self.images.len() as f64 / seconds), Err)
    }

    /// Milliseconds of a gradient round on a batch, in groups on each thread, or of all together.
    fn differentiated(&self, inference: &Inference<'_>, device: &Device) -> Result<f64, Unanswered> {
        let round = || unstopped(inference.find_in_groups(0..self.batch, Use::Selection, &Rounds));
        // A device gets ready once.
        round()?;
        let mut total: Result<Duration, Unanswered> = Ok(Duration::ZERO);
        let rounds = repeated(self.budget, || {
            if let Ok(taken) = &mut total {
                match round() {
                    Ok(more) => *taken += more.iter().sum(),
                    Err(error) => total = Err(error),
                }
            }
        });
        let threads = if device.is_cpu() { rayon::current_num_threads().min(self.batch) } else { 1 };
        Ok(1e3 * total?.as_secs_f64() / rounds as f64 / threads as f64)
    }

    /// Milliseconds of a training step.
    fn step(&self, device: &Device) -> Result<f64, RatesError> {
        let recipe = Recipe { batch: self.batch, lr: 0.001, ..Recipe::usual(1) };
        let mut learner = learner(&self.graph, self.model.networks[0].tensors.clone(), None, &recipe, device)?;
        let indexes: Vec<u32> = (0..self.batch as u32).collect();
        let ImageShape { height, width, channels } = self.images.shape;
        let samples = Samples::whole(&self.images);
        let batch = Batch {
            pixels: samples.input(&self.levels, &indexes, None)?,
            shape: MapShape { batch: self.batch, height, width, channels },
            labels: samples.labels(&indexes),
            dropout: DropoutDraw { seed: Seed(0), step: 0 },
        };
        let mut failure = None;
        let seconds = typical(self.budget, || {
            // Reading the loss back, which every step does, waits for the device.
            if let Err(source) = learner.step(&batch, recipe.lr) {
                failure.get_or_insert(source);
            }
        });
        match failure {
            None => Ok(1e3 * seconds),
            Some(source) => Err(RatesError::Device { arch: self.arch, source }),
        }
    }
}

/// Finds candidates a second over the course of a selection in this order; of each of several images its share.
struct Scoring<'a> {
    subject: &'a Subject,
    order: Vec<u32>,
}

impl Finder for Scoring<'_> {
    type Found = f64;

    fn of_images<S: ImageScorer>(&self, scorer: &mut S) -> Result<Vec<f64>, Halted<Unanswered>> {
        let numbers: Vec<u32> = scorer.said().iter().map(|said| said.number as u32).collect();
        let image = Samples::whole(&self.subject.images).input(&self.subject.levels, &numbers[..1], None);
        let image = image.map_err(Unanswered::from)?;
        let mut time =
            |masked: &[u32], candidates: &[u32]| scorer.time(&self.subject.masked(&image, masked), candidates);
        if S::IN_LOCKSTEP {
            // A GPU gets ready once, which would weigh too much in a sample of a selection.
            sampled(Duration::ZERO, &self.order, &mut time)?;
        }
        let rate = sampled(self.subject.budget, &self.order, &mut time)?;
        Ok(vec![rate; numbers.len()])
    }
}

/// Finds the time of a gradient round, of each image its share.
struct Rounds;

impl GroupFinder for Rounds {
    type Found = Duration;

    fn of_group<S: ImageGroup>(&self, scorer: &mut S) -> Result<Vec<Duration>, Halted<Unanswered>> {
        let taken = timed_round(scorer)?;
        let images = scorer.inputs();
        Ok(vec![taken / images as u32; images])
    }
}

/// Candidates a second over the course of a selection, of which a few steps are taken: `time` is given what is masked
/// by then, and candidates.
fn sampled(
    budget: Duration,
    order: &[u32],
    mut time: impl FnMut(&[u32], &[u32]) -> Result<Duration, Unanswered>,
) -> Result<f64, Unanswered> {
    let (mut candidates, mut taken) = (0, Duration::ZERO);
    for round in 0.. {
        // Every stage has its share, however small the budget.
        if candidates > 0 && taken >= budget {
            return Ok(candidates as f64 / taken.as_secs_f64());
        }
        for sixteenths in STAGES {
            let (masked, left) = order.split_at(order.len() * sixteenths / 16);
            // Another part of what is left each time, in the order in which backward selection asks.
            let first = round * CANDIDATES % left.len();
            let mut wanted: Vec<u32> =
                left.iter().cycle().skip(first).take(CANDIDATES.min(left.len())).copied().collect();
            wanted.sort_unstable();
            taken += time(masked, &wanted)?;
            candidates += wanted.len();
        }
    }
    unreachable!("every step takes time")
}

/// The time of a gradient round: masking a pixel of each image, and asking for the gradients.
fn timed_round<S: ImageGroup>(scorer: &mut S) -> Result<Duration, Unanswered> {
    let (mut values, mut slopes) = (vec![0.0; scorer.inputs()], vec![0.0; scorer.unmasked().len()]);
    let start = Instant::now();
    (0..values.len()).for_each(|image| scorer.mask(image, &[0]));
    scorer.gradients(&mut values, &mut slopes)?;
    black_box((values, slopes));
    Ok(start.elapsed())
}

/// Does `work` until `budget` is spent, but at least once; says how often.
fn repeated(budget: Duration, mut work: impl FnMut()) -> usize {
    let start = Instant::now();
    let mut times = 0;
    while times == 0 || start.elapsed() < budget {
        work();
        times += 1;
    }
    times
}

/// The median time of `work` in seconds, of as many runs as fit `budget`, after one that does not count.
fn typical(budget: Duration, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds = Vec::new();
    repeated(budget, || {
        let start = Instant::now();
        work();
        seconds.push(start.elapsed().as_secs_f64());
    });
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_of_a_small_network_is_measured() {
        let image = ImageShape { height: 8, width: 8, channels: 1 };
        let rates = measure(Arch::Cnn, image, &Device::Cpu, Duration::ZERO).unwrap();
        assert_eq!((rates.arch, rates.image, rates.batch), (Arch::Cnn, image, BATCH));
        for rate in [rates.candidates_per_second, rates.train_step_ms, rates.images_per_second, rates.gradient_round_ms]
        {
            assert!(rate.is_finite() && rate > 0.0, "{rates:?}");
        }
    }

    #[test]
    fn a_selection_is_sampled_all_along() {
        let order: Vec<u32> = (0..64).collect();
        let mut seen = Vec::new();
        let rate = sampled(Duration::from_millis(4), &order, |masked, candidates| {
            assert!(candidates.is_sorted());
            seen.push((masked.len(), candidates.len()));
            Ok(Duration::from_millis(1))
        });
        let rate = rate.unwrap();
        assert_eq!(seen, [(8, 56), (40, 24), (24, 40), (56, 8)]);
        assert!((rate - 128.0 / 0.004).abs() < 1.0, "{rate}");
    }
}
