//! What classifies images: a network with its weights, or an ensemble of several.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tensor_file::{self, Tensor, TensorFile};
use super::{Damage, json_file, training_log};
use overinterp_spec::{Arch, ImageShape, Normalise, SeededDropout};
use overinterp_workflow::stage::{Artifact, ArtifactError};

/// A trained or imported network, or an ensemble of such, whose logits are the mean of its members'.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The images it takes.
    pub shape: ImageShape,
    /// The classes it tells apart.
    pub classes: usize,
    /// At least one; an ensemble has several.
    pub networks: Vec<Network>,
}

/// A network with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The architecture that `tensors` are the weights of.
    pub arch: Arch,
    /// How bytes become its input.
    pub normalise: Normalise,
    /// Which pixels it sees: all, or those that are drawn.
    pub input_dropout: Option<SeededDropout>,
    /// Parameters and batch-norm statistics under PyTorch's names (`layer1.0.conv1.weight`), in PyTorch's shapes
    /// (convolution `[out, in, height, width]`, linear `[out, in]`).
    pub tensors: BTreeMap<String, ParameterTensor>,
    /// One line an epoch; empty for an imported network and for a member of an ensemble.
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
    /// Accuracy on the test images after the epoch, 0..1; with input dropout, by one draw an image.
    pub test_accuracy: f64,
}

/// Models that cannot vote together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnsembleError {
    /// There is nothing to average.
    #[error("an ensemble needs at least one member")]
    Empty,
    /// The members take different images.
    #[error(
        "member {member} of the ensemble takes other images than the first: make all members from one data set, \
         whose size and classes they share"
    )]
    OtherImages {
        /// Counted from 1.
        member: usize,
    },
}

impl Model {
    /// The file that a model of one network has, and nothing else.
    pub const WEIGHTS: &str = "model.safetensors";
    /// The file that an ensemble has, and nothing else.
    pub const ENSEMBLE: &str = "ensemble.json";

    /// The mean of some models, in their order. Of one model it is that model. How each was trained is left to its own
    /// log.
    ///
    /// # Errors
    /// When there is none, or they take different images.
    pub fn ensemble(models: impl IntoIterator<Item = Self>) -> Result<Self, EnsembleError> {
        let mut models = models.into_iter();
        let mut ensemble = models.next().ok_or(EnsembleError::Empty)?;
        for (place, model) in models.enumerate() {
            if !model.takes_images_of(&ensemble) {
                return Err(EnsembleError::OtherImages { member: place + 2 });
            }
            ensemble.networks.extend(model.networks);
        }
        for network in &mut ensemble.networks {
            network.log.clear();
        }
        Ok(ensemble)
    }

    /// How its networks normalise images, each way once, in the order of the networks.
    #[must_use]
    pub fn normalisations(&self) -> Vec<&Normalise> {
        let mut ways: Vec<&Normalise> = Vec::new();
        for Network { normalise, .. } in &self.networks {
            if !ways.contains(&normalise) {
                ways.push(normalise);
            }
        }
        ways
    }

    fn takes_images_of(&self, other: &Self) -> bool {
        (self.shape, self.classes) == (other.shape, other.classes)
    }
}

/// What the members of an ensemble share; a single network has no such file.
const LOG: &str = "log.csv";

/// What the header of a single network's weights says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    arch: Arch,
    shape: ImageShape,
    classes: usize,
    normalise: Normalise,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_dropout: Option<SeededDropout>,
}

/// What the header of a member's weights says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFacts {
    arch: Arch,
    /// How it normalises images, if otherwise than the first member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    normalise: Option<Normalise>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_dropout: Option<SeededDropout>,
}

/// The content of [`Model::ENSEMBLE`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    shape: ImageShape,
    classes: usize,
    /// How the first member normalises images.
    normalise: Normalise,
    /// The files of the members' weights.
    members: Vec<String>,
}

/// The weights of a member; `place` counts from 0.
fn member_file(place: usize) -> String {
    format!("member-{}.safetensors", place + 1)
}

