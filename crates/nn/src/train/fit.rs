//! The training of a network, from its first weights to its last epoch.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Device;
use rayon::prelude::*;

use crate::arch::{self, ArchError};
use crate::cpu::scorer::argmax;
use crate::finite::{NotFinite, check_weights};
use crate::images::augment;
use crate::images::batches::{Levels, Samples, SamplesError, shuffled};
use crate::init::initial_tensors;
use crate::input_dropout::{Use, draw, drop_pixels, keeps_all};
use crate::observer::Observer;
use crate::predict::{self, PredictError};
use crate::tensors::TensorsError;
use crate::train::checkpoint::{Checkpoint, CheckpointError, Position};
use crate::train::dropout::DropoutDraw;
use crate::train::learner::{Batch, Learner, learner};
use overinterp_artifacts::{EpochLog, Model, Network, ParameterTensor, Subsets};
use overinterp_kernels::engine::Purpose;
use overinterp_kernels::ops::MapShape;
use overinterp_sis::Halted;
use overinterp_spec::{Arch, Augment, ImageShape, Normalise, Recipe, Seed};

/// What a network is trained from.
#[derive(Clone, Copy)]
pub struct FitInput<'a> {
    /// The architecture of the network; that of `init`, where there is one.
    pub arch: Arch,
    /// How it is trained.
    pub recipe: &'a Recipe,
    /// From which all chance is drawn.
    pub seed: Seed,
    /// What it learns from.
    pub train: Samples<'a>,
    /// What it is tested on after each epoch.
    pub monitor: Samples<'a>,
    /// How the network is shown the images.
    pub normalise: &'a Normalise,
    /// Whose weights it starts from, which are then not random.
    pub init: Option<&'a Model>,
    /// Where it is computed.
    pub device: &'a Device,
    /// A directory of its own for the checkpoint.
    pub scratch: &'a Path,
    /// When a checkpoint is written, besides on cancellation.
    pub checkpoint: Every,
}

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many batches.
    Batches(usize),
    /// At the first batch that ends so long after the last time.
    Time(Duration),
}

impl Default for Every {
    /// Half a minute: what a kill may cost.
    fn default() -> Self {
        Self::Time(Duration::from_secs(30))
    }
}

