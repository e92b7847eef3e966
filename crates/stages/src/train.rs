//! `train`: trains a network from its initial weights. Retraining is this on masked images.

use serde::Serialize;

use overinterp_artifacts::Model;
use overinterp_nn::images::batches::Samples;
use overinterp_nn::train::fit::{Every, FitInput, fit};
use overinterp_spec::{Arch, Normalise, Recipe, Seed};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Watcher, halted};
use super::{Env, Images};

/// The manifest of a `train` step.
#[derive(Debug, Serialize)]
pub struct Train {
    /// What it learns from.
    pub images: Images,
    /// What its accuracy is logged on after each epoch.
    pub monitor: Images,
    /// The architecture of the network.
    pub arch: Arch,
    /// Where its randomness starts.
    pub seed: Seed,
    /// How it is trained.
    pub recipe: Recipe,
    /// Whose weights it starts from; without it, from random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Key<Model>>,
    /// How the network is shown the images; without it, as their data set says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<TrainedOn>,
}

/// How a training normalises images, where its data set does not decide.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainedOn {
    /// As the experiment says.
    Given(Normalise),
    /// As the model was trained whose weights it starts from.
    LikeInit,
}

impl Stage<Env> for Train {
    const KIND: &'static str = "train";
    const VERSION: u32 = 1;
    type Output = Model;

    fn inputs(&self) -> Vec<StepKey> {
        let init = self.init.as_ref().map(|init| init.step().clone());
        self.images.inputs().into_iter().chain(self.monitor.inputs()).chain(init).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Model, StageError> {
        let (images, subsets) = self.images.load(context)?;
        let (monitor_images, monitor_subsets) = self.monitor.load(context)?;
        let init = self.init.as_ref().map(|init| context.load(init)).transpose()?;
        let normalise = match (&self.normalise, &init) {
            (Some(TrainedOn::Given(normalise)), _) => normalise.clone(),
            (Some(TrainedOn::LikeInit), Some(init)) => init.networks[0].normalise.clone(),
            (Some(TrainedOn::LikeInit), None) | (None, _) => images.normalise.clone(),
        };
        if self.normalise == Some(TrainedOn::LikeInit) && normalise != images.normalise {
            context.log(&format!(
                "images are normalised by {normalise}, as for the weights that it starts from, and not by their data set's \
                 {}: `normalise` in this stage changes that",
                images.normalise
            ));
        }
        let input = FitInput {
            arch: self.arch,
            recipe: &self.recipe,
            seed: self.seed,
            train: Samples { images: &images, subsets: subsets.as_ref() },
            monitor: Samples { images: &monitor_images, subsets: monitor_subsets.as_ref() },
            normalise: &normalise,
            init: init.as_ref(),
            device: &context.env().device,
            scratch: context.scratch(),
            checkpoint: Every::default(),
        };
        fit(&input, &Watcher(context)).map_err(halted)
    }
}