impl Artifact for Model {
    const NOTES: &'static [&'static str] = &[LOG];

    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let Self { shape, classes, networks } = self;
        let (shape, classes) = (*shape, *classes);
        if let [network] = &networks[..] {
            let Network { arch, input_dropout, .. } = *network;
            let facts = Facts { arch, shape, classes, normalise: network.normalise.clone(), input_dropout };
            tensor_file::write(&dir.join(Model::WEIGHTS), &facts, stored(network))?;
            return training_log::write(&dir.join(LOG), &network.log);
        }
        let none = || Normalise { mean: Vec::new(), std: Vec::new() };
        let normalise = networks.first().map_or_else(none, |first| first.normalise.clone());
        let members: Vec<String> = (0..networks.len()).map(member_file).collect();
        for (file, network) in members.iter().zip(networks) {
            let Network { arch, input_dropout, .. } = *network;
            let own = Some(&network.normalise).filter(|own| **own != normalise).cloned();
            tensor_file::write(&dir.join(file), &MemberFacts { arch, normalise: own, input_dropout }, stored(network))?;
        }
        json_file::write(&dir.join(Model::ENSEMBLE), &Shared { shape, classes, normalise, members })
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        if !dir.join(Model::ENSEMBLE).exists() && !dir.join(member_file(0)).exists() {
            return load_single(dir);
        }
        let Shared { shape, classes, normalise, members } =
            json_file::read(&dir.join(Model::ENSEMBLE), |shared: &Shared| {
                let in_order = shared.members.iter().enumerate().all(|(place, file)| *file == member_file(place));
                if shared.members.len() > 1 && in_order {
                    sound(&shared.normalise, shared.shape)
                } else {
                    Err(Damage::value("it does not list the members"))
                }
            })?;
        let networks = members.iter().map(|file| {
            tensor_file::read(&dir.join(file), |file| {
                let MemberFacts { arch, normalise: own, input_dropout } = file.facts()?;
                let normalise = own.unwrap_or_else(|| normalise.clone());
                sound(&normalise, shape)?;
                let (input_dropout, tensors) = (sampled(input_dropout)?, loaded(file)?);
                Ok(Network { arch, normalise, input_dropout, tensors, log: Vec::new() })
            })
        });
        Ok(Self { shape, classes, networks: networks.collect::<Result<_, ArtifactError>>()? })
    }
}

fn load_single(dir: &Path) -> Result<Model, ArtifactError> {
    let mut model = tensor_file::read(&dir.join(Model::WEIGHTS), |file| {
        let Facts { arch, shape, classes, normalise, input_dropout } = file.facts()?;
        sound(&normalise, shape)?;
        let (input_dropout, tensors) = (sampled(input_dropout)?, loaded(file)?);
        let network = Network { arch, normalise, input_dropout, tensors, log: Vec::new() };
        Ok(Model { shape, classes, networks: vec![network] })
    })?;
    model.networks[0].log = training_log::read(&dir.join(LOG))?;
    Ok(model)
}

/// Refuses a normalisation that is none of such images.
fn sound(normalise: &Normalise, shape: ImageShape) -> Result<(), Damage> {
    if normalise.is_of(shape.channels) {
        Ok(())
    } else {
        Err(Damage::value("it has not one mean and one deviation above 0 for each channel"))
    }
}

/// A network's tensors on their way to disk.
fn stored(network: &Network) -> impl Iterator<Item = (&str, Tensor)> {
    network.tensors.iter().map(|(name, tensor)| (name.as_str(), Tensor::new(&tensor.shape, &tensor.data)))
}

/// A network's tensors from disk.
fn loaded(file: &TensorFile<'_>) -> Result<BTreeMap<String, ParameterTensor>, Damage> {
    let tensors = file.names().into_iter().map(|name| {
        let (shape, data) = file.any_shape(&name)?;
        Ok((name, ParameterTensor { shape, data }))
    });
    tensors.collect()
}

/// Refuses input dropout that is averaged over nothing.
fn sampled(dropout: Option<SeededDropout>) -> Result<Option<SeededDropout>, Damage> {
    match dropout {
        Some(SeededDropout { samples: 0, .. }) => Err(Damage::value("its input dropout is averaged over no samples")),
        _ => Ok(dropout),
    }
}