/// Why a training ended without a model.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The training images cannot be used.
    #[error("cannot train on these images")]
    Train(#[source] SamplesError),
    /// The test images cannot be used.
    #[error("cannot test on these images")]
    Monitor(#[source] SamplesError),
    /// Training and test images differ in kind.
    #[error("training and test images differ in shape or classes: take both from one data set")]
    OtherImages,
    /// A crop taken once no longer lines up with the subset.
    #[error("pixel-subsets cannot be cropped and flipped: set augment = \"none\" in this stage's recipe")]
    AugmentedSubsets,
    /// No image a step.
    #[error("a batch of 0 images trains nothing: set batch to at least 1")]
    EmptyBatch,
    /// The weights to start from are those of something else.
    #[error(
        "cannot start from these weights: they are of {} for {} classes of {}x{}x{} images, the training is of {} for {} \
         classes of {}x{}x{} images", .init.0, .init.2, .init.1.height, .init.1.width, .init.1.channels,
        .training.0, .training.2, .training.1.height, .training.1.width, .training.1.channels
    )]
    OtherInit {
        /// Architecture (or an ensemble), images and classes of the weights.
        init: (String, ImageShape, usize),
        /// Architecture, images and classes of the training.
        training: (Arch, ImageShape, usize),
    },
    /// The weights to start from are no numbers.
    #[error("cannot start from these weights")]
    Init(#[source] NotFinite),
    /// The architecture cannot take such images.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The loss grew beyond all bounds.
    #[error(
        "the loss is {loss} in epoch {epoch}, batch {batch} at learning rate {learning_rate}: \
         the training has diverged, lower the learning rate"
    )]
    Diverged {
        /// Infinite or not a number.
        loss: f32,
        /// Counted from 1.
        epoch: usize,
        /// Counted from 1.
        batch: usize,
        /// The rate of that batch.
        learning_rate: f64,
    },
    /// The device failed at a training step.
    #[error("cannot compute epoch {epoch}, batch {batch}")]
    Step {
        /// Counted from 1.
        epoch: usize,
        /// Counted from 1.
        batch: usize,
        /// What the device said.
        source: candle_core::Error,
    },
    /// Weights could not be moved.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The device failed between steps.
    #[error("cannot move the state of training between the host and the device")]
    Device(#[from] candle_core::Error),
    /// The test after an epoch failed.
    #[error("cannot test after epoch {epoch}")]
    Test {
        /// Counted from 1.
        epoch: usize,
        /// Why the images of `monitor` could not be classified.
        source: PredictError,
    },
    /// A checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Trains a network. Where `scratch` holds this training's checkpoint, it goes on from there, to the same bytes.
///
/// The result is the last epoch's weights.
///
/// # Errors
/// When the input is no training, the loss is not finite, or the device or the disk fails. When the observer stops it, the
/// checkpoint is written.
pub fn fit(input: &FitInput<'_>, observer: &dyn Observer) -> Result<Model, Halted<FitError>> {
    input.check()?;
    let mut training = Training::begin(input, observer)?;
    while training.position.epoch < input.recipe.epochs {
        if training.learn(observer)?.is_break() || training.test(observer)?.is_break() {
            return Err(Halted::Stopped);
        }
    }
    Ok(training.into_model()?)
}

impl FitInput<'_> {
    fn check(&self) -> Result<(), FitError> {
        self.train.check().map_err(FitError::Train)?;
        self.monitor.check().map_err(FitError::Monitor)?;
        let kind = |samples: Samples<'_>| (samples.images.shape, samples.images.classes.len());
        if kind(self.train) != kind(self.monitor) {
            return Err(FitError::OtherImages);
        }
        if self.train.subsets.is_some() && self.recipe.augment != Augment::None {
            return Err(FitError::AugmentedSubsets);
        }
        if self.recipe.batch == 0 {
            return Err(FitError::EmptyBatch);
        }
        let (channels, Normalise { mean, std }) = (self.train.images.shape.channels, self.normalise);
        if !self.normalise.is_of(channels) {
            let (means, deviations) = (mean.len(), std.len());
            return Err(FitError::Train(SamplesError::Normalise { channels, means, deviations }));
        }
        self.init.map_or(Ok(()), check_weights).map_err(FitError::Init)?;
        self.starting_tensors().map(drop)
    }

    /// The weights that it starts from, if they are given.
    fn starting_tensors(&self) -> Result<Option<&BTreeMap<String, ParameterTensor>>, FitError> {
        let Some(init) = self.init else { return Ok(None) };
        let images = self.train.images;
        match &init.networks[..] {
            [network]
                if (network.arch, init.shape, init.classes) == (self.arch, images.shape, images.classes.len()) =>
            {
                Ok(Some(&network.tensors))
            }
            networks => {
                let arch = match networks {
                    [network] => network.arch.to_string(),
                    _ => "an ensemble".to_owned(),
                };
                let training = (self.arch, images.shape, images.classes.len());
                Err(FitError::OtherInit { init: (arch, init.shape, init.classes), training })
            }
        }
    }

    /// Sets to 0 what the recipe's input dropout drops of normalised images `[batch, height, width, channels]`.
    fn drop_pixels(&self, step: u64, images: &mut [f32]) {
        let shape = self.train.images.shape;
        let Some(dropout) = self.recipe.input_dropout.filter(|dropout| !keeps_all(dropout.keep)) else { return };
        let dropout = dropout.seeded(self.seed);
        images.par_chunks_mut(shape.bytes()).enumerate().for_each(|(place, image)| {
            let mut kept = vec![false; shape.pixels()];
            draw(dropout, Use::Training(step), 0, place, &mut kept);
            drop_pixels(&kept, image);
        });
    }

    /// Tells trainings apart: a hash of all that the result depends on.
    fn identity(&self) -> Result<[u8; blake3::OUT_LEN], FitError> {
        let mut hasher = blake3::Hasher::new_derive_key("overinterp training v1");
        let settings = format!("{} {:?} {:?}", self.arch, self.recipe, self.seed);
        hasher.update(settings.as_bytes());
        let halves: [(_, fn(_) -> _); 2] = [(self.train, FitError::Train), (self.monitor, FitError::Monitor)];
        for (Samples { images, subsets }, unusable) in halves {
            let facts = format!("{:?} {} {:?}", images.shape, images.classes.len(), images.normalise);
            hasher.update(facts.as_bytes()).update(images.pixels.identity());
            for label in &images.labels {
                hasher.update(&label.to_le_bytes());
            }
            for piece in subsets.iter().flat_map(|subsets| subsets.pieces()) {
                hasher.update(&piece.map_err(|error| unusable(error.into()))?);
            }
            if let Some(appearance) = subsets.map(Subsets::appearance).filter(|appearance| !appearance.is_default()) {
                hasher.update(format!("{appearance:?}").as_bytes());
            }
        }
        if *self.normalise != self.train.images.normalise {
            hasher.update(format!("{:?}", self.normalise).as_bytes());
        }
        for (name, tensor) in self.init.iter().flat_map(|init| &init.networks).flat_map(|network| &network.tensors) {
            hasher.update(name.as_bytes());
            for value in &tensor.data {
                hasher.update(&value.to_le_bytes());
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }
}

/// A training under way.
struct Training<'a> {
    input: &'a FitInput<'a>,
    identity: [u8; blake3::OUT_LEN],
    learner: Box<dyn Learner>,
    levels: Levels,
    position: Position,
    /// When it began or went on, and what it had taken by then.
    begun: (Instant, f64),
    saved: Instant,
}

impl<'a> Training<'a> {
    /// Starts from initial weights, or from the checkpoint if there is a sound one.
    fn begin(input: &'a FitInput<'a>, observer: &dyn Observer) -> Result<Self, FitError> {
        let images = input.train.images;
        let identity = input.identity()?;
        let graph = arch::build(input.arch, images.shape, images.classes.len())?;
        let checkpoint = Checkpoint::load(input.scratch, identity).unwrap_or_else(|error| {
            observer.log(&format!("{error}: it is ignored, and the training begins anew"));
            None
        });
        let mut before = 0.0;
        let (tensors, velocities, position) = match checkpoint {
            None => {
                let given = input.starting_tensors()?.cloned();
                (given.unwrap_or_else(|| initial_tensors(&graph, input.seed)), None, Position::default())
            }
            Some(Checkpoint { tensors, velocities, position, seconds, .. }) => {
                before = seconds;
                observer.spent_before(seconds);
                observer.log(&format!("goes on at epoch {}, batch {}", position.epoch + 1, position.batch + 1));
                (tensors, Some(velocities), position)
            }
        };
        let learner = learner(&graph, tensors, velocities, input.recipe, input.device)?;
        let levels = Levels::new(input.normalise);
        let now = Instant::now();
        Ok(Self { input, identity, learner, levels, position, begun: (now, before), saved: now })
    }

    /// The rest of the current epoch's batches.
    fn learn(&mut self, observer: &dyn Observer) -> Result<ControlFlow<()>, FitError> {
        let FitInput { recipe, seed, train, .. } = *self.input;
        let ImageShape { height, width, channels } = train.images.shape;
        let (epoch, batches) = (self.position.epoch, train.len().div_ceil(recipe.batch));
        let order = shuffled(seed, epoch, train.len());
        let crops = augment::draw(recipe.augment, seed, epoch, train.len());
        for number in self.position.batch..batches {
            let images = number * recipe.batch..((number + 1) * recipe.batch).min(train.len());
            let indexes = &order[images.clone()];
            let crops = crops.as_ref().map(|crops| &crops[images]);
            let step = epoch * batches + number;
            let learning_rate = recipe.learning_rate(step, batches);
            let mut pixels = train.input(&self.levels, indexes, crops).map_err(FitError::Train)?;
            self.input.drop_pixels(step as u64, &mut pixels);
            let batch = Batch {
                pixels,
                shape: MapShape { batch: indexes.len(), height, width, channels },
                labels: train.labels(indexes),
                dropout: DropoutDraw { seed, step: step as u64 },
            };
            let outcome = self.learner.step(&batch, learning_rate).map_err(|source| FitError::Step {
                epoch: epoch + 1,
                batch: number + 1,
                source,
            })?;
            if !outcome.loss.is_finite() {
                let (loss, epoch, batch) = (outcome.loss, epoch + 1, number + 1);
                return Err(FitError::Diverged { loss, epoch, batch, learning_rate });
            }
            let rows = outcome.logits.chunks_exact(train.images.classes.len());
            self.position.batch += 1;
            self.position.loss += f64::from(outcome.loss) * batch.labels.len() as f64;
            self.position.correct +=
                rows.zip(&batch.labels).filter(|(row, label)| argmax(row) == **label as usize).count();

            observer.progress("batches", step + 1, recipe.epochs * batches);
            if self.pause(observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Closes the epoch: the test accuracy, a line in the log, and the next epoch's start.
    fn test(&mut self, observer: &dyn Observer) -> Result<ControlFlow<()>, FitError> {
        let FitInput { recipe, train, monitor, device, .. } = *self.input;
        let (epoch, batches) = (self.position.epoch + 1, train.len().div_ceil(recipe.batch));
        // Not for whole images, which would be faster: rounding may move an image over to another class, and the bytes of
        // trainings are to stay what they are.
        let model = self.model_by_one_sample()?;
        let predictions = match predict::predict_by(Purpose::Scores, &model, monitor, device, observer) {
            Ok(predictions) => predictions,
            Err(Halted::Stopped) => return self.stop(),
            Err(Halted::Failed(source)) => return Err(FitError::Test { epoch, source }),
        };
        let line = EpochLog {
            epoch,
            learning_rate: in_short(recipe.learning_rate(self.position.epoch * batches, batches)),
            loss: self.position.loss / train.len() as f64,
            train_accuracy: self.position.correct as f64 / train.len() as f64,
            test_accuracy: predict::accuracy(&predictions),
        };
        observer.log(&format!(
            "epoch {epoch}/{}: loss {:.4}, accuracy {:.4}, in test {:.4}",
            recipe.epochs, line.loss, line.train_accuracy, line.test_accuracy
        ));
        let mut log = std::mem::take(&mut self.position.log);
        log.push(line);
        self.position = Position { epoch, log, ..Position::default() };
        Ok(ControlFlow::Continue(()))
    }

    /// Writes a checkpoint if one is due, and stops if that is asked for.
    fn pause(&mut self, observer: &dyn Observer) -> Result<ControlFlow<()>, FitError> {
        if observer.cancelled() {
            return self.stop();
        }
        let due = match self.input.checkpoint {
            Every::Batches(batches) => self.position.batch.is_multiple_of(batches.max(1)),
            Every::Time(time) => self.saved.elapsed() >= time,
        };
        if due {
            self.save()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stop(&mut self) -> Result<ControlFlow<()>, FitError> {
        self.save()?;
        Ok(ControlFlow::Break(()))
    }

    fn save(&mut self) -> Result<(), FitError> {
        let checkpoint = Checkpoint {
            training: self.identity,
            position: self.position.clone(),
            seconds: self.begun.1 + self.begun.0.elapsed().as_secs_f64(),
            tensors: self.learner.tensors()?,
            velocities: self.learner.velocities()?,
        };
        checkpoint.save(self.input.scratch)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// The model as it stands, without its log. It looks at each image by one sample of its input dropout, as the log
    /// needs no better answer.
    fn model_by_one_sample(&self) -> Result<Model, FitError> {
        let mut model = self.model()?;
        for dropout in model.networks.iter_mut().filter_map(|network| network.input_dropout.as_mut()) {
            dropout.samples = 1;
        }
        Ok(model)
    }

    fn model(&self) -> Result<Model, FitError> {
        let FitInput { arch, recipe, seed, normalise, .. } = *self.input;
        let images = self.input.train.images;
        let network = Network {
            arch,
            normalise: normalise.clone(),
            input_dropout: recipe.input_dropout.map(|dropout| dropout.seeded(seed)),
            tensors: self.learner.tensors()?,
            log: Vec::new(),
        };
        Ok(Model { shape: images.shape, classes: images.classes.len(), networks: vec![network] })
    }

    fn into_model(self) -> Result<Model, FitError> {
        let mut model = self.model()?;
        model.networks[0].log = self.position.log;
        Ok(model)
    }
}

/// A number without the rounding errors of its last digits, for people.
fn in_short(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests;
