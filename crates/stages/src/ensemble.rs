//! `ensemble`: several models that vote as one, by the mean of their logits, as the authors' `MeanEnsemble` does.

use serde::Serialize;

use overinterp_artifacts::Model;
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::Env;

/// The manifest of an `ensemble` step.
#[derive(Debug, Serialize)]
pub struct Ensemble {
    /// Those that vote, at least one. Their order decides how the sum is rounded, and nothing else.
    pub members: Vec<Key<Model>>,
}

impl Stage<Env> for Ensemble {
    const KIND: &'static str = "ensemble";
    const VERSION: u32 = 1;
    type Output = Model;

    fn inputs(&self) -> Vec<StepKey> {
        self.members.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Model, StageError> {
        let members: Vec<Model> = self.members.iter().map(|key| context.load(key)).collect::<Result<_, _>>()?;
        Ok(Model::ensemble(members)?)
    }
}
