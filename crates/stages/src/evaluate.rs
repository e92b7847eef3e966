//! `evaluate`: what a model makes of images, against their labels.

use serde::Serialize;

use overinterp_artifacts::{Evaluation, Model};
use overinterp_nn::images::batches::Samples;
use overinterp_nn::predict::predict;
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Watcher, halted};
use super::{Env, Images};

/// The manifest of an `evaluate` step: one model on one set of images.
#[derive(Debug, Serialize)]
pub struct Evaluate {
    /// The model that classifies the images.
    pub model: Key<Model>,
    /// The images that it classifies, whole or masked.
    pub images: Images,
}

impl Stage<Env> for Evaluate {
    const KIND: &'static str = "evaluate";
    const VERSION: u32 = 2;
    type Output = Evaluation;

    fn inputs(&self) -> Vec<StepKey> {
        std::iter::once(self.model.step().clone()).chain(self.images.inputs()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Evaluation, StageError> {
        let model = context.load(&self.model)?;
        let (images, subsets) = self.images.load(context)?;
        let samples = Samples { images: &images, subsets: subsets.as_ref() };
        Ok(Evaluation::new(predict(&model, samples, &context.env().device, &Watcher(context)).map_err(halted)?))
    }
}
