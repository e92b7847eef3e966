//! `train`: trains a network from its initial weights. Retraining is this on masked images.

use serde::Serialize;

use crate::artifacts::Model;
use crate::engine::key::{Key, StepKey};
use crate::engine::stage::{Context, Stage, StageError};
use crate::nn::batches::Samples;
use crate::nn::fit::{Every, FitError, FitInput, fit};
use crate::spec::{Arch, Recipe, Seed};

use super::inference::Watcher;
use super::{Env, Images};

/// The manifest of a `train` step.
#[derive(Debug, Serialize)]
pub struct Train {
    /// What it learns from.
    pub images: Images,
    /// What its accuracy is logged on after each epoch.
    pub monitor: Images,
    /// The network.
    pub arch: Arch,
    /// Where its randomness starts.
    pub seed: Seed,
    /// How it is trained.
    pub recipe: Recipe,
    /// Whose weights it starts from; without it, from random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Key<Model>>,
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
        let input = FitInput {
            arch: self.arch,
            recipe: &self.recipe,
            seed: self.seed,
            train: Samples { images: &images, subsets: subsets.as_ref() },
            monitor: Samples { images: &monitor_images, subsets: monitor_subsets.as_ref() },
            init: init.as_ref(),
            device: &context.env().device,
            scratch: context.scratch(),
            checkpoint: Every::default(),
        };
        fit(&input, &Watcher(context)).map_err(|error| match error {
            FitError::Cancelled => StageError::Cancelled,
            other => StageError::failed(other),
        })
    }
}
