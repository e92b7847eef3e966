//! The weights of a network, with what is needed to use them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Damage;
use super::tensor_file::{self, Tensor};
use crate::engine::stage::{Artifact, ArtifactError};
use crate::spec::{Arch, ImageShape, Normalise};

/// A trained or imported network.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its architecture.
    pub arch: Arch,
    /// The images it takes.
    pub shape: ImageShape,
    /// The classes it tells apart.
    pub classes: usize,
    /// How bytes become its input.
    pub normalise: Normalise,
    /// Parameters and batch-norm statistics under PyTorch's names (`layer1.0.conv1.weight`), in PyTorch's shapes
    /// (convolution `[out, in, height, width]`, linear `[out, in]`).
    pub tensors: BTreeMap<String, ParameterTensor>,
    /// One line an epoch; empty for an imported model.
    pub log: Vec<EpochLog>,
}

/// A float32 tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterTensor {
    /// Extent of each dimension.
    pub shape: Vec<usize>,
    /// The elements, as many as the extents' product.
    pub data: Vec<f32>,
}

/// What one epoch of training came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochLog {
    /// Counted from 1.
    pub epoch: usize,
    /// Learning rate in this epoch.
    pub learning_rate: f64,
    /// Mean cross-entropy over the epoch's batches, as they were seen.
    pub loss: f64,
    /// Accuracy on the training images as they were seen (augmented, in training mode), 0..1.
    pub train_accuracy: f64,
    /// Accuracy on the test images after the epoch, 0..1.
    pub test_accuracy: f64,
}

const WEIGHTS: &str = "model.safetensors";
const LOG: &str = "log.csv";
const LOG_HEADER: &str = "epoch,learning-rate,loss,train-accuracy,test-accuracy";

/// What the header of the weights says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    arch: Arch,
    shape: ImageShape,
    classes: usize,
    normalise: Normalise,
}

impl Artifact for Model {
    const NOTES: &'static [&'static str] = &[LOG];

    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let Self { arch, shape, classes, normalise, tensors, log } = self;
        let facts = Facts { arch: *arch, shape: *shape, classes: *classes, normalise: normalise.clone() };
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), Tensor::new(&tensor.shape, &tensor.data)));
        tensor_file::write(&dir.join(WEIGHTS), &facts, tensors)?;
        let path = dir.join(LOG);
        fs::write(&path, log_text(log)).map_err(|error| ArtifactError::writing(path, error))
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        let mut model = tensor_file::read(&dir.join(WEIGHTS), |file| {
            let Facts { arch, shape, classes, normalise } = file.facts()?;
            let tensors = file.names().into_iter().map(|name| {
                let (shape, data) = file.any_shape(name)?;
                Ok((name.to_owned(), ParameterTensor { shape, data }))
            });
            Ok(Self {
                arch,
                shape,
                classes,
                normalise,
                tensors: tensors.collect::<Result<_, Damage>>()?,
                log: Vec::new(),
            })
        })?;
        let path = dir.join(LOG);
        let text = fs::read_to_string(&path).map_err(|error| ArtifactError::reading(&path, error))?;
        model.log = parse_log(&text).map_err(|damage| ArtifactError::reading(path, damage))?;
        Ok(model)
    }
}

/// The log as CSV, each number in the fewest digits that give it back.
fn log_text(log: &[EpochLog]) -> String {
    let mut text = format!("{LOG_HEADER}\n");
    for EpochLog { epoch, learning_rate, loss, train_accuracy, test_accuracy } in log {
        let _ = writeln!(text, "{epoch},{learning_rate},{loss},{train_accuracy},{test_accuracy}"); // cannot fail
    }
    text
}

fn parse_log(text: &str) -> Result<Vec<EpochLog>, Damage> {
    let mut lines = text.lines();
    if lines.next() != Some(LOG_HEADER) {
        return Err(Damage::Line(1));
    }
    lines.enumerate().map(|(index, line)| parse_epoch(line).ok_or(Damage::Line(index + 2))).collect()
}

fn parse_epoch(line: &str) -> Option<EpochLog> {
    let (epoch, numbers) = line.split_once(',')?;
    let numbers: Vec<f64> = numbers.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [learning_rate, loss, train_accuracy, test_accuracy] = numbers.try_into().ok()?;
    Some(EpochLog { epoch: epoch.parse().ok()?, learning_rate, loss, train_accuracy, test_accuracy })
}
